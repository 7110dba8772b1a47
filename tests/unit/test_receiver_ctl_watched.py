"""What a watch tells of what it sees, and how it ends; no receiver and no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

from receiver.ctl.doubts import Look
from receiver.ctl.watched import Event, Happening, Lost, Outcome, Result, Watch

Json = dict[str, Any]

FLOW, OTHER = "flow-1", "flow-2"
BEFORE, REGISTERED, AFTER = (f"2024-01-10T0{hour}:00:00.000Z" for hour in (1, 2, 3))


def flow(live: str | None = "14.0", **changes: Any) -> Json:
    """A flow that is armed."""
    found = {
        "name": "Main IVR",
        "live_version": live,
        "mode": "auto",
        "mode_note": "",
        "armed": True,
        "stopped_by": [],
        "listing": {"org": "retail", "listed_at": REGISTERED, "problem": ""},
        "watchdog_age_s": 61.0,
        "data_watchdog_age_s": 61.0,
    }
    return found | changes


PAUSED = flow(armed=False, stopped_by=["paused by ann: storm"])
OBSERVED = flow(armed=False, mode="observe")
NEVER_HEARD = "no alert reaches the receiver: the watchdog has never arrived; give Alertmanager its route"
DEAF = "no alert reaches the receiver: the watchdog has not arrived for 3 min; do Prometheus and Alertmanager run?"
NEVER_COUNTED = "nobody counts its callers: GenesysDataWatchdog has never arrived; does Prometheus have this rule?"
BLIND = "nobody counts its callers: GenesysDataWatchdog has not arrived for 3 min; does the exporter run?"


def rollback(state: str, **changes: Any) -> Json:
    """One that has sent its publish, unless it says otherwise."""
    ended = state not in ("planned", "publishing", "confirming", "verifying", "awaiting_approval")
    found = {
        "id": "r1",
        "alert_id": 1,
        "flow_id": FLOW,
        "accused_version": "14.0",
        "target_version": "13.0",
        "state": state,
        "reason": "",
        "kind": "rollback",
        "shadow": False,
        "created_at": AFTER,
        "started_at": AFTER,
        "ended_at": AFTER if ended else None,
        "threshold_ratio": 0.05,
        "facts": {
            "errors": 41,
            "volume": 96,
            "window": "15m",
            "signal": "error_exit",
            "published_by": "cx-as-code",
            "deployed_by": "ann",
            "commit": "c0ffee",
        },
    }
    return found | changes


def alert(**changes: Any) -> Json:
    found = {
        "id": 1,
        "flow_id": FLOW,
        "flow_version": "14.0",
        "signal": "error_exit",
        "open": True,
        "verdict": "lockout",
        "holding_back": ["lockout", "budget_spent"],
    }
    return found | changes


def decision(number: int, verdict: str, **changes: Any) -> Json:
    guards = [{"guard": "lockout", "holds_back": True, "unknown": False, "value": "until 03:15"}]
    return {
        "id": number,
        "at": AFTER,
        "alert_id": 1,
        "flow_id": FLOW,
        "flow_version": "14.0",
        "verdict": verdict,
        "guards": guards,
    } | (changes)


def look(*flows: Json | None, **changes: Any) -> Look:
    """The watched flow, or these; nothing else has happened."""
    listed = dict(zip((FLOW, OTHER), flows or (flow(),), strict=False))
    found = Look(org="retail", flows=listed, alerts=[], decisions=[], rollbacks=[])
    return replace(found, **changes)


REGISTERED_14: Mapping[str, Any] = {"registered": {FLOW: "14.0"}, "since": datetime.fromisoformat(REGISTERED)}


@dataclass
class Watching:
    """A watch of ten minutes with a minute's patience, and all that it has told."""

    watch: Watch = field(default_factory=lambda: Watch(lasts_s=600, patience_s=60))
    told: list[Event] = field(default_factory=list)

    def see(self, seen: Look | Lost, at_s: float) -> list[Event]:
        events = self.watch.see(seen, at_s)
        self.told += events
        return events

    def to_the_end(self, seen: Look, *, since_s: float = 0) -> Outcome:
        """The same is seen every ten seconds until the time is over."""
        for at_s in range(int(since_s), 601, 10):
            self.see(seen, at_s)
        assert self.watch.outcome is not None
        return self.watch.outcome

    def words(self) -> list[str]:
        return [event.what.value for event in self.told]


def ended(*looks: Look | Lost, every_s: float = 10) -> Outcome:
    """How a watch ends that sees one after the other."""
    watching = Watching()
    for number, seen in enumerate(looks):
        watching.see(seen, number * every_s)
    assert watching.watch.outcome is not None
    return watching.watch.outcome


# Held


def test_it_is_good_where_nothing_happens_and_the_bridge_is_armed() -> None:
    watching = Watching()
    assert watching.to_the_end(look()) == Outcome(Result.HELD, ("nothing was rolled back, and the bridge was armed",))
    assert watching.words() == ["watching", "armed", "ended"]


def test_it_lasts_as_long_as_it_was_told_to_from_the_first_look_that_showed_something() -> None:
    watching = Watching()
    watching.see(Lost("no answer"), 0)
    watching.see(look(), 50)
    watching.see(look(), 640)
    assert watching.watch.outcome is None
    watching.see(look(), 650)
    assert watching.watch.outcome is not None


def test_a_rollback_that_was_over_before_is_not_of_this_watch() -> None:
    assert Watching().to_the_end(look(rollbacks=[rollback("succeeded")])).result is Result.HELD


def test_a_rollback_that_was_over_before_the_registration_is_not_of_this_watch() -> None:
    seen = look(rollbacks=[rollback("succeeded", created_at=BEFORE)], **REGISTERED_14)
    assert Watching().to_the_end(seen).result is Result.HELD


@pytest.mark.parametrize(
    "harmless",
    [
        rollback("failed", started_at=None, reason="refused_not_confirmed"),
        rollback("failed", started_at=None, reason="denied", accused_version="12.0"),
        rollback("succeeded", kind="undo"),
        rollback("succeeded", flow_id="another flow"),
    ],
    ids=["healed before the publish", "another version", "an undo", "another flow"],
)
def test_what_has_not_taken_the_version_back_is_no_rollback(harmless: Json) -> None:
    watching = Watching()
    watching.see(look(), 0)
    assert watching.to_the_end(look(rollbacks=[harmless]), since_s=10).result is Result.HELD


def test_an_alert_that_is_over_or_is_about_another_version_is_no_doubt() -> None:
    seen = look(alerts=[alert(open=False), alert(verdict="superseded", flow_version="13.0"), alert(flow_id=OTHER)])
    assert Watching().to_the_end(seen).result is Result.HELD


# Rolled back


@pytest.mark.parametrize("state", ["succeeded", "ineffective", "unverified", "failed", "superseded"])
def test_a_rollback_that_has_published_ends_it_at_once_however_it_ended(state: str) -> None:
    outcome = ended(look(), look(rollbacks=[rollback(state)]))
    assert outcome.result is Result.ROLLED_BACK


def test_it_says_who_has_published_what_why_it_was_taken_back_and_where_to_read_on() -> None:
    (reason,) = ended(look(), look(rollbacks=[rollback("succeeded", reason="0 of 22")])).reasons
    assert reason == (
        "Main IVR 14.0 -> 13.0 succeeded (0 of 22), 41 of 96 in 15m by error_exit, allowed 0.05, "
        "published by ann c0ffee, rollbackctl rollback show r1"
    )


def test_of_a_rollback_by_hand_it_says_who_has_ordered_it() -> None:
    facts = {"ordered_by": "bob", "ordered_because": "callers hear silence", "published_by": "cx-as-code"}
    (reason,) = ended(look(), look(rollbacks=[rollback("succeeded", facts=facts)])).reasons
    assert "by order of bob: callers hear silence, published by cx-as-code" in reason


def test_one_that_came_between_registration_and_watch_counts() -> None:
    assert ended(look(rollbacks=[rollback("succeeded")], **REGISTERED_14)).result is Result.ROLLED_BACK


def test_one_that_was_under_way_at_the_beginning_counts() -> None:
    outcome = ended(look(rollbacks=[rollback("verifying")]), look(rollbacks=[rollback("succeeded")]))
    assert outcome.result is Result.ROLLED_BACK


def test_the_end_of_a_rollback_is_waited_for_also_when_the_time_is_over() -> None:
    watching = Watching()
    watching.see(look(), 0)
    for at_s in (590, 600, 610, 900):
        watching.see(look(rollbacks=[rollback("verifying")]), at_s)
    assert watching.watch.outcome is None
    assert watching.words()[-2:] == ["rollback", "waiting"], "it says so once"
    watching.see(look(rollbacks=[rollback("succeeded")]), 910)
    assert watching.watch.outcome is not None
    assert watching.watch.outcome.result is Result.ROLLED_BACK


def test_the_other_flows_of_a_deployment_are_waited_for() -> None:
    both = [rollback("succeeded"), rollback("publishing", id="r2", flow_id=OTHER)]
    watching = Watching()
    watching.see(look(flow(), flow(name="Support")), 0)
    watching.see(look(flow(), flow(name="Support"), rollbacks=both), 10)
    assert watching.watch.outcome is None
    watching.see(
        look(flow(), flow(name="Support"), rollbacks=[both[0], rollback("failed", id="r2", flow_id=OTHER)]), 20
    )
    assert watching.watch.outcome is not None
    assert [reason.split(",")[0] for reason in watching.watch.outcome.reasons] == [
        "Main IVR 14.0 -> 13.0 succeeded",
        "Support 14.0 -> 13.0 failed",
    ]


def test_one_that_waits_for_approval_at_the_end_counts_and_nobody_is_waited_for() -> None:
    waits = look(OBSERVED, rollbacks=[rollback("awaiting_approval", started_at=None)])
    outcome = Watching().to_the_end(waits)
    assert outcome.result is Result.ROLLED_BACK
    assert outcome.reasons[0].startswith("approval is asked for: Main IVR 14.0 -> 13.0")


# Cannot tell


@pytest.mark.parametrize(
    ("seen", "because"),
    [
        (look(PAUSED), "Main IVR was not armed: paused by ann: storm"),
        (look(OBSERVED), "Main IVR was not armed: mode observe"),
        (look(None), "flow-1 was not armed: the receiver has not listed it"),
        (look(alerts=[alert()]), "Main IVR 14.0 is accused of error_exit, and not rolled back: lockout, budget_spent"),
        (
            look(alerts=[alert(verdict=None, holding_back=[])]),
            "Main IVR 14.0 is accused of error_exit, and not rolled back: not decided yet",
        ),
        (
            look(flow("15.0"), **REGISTERED_14),
            "Main IVR: 15.0 is live, not 14.0, which was deployed",
        ),
        (
            look(**REGISTERED_14 | {"registered": {FLOW: None}}),
            "Main IVR: which version was deployed is not known",
        ),
        (
            look(OBSERVED, rollbacks=[rollback("observed", shadow=True)], **REGISTERED_14),
            "Main IVR was not armed: mode observe",
        ),
        (
            look(in_part=True, **REGISTERED_14),
            "the deployment has flows that this token may not see: give it the roles over all of them",
        ),
        (look(flow(watchdog_age_s=181.0)), f"Main IVR was not armed: {DEAF}"),
        (
            look(flow(watchdog_age_s=None)),
            f"Main IVR was not armed: {NEVER_HEARD}",
        ),
        (look(flow(data_watchdog_age_s=181.0)), f"Main IVR was not armed: {BLIND}"),
        (look(flow(data_watchdog_age_s=None)), f"Main IVR was not armed: {NEVER_COUNTED}"),
        (
            look(flow(watchdog_age_s=181.0, data_watchdog_age_s=181.0)),
            f"Main IVR was not armed: {DEAF}",
        ),
        (
            look(flow(listing={"problem": "HTTP 503"})),
            "Main IVR: Genesys Cloud could not be listed: HTTP 503",
        ),
        (
            look(**REGISTERED_14 | {"consent": "never"}),
            "Main IVR was not armed: it was registered with rollback: never",
        ),
        (
            look(**REGISTERED_14 | {"consent": "ask"}),
            "Main IVR was not armed: it was registered with rollback: ask",
        ),
        (
            look(alerts=[alert(verdict="superseded", holding_back=["superseded"])], **REGISTERED_14),
            "Main IVR 14.0 is accused of error_exit, and not rolled back: superseded",
        ),
        (
            look(rollbacks=[rollback("superseded", started_at=None)], **REGISTERED_14),
            "Main IVR 14.0 was to be rolled back, and was not: superseded, rollback r1",
        ),
        (
            look(rollbacks=[rollback("failed", started_at=None, reason="denied")], **REGISTERED_14),
            "Main IVR 14.0 was to be rolled back, and was not: denied, rollback r1",
        ),
        (
            look(rollbacks=[rollback("failed", started_at=None, reason="refused_resolved")], **REGISTERED_14),
            "Main IVR 14.0 was to be rolled back, and was not: refused_resolved, rollback r1",
        ),
        (
            look(decisions=[decision(8, "lockout")], **REGISTERED_14),
            "Main IVR 14.0 was accused, and not rolled back: lockout",
        ),
        (
            look(decisions=[decision(8, "resolved")], **REGISTERED_14),
            "Main IVR 14.0 was accused, and not rolled back: resolved",
        ),
    ],
    ids=[
        "paused",
        "mode observe",
        "not listed",
        "accused and held back",
        "accused and not decided",
        "another version live",
        "version not known",
        "would have been rolled back",
        "flows that it may not see",
        "no alert arrives",
        "no alert has ever arrived",
        "the exporter is dead",
        "the rules have no data watchdog",
        "no alert arrives, so neither does that of the data",
        "not listed lately",
        "not to be rolled back",
        "to be rolled back by a person",
        "accused and replaced",
        "replaced before the publish",
        "denied",
        "resolved before the publish",
        "held back and then over",
        "over before it was decided",
    ],
)
def test_nobody_can_tell(seen: Look, because: str) -> None:
    assert Watching().to_the_end(seen) == Outcome(Result.CANNOT_TELL, (because,))


def test_a_pause_in_between_is_a_doubt_that_stays() -> None:
    watching = Watching()
    watching.see(look(), 0)
    watching.see(look(PAUSED), 300)
    outcome = watching.to_the_end(look(), since_s=310)
    assert outcome == Outcome(Result.CANNOT_TELL, ("Main IVR was not armed: paused by ann: storm",))
    assert watching.words() == ["watching", "armed", "not_armed", "armed", "ended"]


@pytest.mark.parametrize(("silent", "because"), [("watchdog_age_s", DEAF), ("data_watchdog_age_s", BLIND)])
def test_a_watchdog_that_was_silent_in_between_is_a_doubt_that_stays(silent: str, because: str) -> None:
    watching = Watching()
    watching.see(look(), 0)
    for at_s in range(200, 500, 10):
        watching.see(look(flow(**{silent: float(at_s)})), at_s)
    outcome = watching.to_the_end(look(), since_s=500)
    assert outcome == Outcome(Result.CANNOT_TELL, (f"Main IVR was not armed: {because}",))
    assert watching.words() == ["watching", "armed", "not_armed", "armed", "ended"], "it says so once"


@pytest.mark.parametrize("live", ["15.0", None])
def test_another_version_that_became_live_in_between_is_a_doubt_that_stays(live: str | None) -> None:
    watching = Watching()
    watching.see(look(), 0)
    watching.see(look(flow(live)), 300)
    outcome = watching.to_the_end(look(), since_s=310)
    assert outcome.result is Result.CANNOT_TELL
    assert outcome.reasons == (f"Main IVR: {live or 'no version'} became live, and 14.0 was watched",)


def test_a_flow_that_is_listed_after_the_first_look_is_watched_from_then_on() -> None:
    watching = Watching()
    watching.see(look(None), 0)
    watching.see(look(flow("14.0")), 10)
    assert watching.to_the_end(look(flow("15.0")), since_s=20).result is Result.CANNOT_TELL


def test_an_accusation_that_genesys_own_figures_have_taken_back_is_no_doubt() -> None:
    acquitted = [{"guard": "not_confirmed", "holds_back": True, "unknown": False, "value": "2 of 90"}]
    healed = [decision(9, "resolved", guards=acquitted), decision(8, "lockout")]
    assert Watching().to_the_end(look(decisions=healed, **REGISTERED_14)).result is Result.HELD
    unread = [decision(9, "resolved", guards=[acquitted[0] | {"unknown": True}]), decision(8, "lockout")]
    assert Watching().to_the_end(look(decisions=unread, **REGISTERED_14)).result is Result.CANNOT_TELL


def test_a_decision_about_a_version_that_is_not_watched_is_no_doubt() -> None:
    watching = Watching()
    watching.see(look(), 0)
    about_another = [decision(8, "superseded", flow_version="13.0")]
    assert watching.to_the_end(look(decisions=about_another), since_s=10).result is Result.HELD


def test_not_being_armed_is_no_doubt_for_as_long_as_patience_lasts_at_the_beginning() -> None:
    watching = Watching()
    for at_s in (0, 50):
        watching.see(look(None), at_s)
    assert watching.to_the_end(look(), since_s=60).result is Result.HELD


def test_a_rollback_outweighs_every_doubt() -> None:
    outcome = ended(look(PAUSED), *[look(PAUSED)] * 9, look(PAUSED, rollbacks=[rollback("succeeded")]))
    assert outcome.result is Result.ROLLED_BACK


def test_a_receiver_that_is_out_of_reach_for_long_ends_it() -> None:
    watching = Watching()
    watching.see(look(), 0)
    for at_s in (10, 40, 69):
        watching.see(Lost("no answer"), at_s)
    assert watching.watch.outcome is None
    watching.see(Lost("no answer"), 70)
    assert watching.watch.outcome == Outcome(
        Result.CANNOT_TELL, ("the receiver was out of reach for 1 min: no answer",)
    )
    assert watching.words() == ["watching", "armed", "lost", "ended"]


def test_a_receiver_that_was_restarted_is_no_doubt() -> None:
    watching = Watching()
    watching.see(look(), 0)
    watching.see(Lost("no answer"), 10)
    watching.see(Lost("the worker has not begun"), 20)
    assert watching.to_the_end(look(), since_s=30).result is Result.HELD
    assert watching.words() == ["watching", "armed", "lost", "back", "ended"]


def test_each_outage_has_its_own_patience() -> None:
    watching = Watching()
    for at_s in range(0, 600, 100):
        watching.see(look(), at_s)
        watching.see(Lost("no answer"), at_s + 30)
    assert watching.watch.outcome is None


# What is told


def test_what_was_decided_is_told_with_its_reason_and_once() -> None:
    watching = Watching()
    watching.see(look(decisions=[decision(7, "paused")]), 0)
    newer: Sequence[Json] = [decision(9, "roll_back"), decision(8, "lockout"), decision(7, "paused")]
    watching.see(look(decisions=newer), 10)
    assert watching.see(look(decisions=newer), 20) == []
    assert [event.text for event in watching.told if event.what is Happening.DECISION] == [
        "Main IVR 14.0: lockout (until 03:15)",
        "Main IVR 14.0: roll_back",
    ]


def test_what_was_decided_since_the_registration_is_told_at_the_first_look() -> None:
    found = [decision(8, "lockout"), decision(7, "paused", at=BEFORE), decision(9, "lockout", flow_id=OTHER)]
    told = Watching().see(look(decisions=sorted(found, key=lambda one: -one["id"]), **REGISTERED_14), 0)
    assert [event.facts["id"] for event in told if event.what is Happening.DECISION] == [8]


def test_each_state_of_a_rollback_is_told_once() -> None:
    watching = Watching()
    watching.see(look(), 0)
    for at_s, state in enumerate(("planned", "publishing", "publishing", "verifying"), 1):
        watching.see(look(rollbacks=[rollback(state)]), at_s)
    watching.see(look(flow("13.0"), rollbacks=[rollback("succeeded", reason="0 of 22")]), 9)
    assert [event.text for event in watching.told[2:-1]] == [
        "Main IVR 14.0 -> 13.0: planned",
        "Main IVR 14.0 -> 13.0: publishing",
        "Main IVR 14.0 -> 13.0: verifying",
        "Main IVR: 13.0 is live",
        "Main IVR 14.0 -> 13.0: succeeded (0 of 22)",
    ]


def test_the_end_is_told_with_its_exit_code_for_programs() -> None:
    watching = Watching()
    watching.to_the_end(look(PAUSED))
    assert watching.told[-1].facts == {"exit_code": 2, "reasons": ["Main IVR was not armed: paused by ann: storm"]}
    assert watching.told[-1].text == "CANNOT TELL: Main IVR was not armed: paused by ann: storm"
