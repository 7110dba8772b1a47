"""Alerts that keep coming to the receivers of a fleet, each until it is accepted; and every answer to them.

Each alert fires and is over, which is two deliveries. The flow that they name is healthy: nothing comes of them.
"""

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.campaigns.clouds import GOOD
from tests.campaigns.fleet import SECRETS, Member
from tests.campaigns.incidents import Incident, Kind, keys, payload

ANSWER_S = 40.0  # longer than any receiver waits for its database


@dataclass(frozen=True, slots=True)
class Answer:
    """One try of one delivery, on the clock of `time.monotonic`; without a status nobody answered."""

    begun: float
    ended: float
    status: int | None


@dataclass
class Stream:
    """What came of everything that was sent; alerts by fingerprint and start."""

    answers: list[Answer] = field(default_factory=list)
    fired: set[tuple[str, float]] = field(default_factory=set)  # its firing was accepted
    over: set[tuple[str, float]] = field(default_factory=set)  # its end as well

    @property
    def accepted(self) -> int:
        """Deliveries."""
        return len(self.fired) + len(self.over)

    def statuses(self, since: float = 0.0, until: float = float("inf")) -> Counter[int | None]:
        """The answers to what was sent and answered within a time."""
        return Counter(one.status for one in self.answers if since <= one.begun and one.ended <= until)


@contextmanager
def streaming(
    receivers: Sequence[Member], org: str, flow_id: str, *, senders: int, pause_s: float, seed: int
) -> Iterator[Stream]:
    """Alerts come from so many threads as long as the context lasts; each thread pauses after each try."""
    stream, stop = Stream(), threading.Event()
    incident = Incident(org, flow_id, GOOD, Kind.FORGED, time.time())

    def send(number: int) -> None:
        chance = random.Random(f"{seed} sender {number}")

        def accepted(body: bytes) -> bool:
            while not stop.is_set():
                answer = _try(chance.choice(receivers), body)
                stream.answers.append(answer)
                stop.wait(pause_s)
                if answer.status == http.client.ACCEPTED:
                    return True
            return False

        variant = number
        while not stop.is_set():
            variant += senders  # no two of all threads are the same alert
            fires, ends = (payload([incident.alert(variant, firing=firing)]) for firing in (True, False))
            if accepted(fires):
                stream.fired.update(keys(fires))
                if accepted(ends):
                    stream.over.update(keys(ends))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(senders)]
    for thread in threads:
        thread.start()
    try:
        yield stream
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _try(receiver: Member, body: bytes) -> Answer:
    host, _, port = receiver.address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=ANSWER_S)
    headers = {"Authorization": f"Bearer {SECRETS['alertmanager']}", "Content-Type": "application/json"}
    begun, status = time.monotonic(), None
    try:
        connection.request("POST", "/api/v1/alerts", body, headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        pass  # no answer is one as well
    finally:
        connection.close()
    return Answer(begun, time.monotonic(), status)
