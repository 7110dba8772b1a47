"""What to do about one alert: every guard, in order, and the verdict.

Pure: no clock, no network, no database. Each guard is evaluated and recorded
with its value and limit; the first one that holds back names the verdict. A
fact that could not be read is `None` in the situation, and its guard holds
back: unknown is the worse of the two values.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from enum import StrEnum

from receiver.situation import ACTING, Mode, Situation

CONTRACT = "1"  # the value of the label genesys_contract that this receiver understands
MAX_TRIES = 3  # the first rollback of a version, and two repetitions of tries that ended before their write

_SEEN = "mode observe, approve or auto"
_NO_SELECTOR = "the flow could not be read, so no selector applies"


class Verdict(StrEnum):
    """What was decided; the order is the order of the guards."""

    UNKNOWN_CONTRACT = "unknown_contract"
    RESOLVED = "resolved"
    PAUSED = "paused"
    HELD = "held"
    IGNORED = "ignored"
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    MAINTENANCE = "maintenance"
    INACTIVE = "inactive"
    SUPERSEDED = "superseded"
    IN_PROGRESS = "in_progress"
    ALREADY_ROLLED_BACK = "already_rolled_back"
    RESTORED_BY_BRIDGE = "restored_by_bridge"
    STALE_EVIDENCE = "stale_evidence"
    NOT_CONFIRMED = "not_confirmed"
    ESTABLISHED = "established"
    COMMON_CAUSE = "common_cause"
    LOCKOUT = "lockout"
    BUDGET_SPENT = "budget_spent"
    LOCKED_IN_ARCHITECT = "locked_in_architect"
    NO_ELIGIBLE_TARGET = "no_eligible_target"
    OBSERVING = "observing"
    AWAITING_APPROVAL = "awaiting_approval"
    ROLL_BACK = "roll_back"


FINAL = frozenset({Verdict.RESOLVED, Verdict.RESTORED_BY_BRIDGE, Verdict.ESTABLISHED})
"""Refusals that nothing can change as long as the same alert fires. All others are passing: they are decided anew."""


UNDO_PASSES = frozenset(Verdict) - {
    Verdict.UNKNOWN_CONTRACT,
    Verdict.INACTIVE,
    Verdict.SUPERSEDED,
    Verdict.IN_PROGRESS,
    Verdict.LOCKED_IN_ARCHITECT,
    Verdict.NO_ELIGIBLE_TARGET,
    Verdict.ROLL_BACK,
}
"""Guards that a person overrides who undoes a rollback. The others say that it is not possible, or not yet."""


BY_HAND_PASSES = frozenset(
    {Verdict.RESOLVED, Verdict.PAUSED, Verdict.MAINTENANCE, Verdict.LOCKOUT, Verdict.BUDGET_SPENT}
)
"""Guards that a rollback passes which a person has ordered; more of UNDO_PASSES it passes if they are named."""


DEPENDENT_PASSES = frozenset(
    {
        Verdict.RESOLVED,
        Verdict.SILENCED,
        Verdict.INHIBITED,
        Verdict.ALREADY_ROLLED_BACK,
        Verdict.RESTORED_BY_BRIDGE,
        Verdict.STALE_EVIDENCE,
        Verdict.NOT_CONFIRMED,
        Verdict.ESTABLISHED,
        Verdict.COMMON_CAUSE,
        Verdict.LOCKOUT,
        Verdict.BUDGET_SPENT,
        Verdict.AWAITING_APPROVAL,
    }
)
"""Guards that do not matter for a flow that is published because of its module: it is not accused of anything."""


def is_final(verdict: str | None) -> bool:
    """An open alert with this newest verdict need not be decided anew; `resolved` is none: it fires again."""
    return verdict in FINAL - {Verdict.RESOLVED}


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers that the guards compare with, from `receiver.yml`."""

    evidence_max_age_s: float = 300.0
    budget_s: float = 86400.0
    budget_per_flow: int = 2
    budget_per_org: int = 6


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard as it was evaluated: what was found, what would have been allowed."""

    name: Verdict
    holds_back: bool
    value: str
    limit: str
    unknown: bool = False
    overridden: bool = False  # it holds back, and a person has ordered that it does not matter

    def as_json(self) -> dict[str, object]:
        return {
            "guard": self.name.value,
            "holds_back": self.holds_back,
            "value": self.value,
            "limit": self.limit,
            "unknown": self.unknown,
            "overridden": self.overridden,
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict and every guard that led to it."""

    verdict: Verdict
    guards: tuple[Guard, ...]

    @property
    def holding_back(self) -> tuple[Verdict, ...]:
        """Those that count."""
        return tuple(guard.name for guard in self._decisive)

    def value_of(self, name: Verdict) -> str:
        """What the guard found; empty for `roll_back`, which has none."""
        return next((guard.value for guard in self.guards if guard.name is name), "")

    @property
    def _decisive(self) -> tuple[Guard, ...]:
        return tuple(guard for guard in self.guards if guard.holds_back and not guard.overridden)

    @property
    def rests_on_ignorance(self) -> bool:
        """Nothing that is known holds back, only what could not be read."""
        return bool(self._decisive) and all(guard.unknown for guard in self._decisive)


def decide(now: Situation, limits: Limits, overridden: Set[Verdict] = frozenset()) -> Decision:
    """Say what to do about one alert; the first guard that holds back wins.

    Only a situation with nothing against it ends in ROLL_BACK, so a fact that
    could not be read must be given as `None`. `overridden` guards are recorded
    like all others, and decide nothing.
    """
    judged = (judge(now, limits) for judge in _GUARDS)
    guards = tuple(replace(one, overridden=one.holds_back and one.name in overridden) for one in judged)
    verdict = next((one.name for one in guards if one.holds_back and not one.overridden), Verdict.ROLL_BACK)
    return Decision(verdict, guards)


def _unknown_contract(now: Situation, _: Limits) -> Guard:
    missing = ", ".join(now.missing_labels)
    return Guard(
        Verdict.UNKNOWN_CONTRACT,
        now.contract != CONTRACT or bool(missing),
        f"genesys_contract={now.contract or 'none'}" + (f", missing or unusable: {missing}" if missing else ""),
        f"genesys_contract={CONTRACT}, genesys_action=rollback, a configured org, all labels",
    )


def _resolved(now: Situation, _: Limits) -> Guard:
    return Guard(Verdict.RESOLVED, not now.firing, "firing" if now.firing else "resolved", "firing")


def _paused(now: Situation, _: Limits) -> Guard:
    return Guard(Verdict.PAUSED, bool(now.pauses), "; ".join(now.pauses) or "not paused", "not paused")


def _held(now: Situation, _: Limits) -> Guard:
    return Guard(Verdict.HELD, bool(now.holds), "; ".join(now.holds) or "no hold", "no hold on the flow")


def _ignored(now: Situation, _: Limits) -> Guard:
    if now.mode is None:
        return _unknown(Verdict.IGNORED, _SEEN, _NO_SELECTOR)
    return Guard(Verdict.IGNORED, now.mode is Mode.IGNORE, f"mode {now.mode.value}", _SEEN)


def _silenced(now: Situation, _: Limits) -> Guard:
    return _suppression(now, Verdict.SILENCED)


def _inhibited(now: Situation, _: Limits) -> Guard:
    return _suppression(now, Verdict.INHIBITED)


def _suppression(now: Situation, name: Verdict) -> Guard:
    if not now.alertmanager_configured:
        return Guard(name, False, "off: no Alertmanager address is configured", f"not {name.value}")
    if now.suppression is None:
        return _unknown(name, f"not {name.value}", "Alertmanager could not be asked")
    by = now.suppression.silenced_by if name is Verdict.SILENCED else now.suppression.inhibited_by
    return Guard(name, bool(by), "; ".join(by) or f"not {name.value}", f"not {name.value}")


def _maintenance(now: Situation, _: Limits) -> Guard:
    return Guard(Verdict.MAINTENANCE, bool(now.windows), "; ".join(now.windows) or "no window", "no active window")


def _inactive(now: Situation, _: Limits) -> Guard:
    limit = "active, not deleted"
    if now.flow is None:
        return _unknown(Verdict.INACTIVE, limit, now.flow_problem)
    if now.flow.deleted:
        return Guard(Verdict.INACTIVE, True, "deleted", limit)
    return Guard(Verdict.INACTIVE, not now.flow.active, "active" if now.flow.active else "deactivated", limit)


def _superseded(now: Situation, _: Limits) -> Guard:
    limit = f"live version {now.accused_version}"
    if now.flow is None:
        return _unknown(Verdict.SUPERSEDED, limit, now.flow_problem)
    live = now.flow.live_version
    return Guard(Verdict.SUPERSEDED, live != now.accused_version, f"live version {live}", limit)


def _in_progress(now: Situation, _: Limits) -> Guard:
    found = now.rollback_in_progress
    return Guard(Verdict.IN_PROGRESS, found is not None, found or "none", "no other rollback at work")


def _already_rolled_back(now: Situation, _: Limits) -> Guard:
    written = now.written_rollbacks
    return Guard(
        Verdict.ALREADY_ROLLED_BACK,
        bool(written) or now.unwritten_tries >= MAX_TRIES,
        f"rolled back by {', '.join(written)}" if written else f"{now.unwritten_tries} earlier tries without a write",
        f"never rolled back before, or its quarantine lifted; fewer than {MAX_TRIES} tries",
    )


def _restored_by_bridge(now: Situation, _: Limits) -> Guard:
    found = now.restored_by
    return Guard(Verdict.RESTORED_BY_BRIDGE, found is not None, found or "no", "not made live by the bridge")


def _stale_evidence(now: Situation, limits: Limits) -> Guard:
    limit = f"read, and at most {limits.evidence_max_age_s:g} s old"
    if now.evidence is None:
        return _unknown(Verdict.STALE_EVIDENCE, limit, now.evidence_problem)
    age_s = now.at - now.evidence.end
    return Guard(Verdict.STALE_EVIDENCE, age_s > limits.evidence_max_age_s, f"{age_s:.0f} s old", limit)


def _not_confirmed(now: Situation, _: Limits) -> Guard:
    limit = "an excess of errors that is neither chance nor over"
    if now.evidence is None:
        return _unknown(Verdict.NOT_CONFIRMED, limit, now.evidence_problem)
    return Guard(Verdict.NOT_CONFIRMED, not now.evidence.confirms, now.evidence.describe(), limit)


def _established(now: Situation, _: Limits) -> Guard:
    limit = "a version on probation"
    if now.probation is None:
        return _unknown(Verdict.ESTABLISHED, limit, now.evidence_problem)
    return Guard(Verdict.ESTABLISHED, now.probation.left, now.probation.because, limit)


def _common_cause(now: Situation, _: Limits) -> Guard:
    if now.common_cause is None:
        limit = "the other flows of the organization, read and not failing as well"
        return _unknown(Verdict.COMMON_CAUSE, limit, now.common_cause_problem)
    return Guard(Verdict.COMMON_CAUSE, now.common_cause.found, now.common_cause.describe(), now.common_cause.allowed())


def _lockout(now: Situation, _: Limits) -> Guard:
    left_s = max(0.0, now.lockout_until - now.at)
    return Guard(Verdict.LOCKOUT, left_s > 0, f"{left_s:.0f} s left" if left_s else "no lockout", "no lockout")


def _budget_spent(now: Situation, limits: Limits) -> Guard:
    spent = now.started_of_flow >= limits.budget_per_flow or now.started_of_org >= limits.budget_per_org
    return Guard(
        Verdict.BUDGET_SPENT,
        spent,
        f"{now.started_of_flow} rollbacks of the flow and {now.started_of_org} of the organization",
        f"fewer than {limits.budget_per_flow} and {limits.budget_per_org} in {limits.budget_s:.0f} s",
    )


def _locked_in_architect(now: Situation, _: Limits) -> Guard:
    limit = "not locked, no operation under way"
    if now.flow is None:
        return _unknown(Verdict.LOCKED_IN_ARCHITECT, limit, now.flow_problem)
    operation = now.flow.operation
    if now.flow.locked_by:
        return Guard(Verdict.LOCKED_IN_ARCHITECT, True, f"locked by {now.flow.locked_by}", limit)
    if operation is not None and not operation.complete:
        return Guard(Verdict.LOCKED_IN_ARCHITECT, True, f"{operation.action} under way", limit)
    return Guard(Verdict.LOCKED_IN_ARCHITECT, False, "not locked", limit)


def _no_eligible_target(now: Situation, _: Limits) -> Guard:
    limit = "an earlier version that earned it"
    if now.target is None:
        return _unknown(Verdict.NO_ELIGIBLE_TARGET, limit, now.target_problem)
    return Guard(Verdict.NO_ELIGIBLE_TARGET, now.proposed is None, now.target.describe(), limit)


def _observing(now: Situation, _: Limits) -> Guard:
    limit = "mode approve or auto"
    if now.mode is None:
        return _unknown(Verdict.OBSERVING, limit, _NO_SELECTOR)
    return Guard(Verdict.OBSERVING, now.mode not in ACTING, f"mode {now.mode.value}{now.mode_note}", limit)


def _awaiting_approval(now: Situation, _: Limits) -> Guard:
    limit = "no approval needed, or given"
    if now.approved_by is not None:
        return Guard(Verdict.AWAITING_APPROVAL, False, f"approved by {now.approved_by}", limit)
    if now.mode is None:
        return _unknown(Verdict.AWAITING_APPROVAL, limit, _NO_SELECTOR)
    because = _why_approval(now)
    if not because and now.target is None:
        return _unknown(Verdict.AWAITING_APPROVAL, limit, now.target_problem)
    return Guard(Verdict.AWAITING_APPROVAL, bool(because), "; ".join(because) or "not needed", limit)


def _why_approval(now: Situation) -> tuple[str, ...]:
    """Why a person has to agree before anything is published; empty where nobody has to.

    Whoever has denied it has done so for whatever reason it was asked for, and may ask for since.
    """
    because = [] if now.denied_by is None else [f"denied by {now.denied_by}"]
    if now.mode is Mode.APPROVE:
        because.append(f"mode approve{now.mode_note}")
    if now.target is not None and now.target.version is None and now.proposed is not None:
        because.append(f"no version earned it, {now.proposed} may be approved")
    if now.approval_asked_by is not None:
        because.append(now.approval_asked_by)
    return tuple(because)


def _unknown(name: Verdict, limit: str, problem: str) -> Guard:
    return Guard(name, True, f"unknown: {problem}", limit, unknown=True)


_GUARDS: tuple[Callable[[Situation, Limits], Guard], ...] = (
    _unknown_contract,
    _resolved,
    _paused,
    _held,
    _ignored,
    _silenced,
    _inhibited,
    _maintenance,
    _inactive,
    _superseded,
    _in_progress,
    _already_rolled_back,
    _restored_by_bridge,
    _stale_evidence,
    _not_confirmed,
    _established,
    _common_cause,
    _lockout,
    _budget_spent,
    _locked_in_architect,
    _no_eligible_target,
    _observing,
    _awaiting_approval,
)
