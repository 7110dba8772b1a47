"""The decision: from a situation with nothing against it, one thing is broken at a time."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.evidence import Tally
from genesys.excess import Finding, WindowFinding
from genesys.flows import Flow, Operation
from receiver.common_cause import CommonCause, CommonCauseLimits
from receiver.policy import FINAL, MAX_TRIES, Limits, Verdict, decide, is_final
from receiver.probation import Probation
from receiver.situation import Mode, Situation, Suppression, VersionEvidence
from receiver.target import Candidate, TargetChoice

NOW = 1_795_349_000.0
LIMITS = Limits(evidence_max_age_s=300, budget_s=86400, budget_per_flow=2, budget_per_org=6)

FLOW = Flow(
    id="flow-1",
    name="Main IVR",
    type="inboundcall",
    division_id="d1",
    division_name="Home",
    active=True,
    deleted=False,
    live_version="14.0",
    live_published_at=NOW - 900,
    published_by="pipeline",
    locked_by=None,
    operation=None,
)
CONVICTING = WindowFinding("15m", errors=75, volume=150, breach_minutes=15, strength=60.0, accuses=True, acquits=False)
INNOCENT = replace(CONVICTING, errors=1, accuses=False, acquits=True, strength=-9.0, breach_minutes=0)
EVIDENCE = VersionEvidence(
    end=NOW - 60,
    live_since=NOW - 900,
    threshold_ratio=0.05,
    baseline_ratio=0.01,
    finding=Finding((CONVICTING,), CONVICTING, None),
    newest=Tally(10, 20, 20),
    recovered=False,
)
ALONE = CommonCause(established=(), deployments=1, healthy=9, limits=CommonCauseLimits(), flows=10)
GOOD = Situation(
    at=NOW,
    contract="1",
    missing_labels=(),
    firing=True,
    accused_version="14.0",
    pauses=(),
    holds=(),
    mode=Mode.AUTO,
    mode_note="",
    alertmanager_configured=True,
    suppression=Suppression(),
    windows=(),
    flow=FLOW,
    flow_problem="",
    rollback_in_progress=None,
    written_rollbacks=(),
    unwritten_tries=0,
    tries=0,
    restored_by=None,
    evidence=EVIDENCE,
    evidence_problem="",
    probation=Probation(False, "on probation"),
    common_cause=ALONE,
    common_cause_problem="",
    lockout_until=0.0,
    started_of_flow=0,
    started_of_org=0,
    target=TargetChoice("13.0", (Candidate("13.0", ""),)),
    target_problem="",
)

# What breaks each guard alone, in the order of the guards.
BROKEN: list[tuple[str, Verdict, dict[str, Any]]] = [
    ("no contract", Verdict.UNKNOWN_CONTRACT, {"contract": None}),
    ("a newer contract", Verdict.UNKNOWN_CONTRACT, {"contract": "2"}),
    ("a label is missing", Verdict.UNKNOWN_CONTRACT, {"missing_labels": ("flow_version",)}),
    ("the alert is over", Verdict.RESOLVED, {"firing": False}),
    ("paused", Verdict.PAUSED, {"pauses": ("retail paused by ann: storm",)}),
    ("held", Verdict.HELD, {"holds": ("the flow held for team-voice, set by ann: debugging",)}),
    ("mode ignore", Verdict.IGNORED, {"mode": Mode.IGNORE}),
    ("no mode is known", Verdict.IGNORED, {"mode": None}),
    ("silenced", Verdict.SILENCED, {"suppression": Suppression(silenced_by=("silence s1",))}),
    ("Alertmanager was not reached", Verdict.SILENCED, {"suppression": None}),
    ("inhibited", Verdict.INHIBITED, {"suppression": Suppression(inhibited_by=("GenesysMaintenance",))}),
    ("in a window", Verdict.MAINTENANCE, {"windows": ("maintenance window w1",)}),
    ("the flow is deleted", Verdict.INACTIVE, {"flow": replace(FLOW, deleted=True)}),
    ("the flow is deactivated", Verdict.INACTIVE, {"flow": replace(FLOW, active=False)}),
    ("the flow was not read", Verdict.INACTIVE, {"flow": None}),
    ("another version is live", Verdict.SUPERSEDED, {"flow": replace(FLOW, live_version="15.0")}),
    ("no version is live", Verdict.SUPERSEDED, {"flow": replace(FLOW, live_version=None)}),
    ("another rollback is at work", Verdict.IN_PROGRESS, {"rollback_in_progress": "r0"}),
    ("rolled back before", Verdict.ALREADY_ROLLED_BACK, {"written_rollbacks": ("r0",)}),
    ("tried too often", Verdict.ALREADY_ROLLED_BACK, {"unwritten_tries": MAX_TRIES}),
    ("made live by the bridge", Verdict.RESTORED_BY_BRIDGE, {"restored_by": "rollback r0"}),
    ("old evidence", Verdict.STALE_EVIDENCE, {"evidence": replace(EVIDENCE, end=NOW - 301)}),
    ("no evidence", Verdict.STALE_EVIDENCE, {"evidence": None}),
    ("healthy again", Verdict.NOT_CONFIRMED, {"evidence": replace(EVIDENCE, recovered=True)}),
    (
        "no excess",
        Verdict.NOT_CONFIRMED,
        {"evidence": replace(EVIDENCE, finding=Finding((INNOCENT,), None, None))},
    ),
    ("off probation", Verdict.ESTABLISHED, {"probation": Probation(True, "left probation")}),
    ("probation is unknown", Verdict.ESTABLISHED, {"probation": None}),
    (
        "two established flows fail too",
        Verdict.COMMON_CAUSE,
        {"common_cause": replace(ALONE, established=("Sales", "Support"), deployments=3)},
    ),
    ("other flows are unknown", Verdict.COMMON_CAUSE, {"common_cause": None}),
    ("locked out", Verdict.LOCKOUT, {"lockout_until": NOW + 1}),
    ("the flow's budget is spent", Verdict.BUDGET_SPENT, {"started_of_flow": 2}),
    ("the organization's budget is spent", Verdict.BUDGET_SPENT, {"started_of_org": 6}),
    ("open in Architect", Verdict.LOCKED_IN_ARCHITECT, {"flow": replace(FLOW, locked_by="bob")}),
    (
        "an operation is under way",
        Verdict.LOCKED_IN_ARCHITECT,
        {"flow": replace(FLOW, operation=Operation("op", complete=False, action="SAVE"))},
    ),
    ("no version earned it", Verdict.NO_ELIGIBLE_TARGET, {"target": TargetChoice(None, ())}),
    ("no version was read", Verdict.NO_ELIGIBLE_TARGET, {"target": None}),
    ("mode observe", Verdict.OBSERVING, {"mode": Mode.OBSERVE}),
]
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
        *("no_eligible_target", "observing"),
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
        pytest.param({"evidence": replace(EVIDENCE, baseline_ratio=None)}, id="the earlier ratio is unknown"),
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
    }
    assert all(guard.holds_back for guard in decision.guards if guard.unknown)
    assert "unknown: no answer (HTTP 503)" in [guard.value for guard in decision.guards]


def test_a_decision_rests_on_ignorance_only_while_nothing_known_holds_back() -> None:
    unread = replace(GOOD, evidence=None)

    assert decide(unread, LIMITS).rests_on_ignorance
    assert not decide(replace(unread, windows=("w1",)), LIMITS).rests_on_ignorance


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
    target=st.none() | st.sampled_from([TargetChoice(None, ()), GOOD.target]),
)


def nothing_is_against(now: Situation) -> bool:
    """Said a second time, in other words than the guards'."""
    silent = not now.alertmanager_configured or now.suppression == Suppression()
    return (
        now.contract == "1"
        and now.firing
        and silent
        and now.mode is Mode.AUTO
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
        and now.target.version is not None
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
