"""Notifications over real HTTP: at least once, each sink on its own, with growing pauses."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.wrappers import Request, Response

from receiver.config import ReceiverSettings
from receiver.metrics import ReceiverMetrics
from receiver.notify.delivery import CLAIM_TIMEOUTS, Deliverer
from receiver.notify.sinks import sinks_of
from receiver.outbound import Outbound
from receiver.store import audit, outbox
from receiver.store.database import Store, StoreUnavailable, Transaction
from tests.receiver_world import ORGS, listening, opened, settings_of

NOW = 1_795_349_000.0
TIMING = {"outbox_retry_s": 5.0, "outbox_retry_max_s": 60.0, "call_timeout_s": 2.0, "tick_s": 0.01}


@dataclass
class Sink:
    """Somebody's webhook; answers with `status`, or not before `release`."""

    status: int = 200
    release: threading.Event | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def answer(self, request: Request) -> Response:
        self.requests.append({"headers": dict(request.headers), "body": json.loads(request.get_data())})
        self.arrived.release()
        if self.release is not None:
            self.release.wait(10)
        return Response(status=self.status)


@contextmanager
def at_work(sink: Sink) -> Iterator[str]:
    """The sink's URL while it listens."""
    with listening(Request.application(sink.answer)) as port:
        try:
            yield f"http://127.0.0.1:{port}/hook"
        finally:
            if sink.release is not None:
                sink.release.set()


@dataclass
class World:
    """One receiver's outbox and its sinks, at a time that only moves when told."""

    store: Store
    settings: ReceiverSettings
    metrics: ReceiverMetrics
    http: Outbound
    at: float = NOW

    def deliverer(self) -> Deliverer:
        return Deliverer(
            self.store,
            sinks_of(self.settings, self.http),
            self.metrics,
            self.settings.timing,
            clock=lambda _: self.at,
        )

    def put(self, subject: str = "r1/ROLLBACK_SUCCEEDED", **payload: object) -> None:
        with self.store.begin() as tx:
            outbox.put(tx, [sink.name for sink in self.settings.webhooks], subject, payload, now=self.at)

    def audit_head(self) -> str:
        with self.store.begin() as tx:
            head = audit.head(tx)
        assert head is not None
        return head.hash

    def pending(self) -> dict[str, int]:
        with self.store.begin() as tx:
            return {sink: waiting.pending for sink, waiting in outbox.backlog(tx).items()}

    def counted(self) -> dict[tuple[str, str], float]:
        families = text_string_to_metric_families(self.metrics.page().decode())
        family = next(family for family in families if family.name == "genesys_rollback_notifications")
        return {(sample.labels["sink"], sample.labels["result"]): sample.value for sample in family.samples}


@contextmanager
def world_of(folder: Path, **urls: str) -> Iterator[World]:
    sinks = [{"name": name, "url": url} for name, url in urls.items()]
    sinks[0]["token_env"] = "SINK_TOKEN"
    settings = settings_of(folder, webhooks=sinks, timing=TIMING)
    with opened(settings) as store, closing(Outbound(settings.timing.call_timeout_s)) as http:
        yield World(store, settings, ReceiverMetrics(store, settings, ORGS), http)


@pytest.fixture
def pager() -> Sink:
    return Sink()


@pytest.fixture
def world(tmp_path: Path, pager: Sink) -> Iterator[World]:
    """A receiver with one sink, `pager`."""
    with at_work(pager) as url, world_of(tmp_path, pager=url) as made:
        yield made


def test_an_event_is_posted_with_its_id_and_the_sinks_token(world: World, pager: Sink) -> None:
    world.put(incident_type="ROLLBACK_SUCCEEDED", flow_id="flow-1")

    assert world.deliverer().deliver_due() == 1

    (request,) = pager.requests
    event_id = request["body"].pop("event_id")
    assert request["body"].pop("audit_head") == world.audit_head()
    assert request["body"] == {"incident_type": "ROLLBACK_SUCCEEDED", "flow_id": "flow-1"}
    assert request["headers"]["Idempotency-Key"] == event_id
    assert request["headers"]["Authorization"] == "Bearer token-of-the-sink"
    assert request["headers"]["Content-Type"] == "application/json"


def test_what_was_delivered_is_not_sent_again(world: World, pager: Sink) -> None:
    world.put()
    deliverer = world.deliverer()
    assert [deliverer.deliver_due(), deliverer.deliver_due()] == [1, 0]
    world.put()  # the same subject
    world.at += 10_000
    assert deliverer.deliver_due() == 0
    assert len(pager.requests) == 1
    assert world.pending() == {}


def test_everything_that_is_due_goes_in_its_order(world: World, pager: Sink) -> None:
    for number in range(5):
        world.put(f"event {number}", number=number)
    assert world.deliverer().deliver_due() == 5
    assert [request["body"]["number"] for request in pager.requests] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503])
def test_anything_but_a_success_is_tried_again_with_the_same_id(world: World, pager: Sink, status: int) -> None:
    world.put()
    pager.status = status
    assert world.deliverer().deliver_due() == 0
    assert world.pending() == {"pager": 1}

    pager.status = 204
    world.at += 5
    assert world.deliverer().deliver_due() == 1
    first, second = pager.requests
    assert first["body"]["event_id"] == second["body"]["event_id"]
    assert world.counted() == {("pager", "failed"): 1, ("pager", "delivered"): 1, ("pager", "refused"): 0}


def test_the_pause_doubles_up_to_its_maximum(world: World, pager: Sink) -> None:
    pager.status = 500
    world.put()
    deliverer = world.deliverer()
    tried_after_s = []
    for second in range(200):
        before = len(pager.requests)
        deliverer.deliver_due()
        if len(pager.requests) > before:
            tried_after_s.append(second)
        world.at += 1
    assert tried_after_s == [0, 5, 15, 35, 75, 135, 195]


def test_one_message_that_fails_does_not_hold_up_the_next(world: World, pager: Sink) -> None:
    pager.status = 500
    world.put("first")
    world.deliverer().deliver_due()
    pager.status = 200
    world.put("second")
    assert world.deliverer().deliver_due() == 1
    assert world.pending() == {"pager": 1}


def test_a_failure_is_logged_with_what_to_check_and_without_the_token(
    world: World, pager: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    pager.status = 401
    world.put()
    world.deliverer().deliver_due()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "receiver.notify.delivery"]
    assert line.startswith("notification_failed sink=pager event_id=")
    assert "HTTP 401" in line
    assert "check the url and the token" in line
    assert "token-of-the-sink" not in caplog.text


def test_a_message_that_another_receiver_is_sending_is_left_to_it(world: World, pager: Sink) -> None:
    world.put()
    with world.store.begin() as tx:
        outbox.claim(tx, "pager", now=NOW, claim_s=CLAIM_TIMEOUTS * 2.0)
    assert world.deliverer().deliver_due() == 0


def test_a_message_whose_sender_died_is_sent_by_the_next_one(world: World, pager: Sink) -> None:
    world.put()
    with world.store.begin() as tx:
        outbox.claim(tx, "pager", now=NOW, claim_s=CLAIM_TIMEOUTS * 2.0)
    world.at += CLAIM_TIMEOUTS * 2.0
    assert world.deliverer().deliver_due() == 1


def test_a_sink_that_hangs_delays_no_other(tmp_path: Path) -> None:
    hanging, good = Sink(release=threading.Event()), Sink()
    stop = threading.Event()
    with (
        at_work(hanging) as hanging_url,
        at_work(good) as good_url,
        world_of(tmp_path, hanging=hanging_url, good=good_url) as world,
    ):
        world.put()
        runner = threading.Thread(target=world.deliverer().run, args=(stop,))
        runner.start()
        try:
            assert hanging.arrived.acquire(timeout=10)
            assert good.arrived.acquire(timeout=10), "the good sink had to wait for the hanging one"
        finally:
            stop.set()
            assert hanging.release is not None
            hanging.release.set()
            runner.join(10)
    assert not runner.is_alive()


def test_a_sink_that_nobody_answers_for_is_only_tried_again(tmp_path: Path) -> None:
    with at_work(Sink()) as url:
        pass
    with world_of(tmp_path, dead=url) as world:
        world.put()
        assert world.deliverer().deliver_due() == 0
        assert world.counted()["dead", "failed"] == 1


def test_without_the_database_the_loop_goes_on_until_it_is_back(
    world: World, pager: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    stop, logged = threading.Event(), threading.Event()
    failing = threading.Event()
    failing.set()

    def clock(_: Transaction) -> float:
        if failing.is_set():
            logged.set()
            raise StoreUnavailable("the database went away")
        return world.at

    world.put()
    deliverer = Deliverer(
        world.store, sinks_of(world.settings, world.http), world.metrics, world.settings.timing, clock=clock
    )
    runner = threading.Thread(target=deliverer.run, args=(stop,))
    runner.start()
    assert logged.wait(10)
    failing.clear()
    assert pager.arrived.acquire(timeout=10)
    stop.set()
    runner.join(10)
    assert "outbox_unavailable sink=pager" in caplog.text
    assert deliverer.problems() == []


def test_an_error_in_the_program_ends_one_sinks_thread_loudly_and_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, stop = Sink(), threading.Event()
    with at_work(good) as url, world_of(tmp_path, first=url, second=url) as world:
        broken = threading.Event()

        def clock(_: Transaction) -> float:
            if threading.current_thread().name == "deliver-first":
                broken.set()
                raise ZeroDivisionError
            return world.at

        world.put()
        deliverer = Deliverer(
            world.store, sinks_of(world.settings, world.http), world.metrics, world.settings.timing, clock=clock
        )
        runner = threading.Thread(target=deliverer.run, args=(stop,))
        runner.start()
        assert broken.wait(10)
        assert good.arrived.acquire(timeout=10)
        stop.set()
        runner.join(10)
        assert deliverer.problems() == ["delivery to first has stopped; restart the receiver"]
        assert world.pending() == {"first": 1}
    assert "delivery_stopped sink=first" in caplog.text
