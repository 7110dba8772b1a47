"""Outcomes of conversations per flow, version and bucket, and how they are counted.

Owns the arithmetic of evidence: what is an error, what is volume, what lies in a
window. Reading the buckets is the dialects' work, judging them is `excess`'s.

Times are Unix seconds. A bucket is named by its start and lasts `bucket_s`
seconds: one minute, unless `organizations.yml` says otherwise.
"""

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import add
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from genesys.transfers import OTHERS, Target, Towards, largest

WINDOWS: Mapping[str, int] = MappingProxyType({"1m": 1, "2m": 2, "5m": 5, "15m": 15, "60m": 60})
"""Label of each window and its length in buckets."""


class Signal(StrEnum):
    """What counts as a bad outcome; the value is the Prometheus label `signal`."""

    ERROR_EXIT = "error_exit"
    FLOW_DISCONNECT = "flow_disconnect"  # the flow hangs up, politely
    CALLER_HANGUP = "caller_hangup"  # the caller does: waiting in silence, or sent round in circles
    RECOGNITION = "recognition"  # speech or keys that the flow does not understand
    STUCK = "stuck"  # no way out: the session expires
    OUTCOME_FAILED = "outcome_failed"  # the flow itself says that the caller did not get what the call was about
    ROUTING_SHIFT = "routing_shift"  # one transfer target takes over
    ACTION_FAILURE = "action_failure"  # data actions fail, and the flow goes on without their answer
    ACTION_SLOW = "action_slow"  # data actions take long, and callers wait in silence


BAD_EXITS: Mapping[Signal, frozenset[str]] = MappingProxyType(
    # Genesys Cloud, flow aggregates, dimension exitReason. An exit reason that is not listed is no bad outcome.
    {
        Signal.ERROR_EXIT: frozenset({"FLOW_ERROR_DISCONNECT", "FLOW_ERROR_EXIT"}),
        Signal.FLOW_DISCONNECT: frozenset({"FLOW_DISCONNECT"}),
        Signal.CALLER_HANGUP: frozenset({"DISCONNECT"}),
        Signal.RECOGNITION: frozenset({"RECOGNITION_FAILURE_DISCONNECT", "RECOGNITION_FAILURE_EXIT"}),
        # Entries that have not left would be seen earlier, but right after a publish every version has calls under way,
        # and callbacks and long calls always do. Who gives up before the session expires is a caller's hang-up.
        Signal.STUCK: frozenset({"SESSION_EXPIRE_DISCONNECT"}),
    }
)
"""By signal. `outcome_failed` is counted by the flow outcomes instead, and those of data actions by executions: a call
may have several, or none. Of `routing_shift` those are bad that are transferred to the one target that is looked at."""
ACTION_SIGNALS = frozenset({Signal.ACTION_FAILURE, Signal.ACTION_SLOW})
EVERY_SIGNAL = frozenset(Signal)


@dataclass(frozen=True, slots=True)
class Tally:
    """Conversations of one flow version in some stretch of time; tallies of disjoint stretches add up."""

    errors: int = 0
    entries: int = 0
    exits: int = 0

    @property
    def volume(self) -> int:
        """Outcomes that could have been bad.

        Failing calls often end sooner than good ones, so that errors/exits is
        too high right after a publish: entries count as soon as they are there.
        """
        return max(self.entries, self.exits)

    @property
    def ratio(self) -> float | None:
        """Errors per volume; None without volume: nobody knows."""
        return self.errors / self.volume if self.volume else None

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.errors + other.errors, self.entries + other.entries, self.exits + other.exits)


class Executions(NamedTuple):
    """How often a data action ran; `failed` and `slow` of them did so."""

    ran: int = 0
    failed: int = 0
    slow: int = 0

    def bad(self, signal: Signal) -> int:
        return self.slow if signal is Signal.ACTION_SLOW else self.failed

    def plus(self, other: "Executions") -> "Executions":
        return Executions(*map(add, self, other))


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What Genesys Cloud reports for one flow version and one bucket.

    Entries, exits by exit reason, flow outcomes, executions by the id of the data action, and
    `transfers`, which are exits too, by target.
    """

    entries: int = 0
    exits: Mapping[str, int] = field(default_factory=dict)
    outcomes: int = 0
    failed_outcomes: int = 0
    actions: Mapping[str, Executions] = field(default_factory=dict)
    transfers: Mapping[Target, int] = field(default_factory=dict)

    def tally(self, signal: Signal, towards: Towards | None = None) -> Tally:
        """`towards` says what `routing_shift` looks at; without it nothing is bad by that signal."""
        if signal is Signal.OUTCOME_FAILED:
            return Tally(self.failed_outcomes, exits=max(self.outcomes, self.failed_outcomes))
        if signal in ACTION_SIGNALS:
            ran = self.actions.values()
            return Tally(sum(action.bad(signal) for action in ran), exits=sum(action.ran for action in ran))
        if signal is Signal.ROUTING_SHIFT:
            errors = sum(self.transfers[one] for one in towards.among(self.transfers)) if towards else 0
        else:
            errors = sum(count for reason, count in self.exits.items() if reason in BAD_EXITS[signal])
        return Tally(errors, self.entries, sum(self.exits.values()))


Column: TypeAlias = "array[int]"  # of unsigned 32-bit numbers: objects of their own would need eight times the room
_CODE, _BYTES = "I", array("I").itemsize
MAX_COUNT = 2 ** (8 * _BYTES) - 1  # more conversations than there are people, within one bucket


def empty_column(buckets: int) -> Column:
    return array(_CODE, bytes(_BYTES * buckets))


def column_of(counts: Iterable[int]) -> Column:
    """Raises OverflowError for counts above `MAX_COUNT`."""
    return array(_CODE, counts)


class ActionColumns(NamedTuple):
    """Executions of one data action, by position."""

    ran: Column
    failed: Column
    slow: Column

    def bad(self, signal: Signal) -> Column:
        return self.slow if signal is Signal.ACTION_SLOW else self.failed

    def plus(self, other: "ActionColumns") -> "ActionColumns":
        return ActionColumns(*map(_added, self, other))


def _added(one: Column, other: Column) -> Column:
    return column_of(map(add, one, other))


def _summed(columns: Sequence[Sequence[int]], buckets: int) -> Sequence[int]:
    if len(columns) == 1:
        return columns[0]
    return [sum(counts) for counts in zip(*columns, strict=True)] if columns else empty_column(buckets)


class Columns(Mapping[int, Outcomes]):
    """The outcomes of one flow version, kept as one column of counts for each kind: small, and quick to count.

    To those who look at single buckets it is a mapping of bucket start to
    outcomes; a bucket without any count is not in it. A further kind of count is
    a further column.
    """

    __slots__ = (
        *("_every_exit", "actions", "bucket_s", "entries", "exits"),
        *("failed_outcomes", "outcomes", "start", "transfers"),
    )

    def __init__(self, start: int, buckets: int, bucket_s: int) -> None:
        self.start, self.bucket_s = start, bucket_s
        self.entries = empty_column(buckets)
        self.exits: dict[str, Column] = {}  # by exit reason
        self.outcomes: Column | None = None  # most flows have none
        self.failed_outcomes: Column | None = None
        self.transfers: dict[Target, Column] = {}  # exits as well
        self.actions: dict[str, ActionColumns] = {}  # by action id; few flows have any
        self._every_exit: Sequence[int] | None = None

    @classmethod
    def of(cls, outcomes: Mapping[int, Outcomes], start: int, end: int, bucket_s: int) -> "Columns":
        """The same outcomes as columns, as far as they lie in buckets from `start` up to `end`."""
        columns = cls(start, (end - start) // bucket_s, bucket_s)
        for position, bucket in enumerate(range(start, end, bucket_s)):
            if bucket in outcomes:
                columns.entries[position] = outcomes[bucket].entries
                columns._set_outcomes(position, outcomes[bucket])
                for reason, count in outcomes[bucket].exits.items():
                    columns.exits.setdefault(reason, empty_column(len(columns.entries)))[position] = count
                for target, count in outcomes[bucket].transfers.items():
                    columns.transfers.setdefault(target, empty_column(len(columns.entries)))[position] = count
                columns._set_actions(position, outcomes[bucket].actions)
        return columns

    def add_entries(self, counts: Column) -> None:
        self.entries = _added(self.entries, counts)

    def add_exits(self, reason: str, counts: Column) -> None:
        """Whoever gives the counts must not change them afterwards."""
        known = self.exits.get(reason)
        self.exits[reason] = counts if known is None else _added(known, counts)
        self._every_exit = None

    def add_transfers(self, target: Target, counts: Column) -> None:
        """Exits that were added as such, too; whoever gives the counts must not change them afterwards."""
        known = self.transfers.get(target)
        self.transfers[target] = counts if known is None else _added(known, counts)

    def keep_largest_targets(self) -> None:
        """Put all other targets together: there may be as many as the organization has people."""
        kept = largest({target: sum(column) for target, column in self.transfers.items()})
        rest = [column for target, column in self.transfers.items() if target not in kept]
        if rest:
            self.transfers = {target: self.transfers[target] for target in sorted(kept, key=str)}
            self.transfers[OTHERS] = column_of(_summed(rest, len(self.entries)))

    def add_outcomes(self, counts: Column, failed: Column) -> None:
        """Whoever gives the counts must not change them afterwards."""
        self.outcomes = counts if self.outcomes is None else _added(self.outcomes, counts)
        self.failed_outcomes = failed if self.failed_outcomes is None else _added(self.failed_outcomes, failed)

    def _set_outcomes(self, position: int, told: Outcomes) -> None:
        if told.outcomes or told.failed_outcomes:
            self.outcomes = self.outcomes or empty_column(len(self.entries))
            self.failed_outcomes = self.failed_outcomes or empty_column(len(self.entries))
            self.outcomes[position], self.failed_outcomes[position] = told.outcomes, told.failed_outcomes

    def add_executions(self, action_id: str, counts: ActionColumns) -> None:
        """Whoever gives the counts must not change them afterwards."""
        known = self.actions.get(action_id)
        self.actions[action_id] = counts if known is None else known.plus(counts)

    def _set_actions(self, position: int, told: Mapping[str, Executions]) -> None:
        for action_id, executions in told.items():
            if action_id not in self.actions:
                self.actions[action_id] = ActionColumns(*(empty_column(len(self.entries)) for _ in executions))
            for column, count in zip(self.actions[action_id], executions, strict=True):
                column[position] = count

    @property
    def every_exit(self) -> Sequence[int]:
        """Exits of all reasons by position."""
        if self._every_exit is None:
            self._every_exit = _summed(list(self.exits.values()), len(self.entries))
        return self._every_exit

    def errors(self, signal: Signal, towards: Towards | None = None) -> Sequence[int] | None:
        """Bad outcomes by position; None if there is none, as with most versions."""
        if signal is Signal.OUTCOME_FAILED:
            return self.failed_outcomes if self.failed_outcomes and any(self.failed_outcomes) else None
        if signal in ACTION_SIGNALS:
            bad = [column for action in self.actions.values() if any(column := action.bad(signal))]
            return _summed(bad, len(self.entries)) if bad else None
        if signal is Signal.ROUTING_SHIFT:
            found = [self.transfers[target] for target in towards.among(self.transfers)] if towards else []
        else:
            found = [column for reason, column in self.exits.items() if reason in BAD_EXITS[signal] and any(column)]
        return _summed(found, len(self.entries)) if found else None

    def passages(self, signal: Signal) -> tuple[Sequence[int], Sequence[int]]:
        """Entries and exits by position, as the signal counts them.

        Of flow outcomes and of executions only what has ended is known.
        """
        if signal in ACTION_SIGNALS:
            ran = [action.ran for action in self.actions.values()]
            return empty_column(len(self.entries)), _summed(ran, len(self.entries))
        if signal is not Signal.OUTCOME_FAILED:
            return self.entries, self.every_exit
        nothing = empty_column(len(self.entries))
        ended = column_of(map(max, self.outcomes or nothing, self.failed_outcomes or nothing))
        return nothing, ended

    def position(self, since: float) -> int:
        """Position of the first bucket that begins at or after `since`."""
        return min(len(self.entries), max(0, math.ceil((since - self.start) / self.bucket_s)))

    def tallies(self, signal: Signal, since: float, towards: Towards | None = None) -> dict[int, Tally]:
        """Tally by bucket start, of the buckets that begin at or after `since` and have any outcome."""
        entries, exits = self.passages(signal)
        errors = self.errors(signal, towards) or empty_column(len(entries))
        return {
            self.start + position * self.bucket_s: Tally(errors[position], entries[position], exits[position])
            for position in range(self.position(since), len(entries))
            if entries[position] or exits[position]
        }

    def newest(self) -> int | None:
        """Start of the newest bucket with any outcome."""
        return self._newest(self.every_exit, self.entries)

    def newest_entry(self) -> int | None:
        """Start of the newest bucket in which a conversation started."""
        return self._newest(self.entries)

    def _newest(self, *columns: Sequence[int]) -> int | None:
        for position in range(len(self.entries) - 1, -1, -1):
            if any(column[position] for column in columns):
                return self.start + position * self.bucket_s
        return None

    def __getitem__(self, bucket: int) -> Outcomes:
        position, off_edge = divmod(bucket - self.start, self.bucket_s)
        if off_edge or not 0 <= position < len(self.entries):
            raise KeyError(bucket)
        exits = {reason: column[position] for reason, column in self.exits.items() if column[position]}
        outcomes, failed = (
            0 if column is None else column[position] for column in (self.outcomes, self.failed_outcomes)
        )
        actions = {
            action_id: Executions(*(column[position] for column in columns))
            for action_id, columns in self.actions.items()
            if columns.ran[position]
        }
        if not exits and not self.entries[position] and not outcomes and not failed and not actions:
            raise KeyError(bucket)
        transfers = {target: column[position] for target, column in self.transfers.items() if column[position]}
        return Outcomes(self.entries[position], exits, outcomes, failed, actions, transfers)

    def __iter__(self) -> Iterator[int]:
        exits, (_, outcomes) = self.every_exit, self.passages(Signal.OUTCOME_FAILED)
        ran = self.passages(Signal.ACTION_FAILURE)[1]
        for position, entered in enumerate(self.entries):
            if entered or exits[position] or outcomes[position] or ran[position]:
                yield self.start + position * self.bucket_s

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Columns({dict(self)!r})"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Every outcome of an organization in the buckets from `start` up to, but not including, `end`.

    `end` is the end of the newest settled bucket that was asked for. A bucket
    that is absent had no outcome. `outcomes` maps (flow id, flow version) to
    bucket start to outcomes: to `Columns` where there may be very many. Of
    signals that are not in `signals` nobody knows how often they occurred.
    `routing_shift` counts what goes `towards` one target; without it, nothing. Where it
    `is_spread`, figures of longer stretches were spread over buckets: only sums are right.
    """

    start: int
    end: int
    bucket_s: int
    outcomes: Mapping[tuple[str, str], Mapping[int, Outcomes]]
    signals: frozenset[Signal] = EVERY_SIGNAL
    towards: Towards | None = None
    is_spread: bool = False

    def tallies(self, flow_id: str, version: str, signal: Signal, since: float = 0.0) -> dict[int, Tally]:
        """Tally by bucket start, of the buckets that begin at or after `since`."""
        buckets = self.outcomes.get((flow_id, version), {})
        if isinstance(buckets, Columns):
            return buckets.tallies(signal, since, self.towards)
        return {start: outcome.tally(signal, self.towards) for start, outcome in buckets.items() if start >= since}

    def columns(self, flow_id: str, version: str) -> Columns:
        """The version's outcomes as columns, for those who count many versions; empty ones if it has none."""
        buckets = self.outcomes.get((flow_id, version), {})
        if isinstance(buckets, Columns):
            return buckets
        return Columns.of(buckets, self.start, self.end, self.bucket_s)

    def executions(self, flow_id: str, version: str, since: float) -> dict[str, Executions]:
        """By the id of the data action, in the buckets that begin at or after `since`."""
        found: dict[str, Executions] = {}
        for start, outcomes in self.outcomes.get((flow_id, version), {}).items():
            if start >= since:
                for action_id, more in outcomes.actions.items():
                    found[action_id] = found.get(action_id, Executions()).plus(more)
        return found

    def versions(self, flow_id: str) -> set[str]:
        """Versions of the flow that have any outcome here."""
        return {version for flow, version in self.outcomes if flow == flow_id}


def total(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, Tally())


def window_of(tallies: Mapping[int, Tally], *, end: int, bucket_s: int, buckets: int) -> dict[int, Tally]:
    """The tallies of the newest `buckets` buckets before `end`."""
    first = end - buckets * bucket_s
    return {start: tally for start, tally in tallies.items() if first <= start < end}


def breach_minutes(tallies: Iterable[Tally], threshold_ratio: float) -> int:
    """Number of buckets whose own ratio is above the threshold."""
    return sum(1 for tally in tallies if tally.errors > threshold_ratio * tally.volume)
