"""Scrapes as Prometheus makes them, and how long they take."""

import http.client
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Durations:
    """Milliseconds, shortest first."""

    ms: Sequence[float]

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "Durations":
        return cls(sorted(each * 1000 for each in seconds))

    def quantile(self, share: float) -> float:
        return self.ms[min(len(self.ms) - 1, int(share * len(self.ms)))]


def get(address: str, path: str = "/metrics", *, encoding: str = "identity", timeout_s: float = 300.0) -> bytes:
    """The body of an answer as it came over the wire; raises `OSError` for any other status than 200."""
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Accept-Encoding": encoding})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise OSError(f"{address}{path} answered {answer.status}")
    return body


def timed(address: str, encoding: str, *, goes_on: Callable[[int], bool], every_s: float = 0.0) -> Durations:
    """Scrapes one after the other, with a pause of `every_s`, while `goes_on(number so far)`."""
    seconds: list[float] = []
    while goes_on(len(seconds)):
        started = time.perf_counter()
        get(address, encoding=encoding)
        seconds.append(time.perf_counter() - started)
        time.sleep(every_s)
    return Durations.of(seconds)
