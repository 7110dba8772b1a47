"""Figures of the dialect `guide`: errors and conversation time of one entity in one stretch of time.

Owns `GET /api/v2/analytics/measures/conversations` and what is kept of its
answers: each call answers so little that none is made twice without need.
"""

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from genesys.access import Session
from genesys.answers import Answer, unexpected
from genesys.evidence import Outcomes
from genesys.http import Request

ENDPOINT = "analytics/measures/conversations"
ERRORS = "conversation.errors.total"
DURATION = "conversation.duration.total"
DURATION_PER_CONVERSATION = 60  # the guide divides by it, and calls that the volume

ERROR_EXIT, OTHER_EXIT = "FLOW_ERROR_DISCONNECT", "UNKNOWN"  # the guide tells errors, and nothing of other ends

READ_AGAIN_BUCKETS = 1  # when so many newer ones have settled, a bucket is asked for once more: some data come late


@dataclass(frozen=True, slots=True)
class Entity:
    """What is counted: one flow, or the whole organization."""

    type: str
    id: str


ORGANIZATION = Entity("org", "all")


@dataclass(frozen=True, slots=True)
class Figures:
    """Errors and volume of some stretch of time; the volume is never less than the errors."""

    errors: int
    volume: int

    def spread(self, parts: int) -> Iterator["Figures"]:
        """The same figures in equal parts, as far as whole numbers allow."""
        others = self.volume - self.errors
        for part in range(parts):
            errors, good = (total * (part + 1) // parts - total * part // parts for total in (self.errors, others))
            yield Figures(errors, errors + good)

    def outcomes(self) -> Outcomes:
        exits = {ERROR_EXIT: self.errors, OTHER_EXIT: self.volume - self.errors}
        return Outcomes(self.volume, {reason: count for reason, count in exits.items() if count})


class Measures:
    """Asks for figures, and keeps those that do not change any more. Safe to be shared by threads."""

    def __init__(self, session: Session, *, api: str) -> None:
        self._session = session
        self._url = f"{api}/{ENDPOINT}"
        self._lock = threading.Lock()
        self._kept: dict[int, dict[tuple[Entity, int, int], tuple[Figures, int]]] = {}

    def forget_before(self, start: int, *, bucket_s: int) -> None:
        """Keep nothing that begins before `start`, of what was asked for with this length of buckets."""
        with self._lock:
            kept = self._kept.get(bucket_s, {})
            self._kept[bucket_s] = {key: figures for key, figures in kept.items() if key[1] >= start}

    def read(self, entity: Entity, start: int, end: int, *, data_end: int, bucket_s: int, deadline: float) -> Figures:
        """Figures of [start, end), Unix seconds; `data_end` is the end of what has settled.

        Raises `Unavailable` when the answer does not hold them: absent is unknown here, not zero.
        """
        key = (entity, start, end)
        with self._lock:
            kept = self._kept.get(bucket_s, {}).get(key)
        if kept is not None and kept[1] >= end + READ_AGAIN_BUCKETS * bucket_s:
            return kept[0]
        figures = self._ask(entity, start, end, deadline)
        with self._lock:
            self._kept.setdefault(bucket_s, {})[key] = (figures, data_end)
        return figures

    def _ask(self, entity: Entity, start: int, end: int, deadline: float) -> Figures:
        """Two calls, or one if the answer to the first holds the duration as well."""
        values = self._values(ERRORS, entity, start, end, deadline)
        errors = values.number(ERRORS)
        if not errors.is_integer():
            raise unexpected(ENDPOINT, f"{ERRORS} is not a whole number")
        duration = values.optional_number(DURATION)
        if duration is None:
            duration = self._values(DURATION, entity, start, end, deadline).number(DURATION)
        # Rounded up: a ratio that is too high could accuse.
        return Figures(int(errors), max(int(errors), math.ceil(duration / DURATION_PER_CONVERSATION)))

    def _values(self, metric: str, entity: Entity, start: int, end: int, deadline: float) -> Answer:
        body = {
            "interval": {"start": start * 1000, "end": end * 1000},
            "metric": metric,
            "entity": {"type": entity.type, "id": entity.id},
        }
        answer = Answer(ENDPOINT, self._session.read(Request("GET", self._url, ENDPOINT, json=body), deadline=deadline))
        first = next(answer.items("data"), None)
        values = first.optional_object("values") if first else None
        if values is None:
            raise unexpected(ENDPOINT, "data[0].values is missing")
        return values
