"""What has happened so far, in its order, as an observer outside of the product knows it.

It sees every commit, every request that reached Genesys Cloud with what became of
it, and every order of people. It calls nothing that decides.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from genesys.flows import Flow
from tests.campaigns.stateful.cloud import Sent
from tests.campaigns.stateful.rows import NOTHING, Attempt, Permit, Rows
from tests.campaigns.stateful.stops import BRIDGE, Stops

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Publish:
    """One publish, the permit under which it was sent, and by which process."""

    sent: Sent
    permit: Permit
    attempt: Attempt
    process: str

    @property
    def had_effect(self) -> bool:
        return self.sent.effect_at is not None

    @property
    def wrote(self) -> bool:
        """It had an effect, or nobody could know that it had none."""
        return not self.sent.outcome.refused


@dataclass(frozen=True, slots=True)
class Commit:
    """One transaction of a process, or of people (no process)."""

    process: str | None
    at: float
    before: Rows
    after: Rows

    @property
    def permits(self) -> Iterator[tuple[Attempt, Permit]]:
        """Those that it gave."""
        new = self.after.permits.keys() - self.before.permits.keys()
        return ((self.after.attempts[key[0]], self.after.permits[key]) for key in sorted(new))

    @property
    def planned(self) -> Iterator[Attempt]:
        new = self.after.attempts.keys() - self.before.attempts.keys()
        return (self.after.attempts[key] for key in sorted(new))

    @property
    def ended(self) -> Iterator[Attempt]:
        under_way = {one.id for one in self.after.under_way}
        return (one for one in self.after.attempts.values() if one.id not in under_way and self._was_going_on(one))

    def _was_going_on(self, attempt: Attempt) -> bool:
        return any(one.id == attempt.id for one in self.before.under_way)


@dataclass(frozen=True, slots=True)
class Look:
    """The flow as Genesys Cloud last showed it to a process."""

    at: float
    flow: Flow


@dataclass(slots=True)
class Past:
    """Grows with every event; the promises are asked before each is added."""

    rows: Rows = NOTHING
    stops: Stops = field(default_factory=Stops)
    publishes: list[Publish] = field(default_factory=list)
    first_permits: dict[str, float] = field(default_factory=dict)  # attempt → when
    given_by: dict[tuple[str, int], str] = field(default_factory=dict)  # permit → process
    lifted: set[str] = field(default_factory=set)  # attempts whose quarantine was
    asked: set[str] = field(default_factory=set)  # attempts that had to wait for approval
    approved: dict[str, str] = field(default_factory=dict)  # attempt → the target that people agreed to
    undos: dict[str, str] = field(default_factory=dict)  # attempt → the one that people wanted to have undone
    looks: dict[tuple[str, str, str], Look] = field(default_factory=dict)  # process, org, flow
    ended: Counter[str] = field(default_factory=Counter)  # by state
    failed_after_write: set[str] = field(default_factory=set)

    def of(self, attempt_id: str) -> list[Publish]:
        return [one for one in self.publishes if one.attempt.id == attempt_id]

    def wrote(self, attempt_id: str) -> bool:
        return any(one.wrote for one in self.of(attempt_id))

    def permit_of(self, process: str, org: str) -> tuple[Attempt, Permit] | None:
        """The newest permit that the process has been given in an organization."""
        keys = [key for key, by in self.given_by.items() if by == process and self.rows.attempts[key[0]].org == org]
        return (self.rows.attempts[keys[-1][0]], self.rows.permits[keys[-1]]) if keys else None

    def add_commit(self, commit: Commit) -> None:
        self.rows = commit.after
        for attempt, permit in commit.permits:
            self.first_permits.setdefault(attempt.id, permit.issued_at)
            self.given_by[permit.attempt_id, permit.number] = commit.process or ""
        self.asked |= {one.id for one in commit.after.attempts.values() if one.state == "awaiting_approval"}
        for attempt in commit.ended:
            self.ended[attempt.state] += 1
            if attempt.undoes is not None and attempt.state == "succeeded":
                self.lifted.add(attempt.undoes)
            self._hold_if_hopeless(attempt, commit.at)

    def _hold_if_hopeless(self, attempt: Attempt, now: float) -> None:
        """The bridge promises to hold a flow that it has not helped for sure, or that it has failed twice in a day."""
        if attempt.is_undo:
            return
        flow = (attempt.org, attempt.flow_id)
        failed_before = any(
            (self.rows.attempts[one].org, self.rows.attempts[one].flow_id) == flow
            and self.first_permits[one] > now - DAY_S
            for one in self.failed_after_write
        )
        failed = attempt.state == "failed" and self.wrote(attempt.id)
        if failed:
            self.failed_after_write.add(attempt.id)
        if attempt.state in ("ineffective", "unverified") or (failed and failed_before):
            self.stops.held.add((*flow, BRIDGE))
