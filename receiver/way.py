"""What every way back has in common: its interface, and how it hands over to the next one.

A rollback goes one way at a time (`Rollback.strategy`). Each send has a permit of its own, which names the
strategy; the next way has its turn only when the one before is proved to have had no effect, within the same
attempt: the lease, the lockout and the record stay.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from genesys.flows import Operation, Readback
from receiver.applied import publish_deadline_s, rollback_deadline_s
from receiver.ending import end
from receiver.meanwhile import Meanwhile
from receiver.store import leases, rollbacks, ways_in_vain
from receiver.store.database import Transaction
from receiver.store.leases import Lease
from receiver.store.rollbacks import IN_VAIN, Permit, Rollback, State
from receiver.strategy import following
from receiver.tools import Tools


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that comes before the permit is done; `send` is the write, and is called once at most.

    `target` is the only version that it can bring back; None: any. `operation_id`, if it is known before the write, is
    written down with the permit. `makes_new`: the version that goes live has a label that nobody knows yet.
    """

    send: Callable[[Permit], Operation]
    target: str | None = None
    operation_id: str | None = None
    makes_new: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look after a write tells. Without `seen` the `problem` says why nothing can be told.

    `settled`: a write whose effect does not show has none, unless it is `busy`. `accepted`: it was certainly sent.
    `is_over`: under somebody else's version, ours can take effect no more. `live` is the label under which the target
    is live, `contents` are digests that were read on the way.
    """

    seen: Readback | None
    problem: str = ""
    settled: bool = False
    busy: bool = False
    accepted: bool = False
    is_over: bool = False
    error: str | None = None
    changes: Meanwhile | None = None
    live: str | None = None
    contents: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Way(Protocol):
    """One strategy. It changes nothing in Genesys Cloud that callers could meet, but by `Prepared.send`."""

    def prepare(self, tools: Tools, lease: Lease, rollback: Rollback) -> Prepared | None:
        """Do what has to be done before the decision is made anew; None if there is more to be done, or it cannot be.

        One step of it at a time, written down; whoever takes over goes on from what is written.
        """

    def look(self, tools: Tools, rollback: Rollback, permit: Permit, *, asked_at: float) -> Sight | None:
        """Read back what has become of a write; None if it is too early to tell."""


def settled_at(tools: Tools, rollback: Rollback, permit: Permit) -> float:
    """From when on a write without a job, whose effect does not show, has none: it is neither sent nor under way."""
    accepted = rollback.state is State.CONFIRMING
    sent_by = permit.issued_at if accepted else permit.valid_until + tools.call_timeout_s
    return sent_by + publish_deadline_s(tools.timing, rollback.facts.get("flow_type"))


def could_not_begin(
    tx: Transaction, tools: Tools, lease: Lease, rollback: Rollback, reason: str, problem: str | None
) -> None:
    """Nothing was written, and it counts as begun: the lockout keeps it from being tried again at once."""
    now = tools.clock(tx)
    leases.hold(tx, lease, now=now)
    begun = rollbacks.change(tx, rollback, started_at=rollback.started_at or now)
    rollbacks.add_step(tx, begun, reason, at=now, detail={"problem": problem})
    give_up(tx, tools, begun, reason, now)


def give_up(
    tx: Transaction, tools: Tools, rollback: Rollback, reason: str, now: float, *, is_lesson: bool = False
) -> None:
    """The way is proved to have had no effect: the next one has its turn, with time of its own; or it has failed.

    A lesson is remembered for the organization: its next rollback begins with another way.
    """
    if is_lesson:
        ways_in_vain.put(tx, rollback.org, rollback.strategy, rollback_id=rollback.id, reason=reason, now=now)
    after = following(rollback.ways_back, rollback.strategy)
    in_vain = [*rollback.facts.get(IN_VAIN, []), rollback.strategy.value]
    if after is None:
        end(tx, tools, rollback, State.FAILED, reason, now)
        return
    handed_over = rollbacks.change(
        tx,
        rollback,
        state=State.PLANNED.value,
        strategy=after.value,
        export_job=None,
        not_before=now,
        deadline=now + rollback_deadline_s(tools.timing, rollback.facts.get("flow_type"), after),
        facts=rollback.facts | {IN_VAIN: in_vain},
    )
    detail = {"gave_up": rollback.strategy.value, "because": reason, "next": after.value}
    rollbacks.add_step(tx, handed_over, "next_way", at=now, detail=detail)
