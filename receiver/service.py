"""What versions did while they were live, in parts that are read again and again and still counted once.

Pure. A period is a fixed stretch of time (a day, with the usual history buckets).
Of two readings of the same period the fuller one holds, whichever came first, so
that the window over which Genesys Cloud is asked may move on through a period.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from genesys.evidence import Columns, Evidence, Signal, Tally, total
from genesys.flows import Flow, FlowVersion
from genesys.history import DAY_BUCKETS
from genesys.stints import Stint, dated, merged
from receiver.common_cause import others_started_until

PERIOD_BUCKETS = DAY_BUCKETS  # of history; in the dialect `guide` figures come by so many, and are right only in sum


@dataclass(frozen=True, slots=True)
class Service:
    """What a version did in some time: its tally, and for how long it had conversations."""

    tally: Tally
    served_s: float  # sum of the buckets that had any


NO_SERVICE = Service(Tally(), 0.0)


@dataclass(frozen=True, slots=True)
class Period:
    """What one version of a flow did in [since, until), the part of a period that was read; Unix seconds."""

    flow_id: str
    version: str
    signal: Signal
    start: int
    since: int
    until: int
    service: Service


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known of a version's time in service: when it was live, as far as seen or dated, and what it did."""

    stints: tuple[Stint, ...] = ()
    service: Service = NO_SERVICE

    @property
    def live_s(self) -> float:
        return sum(stint.end - stint.start for stint in self.stints)

    @property
    def until(self) -> float:
        """When it was last known to be live; 0 if it never was."""
        return max((stint.end for stint in self.stints), default=0.0)


def periods(history: Evidence) -> Iterator[Period]:
    """The history cut into periods, those at its ends as far as it goes; by flow, version and signal.

    Where callers were transferred to is not kept for longer than Genesys Cloud does: it would be names without end.
    """
    length = PERIOD_BUCKETS * history.bucket_s
    for flow_id, version in history.outcomes:
        columns = history.columns(flow_id, version)
        for signal in sorted(history.signals - {Signal.ROUTING_SHIFT}):
            for start in range(history.start // length * length, history.end, length):
                since, until = max(start, history.start), min(start + length, history.end)
                service = _service(columns, signal, since, until)
                if service.served_s:
                    yield Period(flow_id, version, signal, start, since, until, service)


def _service(columns: Columns, signal: Signal, since: int, until: int) -> Service:
    """What was done in [since, until), summed as columns: of 5,000 flows there are a million buckets."""
    part = slice(columns.position(since), columns.position(until))
    errors, (entries, exits) = columns.errors(signal), columns.passages(signal)
    busy = sum(1 for entered, left in zip(entries[part], exits[part], strict=True) if entered or left)
    failed = 0 if errors is None else sum(errors[part])
    return Service(Tally(failed, sum(entries[part]), sum(exits[part])), float(busy * columns.bucket_s))


def service_of(tallies: Iterable[Tally], bucket_s: int) -> Service:
    """The tallies of disjoint buckets, together."""
    busy = [tally for tally in tallies if tally.volume]
    return Service(total(busy), float(len(busy) * bucket_s))


def together(kept: Iterable[tuple[float, float, Service]]) -> Service:
    """The services of (since, until) in sum.

    What overlaps an earlier one is left out: once the length of the history
    buckets was changed, some periods hold the same conversations.
    """
    counted, end = [], 0.0
    for since, until, service in sorted(kept, key=lambda one: one[:2]):
        if since >= end:
            counted.append(service)
            end = until
    return Service(total(one.tally for one in counted), sum(one.served_s for one in counted))


def live_stint(flow: Flow, known: Sequence[Stint], history: Evidence, *, listed_at: float) -> Stint | None:
    """When the live version of a flow has been live, by its date; None if it has none, or others deny it all.

    Whether the date moves when a version is made live again is not known: so
    no other stint that is known, and no conversation that began on another
    version, lies in it.
    """
    if flow.live_version is None or flow.live_published_at is None:
        return None
    start = max(flow.live_published_at, others_started_until(history, flow.id, flow.live_version))
    return after_others(Stint(flow.live_version, start, listed_at), known)


def ended_stints(versions: Sequence[FlowVersion]) -> list[Stint]:
    """The last stint of each version that is live no more, by its dates."""
    told = dated(versions, None, asked_at=0.0)
    later = (after_others(stint, told) for stint in told)
    return [stint for stint in later if stint is not None]


def after_others(stint: Stint, known: Iterable[Stint]) -> Stint | None:
    """The part of a stint after all that other versions had before its end; None if nothing is left."""
    ends = [other.end for other in known if other.version != stint.version and other.end <= stint.end]
    start = max(stint.start, *ends) if ends else stint.start
    return replace(stint, start=start) if start < stint.end else None


def whole(stints: Iterable[Stint]) -> tuple[Stint, ...]:
    """Stints of one version without overlaps, the oldest first."""
    return tuple(merged(list(stints)))
