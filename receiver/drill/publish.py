"""One publish of a drill: sent once, and read back until its end is known or the time is up."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from genesys.dialect import GenesysCloud
from genesys.errors import GenesysError, Unavailable
from genesys.flows import Readback, read_back
from genesys.http import Clock

LOOK_S = 1.0  # between two looks at the flow; the figures are as exact


class End(StrEnum):
    """What became of a publish."""

    LIVE = "live"
    REFUSED = "refused"  # it had no effect
    FAILED = "failed"  # Genesys Cloud says so of its operation
    NO_EFFECT = "no effect"  # in the time that there was
    UNKNOWN = "unknown"  # an operation that does not end, or a flow that cannot be read
    OVERTAKEN = "overtaken"  # somebody else has published a third version


@dataclass(frozen=True, slots=True)
class Published:
    """`answered_s` and `live_s` count from the first byte; None is never."""

    end: End
    detail: str
    answered_s: float | None = None
    live_s: float | None = None


def publish(
    genesys: GenesysCloud,
    flow_id: str,
    target: str,
    over: str,
    *,
    clock: Clock,
    deadline_s: float,
    renew: Callable[[], None],
) -> Published:
    """Make `target` live over `over`. `renew` is called before each look. Nobody can interrupt it: it ends in time."""
    begun = clock.monotonic()
    operation_id, detail = None, "answered"
    try:
        operation_id = genesys.publish(flow_id, target).id
    except Unavailable as problem:
        detail = f"the answer was lost ({problem})"
    except GenesysError as problem:
        return Published(End.REFUSED, str(problem), clock.monotonic() - begun)
    answered_s = clock.monotonic() - begun
    last: Readback | None = None
    while clock.monotonic() < begun + deadline_s:
        clock.sleep(LOOK_S)
        renew()
        try:
            flow = genesys.flow(flow_id)
        except GenesysError as problem:
            last, detail = None, f"the flow cannot be read ({problem})"
            continue
        last = read_back(flow, accused=over, target=target, operation_id=operation_id)
        operation = flow.operation
        if last is Readback.DONE:
            return Published(End.LIVE, detail, answered_s, clock.monotonic() - begun)
        if last is Readback.FAILED:
            return Published(End.FAILED, (operation and operation.error) or "without a reason", answered_s)
        if last is Readback.OVERTAKEN:
            return Published(End.OVERTAKEN, f"version {flow.live_version} is live", answered_s)
        under_way = operation is not None and not operation.complete
        detail = "its operation is under way" if under_way else f"version {flow.live_version} is live"
        last = None if under_way else last
    return Published(End.UNKNOWN if last is None else End.NO_EFFECT, f"{detail} after {deadline_s:g} s", answered_s)
