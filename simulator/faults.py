"""The faults that are set, and which of them meets a request."""

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from simulator.objects import PATHS
from simulator.vocabulary import Fault


class Subject(StrEnum):
    """What a request is about, in either dialect; nothing of this for a token."""

    ANALYTICS = "analytics"
    PUBLISH = "publish"
    EXPORT = "export"  # a version written down as a file
    UPLOAD = "upload"  # of a file, which is deployed: a write as much as a publish
    OBJECT = "object"  # the write of a configuration object that is no flow
    READ = "read"  # of flows and their versions


# The kinds that meet only requests about one thing.
_CONCERNS: Mapping[str, Subject] = MappingProxyType(
    {
        "silent_analytics": Subject.ANALYTICS,
        "analytics_lag": Subject.ANALYTICS,
        "stale_reads": Subject.READ,
        "frozen_reads": Subject.READ,
        "publish_late": Subject.PUBLISH,
        "publish_nothing": Subject.PUBLISH,
        "publish_fails": Subject.PUBLISH,
        "publish_hangs": Subject.PUBLISH,
        "export_fails": Subject.EXPORT,
        "export_hangs": Subject.EXPORT,
        "upload_late": Subject.UPLOAD,
        "upload_refused": Subject.UPLOAD,
        "deploy_nothing": Subject.UPLOAD,
        "deploy_fails": Subject.UPLOAD,
        "deploy_hangs": Subject.UPLOAD,
        "object_nothing": Subject.OBJECT,
    }
)

_PATHS = (
    (Subject.ANALYTICS, ("GET", "POST"), "/api/v2/analytics/"),
    (Subject.PUBLISH, ("POST",), "/api/v2/flows/actions/publish"),
    (Subject.PUBLISH, ("PATCH",), "/api/v2/architect/deployments/"),
    (Subject.EXPORT, ("POST",), "/api/v2/flows/export/jobs"),
    (Subject.UPLOAD, ("PUT",), "/storage/uploads/"),
    (Subject.OBJECT, ("POST", "PUT", "PATCH", "DELETE"), tuple(f"/api/v2/{path}/" for path in PATHS.values())),
    (Subject.READ, ("GET",), ("/api/v2/flows", "/api/v2/architect/flows")),
)  # the first that fits


def subject(method: str, path: str) -> Subject | None:
    """What a request is about, whether it can be answered or not."""
    return next((about for about, methods, prefix in _PATHS if method in methods and path.startswith(prefix)), None)


@dataclass
class SetFault:
    """A fault that was set at `since`; `left` counts the requests that it may still meet."""

    fault: Fault
    since: float
    left: int | None
    until: float


class Faults:
    """Faults in the order in which they were given; the first that matches meets the request."""

    def __init__(self, *, factor: float, rng: random.Random) -> None:
        self._factor = factor
        self._rng = rng
        self._set: list[SetFault] = []

    def replace(self, faults: Iterable[Fault], now: float) -> None:
        self._set = [
            SetFault(fault, now, fault.times, math.inf if fault.for_s is None else now + fault.for_s / self._factor)
            for fault in faults
        ]

    def meet(self, method: str, path: str, now: float) -> SetFault | None:
        """The fault that this request meets, if any; it is used up by one."""
        self._set = [entry for entry in self._set if entry.left != 0 and now < entry.until]
        for entry in self._set:
            if _matches(entry.fault, method, path) and self._rng.random() < entry.fault.probability:
                if entry.left is not None:
                    entry.left -= 1
                return entry
        return None

    def as_json(self) -> list[dict[str, object]]:
        """What is set now, with `times` as they are left."""
        return [
            entry.fault.model_dump(mode="json", exclude_defaults=True)
            | ({} if entry.left is None else {"times": entry.left})
            for entry in self._set
        ]


def _matches(fault: Fault, method: str, path: str) -> bool:
    return fault.match.meets(method, path) and _CONCERNS.get(fault.kind) in (None, subject(method, path))
