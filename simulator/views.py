"""What the views of both dialects share: a read, a question to analytics, a publish, a page.

Here a fault of the request that is being answered bends what the answer tells.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any

from flask import g, request

from simulator.access import require
from simulator.errors import ApiError, bad_request
from simulator.reports import Grouping, Span, Table
from simulator.representation import operation_as_json
from simulator.simulation import Simulation
from simulator.vocabulary import Fault
from simulator.world import Fate, Operation, World

PAGE_SIZE = 25  # Genesys Cloud's default

_FATES: Mapping[str, Fate] = MappingProxyType(
    {"publish_nothing": Fate.FORGOTTEN, "publish_fails": Fate.FAILS, "publish_hangs": Fate.HANGS}
)


@contextmanager
def read_world(simulation: Simulation) -> Iterator[tuple[World, float]]:
    """The world as this request may see it, and as of when."""
    stale, frozen = _fault("stale_reads"), _fault("frozen_reads")
    with simulation.present() as now:
        if frozen is not None:
            at = math.nextafter(g.fault_since, 0.0)  # before whatever else happened at that moment
            yield simulation.world.as_of(at), at
        elif stale is not None:
            at = now - (stale.age_s or 0.0) / simulation.factor
            yield simulation.world.as_of(at), at
        else:
            yield simulation.world, now


@contextmanager
def tabulated(simulation: Simulation, span: Span, grouping: Grouping) -> Iterator[Table]:
    """What analytics tell this request."""
    simulation.draw_history(span)
    with simulation.present() as now:
        yield simulation.tabulate(span.until(_known_until(now, simulation.factor)), grouping)


def publish(simulation: Simulation, flow_id: str, version: str) -> dict[str, object]:
    """Start to make a version live for this request's client; the answer's body. Raises an `ApiError`."""
    client, logged = g.token.client, g.logged
    require("architect:flow:publish", client)
    fate = _FATES.get(g.fault.kind) if g.fault is not None else None

    def begin(at: float) -> Operation:
        operation = simulation.world.publish(flow_id, version, client=client.name, at=at, fate=fate)
        logged.effect_at = operation.effect_at
        return operation

    late = _fault("publish_late")
    with simulation.present() as now:
        if late is None:
            return operation_as_json(begin(now))
        simulation.later(now + (late.delay_s or 0.0) / simulation.factor, lambda at: _unless_refused(begin, at))
        return {}


def _unless_refused(begin: Callable[[float], Operation], at: float) -> None:
    with suppress(ApiError):  # nobody waits for the answer any more
        begin(at)


def page(found: Sequence[Any], as_json: Callable[[Any], dict[str, object]]) -> dict[str, object]:
    """The page of the list that this request asks for. Raises a 400 `ApiError` for one that cannot be."""
    size = _positive("pageSize", PAGE_SIZE)
    number = _positive("pageNumber", 1)
    first = (number - 1) * size
    body: dict[str, object] = {
        "entities": [as_json(one) for one in found[first : first + size]],
        "pageSize": size,
        "pageNumber": number,
        "total": len(found),
        "pageCount": -(-len(found) // size),
        "selfUri": request.path,
    }
    if first + size < len(found):
        body["nextUri"] = f"{request.path}?pageSize={size}&pageNumber={number + 1}"
    return body


def _known_until(now: float, factor: float) -> float:
    if _fault("silent_analytics"):
        return 0.0
    lag = _fault("analytics_lag")
    return math.inf if lag is None else now - (lag.lag_s or 0.0) / factor


def _fault(kind: str) -> Fault | None:
    fault: Fault | None = g.fault
    return fault if fault is not None and fault.kind == kind else None


def _positive(name: str, default: int) -> int:
    text = request.args.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise bad_request(f"{name} must be a positive number")
    return int(text)
