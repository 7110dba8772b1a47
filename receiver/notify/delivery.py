"""Sends what waits in the outbox: at least once, each sink on its own, with a growing pause after each failure.

A rollback never waits for it: events are written with the change that they tell of,
and whatever happens here is only a delay, a metric and a line in the log.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from genesys.log import event
from receiver.config import Timing
from receiver.metrics import ReceiverMetrics, Sending
from receiver.notify.sink import Refusal, Sink
from receiver.outbound import OutboundError
from receiver.store import outbox
from receiver.store.database import Store, StoreUnavailable, Transaction, clock
from receiver.store.outbox import Message

log = logging.getLogger(__name__)

# A time-out bounds connecting, sending and each read of the answer, so one call can take several of them, and an event
# may need three calls. A claim that runs out earlier would let another receiver send the same event.
CLAIM_TIMEOUTS = 18
_MAX_DOUBLINGS = 30  # far beyond any outbox_retry_max_s, and no overflow


class Deliverer:
    """Delivers to the configured sinks; several receivers may do so on one database."""

    def __init__(
        self,
        store: Store,
        sinks: Sequence[Sink],
        metrics: ReceiverMetrics,
        timing: Timing,
        *,
        clock: Callable[[Transaction], float] = clock,
    ) -> None:
        self._store = store
        self._sinks = tuple(sinks)
        self._metrics = metrics
        self._timing = timing
        self._clock = clock
        self._dead: dict[str, str] = {}

    def deliver_due(self) -> int:
        """Try every message that is due, sink by sink; gives how many were delivered. Raises StoreUnavailable."""
        return sum(self._deliver_to(sink) for sink in self._sinks)

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set, in a thread for each sink; returns when all of them have ended."""
        threads = [
            threading.Thread(target=self._serve, args=(sink, stop), name=f"deliver-{sink.name}", daemon=True)
            for sink in self._sinks
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def problems(self) -> list[str]:
        """Sinks that nothing is delivered to any more, a sentence each: only an error in the program does that."""
        return list(self._dead.values())

    def _serve(self, sink: Sink, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                self._round(sink)
                stop.wait(self._timing.tick_s)
        except Exception:
            self._dead[sink.name] = f"delivery to {sink.name} has stopped; restart the receiver"
            log.exception('delivery_stopped sink=%s cure="restart the receiver, and report this"', sink.name)

    def _round(self, sink: Sink) -> None:
        try:
            self._deliver_to(sink)
        except StoreUnavailable as problem:
            cure = "bring the database back; see database_url in receiver.yml"
            event(log, logging.WARNING, "outbox_unavailable", sink=sink.name, error=problem, cure=cure)

    def _deliver_to(self, sink: Sink) -> int:
        count = 0
        while (message := self._claim(sink)) is not None:
            count += self._deliver(sink, message)
        return count

    def _claim(self, sink: Sink) -> Message | None:
        claim_s = CLAIM_TIMEOUTS * self._timing.call_timeout_s
        return self._store.transact(
            lambda tx: outbox.claim(tx, sink.name, now=self._clock(tx), claim_s=claim_s, line=sink.line)
        )

    def _deliver(self, sink: Sink, message: Message) -> bool:
        try:
            sink.send(message.payload, message.event_id)
        except Refusal as problem:
            self._refused(sink, message, problem)
            return False
        except OutboundError as problem:
            self._failed(sink, message, problem)
            return False
        # Counted before it is recorded: if the database fails now, the sink gets the event again, and had it before.
        self._metrics.sent(sink.name, Sending.DELIVERED)
        self._store.transact(lambda tx: outbox.delivered(tx, message, now=self._clock(tx)))
        event(log, logging.INFO, "notification_delivered", sink=sink.name, event_id=message.event_id)
        return True

    def _refused(self, sink: Sink, message: Message, problem: Refusal) -> None:
        """Not tried again; people see it in the metrics and in the log."""
        self._metrics.sent(sink.name, Sending.REFUSED)
        event(
            log,
            logging.ERROR,
            "notification_refused",
            sink=sink.name,
            event_id=message.event_id,
            error=problem,
            cure="correct the sink in receiver.yml, and try it: rollbackctl notify test",
        )
        error = str(problem)
        self._store.transact(lambda tx: outbox.refused(tx, message, error, now=self._clock(tx)))

    def _failed(self, sink: Sink, message: Message, problem: OutboundError) -> None:
        self._metrics.sent(sink.name, Sending.FAILED)
        pause_s = self._pause_s(message.tries)
        event(
            log,
            logging.WARNING,
            "notification_failed",
            sink=sink.name,
            event_id=message.event_id,
            tries=message.tries + 1,
            again_in_s=pause_s,
            error=problem,
            cure="check the url and the token or key of this sink in receiver.yml",
        )
        error = str(problem)
        self._store.transact(lambda tx: outbox.failed(tx, message, error, retry_at=self._clock(tx) + pause_s))

    def _pause_s(self, tries_before: int) -> float:
        doubled_s: float = self._timing.outbox_retry_s * 2 ** min(tries_before, _MAX_DOUBLINGS)
        return min(doubled_s, self._timing.outbox_retry_max_s)
