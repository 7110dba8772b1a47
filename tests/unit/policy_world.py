"""A situation with nothing against it, and every way to break one thing of it."""

from dataclasses import replace
from typing import Any

from genesys.evidence import Tally
from genesys.excess import Finding, WindowFinding
from genesys.flows import Flow, Operation
from genesys.probation import Probation
from receiver.common_cause import CommonCause, CommonCauseLimits
from receiver.policy import MAX_TRIES, Limits, Verdict
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
    scatter=1.0,
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
    deployment=None,
    attempt_id=None,
    approval_asked_by=None,
    approval_waiting=None,
    approved_by=None,
    denied_by=None,
)
UNEARNED = TargetChoice(None, (Candidate("13.0", "live for 600 s only, 86400 s are asked for"),), unearned="13.0")

# What breaks each guard alone: a phrase, the guard, the change; in the order of the guards.
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
    ("mode approve", Verdict.AWAITING_APPROVAL, {"mode": Mode.APPROVE}),
    ("a version has not earned it", Verdict.AWAITING_APPROVAL, {"target": UNEARNED, "mode": Mode.AUTO}),
    ("the deployment asks", Verdict.AWAITING_APPROVAL, {"approval_asked_by": "deployment d1 of ann: rollback ask"}),
    ("denied when it was still asked for", Verdict.AWAITING_APPROVAL, {"denied_by": "ann: not the flow"}),
    ("denied", Verdict.AWAITING_APPROVAL, {"mode": Mode.APPROVE, "denied_by": "ann: it is the back end"}),
]
