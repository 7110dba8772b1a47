"""The receiver's metrics: complete from the start, shared state from the database, honest without it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from genesys.audit import Change
from receiver.catalogue import CATALOGUE, SHARED_METRICS
from receiver.config import ReceiverSettings
from receiver.metrics import Outcome, ReceiverMetrics, Sending, Step
from receiver.policy import Verdict
from receiver.shared_state import MAX_AGE_S
from receiver.store import changes, controls, feeds, leases, outbox
from receiver.store.database import Store, clock
from receiver.store.rollbacks import ASKED, DENIED_BY, ENDS, State
from tests.receiver_world import ORGS, opened, put_alert, put_decision, put_rollback, settings_of

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def settings(tmp_path: Path) -> ReceiverSettings:
    sinks = [{"name": name, "url": f"http://127.0.0.1/{name}"} for name in ("pager", "chat")]
    return settings_of(tmp_path, webhooks=sinks)


@pytest.fixture
def store(settings: ReceiverSettings) -> Iterator[Store]:
    with opened(settings) as store:
        yield store


@pytest.fixture
def metrics(store: Store, settings: ReceiverSettings) -> ReceiverMetrics:
    return ReceiverMetrics(store, settings, ORGS)


def samples(metrics: ReceiverMetrics) -> Samples:
    """What a scrape sees."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.page().decode())
        for sample in family.samples
    }


def named(found: Samples, name: str) -> dict[tuple[str, ...], float]:
    """The samples of one metric by their label values, in the order of the catalogue."""
    metric = CATALOGUE[name if name in CATALOGUE else f"genesys_rollback_{name}"]
    return {
        tuple(dict(labels)[label] for label in metric.labels): value
        for (sample, labels), value in found.items()
        if sample == metric.name
    }


def test_every_known_label_value_of_a_counter_is_there_at_zero(metrics: ReceiverMetrics) -> None:
    found = samples(metrics)
    assert named(found, "alerts_received_total") == {(outcome.value,): 0 for outcome in Outcome}
    assert named(found, "decisions_total") == {(verdict.value,): 0 for verdict in Verdict}
    assert named(found, "attempts_total") == {(state.value,): 0 for state in ENDS}
    assert named(found, "notifications_total") == {
        (sink, result.value): 0 for sink in ("pager", "chat") for result in Sending
    }
    for step in Step:
        assert found["genesys_rollback_step_duration_seconds_count", (("step", step.value),)] == 0


def test_what_the_process_does_is_counted(metrics: ReceiverMetrics) -> None:
    metrics.received(Outcome.STORED, 3)
    metrics.received(Outcome.MALFORMED)
    metrics.decided(Verdict.LOCKOUT)
    metrics.ended(State.SUCCEEDED, 12.0)
    metrics.step(Step.CONFIRM, 2.0)
    metrics.sent("pager", Sending.FAILED)
    metrics.tick("retail", 1000.0)
    metrics.credentials("retail", ready=True)
    metrics.credentials("bank", ready=False)

    found = samples(metrics)
    assert named(found, "alerts_received_total")["stored",] == 3
    assert named(found, "alerts_received_total")["malformed",] == 1
    assert named(found, "decisions_total")["lockout",] == 1
    assert named(found, "attempts_total")["succeeded",] == 1
    assert named(found, "notifications_total")["pager", "failed"] == 1
    assert named(found, "worker_last_tick_timestamp_seconds") == {("retail",): 1000}
    assert named(found, "credentials_ready") == {("retail",): 1, ("bank",): 0}
    assert found["genesys_rollback_duration_seconds_sum", ()] == 12
    assert found["genesys_rollback_step_duration_seconds_sum", (("step", "confirm"),)] == 2


def test_an_idle_receiver_says_so_for_every_organization_and_sink(metrics: ReceiverMetrics) -> None:
    found = samples(metrics)
    for name in ("paused", "org_maintenance_active", "lease_held"):
        assert named(found, name) == {("retail",): 0, ("bank",): 0}
    for name in ("outbox_pending", "outbox_oldest_age_seconds"):
        assert named(found, name) == {("pager",): 0, ("chat",): 0}
    for name in ("lockout_active", "maintenance_active", "attempt_state", "last_decision_timestamp_seconds"):
        assert named(found, name) == {}
    assert named(found, "store_up") == {(): 1}


def test_a_feed_is_current_for_three_readings_after_its_last_success(tmp_path: Path) -> None:
    names = ("never", "lately", "long-ago", "failing")
    pages = [{"name": name, "url": "https://status.example.org", "covers": [{"org": "retail"}]} for name in names]
    settings = settings_of(tmp_path, feeds={"statuspage": [one | {"poll_s": 100.0} for one in pages]})
    now = time.time()
    with opened(settings) as store:
        with store.begin() as tx:
            for name, ago_s, problem in (
                ("lately", 200, ""),
                ("long-ago", 400, ""),
                ("failing", 200, ""),
                ("failing", 10, "down"),
            ):
                feeds.claim(tx, name, now=now - ago_s, next_at=now)
                feeds.finish(tx, name, asked_at=now - ago_s, problem=problem)
        found = samples(ReceiverMetrics(store, settings, ORGS))
    assert named(found, "feed_current") == {("never",): 0, ("lately",): 1, ("long-ago",): 0, ("failing",): 1}
    last = named(found, "feed_last_success_timestamp_seconds")
    assert last == pytest.approx({("lately",): now - 200, ("long-ago",): now - 400, ("failing",): now - 200})


@pytest.mark.parametrize(("org", "paused"), [("bank", {"bank"}), ("*", {"retail", "bank"})])
def test_a_pause_shows_for_each_organization_it_holds(
    metrics: ReceiverMetrics, store: Store, org: str, paused: set[str]
) -> None:
    with store.begin() as tx:
        controls.pause(tx, org, by="ann", reason="test", now=time.time())
    assert named(samples(metrics), "paused") == {(name,): name in paused for name in ORGS}


def test_windows_show_while_they_are_active_for_the_flows_they_name_or_the_organization(
    metrics: ReceiverMetrics, store: Store
) -> None:
    now = time.time()
    with store.begin() as tx:
        for org, flow_ids, starts_at in (
            ("retail", ("flow-1", "flow-2"), now - 60),
            ("bank", (), now - 60),
            ("retail", (), now + 600),
            ("gone", ("flow-9",), now - 60),
        ):
            controls.open_window(
                tx,
                org=org,
                flow_ids=flow_ids,
                kind="maintenance",
                starts_at=starts_at,
                ends_at=now + 3600,
                reason="release",
                owner="",
                created_by="ann",
                now=now,
            )
    found = samples(metrics)
    assert named(found, "maintenance_active") == {("retail", "flow-1"): 1, ("retail", "flow-2"): 1}
    assert named(found, "org_maintenance_active") == {("retail",): 0, ("bank",): 1}


def test_a_lease_shows_while_somebody_holds_it(metrics: ReceiverMetrics, store: Store) -> None:
    with store.begin() as tx:
        leases.take(tx, "org:retail", "r1", now=time.time(), lease_s=30)
        leases.take(tx, "org:bank", "r1", now=time.time() - 60, lease_s=30)
    assert named(samples(metrics), "lease_held") == {("retail",): 1, ("bank",): 0}


def test_the_outbox_shows_what_waits_for_each_configured_sink_and_for_how_long(
    metrics: ReceiverMetrics, store: Store
) -> None:
    with store.begin() as tx:
        outbox.put(tx, ["pager", "removed"], "first", {}, now=time.time() - 100)
        outbox.put(tx, ["pager"], "second", {}, now=time.time())
    found = samples(metrics)
    assert named(found, "outbox_pending") == {("pager",): 2, ("chat",): 0}
    ages = named(found, "outbox_oldest_age_seconds")
    assert ages["pager",] == pytest.approx(100, abs=30)
    assert ages["chat",] == 0


def test_the_newest_real_rollback_of_a_flow_gives_its_state_and_time(metrics: ReceiverMetrics, store: Store) -> None:
    now = time.time()
    with store.begin() as tx:
        alert = put_alert(tx, now=now)
        put_rollback(tx, alert, "old", now=now - 7200, state=State.FAILED, started_at=None)
        put_rollback(tx, alert, "new", now=now - 3600, state=State.SUCCEEDED, try_number=2)
        put_rollback(tx, alert, "shadow", now=now, state=State.OBSERVED, shadow=True)
        put_rollback(tx, put_alert(tx, flow_id="flow-2", now=now), "unsent", now=now - 60, started_at=None)
        put_rollback(tx, put_alert(tx, org="gone", now=now), "gone", now=now)
    found = samples(metrics)
    states = named(found, "attempt_state")
    assert {labels for labels, value in states.items() if value == 1} == {
        ("retail", "flow-1", "succeeded"),
        ("retail", "flow-2", "publishing"),
    }
    assert {labels[2] for labels in states} == {state.value for state in State} - {"observed"}
    assert named(found, "last_timestamp_seconds") == {
        ("retail", "flow-1"): pytest.approx(now - 3600),
        ("retail", "flow-2"): pytest.approx(now - 60),
    }


def test_a_rollback_that_waits_for_approval_shows_its_state_and_neither_a_start_nor_an_age(
    metrics: ReceiverMetrics, store: Store
) -> None:
    now = time.time()
    with store.begin() as tx:
        alert = put_alert(tx, now=now)
        put_rollback(tx, alert, "old", now=now - 7200, state=State.FAILED)
        waits = {"state": State.AWAITING_APPROVAL, "started_at": None, "wrote": False, "try_number": 2}
        put_rollback(tx, alert, "waits", now=now - 900, **waits)
    found = samples(metrics)

    assert named(found, "attempt_state")["retail", "flow-1", "awaiting_approval"] == 1
    assert named(found, "attempt_state")["retail", "flow-1", "failed"] == 0
    assert named(found, "last_timestamp_seconds") == {}
    assert named(found, "attempt_age_seconds") == {}


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        pytest.param({"reason": "denied", "facts": {ASKED: "x", DENIED_BY: "ann"}}, None, id="denied"),
        pytest.param({"reason": "refused_resolved", "facts": {ASKED: "x"}}, None, id="the alert was over before"),
        pytest.param({"reason": "approval_expired", "facts": {ASKED: "x"}}, 1, id="nobody came"),
        pytest.param(
            {"reason": "refused_resolved", "facts": {ASKED: "x"}, "approved_by": "ann"}, 1, id="approved, and refused"
        ),
        pytest.param({"reason": "refused_resolved", "facts": {}}, 1, id="nobody was asked"),
    ],
)
def test_what_people_denied_or_need_not_approve_any_more_has_not_failed(
    metrics: ReceiverMetrics, store: Store, changes: dict[str, Any], failed: float | None
) -> None:
    now = time.time()
    with store.begin() as tx:
        ended = {"state": State.FAILED, "started_at": None, "wrote": False, "ended_at": now}
        put_rollback(tx, put_alert(tx, now=now), "r1", now=now - 60, **(ended | changes))
    found = samples(metrics)

    assert named(found, "attempt_state").get(("retail", "flow-1", "failed")) == failed
    assert len(named(found, "last_timestamp_seconds")) == (0 if failed is None else 1)


def test_an_approved_rollback_is_as_old_as_its_approval(metrics: ReceiverMetrics, store: Store) -> None:
    now = time.time()
    with store.begin() as tx:
        approved = {"state": State.PLANNED, "approved_by": "ann", "approved_at": now - 100}
        put_rollback(tx, put_alert(tx, now=now), "r1", now=now - 1800, **approved)
    assert named(samples(metrics), "attempt_age_seconds") == {("retail", "flow-1"): pytest.approx(100, abs=30)}


def test_the_age_of_a_flows_oldest_rollback_under_way_shows_and_none_of_one_that_has_ended(
    metrics: ReceiverMetrics, store: Store
) -> None:
    now = time.time()
    with store.begin() as tx:
        alert = put_alert(tx, now=now)
        put_rollback(tx, alert, "oldest", now=now - 900, state=State.VERIFYING)
        put_rollback(tx, alert, "newer", now=now - 300, state=State.PLANNED, try_number=2)
        put_rollback(tx, put_alert(tx, flow_id="flow-2", now=now), "ended", now=now - 60, state=State.FAILED)
        put_rollback(tx, put_alert(tx, org="gone", now=now), "gone", now=now - 60)
    assert named(samples(metrics), "attempt_age_seconds") == {("retail", "flow-1"): pytest.approx(900, abs=30)}


@pytest.mark.parametrize(
    ("scope", "locked"),
    [
        ("flow", {("retail", "flow-1")}),
        ("org", {("retail", "flow-1"), ("retail", "flow-2")}),
        ("all", {("retail", "flow-1"), ("retail", "flow-2"), ("bank", "flow-3")}),
    ],
)
def test_a_lockout_shows_for_what_its_scope_covers(tmp_path: Path, scope: str, locked: set[tuple[str, str]]) -> None:
    settings = settings_of(tmp_path, lockout_scope=scope, timing={"lockout_s": 900.0})
    now = time.time()
    with opened(settings) as store:
        with store.begin() as tx:
            put_rollback(tx, put_alert(tx, now=now), "r1", now=now - 60)
            put_rollback(tx, put_alert(tx, flow_id="flow-2", now=now), "r2", now=now - 1000)
            put_rollback(tx, put_alert(tx, org="bank", flow_id="flow-3", now=now), "r3", now=now - 1000)
        found = named(samples(ReceiverMetrics(store, settings, ORGS)), "lockout_active")
    assert set(found) == {("retail", "flow-1"), ("retail", "flow-2"), ("bank", "flow-3")}
    assert {labels for labels, value in found.items() if value == 1} == locked


def test_the_newest_decision_shows_by_verdict_and_only_for_configured_organizations(
    metrics: ReceiverMetrics, store: Store
) -> None:
    with store.begin() as tx:
        alert = put_alert(tx, now=500.0)
        put_decision(tx, alert, Verdict.PAUSED, now=1000.0)
        put_decision(tx, alert, Verdict.PAUSED, now=2000.0)
        put_decision(tx, alert, Verdict.LOCKOUT, now=1500.0)
        put_decision(tx, put_alert(tx, org="gone", now=500.0), Verdict.UNKNOWN_CONTRACT, now=1000.0)
    assert named(samples(metrics), "last_decision_timestamp_seconds") == {
        ("retail", "flow-1", "paused"): 2000,
        ("retail", "flow-1", "lockout"): 1500,
    }


def test_the_database_is_read_at_most_every_five_seconds(store: Store, settings: ReceiverSettings) -> None:
    at = 1000.0
    metrics = ReceiverMetrics(store, settings, ORGS, monotonic=lambda: at)
    assert named(samples(metrics), "paused")["retail",] == 0
    with store.begin() as tx:
        controls.pause(tx, "*", by="ann", reason="test", now=1.0)

    at += MAX_AGE_S - 0.1
    assert named(samples(metrics), "paused")["retail",] == 0
    at += 0.1
    assert named(samples(metrics), "paused")["retail",] == 1


def test_without_the_database_the_page_says_so_and_leaves_the_shared_state_out(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, database_url=f"sqlite:///{tmp_path / 'no-such-folder' / 'rollback.db'}")
    metrics = ReceiverMetrics(Store(settings.database_url), settings, ORGS)
    metrics.received(Outcome.NOT_STORED)

    found = samples(metrics)
    assert named(found, "store_up") == {(): 0}
    assert named(found, "alerts_received_total")["not_stored",] == 1
    assert not [metric.name for metric in SHARED_METRICS if named(found, metric.name.removeprefix("genesys_rollback_"))]


def test_the_page_shows_what_the_catalogue_names_and_nothing_else(metrics: ReceiverMetrics) -> None:
    page = metrics.page().decode()
    declared = {tuple(line.split()[2:4]) for line in page.splitlines() if line.startswith("# TYPE ")}
    assert declared == {(metric.name, metric.type) for metric in CATALOGUE.values()}
    helps = {line.split(" ", 3)[2]: line.split(" ", 3)[3] for line in page.splitlines() if line.startswith("# HELP ")}
    assert helps == {metric.name: metric.help for metric in CATALOGUE.values()}
    assert "_created" not in page


@pytest.mark.parametrize("metric", CATALOGUE.values(), ids=list(CATALOGUE))
def test_every_metric_says_how_receivers_are_put_together(metric: object) -> None:
    help_text = getattr(metric, "help", "")
    assert help_text.endswith(("aggregate with sum.", "aggregate with max.", "By process."))


def test_every_name_has_the_prefix_of_the_receiver() -> None:
    """But for what is not the bridge's own doing."""
    strangers = {name for name in CATALOGUE if not name.startswith(("genesys_rollback_", "genesys_object_"))}
    assert strangers == {"genesys_change_timestamp_seconds"}


def test_the_newest_change_of_each_object_is_shown_and_our_own_is_not(metrics: ReceiverMetrics, store: Store) -> None:
    entry = Change("e1", 0.0, "Routing", "Update", "Queue", "q-1", "Sales", None, "Ann", None, None)
    with store.begin() as tx:
        now = clock(tx)
        told = [
            replace(entry, at=now - 60),
            replace(entry, id="e2", at=now - 30, by="Bob"),
            replace(entry, id="e3", at=now - 10, client_id="ours"),
            replace(entry, id="e4", at=now - 2 * 86400, object_id="q-2"),
        ]
        changes.put(tx, ORGS[0], told, own_client_id="ours", now=now)
        changes.put(tx, "not configured", told, own_client_id="ours", now=now)
    assert named(samples(metrics), "genesys_change_timestamp_seconds") == {
        (ORGS[0], "queue", "q-1", "Sales", "Bob"): pytest.approx(now - 30)
    }
