"""`rollbackctl notify test` and `POST /notifications/test`: what came back from each sink, and who has asked."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from werkzeug.wrappers import Request, Response

from receiver.ctl.cli import main
from receiver.metrics import ReceiverMetrics
from receiver.notify.chat import ChatSink
from receiver.notify.sink import Sink
from receiver.notify.sinks import sinks_of
from receiver.outbound import Outbound, OutboundError
from receiver.store import audit
from receiver.store.database import Store
from receiver.web import create_app
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, listening, opened, settings_of


class Listener:
    """A webhook or a chat; answers with `status`."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.bodies: list[dict[str, object]] = []

    @Request.application
    def app(self, request: Request) -> Response:
        self.bodies.append(json.loads(request.get_data()))
        return Response(status=self.status)


@dataclass
class Desk:
    url: str
    store: Store
    good: Listener

    def run(self, *arguments: str, role: str = "operator") -> Result:
        environ = {"ROLLBACKCTL_TOKEN": TOKENS[role]}
        return CliRunner().invoke(main, ["--url", self.url, *arguments], env=environ)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    good, bad = Listener(), Listener(503)
    with listening(good.app) as good_port, listening(bad.app) as bad_port:
        hooks = {"good": good_port, "bad": bad_port}
        urls = [{"name": name, "url": f"http://127.0.0.1:{port}/"} for name, port in hooks.items()]
        settings = settings_of(tmp_path, webhooks=urls)
        with opened(settings) as store, closing(Outbound(10.0)) as http:
            sinks = sinks_of(settings, http)
            metrics = ReceiverMetrics(store, settings, ORGS)
            app = create_app(store, settings, ORGS, metrics, lambda: (), sinks=sinks)
            held_to_its_document(app)
            with listening(app) as port:
                yield Desk(f"http://127.0.0.1:{port}", store, good)


def test_it_shows_what_came_back_from_each_sink_and_is_audited(desk: Desk) -> None:
    done = desk.run("notify", "test")
    assert done.exit_code == 1
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert lines[1] == ["good", "taken", "taken"]
    assert lines[2] == ["bad", "failed", "127.0.0.1 answered HTTP 503"]
    (body,) = desk.good.bodies
    assert body["incident_type"] == "TEST"
    with desk.store.begin() as tx:
        row = audit.newest(tx, before=None, limit=1)[0]
    assert (row.kind, row.actor) == ("notifications_tested", "the-operator")
    assert json.loads(row.facts)["results"][1]["detail"] == "127.0.0.1 answered HTTP 503"


def test_one_sink_can_be_tried_alone(desk: Desk) -> None:
    done = desk.run("--output", "json", "notify", "test", "--sink", "good")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"results": [{"sink": "good", "taken": True, "detail": "taken"}]}


def test_a_sink_that_is_not_configured_is_refused_with_those_that_are(desk: Desk) -> None:
    done = desk.run("notify", "test", "--sink", "other")
    assert done.exit_code == 1
    assert "#/sink: is not configured; known: good, bad" in done.stderr


def test_only_operators_may_try(desk: Desk) -> None:
    done = desk.run("notify", "test", role="viewer")
    assert (done.exit_code, desk.good.bodies) == (1, [])


# Chat, through the real library


def chat(url: str) -> Sink:
    return ChatSink("team", lambda: url, UTC)


def test_a_chat_gets_the_sentences() -> None:
    listener = Listener()
    with listening(listener.app) as port:
        event = {"incident_type": "ROLLBACK_FAILED", "flow_name": "Main IVR", "reason": "no_effect"}
        assert chat(f"json://127.0.0.1:{port}/").send(event, "e1") == "taken"
    (body,) = listener.bodies
    assert body["title"] == "Main IVR: rollback to an earlier version FAILED"
    assert "failed: no_effect. Look at the flow." in str(body["message"])
    assert body["type"] == "failure"


def test_a_chat_that_does_not_take_it_is_an_error_without_its_address(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    listener = Listener(500)
    with listening(listener.app) as port, pytest.raises(OutboundError) as failed:
        chat(f"json://127.0.0.1:{port}/secret-path").send({"incident_type": "ROLLBACK_FAILED"}, "e1")
    assert "secret-path" not in str(failed.value)
    assert not [record for record in caplog.records if record.name.startswith("apprise")]
    assert "secret-path" not in capfd.readouterr().err.replace("POST /secret-path", "")
