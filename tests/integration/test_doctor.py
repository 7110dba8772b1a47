"""What the doctor says of an organization, in every position of the switches that it is to tell apart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genesys.http import Connection, Request
from genesys.probe import is_read
from receiver.config import Group
from receiver.doctor import cloud, details, divisions, figures, reaching, versions
from receiver.doctor.examination import Finding, State, examine
from tests.integration.drill_world import ACTION, IVR, WORKFLOW, DrillWorld, drill_world

PROVED, NOT_PROVED, FAILED, SKIPPED = State.PROVED, State.NOT_PROVED, State.FAILED, State.SKIPPED
SUBJECTS = ("flows", "conversations", "actions")
ASKED: dict[str, Any] = {"outcomes": True, "transfers": True, "data_actions": [{"action_id": ACTION, "flow_id": IVR}]}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[DrillWorld]:
    with drill_world(tmp_path) as made:
        yield made


def examined(world: DrillWorld, *, watch_s: float = 0.0, redeploys: bool = False, **changes: Any) -> dict[str, Finding]:
    """The findings by step."""
    organization = world.organization(**{"analytics": ASKED} | changes)
    with cloud.opened_to_read(organization, watch_s=watch_s, redeploys=redeploys, clock=world.clock) as opened:
        steps = [part for module in (reaching, figures, details, versions) for part in module.steps(opened)]
        return {one.step: one for one in examine("retail", steps, lambda *_: None)}


def test_of_a_sound_organization_all_is_proved_but_what_only_a_publish_shows(world: DrillWorld) -> None:
    found = examined(world)
    others = {step: one.state for step, one in found.items() if one.state is not PROVED}
    assert others == {"architect:flow:publish": NOT_PROVED, "minutes that still change": SKIPPED}
    assert "FLOW_ERROR_DISCONNECT" in found["exit reasons"].seen
    assert "300 requests a minute" in found["rate limit"].seen


@pytest.mark.parametrize(
    ("client_id", "state"), [("simulator", PROVED), ("republisher", FAILED)], ids=["allowed", "not allowed"]
)
def test_what_a_redeployment_needs_is_looked_at_where_it_is_configured(
    world: DrillWorld, client_id: str, state: State
) -> None:
    credentials = {"client_id": client_id, "client_secret_env": "SECRET"}
    found = examined(world, redeploys=True, credentials=credentials)
    views = {step: found[step].state for step in ("architect:jobExport:view", "architect:job:view")}
    assert set(views.values()) == {state}
    assert found["architect:jobExport:create, job:create, flow:edit"].state is NOT_PROVED
    assert not views.keys() & examined(world, credentials=credentials).keys()
    assert not [one for one in world.requests() if one.method != "GET" and "/jobs" in one.path]


def test_nothing_is_sent_that_could_change_anything(world: DrillWorld) -> None:
    examined(world, watch_s=60)
    sent = {(one.method, one.path) for one in world.requests() if one.method != "GET"}
    assert sent == {
        ("POST", "/oauth/token"),
        *(
            ("POST", f"/api/v2/analytics/{subject}/aggregates/query")
            for subject in ("flows", "conversations", "actions")
        ),
    }
    assert not world.publishes()


def test_its_connection_refuses_to_publish_before_anything_is_sent(world: DrillWorld) -> None:
    with cloud.opened_to_read(world.organization(), clock=world.clock) as opened:
        opened.session.sign_in()
        before = len(world.requests())
        with pytest.raises(AssertionError, match="may not be sent"):
            opened.genesys.publish(WORKFLOW, "1.0")
    assert len(world.requests()) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v2/flows/actions/publish"),
        ("POST", "/api/v2/flows/actions/unlock"),
        ("POST", "/api/v2/analytics/flows/aggregates/query/../../publish"),
        ("PATCH", "/api/v2/architect/deployments/f/versions/v"),
        ("PATCH", "/oauth/token"),
    ],
)
def test_what_may_write_is_no_read_whatever_it_is_called(method: Any, path: str) -> None:
    request = Request(method, f"http://genesys.test{path}", "analytics/flows/aggregates/query")
    assert not is_read(request)
    connection = Connection(permits=is_read)
    with pytest.raises(AssertionError, match="may not be sent"):
        connection.send(request, within_s=1.0)
    connection.close()


@pytest.mark.parametrize(
    ("switches", "step", "state", "seen"),
    [
        pytest.param({"n_flow_exit_reason": True}, "nFlow by exit reason", PROVED, "nFlow has the exit", id="reason"),
        pytest.param({"n_flow_exit_reason": False}, "nFlow by exit reason", PROVED, "has no exit", id="without reason"),
        pytest.param({"extra_group_keys": True}, "keys not asked for", PROVED, "mediaType", id="more keys"),
        pytest.param({"extra_group_keys": False}, "keys not asked for", PROVED, "only what was", id="no more keys"),
        pytest.param({"outcome_version": False}, "outcomes by version", NOT_PROVED, "without version", id="outcomes"),
        pytest.param({"published_after": "works"}, "publishedAfter", PROVED, "0 of 2", id="list by date"),
        pytest.param({"published_after": "ignored"}, "publishedAfter", NOT_PROVED, "ignored", id="date ignored"),
        pytest.param({"published_after": "refused"}, "publishedAfter", NOT_PROVED, "refused", id="date refused"),
        pytest.param({"configuration": "given"}, "contents of versions", PROVED, "without the", id="contents"),
        pytest.param({"configuration": "labelled"}, "contents of versions", NOT_PROVED, "as version:", id="labelled"),
        pytest.param({"configuration": "refused"}, "contents of versions", NOT_PROVED, "HTTP 403", id="no contents"),
        pytest.param({"configuration": "absent"}, "contents of versions", NOT_PROVED, "HTTP 404", id="contents absent"),
        pytest.param({"transfer_target": "named"}, "transfers by target", PROVED, "have the name", id="names"),
        pytest.param({"transfer_target": "address"}, "transfers by target", NOT_PROVED, "no names", id="addresses"),
        pytest.param({"transfer_target": "absent"}, "transfers by target", NOT_PROVED, "no names", id="no target"),
        pytest.param({"unset_dimensions": False}, "transfers by target", NOT_PROVED, "without the", id="only set"),
        pytest.param({"action_no_error": "none"}, "data actions", PROVED, "NONE counts as no error", id="NONE"),
        pytest.param({"action_no_error": "absent"}, "data actions", PROVED, "(none) counts as no", id="no errorType"),
        pytest.param({"action_views": "ignored"}, "data actions", NOT_PROVED, "views are not told", id="views ignored"),
        pytest.param({"action_views": "refused"}, "data actions", NOT_PROVED, "views are refused", id="views refused"),
    ],
)
def test_each_position_of_a_switch_is_told_from_the_others(
    world: DrillWorld, switches: dict[str, Any], step: str, state: State, seen: str
) -> None:
    world.switch(**switches)
    found = examined(world)[step]
    assert found.state is state
    assert seen in found.seen
    assert bool(found.cure) == (state is not PROVED)


def test_wrong_credentials_are_told_and_all_the_rest_is_skipped(world: DrillWorld) -> None:
    found = examined(world, credentials={"client_id": "nobody", "client_secret_env": "SECRET"})
    assert (found["credentials"].state, "client_secret" in found["credentials"].cure) == (FAILED, True)
    assert {one.state for step, one in found.items() if step != "credentials"} == {SKIPPED}


@pytest.mark.parametrize(
    ("path", "step", "follows"),
    [
        ("/api/v2/flows", "architect:flow:view", "dates of versions"),
        ("/api/v2/analytics/flows", "analytics:flowAggregate:view", "newest minute"),
        ("/api/v2/analytics/conversations", "analytics:conversationAggregate:view", ""),
    ],
)
def test_a_missing_permission_is_named_and_what_needs_it_is_skipped(
    world: DrillWorld, path: str, step: str, follows: str
) -> None:
    world.fault({"kind": "status", "status": 403, "match": {"path_prefix": path}})
    found = examined(world)
    assert found[step].state is FAILED
    assert "permission" in found[step].cure
    assert not follows or found[follows].state is SKIPPED


def test_an_outage_is_no_permission(world: DrillWorld) -> None:
    world.fault({"kind": "down"})
    (found, *others) = examined(world).values()
    assert found.state is FAILED
    assert "firewall" in found.cure
    assert {one.state for one in others} == {SKIPPED}


def test_a_used_up_limit_asks_for_a_client_of_our_own(world: DrillWorld) -> None:
    with cloud.opened_to_read(world.organization(), clock=world.clock) as opened:
        for _ in range(275):
            opened.probe.flow_count()
        found = {one.step: one for one in examine("retail", reaching.steps(opened), lambda *_: None)}
    assert found["rate limit"].state is FAILED
    assert "OAuth client of its own" in found["rate limit"].cure


@pytest.mark.parametrize("skew_s", [-30.0, 30.0])
def test_a_clock_that_is_wrong_is_told_with_its_direction(world: DrillWorld, skew_s: float) -> None:
    world.clock = world.clock_of(world.time.pass_)
    shifted = type(world.clock)(world.clock.monotonic, lambda: world.time.now + skew_s, world.clock.sleep, lambda: 0.5)
    world.clock = shifted
    found = examined(world)["clock of Genesys Cloud"]
    assert found.state is FAILED
    assert ("behind" if skew_s > 0 else "ahead of") in found.seen
    assert "30 s" in found.seen or "31 s" in found.seen


def test_figures_that_lag_behind_are_not_proved(world: DrillWorld) -> None:
    world.fault({"kind": "analytics_lag", "lag_s": 900})
    found = examined(world)["newest minute"]
    assert found.state is NOT_PROVED
    assert "evidence_max_age_s" in found.cure


def test_no_conversations_prove_nothing(world: DrillWorld) -> None:
    world.fault({"kind": "silent_analytics"})
    found = examined(world)
    unproved = {step for step, one in found.items() if one.state is NOT_PROVED}
    assert unproved >= {"newest minute", "exit reasons", "nFlow by exit reason", "keys not asked for", "data actions"}
    assert FAILED not in {one.state for one in found.values()}


def test_watching_tells_how_old_minutes_are_that_still_change(world: DrillWorld) -> None:
    settled = examined(world, watch_s=120, analytics=ASKED | {"settle_s": 600})["minutes that still change"]
    assert settled.state is PROVED
    assert "settle_s is 600" in settled.seen
    unsettled = examined(world, watch_s=120, analytics=ASKED | {"settle_s": 0})["minutes that still change"]
    assert unsettled.state is NOT_PROVED
    assert "raise analytics.settle_s" in unsettled.cure


def test_a_data_action_that_never_ran_is_named(world: DrillWorld) -> None:
    actions = [{"action_id": name, "flow_id": IVR} for name in (ACTION, "mistyped")]
    found = examined(world, analytics={"data_actions": actions})["data actions"]
    assert found.state is FAILED
    assert found.seen.startswith("mistyped did not run")


AUDIT = "audits:audit:view"


@pytest.mark.parametrize(
    ("wanted", "fault", "state", "said"),
    [
        (True, None, PROVED, "Architect"),
        (True, 403, NOT_PROVED, "do not tell who changed what"),
        (False, None, SKIPPED, "audit is not on"),
    ],
    ids=["told", "without the permission", "not wanted"],
)
def test_the_audit_is_looked_at_where_it_is_wanted_and_its_absence_is_no_failure(
    world: DrillWorld, wanted: bool, fault: int | None, state: State, said: str
) -> None:
    if fault is not None:
        world.fault({"kind": "status", "status": fault, "match": {"path_prefix": "/api/v2/audits"}})
    with cloud.opened_to_read(world.organization(), clock=world.clock) as opened:
        steps = [*reaching.steps(opened), *reaching.audit_steps(opened, wanted=wanted)]
        found = {one.step: one for one in examine("retail", steps, lambda *_: None)}[AUDIT]
    assert found.state is state
    assert said in found.seen


@pytest.mark.parametrize(
    ("named", "organization", "state", "seen"),
    [
        (("Home",), None, PROVED, "flows of Home"),
        (("Home", "Hom"), None, NOT_PROVED, "is of Hom (group voice-team)"),
        (("Hom",), "another", SKIPPED, "nobody is limited"),
        (None, None, SKIPPED, "nobody is limited"),
    ],
    ids=["known", "mistyped", "of another organization", "no divisions"],
)
def test_a_division_that_no_flow_is_of_is_named_with_whom_it_limits(
    world: DrillWorld, named: tuple[str, ...] | None, organization: str | None, state: State, seen: str
) -> None:
    limited = {"divisions": named, "organizations": organization and (organization,)}
    group = Group.model_validate({"group": "voice-team", "roles": ("viewer",), **limited})
    with cloud.opened_to_read(world.organization(), clock=world.clock) as opened:
        steps = [*reaching.steps(opened), *divisions.steps(opened, [group])]
        found = {one.step: one for one in examine("retail", steps, lambda *_: None)}["divisions of roles"]
    assert (found.state, seen in found.seen) == (state, True), found
