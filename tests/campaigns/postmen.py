"""Deliver webhooks as Alertmanager does: again and again, until somebody has taken them."""

import http.client
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock, Thread

from tests.campaigns.fleet import SECRETS, Member
from tests.campaigns.incidents import keys

PATIENCE_S = 60.0  # until somebody must have taken a delivery
_PAUSE_S = 0.05  # after a try that failed; Alertmanager's is longer


@dataclass
class Postbag:
    """What came of all deliveries."""

    delivered: int = 0
    tries: int = 0  # a lost answer may have been a 202, so that the same was stored twice
    refused: int = 0  # with 503
    accepted: set[tuple[str, float]] = field(default_factory=set)  # of each alert that was answered 202


class Postmen:
    """Some threads that deliver to any of the receivers; whatever is in a bag arrives."""

    def __init__(self, receivers: Sequence[Member], *, count: int, per_s: float, seed: int) -> None:
        self.bag = Postbag()
        self._receivers = receivers
        self._count = count
        self._per_s = per_s
        self._rng = random.Random(f"{seed} postmen")
        self._lock = Lock()

    def deliver(self, bodies: Iterable[bytes]) -> None:
        """Each body in its order, `per_s` of them in a second; all are accepted on return.

        Raises an AssertionError if a receiver answers what would make Alertmanager give up, or none takes a delivery.
        """
        to_do = iter(list(bodies))
        problems: list[BaseException] = []
        threads = [Thread(target=self._work, args=(to_do, problems)) for _ in range(self._count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]

    def _work(self, to_do: Iterator[bytes], problems: list[BaseException]) -> None:
        try:
            while not problems:
                begun = time.monotonic()
                with self._lock:
                    body = next(to_do, None)
                if body is None:
                    return
                self._deliver(body)
                time.sleep(max(0.0, begun + self._count / self._per_s - time.monotonic()))
        except BaseException as problem:  # noqa: BLE001 - the caller raises it
            problems.append(problem)

    def _deliver(self, body: bytes) -> None:
        give_up_at = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up_at:
            with self._lock:
                receiver = self._rng.choice(self._receivers)
                self.bag.tries += 1
            status = _post(receiver, body)
            if status == http.client.ACCEPTED:
                with self._lock:
                    self.bag.delivered += 1
                    self.bag.accepted |= keys(body)
                return
            assert status in (None, http.client.SERVICE_UNAVAILABLE), f"{receiver.name} answered {status}"
            with self._lock:
                self.bag.refused += status is not None
            time.sleep(_PAUSE_S)
        raise AssertionError(f"nobody has taken a delivery for {PATIENCE_S:g} s")


def _post(receiver: Member, body: bytes) -> int | None:
    """The status of the answer; None if there was none."""
    host, _, port = receiver.address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    headers = {"Authorization": f"Bearer {SECRETS['alertmanager']}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/api/v1/alerts", body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
