"""Did the rollback help? Judged by the target's own conversations since it was confirmed live. Pure."""

from dataclasses import dataclass
from typing import Any

from genesys.evidence import Signal, Tally, total
from genesys.excess import find_excess
from genesys.routing import turned
from genesys.transfers import Target
from receiver.reader import Reading
from receiver.store.rollbacks import Rollback, State

TRANSFER_TYPE, TRANSFER_TARGET = "transfer_type", "transfer_target"  # facts of a rollback by routing_shift


@dataclass(frozen=True, slots=True)
class Verified:
    """The end of a rollback, and what it rests on."""

    state: State
    reason: str
    tally: Tally
    threshold_ratio: float

    def facts(self) -> dict[str, Any]:
        return {"errors": self.tally.errors, "ended": self.tally.exits, "threshold_ratio": self.threshold_ratio}


def verify(
    reading: Reading, rollback: Rollback, *, now: float, deadline: float, min_conversations: int
) -> Verified | None:
    """The verdict over the target; None while it is too early for one.

    Only conversations that have *ended* count: how one ends is unknown before.
    `unverified` is what remains at the deadline when Genesys Cloud was silent or
    too few have ended.
    """
    flow = reading.flow.value
    if flow is not None and flow.live_version != rollback.target_version:
        return _verdict(State.SUPERSEDED, "another version was published meanwhile", Tally(), rollback)
    evidence = reading.evidence.value
    if evidence is None or rollback.confirmed_at is None:
        return _at_deadline(now, deadline, Tally(), rollback, f"unread: {reading.evidence.problem}")
    signal, target = Signal(rollback.facts["signal"]), _target_of(rollback)
    if signal not in evidence.signals or (signal is Signal.ROUTING_SHIFT and target is None):
        return _at_deadline(now, deadline, Tally(), rollback, f"{signal} is not told: nobody knows whether it helped")
    evidence = turned(evidence, target)
    tallies = evidence.tallies(rollback.object_id, rollback.target_version, signal, rollback.confirmed_at)
    done = total(tallies.values())
    healthy = done.errors <= rollback.threshold_ratio * done.exits
    if done.exits >= min_conversations and healthy:
        return _verdict(State.SUCCEEDED, f"{done.errors} errors of {done.exits} ended conversations", done, rollback)
    excess = find_excess(
        tallies,
        end=evidence.end,
        bucket_s=evidence.bucket_s,
        threshold_ratio=rollback.threshold_ratio,
        baseline_ratio=None,
        scatter=None,
    )
    if excess.convicted_by is not None:
        return _verdict(State.INEFFECTIVE, f"{done.errors} errors of {done.exits} ended conversations", done, rollback)
    return _at_deadline(
        now, deadline, done, rollback, f"{done.exits} conversations have ended, {min_conversations} are asked for"
    )


def _target_of(rollback: Rollback) -> Target | None:
    """Where the accused version sent its callers: the same must not become of the others."""
    told = rollback.facts.get(TRANSFER_TYPE)
    return None if told is None else Target(told, rollback.facts.get(TRANSFER_TARGET))


def _at_deadline(now: float, deadline: float, done: Tally, rollback: Rollback, problem: str) -> Verified | None:
    return _verdict(State.UNVERIFIED, problem, done, rollback) if now >= deadline else None


def _verdict(state: State, reason: str, done: Tally, rollback: Rollback) -> Verified:
    return Verified(state, reason, done, rollback.threshold_ratio)
