"""The record of a decision: what each guard found and what it would have allowed, in the words that people read."""

from dataclasses import replace
from typing import Any

import pytest

from receiver.policy import Guard, Verdict, decide
from receiver.situation import Mode, Suppression
from tests.unit.policy_world import BROKEN, GOOD, LIMITS, NOW

EXCESS = "75 errors of 150 in 15m (50.0%; threshold 5.0%, earlier ratio 1.00%, scatter 1.0"

# With nothing against it: what each guard finds, and what it allows.
WORDS: dict[Verdict, tuple[str, str]] = {
    Verdict.UNKNOWN_CONTRACT: (
        "genesys_contract=1",
        "genesys_contract=1, genesys_action=rollback, a configured org, all labels",
    ),
    Verdict.RESOLVED: ("firing", "firing"),
    Verdict.PAUSED: ("not paused", "not paused"),
    Verdict.HELD: ("no hold", "no hold on the flow"),
    Verdict.IGNORED: ("mode auto", "mode observe, approve or auto"),
    Verdict.SILENCED: ("not silenced", "not silenced"),
    Verdict.INHIBITED: ("not inhibited", "not inhibited"),
    Verdict.MAINTENANCE: ("no window", "no active window"),
    Verdict.INACTIVE: ("active", "active, not deleted"),
    Verdict.SUPERSEDED: ("live version 14.0", "live version 14.0"),
    Verdict.IN_PROGRESS: ("none", "no other rollback at work"),
    Verdict.ALREADY_ROLLED_BACK: (
        "0 earlier tries without a write",
        "never rolled back before, or its quarantine lifted; fewer than 3 tries",
    ),
    Verdict.RESTORED_BY_BRIDGE: ("no", "not made live by the bridge"),
    Verdict.STALE_EVIDENCE: ("60 s old", "read, and at most 300 s old"),
    Verdict.NOT_CONFIRMED: (
        f"{EXCESS}; strength 60.0, 15 breached minutes)",
        "an excess of errors that is neither chance nor over",
    ),
    Verdict.ESTABLISHED: ("on probation", "a version on probation"),
    Verdict.COMMON_CAUSE: (
        "1 independent deployments and 0 established flows fail, 9 of 10 flows with traffic do not",
        (
            "fewer than 2 established flows, and fewer than 30% of the flows "
            "(fewer than 2 deployments, or fewer than 4 flows with traffic)"
        ),
    ),
    Verdict.LOCKOUT: ("no lockout", "no lockout"),
    Verdict.BUDGET_SPENT: (
        "0 rollbacks of the flow and 0 of the organization",
        "fewer than 2 and 6 in 86400 s",
    ),
    Verdict.LOCKED_IN_ARCHITECT: ("not locked", "not locked, no operation under way"),
    Verdict.NO_ELIGIBLE_TARGET: ("13.0", "an earlier version that earned it"),
    Verdict.OBSERVING: ("mode auto", "mode approve or auto"),
    Verdict.AWAITING_APPROVAL: ("not needed", "no approval needed, or given"),
}
UNREAD_OTHERS = "the other flows of the organization, read and not failing as well"

# What the guard that holds back finds, by the phrases of `BROKEN`.
FOUND: dict[str, str] = {
    "no contract": "genesys_contract=none",
    "a newer contract": "genesys_contract=2",
    "a label is missing": "genesys_contract=1, missing or unusable: flow_version",
    "the alert is over": "resolved",
    "paused": "retail paused by ann: storm",
    "held": "the flow held for team-voice, set by ann: debugging",
    "mode ignore": "mode ignore",
    "no mode is known": "unknown: the flow could not be read, so no selector applies",
    "silenced": "silence s1",
    "Alertmanager was not reached": "unknown: Alertmanager could not be asked",
    "inhibited": "GenesysMaintenance",
    "in a window": "maintenance window w1",
    "the flow is deleted": "deleted",
    "the flow is deactivated": "deactivated",
    "the flow was not read": "unknown: flow problem",
    "another version is live": "live version 15.0",
    "no version is live": "live version None",
    "another rollback is at work": "r0",
    "rolled back before": "rolled back by r0",
    "tried too often": "3 earlier tries without a write",
    "made live by the bridge": "rollback r0",
    "old evidence": "301 s old",
    "no evidence": "unknown: evidence problem",
    "healthy again": (f"{EXCESS}; strength 60.0, 15 breached minutes); healthy again: 10 of the newest 20"),
    "no excess": (
        "1 errors of 150 in 15m (0.7%; threshold 5.0%, earlier ratio 1.00%, scatter 1.0; strength -9.0, "
        "0 breached minutes)"
    ),
    "off probation": "left probation",
    "probation is unknown": "unknown: evidence problem",
    "two established flows fail too": (
        "3 independent deployments and 2 established flows fail (Sales, Support), 9 of 10 flows with traffic do not"
    ),
    "other flows are unknown": "unknown: common cause problem",
    "locked out": "1 s left",
    "the flow's budget is spent": "2 rollbacks of the flow and 0 of the organization",
    "the organization's budget is spent": "0 rollbacks of the flow and 6 of the organization",
    "open in Architect": "locked by bob",
    "an operation is under way": "SAVE under way",
    "no version earned it": "none: the flow has no earlier version",
    "no version was read": "unknown: target problem",
    "mode observe": "mode observe",
    "mode approve": "mode approve",
    "a version has not earned it": "no version earned it, 13.0 may be approved",
    "the deployment asks": "deployment d1 of ann: rollback ask",
    "denied when it was still asked for": "denied by ann: not the flow",
    "denied": "denied by ann: it is the back end; mode approve",
}
# A reading that failed leaves its own sentence; here each names its fact.
PROBLEMS: dict[str, Any] = {
    "flow_problem": "flow problem",
    "evidence_problem": "evidence problem",
    "common_cause_problem": "common cause problem",
    "target_problem": "target problem",
}


def guard_of(verdict: Verdict, **changes: Any) -> Guard:
    """The guard of this verdict in the good situation with these changes."""
    guards = decide(replace(GOOD, **PROBLEMS, **changes), LIMITS).guards
    return next(guard for guard in guards if guard.name is verdict)


@pytest.mark.parametrize("verdict", WORDS)
def test_a_guard_that_does_not_hold_back_says_what_it_found_and_what_it_allows(verdict: Verdict) -> None:
    assert guard_of(verdict) == Guard(verdict, False, *WORDS[verdict])


def test_every_guard_and_every_broken_thing_has_its_words() -> None:
    assert [*WORDS, Verdict.ROLL_BACK] == [*Verdict]
    assert [*FOUND] == [phrase for phrase, _, _ in BROKEN]


@pytest.mark.parametrize(("phrase", "verdict", "changes"), [pytest.param(*broken, id=broken[0]) for broken in BROKEN])
def test_a_guard_that_holds_back_says_what_it_found(phrase: str, verdict: Verdict, changes: dict[str, Any]) -> None:
    found = FOUND[phrase]
    allowed = UNREAD_OTHERS if phrase == "other flows are unknown" else WORDS[verdict][1]

    assert guard_of(verdict, **changes) == Guard(verdict, True, found, allowed, unknown=found.startswith("unknown: "))


@pytest.mark.parametrize("verdict", [Verdict.SUPERSEDED, Verdict.LOCKED_IN_ARCHITECT, Verdict.INACTIVE])
def test_each_guard_of_a_flow_that_was_not_read_says_why(verdict: Verdict) -> None:
    expected = Guard(verdict, True, "unknown: flow problem", WORDS[verdict][1], unknown=True)
    assert guard_of(verdict, flow=None) == expected


@pytest.mark.parametrize("verdict", [Verdict.STALE_EVIDENCE, Verdict.NOT_CONFIRMED])
def test_each_guard_of_evidence_that_was_not_read_says_why(verdict: Verdict) -> None:
    expected = Guard(verdict, True, "unknown: evidence problem", WORDS[verdict][1], unknown=True)
    assert guard_of(verdict, evidence=None) == expected


@pytest.mark.parametrize("verdict", [Verdict.IGNORED, Verdict.OBSERVING])
def test_each_guard_of_a_mode_that_is_not_known_says_why(verdict: Verdict) -> None:
    problem = "unknown: the flow could not be read, so no selector applies"
    assert guard_of(verdict, mode=None) == Guard(verdict, True, problem, WORDS[verdict][1], unknown=True)


@pytest.mark.parametrize(
    ("verdict", "changes", "found"),
    [
        pytest.param(
            Verdict.UNKNOWN_CONTRACT,
            {"missing_labels": ("org", "signal")},
            "genesys_contract=1, missing or unusable: org, signal",
            id="labels",
        ),
        pytest.param(Verdict.PAUSED, {"pauses": ("all: ann", "retail: bob")}, "all: ann; retail: bob", id="pauses"),
        pytest.param(Verdict.HELD, {"holds": ("ann", "bob")}, "ann; bob", id="holds"),
        pytest.param(Verdict.MAINTENANCE, {"windows": ("w1", "w2")}, "w1; w2", id="windows"),
        pytest.param(Verdict.SILENCED, {"suppression": Suppression(silenced_by=("s1", "s2"))}, "s1; s2", id="silences"),
        pytest.param(
            Verdict.INHIBITED, {"suppression": Suppression(inhibited_by=("a1", "a2"))}, "a1; a2", id="inhibitions"
        ),
        pytest.param(
            Verdict.ALREADY_ROLLED_BACK, {"written_rollbacks": ("r1", "r2")}, "rolled back by r1, r2", id="rollbacks"
        ),
    ],
)
def test_of_several_things_against_it_each_is_named(verdict: Verdict, changes: dict[str, Any], found: str) -> None:
    assert guard_of(verdict, **changes).value == found


@pytest.mark.parametrize("verdict", [Verdict.SILENCED, Verdict.INHIBITED])
def test_without_an_address_of_alertmanager_its_guards_are_off_and_say_so(verdict: Verdict) -> None:
    found = guard_of(verdict, alertmanager_configured=False, suppression=None)
    assert found == Guard(verdict, False, "off: no Alertmanager address is configured", WORDS[verdict][1])


def test_the_note_of_a_mode_is_told_with_it() -> None:
    found = guard_of(Verdict.OBSERVING, mode=Mode.OBSERVE, mode_note=" (note)")
    assert found.value == "mode observe (note)"


def test_what_is_left_of_a_lockout_is_told_in_seconds() -> None:
    assert guard_of(Verdict.LOCKOUT, lockout_until=NOW + 899.6).value == "900 s left"
    assert guard_of(Verdict.LOCKOUT, lockout_until=NOW + 0.6) == Guard(Verdict.LOCKOUT, True, "1 s left", "no lockout")


def test_the_record_of_a_guard_has_these_fields() -> None:
    guard = Guard(Verdict.PAUSED, True, "paused by ann", "not paused", unknown=False)
    assert guard.as_json() == {
        "guard": "paused",
        "holds_back": True,
        "value": "paused by ann",
        "limit": "not paused",
        "unknown": False,
        "overridden": False,
    }
