"""Tries sinks with an event of its own, beside the outbox: nothing is kept, and nothing is tried again."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from receiver.notify.events import rfc3339
from receiver.notify.kinds import IncidentType
from receiver.notify.sink import Sink
from receiver.outbound import OutboundError


@dataclass(frozen=True, slots=True)
class Tried:
    """What came back from one sink."""

    sink: str
    taken: bool
    detail: str


def try_sinks(sinks: Sequence[Sink], by: str, *, now: Callable[[], float] = time.time) -> list[Tried]:
    """Send one TEST event to each, side by side: a sink that hangs keeps nobody from the others' answers."""
    if not sinks:
        return []
    event_id = str(uuid4())
    with ThreadPoolExecutor(len(sinks), thread_name_prefix="notify-test") as threads:
        return list(threads.map(partial(_try, event_of(by, now()), event_id), sinks))


def event_of(by: str, at: float) -> dict[str, Any]:
    """The event: what every event has, and no flow."""
    told = f"{by} tries whether it arrives, and nothing has to be done"
    return {"incident_type": IncidentType.TEST.value, "timestamp": rfc3339(at), "action_taken": "NONE", "reason": told}


def _try(event: dict[str, Any], event_id: str, sink: Sink) -> Tried:
    try:
        return Tried(sink.name, True, sink.send(event, event_id))
    except OutboundError as problem:
        return Tried(sink.name, False, str(problem))
