"""The decision: from a situation with nothing against it, one thing is broken at a time."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.excess import Finding
from genesys.flows import Operation
from genesys.probation import Probation
from receiver.policy import FINAL, MAX_TRIES, UNDO_PASSES, Verdict, decide, is_final
from receiver.situation import Mode, Situation, Suppression
from receiver.target import TargetChoice
from tests.unit.policy_world import ALONE, BROKEN, EVIDENCE, FLOW, GOOD, INNOCENT, LIMITS, NOW, UNEARNED

ORDER = [verdict for verdict in Verdict if verdict is not Verdict.ROLL_BACK]


def test_nothing_against_it_means_roll_back() -> None:
    decision = decide(GOOD, LIMITS)

    assert decision.verdict is Verdict.ROLL_BACK
    assert decision.holding_back == ()
    assert not decision.rests_on_ignorance


@pytest.mark.parametrize(
    ("verdict", "changes"), [pytest.param(verdict, changes, id=phrase) for phrase, verdict, changes in BROKEN]
)
def test_one_thing_against_it_names_the_verdict(verdict: Verdict, changes: dict[str, Any]) -> None:
    decision = decide(replace(GOOD, **changes), LIMITS)

    assert decision.verdict is verdict
    assert verdict in decision.holding_back


def test_the_guards_are_those_of_the_design_in_its_order() -> None:
    assert [verdict.value for verdict in ORDER] == [
        *("unknown_contract", "resolved", "paused", "held", "ignored", "silenced", "inhibited", "maintenance"),
        *("inactive", "superseded", "in_progress", "already_rolled_back", "restored_by_bridge", "stale_evidence"),
        *("not_confirmed", "established", "common_cause", "lockout", "budget_spent", "locked_in_architect"),
        *("no_eligible_target", "observing", "awaiting_approval"),
    ]


def test_a_refusal_is_final_only_where_nothing_can_change_it_and_an_alert_that_fires_again_is_decided_anew() -> None:
    assert {Verdict.RESOLVED, Verdict.RESTORED_BY_BRIDGE, Verdict.ESTABLISHED} == FINAL
    assert {verdict for verdict in Verdict if is_final(verdict.value)} == FINAL - {Verdict.RESOLVED}
    assert not is_final(None)


@given(st.deferred(lambda: situations))
def test_a_final_verdict_never_rests_on_what_could_not_be_read(now: Situation) -> None:
    decision = decide(now, LIMITS)

    assert not any(guard.unknown for guard in decision.guards if guard.name is decision.verdict in FINAL)


def test_every_guard_can_hold_back() -> None:
    assert {verdict for _, verdict, _ in BROKEN} == set(ORDER)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"alertmanager_configured": False, "suppression": None}, id="no Alertmanager is configured"),
        pytest.param({"evidence": replace(EVIDENCE, end=NOW - 300)}, id="evidence exactly as old as it may be"),
        pytest.param({"lockout_until": NOW}, id="the lockout ends now"),
        pytest.param({"unwritten_tries": MAX_TRIES - 1}, id="one try is left"),
        pytest.param({"started_of_flow": 1, "started_of_org": 5}, id="one rollback is left in both budgets"),
        pytest.param({"common_cause": replace(ALONE, established=("Sales",))}, id="one established flow fails too"),
        pytest.param(
            {"flow": replace(FLOW, operation=Operation("op", complete=True, status="SUCCESS"))},
            id="the last operation is complete",
        ),
        pytest.param({"evidence": replace(EVIDENCE, baseline_ratio=None, scatter=None)}, id="the past is unknown"),
    ],
)
def test_what_is_within_its_limit_holds_nothing_back(changes: dict[str, Any]) -> None:
    assert decide(replace(GOOD, **changes), LIMITS).verdict is Verdict.ROLL_BACK


def test_of_two_guards_that_hold_back_the_earlier_one_names_the_verdict() -> None:
    compatible = [
        (one, other)
        for one, other in combinations(BROKEN, 2)
        if not one[2].keys() & other[2].keys()  # both in one situation
    ]
    assert len(compatible) > 300
    for (_, sooner, ones), (_, later, others) in compatible:
        decision = decide(replace(GOOD, **ones, **others), LIMITS)
        assert decision.verdict is sooner
        assert {sooner, later} <= set(decision.holding_back)


def test_the_guards_stand_in_the_order_of_the_verdicts() -> None:
    assert [guard.name for guard in decide(GOOD, LIMITS).guards] == ORDER
    assert list(Verdict)[-1] is Verdict.ROLL_BACK


@pytest.mark.parametrize(("phrase", "changes"), [("good", {}), *((phrase, changes) for phrase, _, changes in BROKEN)])
def test_every_guard_is_recorded_with_its_value_and_limit(phrase: str, changes: dict[str, Any]) -> None:
    for guard in decide(replace(GOOD, **changes), LIMITS).guards:
        shown = guard.as_json()
        assert shown["guard"] == guard.name.value
        assert shown["value"], phrase
        assert shown["limit"], phrase


def test_an_unknown_fact_is_shown_as_such_with_its_problem() -> None:
    decision = decide(replace(GOOD, mode=None, flow=None, flow_problem="no answer (HTTP 503)"), LIMITS)

    unknown = {guard.name for guard in decision.guards if guard.unknown}
    assert unknown == {
        Verdict.IGNORED,
        Verdict.INACTIVE,
        Verdict.SUPERSEDED,
        Verdict.LOCKED_IN_ARCHITECT,
        Verdict.OBSERVING,
        Verdict.AWAITING_APPROVAL,
    }
    assert all(guard.holds_back for guard in decision.guards if guard.unknown)
    assert "unknown: no answer (HTTP 503)" in [guard.value for guard in decision.guards]


def test_a_decision_rests_on_ignorance_only_while_nothing_known_holds_back() -> None:
    unread = replace(GOOD, evidence=None)

    assert decide(unread, LIMITS).rests_on_ignorance
    assert not decide(replace(unread, windows=("w1",)), LIMITS).rests_on_ignorance


# Approval


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"mode": Mode.APPROVE}, id="by the mode"),
        pytest.param({"target": UNEARNED}, id="by the target"),
        pytest.param({"approval_asked_by": "deployment d1"}, id="by the deployment"),
        pytest.param({"mode": Mode.APPROVE, "target": UNEARNED, "denied_by": "bob"}, id="and it was denied before"),
    ],
)
def test_whatever_it_was_needed_for_an_approval_lets_it_begin(changes: dict[str, Any]) -> None:
    assert decide(replace(GOOD, **changes), LIMITS).verdict is Verdict.AWAITING_APPROVAL
    assert decide(replace(GOOD, **changes, approved_by="ann"), LIMITS).verdict is Verdict.ROLL_BACK


def test_a_target_that_has_not_earned_it_is_none_for_a_flow_that_is_only_observed() -> None:
    assert decide(replace(GOOD, target=UNEARNED, mode=Mode.OBSERVE), LIMITS).verdict is Verdict.NO_ELIGIBLE_TARGET


def test_whether_approval_is_needed_is_unknown_without_a_target_and_known_without_one_where_the_mode_asks() -> None:
    def found(mode: Mode) -> bool:
        guards = decide(replace(GOOD, mode=mode, target=None), LIMITS).guards
        return next(guard.unknown for guard in guards if guard.name is Verdict.AWAITING_APPROVAL)

    assert found(Mode.AUTO)
    assert not found(Mode.APPROVE)


# Undo

ALWAYS = {
    Verdict.UNKNOWN_CONTRACT,
    Verdict.INACTIVE,
    Verdict.SUPERSEDED,
    Verdict.IN_PROGRESS,
    Verdict.LOCKED_IN_ARCHITECT,
    Verdict.NO_ELIGIBLE_TARGET,
}


@pytest.mark.parametrize(
    ("verdict", "changes"), [pytest.param(verdict, changes, id=phrase) for phrase, verdict, changes in BROKEN]
)
def test_an_undo_passes_what_a_person_may_override_and_nothing_else(verdict: Verdict, changes: dict[str, Any]) -> None:
    decision = decide(replace(GOOD, **changes), LIMITS, UNDO_PASSES)

    assert decision.verdict is (verdict if verdict in ALWAYS else Verdict.ROLL_BACK)
    guard = next(guard for guard in decision.guards if guard.name is verdict)
    assert guard.holds_back  # that is recorded
    assert guard.overridden == (verdict not in ALWAYS)
    assert (verdict in decision.holding_back) == (verdict in ALWAYS)


def test_what_does_not_hold_back_is_not_shown_as_overridden() -> None:
    assert not any(guard.overridden for guard in decide(GOOD, LIMITS, UNDO_PASSES).guards)


def test_ignorance_that_a_person_overrides_is_none() -> None:
    unread = replace(GOOD, evidence=None, probation=None, suppression=None)

    assert decide(unread, LIMITS, UNDO_PASSES).verdict is Verdict.ROLL_BACK
    assert decide(replace(unread, flow=None), LIMITS, UNDO_PASSES).rests_on_ignorance


# Properties

flows = st.builds(
    replace,
    st.just(FLOW),
    active=st.booleans(),
    deleted=st.booleans(),
    live_version=st.sampled_from(["14.0", "15.0", None]),
    locked_by=st.sampled_from([None, "bob"]),
    operation=st.sampled_from([None, Operation("op", complete=True), Operation("op", complete=False)]),
)
evidences = st.builds(
    replace,
    st.just(EVIDENCE),
    end=st.floats(NOW - 1000, NOW),
    finding=st.sampled_from([EVIDENCE.finding, Finding((INNOCENT,), None, None), Finding((INNOCENT,), None, INNOCENT)]),
    recovered=st.booleans(),
)
names = st.lists(st.text(min_size=1, max_size=5), max_size=2).map(tuple)
situations = st.builds(
    replace,
    st.just(GOOD),
    contract=st.sampled_from(["1", "2", None]),
    missing_labels=names,
    firing=st.booleans(),
    pauses=names,
    holds=names,
    mode=st.sampled_from([*Mode, None]),
    alertmanager_configured=st.booleans(),
    suppression=st.none() | st.builds(Suppression, names, names),
    windows=names,
    flow=st.none() | flows,
    rollback_in_progress=st.none() | st.just("r0"),
    written_rollbacks=names,
    unwritten_tries=st.integers(0, 5),
    restored_by=st.none() | st.just("r0"),
    evidence=st.none() | evidences,
    probation=st.sampled_from([GOOD.probation, Probation(True, "left probation"), None]),
    common_cause=st.sampled_from([ALONE, replace(ALONE, deployments=4, healthy=6), None]),
    lockout_until=st.sampled_from([0.0, NOW, NOW + 60]),
    started_of_flow=st.integers(0, 3),
    started_of_org=st.integers(0, 7),
    target=st.none() | st.sampled_from([TargetChoice(None, ()), UNEARNED, GOOD.target]),
    approval_asked_by=st.none() | st.just("deployment d1"),
    approval_waiting=st.none() | st.just("r1"),
    approved_by=st.none() | st.just("ann"),
    denied_by=st.none() | st.just("bob"),
)


def nobody_has_to_agree(now: Situation) -> bool:
    earned = now.target is not None and now.target.version is not None
    return now.mode is Mode.AUTO and earned and now.approval_asked_by is None and now.denied_by is None


def nothing_is_against(now: Situation) -> bool:
    """Said a second time, in other words than the guards'."""
    silent = not now.alertmanager_configured or now.suppression == Suppression()
    return (
        now.contract == "1"
        and now.firing
        and silent
        and now.mode in (Mode.AUTO, Mode.APPROVE)
        and (now.approved_by is not None or nobody_has_to_agree(now))
        and now.flow is not None
        and now.flow.active
        and not now.flow.deleted
        and now.flow.live_version == now.accused_version
        and now.flow.locked_by is None
        and (now.flow.operation is None or now.flow.operation.complete)
        and now.evidence is not None
        and now.evidence.confirms
        and now.at - now.evidence.end <= LIMITS.evidence_max_age_s
        and now.target is not None
        and (now.target.version is not None or now.target.unearned is not None)
        and now.lockout_until <= now.at
        and now.unwritten_tries < MAX_TRIES
        and now.probation is not None
        and not now.probation.left
        and now.common_cause == ALONE
        and now.started_of_flow < LIMITS.budget_per_flow
        and now.started_of_org < LIMITS.budget_per_org
        and not (now.missing_labels or now.pauses or now.holds or now.windows or now.written_rollbacks)
        and now.rollback_in_progress is None
        and now.restored_by is None
    )


@given(situations)
def test_only_a_situation_with_nothing_against_it_is_rolled_back(now: Situation) -> None:
    assert (decide(now, LIMITS).verdict is Verdict.ROLL_BACK) == nothing_is_against(now)


@given(situations)
def test_an_undo_never_takes_away_another_version_than_the_one_it_is_about(now: Situation) -> None:
    decision = decide(now, LIMITS, UNDO_PASSES)

    if decision.verdict is Verdict.ROLL_BACK:
        assert now.flow is not None
        assert now.flow.live_version == now.accused_version
        assert now.rollback_in_progress is None
        assert now.proposed is not None


@given(situations)
def test_the_verdict_is_the_first_guard_that_holds_back(now: Situation) -> None:
    decision = decide(now, LIMITS)

    assert [guard.name for guard in decision.guards] == ORDER
    assert decision.verdict is (decision.holding_back or (Verdict.ROLL_BACK,))[0]


STOPS: list[tuple[str, dict[str, Any]]] = [
    ("paused", {"pauses": ("ann",)}),
    ("held", {"holds": ("bridge",)}),
    ("in a window", {"windows": ("w1",)}),
    ("silenced", {"alertmanager_configured": True, "suppression": Suppression(silenced_by=("s1",))}),
    ("inhibited", {"alertmanager_configured": True, "suppression": Suppression(inhibited_by=("a1",))}),
    ("locked out", {"lockout_until": NOW + 1}),
    ("established", {"probation": Probation(True, "left probation")}),
    ("a common cause", {"common_cause": replace(ALONE, deployments=9, healthy=1)}),
    ("out of budget", {"started_of_flow": 2}),
    ("other flows unknown", {"common_cause": None}),
    ("mode unknown", {"mode": None}),
    ("Alertmanager unknown", {"alertmanager_configured": True, "suppression": None}),
    ("flow unknown", {"flow": None}),
    ("evidence unknown", {"evidence": None}),
    ("target unknown", {"target": None}),
]


@pytest.mark.parametrize("stop", [pytest.param(changes, id=phrase) for phrase, changes in STOPS])
@given(now=situations)
def test_whatever_else_is_true_it_is_never_rolled_back(stop: dict[str, Any], now: Situation) -> None:
    assert decide(replace(now, **stop), LIMITS).verdict is not Verdict.ROLL_BACK
