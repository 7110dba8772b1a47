"""`rollbackctl deployments` and `rollbackctl gate` against a real receiver over HTTP."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from werkzeug.wrappers import Response

from receiver.ctl.cli import main
from receiver.metrics import ReceiverMetrics
from receiver.store import controls, flows, quarantines
from receiver.store.database import Store
from receiver.store.rollbacks import State
from receiver.web import create_app
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, list_live, listening, opened, put_alert, put_rollback, settings_of

NOW = time.time()
DIGEST, OTHER = "a" * 64, "b" * 64
REGISTER = ("deployments", "register", "--org", "retail", "--flow", f"flow-1={DIGEST}", "--commit", "c0ffee")


@dataclass(frozen=True)
class Pipeline:
    """A job with a token of the role ci, and a receiver to talk to."""

    url: str
    store: Store

    def run(self, *arguments: str, token: str | None = TOKENS["ci"]) -> Result:
        environ: Mapping[str, str | None] = {
            "ROLLBACKCTL_URL": self.url,
            "ROLLBACKCTL_TOKEN": token,
            "ROLLBACKCTL_TOKEN_FILE": None,
        }
        return CliRunner().invoke(main, arguments, env=environ)

    def shows(self, *arguments: str, token: str = TOKENS["ci"]) -> str:
        """What is printed; the command succeeds."""
        done = self.run(*arguments, token=token)
        assert done.exit_code == 0, done.output
        return done.stdout

    def gate(self, *flows: str, token: str | None = TOKENS["ci"]) -> Result:
        named = [part for flow in flows or (f"flow-1={DIGEST}",) for part in ("--flow", flow)]
        return self.run("gate", "--org", "retail", *named, token=token)

    def roll_back(self) -> None:
        with self.store.begin() as tx:
            done = put_rollback(tx, put_alert(tx, now=NOW), "r1", now=NOW, state=State.SUCCEEDED, ended_at=NOW)
            quarantines.put(tx, done, now=NOW)


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    settings = settings_of(tmp_path)
    with opened(settings) as store:
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())
        held_to_its_document(app)
        with listening(app) as port:
            yield Pipeline(f"http://127.0.0.1:{port}", store)


def test_a_deployment_is_registered_listed_and_called_good(pipeline: Pipeline) -> None:
    made = json.loads(
        pipeline.shows("--output", "json", *REGISTER, "--version", "flow-1=14.0", "--actor", "ann", "--rollback", "ask")
    )
    assert (made["flows"], made["actor"], made["rollback"]) == (
        [{"flow_id": "flow-1", "source_digest": DIGEST, "version": "14.0"}],
        "ann",
        "ask",
    )
    assert made["id"] in pipeline.shows("deployments", "list", "--org", "retail", "--flow", "flow-1", "--limit", "1")
    assert pipeline.shows("deployments", "list", "--org", "bank") == "no deployments\n"
    assert "by the-ci" in pipeline.shows("deployments", "good", made["id"])


def test_what_else_was_deployed_is_told_and_shown(pipeline: Pipeline) -> None:
    made = json.loads(pipeline.shows("--output", "json", *REGISTER, "--object", f"data_table:t-1={OTHER}"))
    assert made["objects"] == [{"object_type": "data_table", "object_id": "t-1", "source_digest": OTHER}]
    assert "data_table t-1" in pipeline.shows("deployments", "list")


def test_a_version_that_is_not_told_is_not_known_yet(pipeline: Pipeline) -> None:
    assert "not known yet" in pipeline.shows(*REGISTER)


def test_the_gate_lets_through_what_nobody_knows(pipeline: Pipeline) -> None:
    done = pipeline.gate(f"flow-1={DIGEST}", f"flow-2={OTHER}")
    assert (done.exit_code, done.stdout) == (0, "allowed\n")


def test_the_gate_refuses_what_was_rolled_back_and_says_how_to_go_on(pipeline: Pipeline) -> None:
    pipeline.shows(*REGISTER, "--version", "flow-1=14.0")
    pipeline.roll_back()
    done = pipeline.gate()
    assert done.exit_code == 1
    head, line = done.stdout.splitlines()
    assert head.split() == ["FLOW", "REFUSED", "BECAUSE"]
    assert line.split()[:2] == ["flow-1", "quarantined"]
    assert "rollbackctl quarantine lift" in line
    assert pipeline.gate(f"flow-1={OTHER}").exit_code == 0


def test_the_gate_refuses_while_a_person_has_stopped_it(pipeline: Pipeline) -> None:
    with pipeline.store.begin() as tx:
        controls.pause(tx, "retail", by="ann", reason="storm", now=NOW)
    done = pipeline.gate()
    assert (done.exit_code, "paused by ann" in done.stdout) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["gate", "--org", "retail"],
        ["gate", "--org", "retail", "--flow", "flow-1"],
        ["gate", "--org", "retail", "--flow", f"flow-1={DIGEST.upper()}"],
        ["gate", "--org", "retail", "--flow", f"={DIGEST}"],
        ["gate", "--flow", f"flow-1={DIGEST}"],
        [*REGISTER, "--version", "flow-2=14.0"],
        [*REGISTER, "--version", "14.0"],
        [*REGISTER, "--object", f"t-1={DIGEST}"],
        [*REGISTER, "--object", "data_table:t-1"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_before_anything_is_sent(arguments: list[str]) -> None:
    done = CliRunner().invoke(main, ["--url", "http://127.0.0.1:1", *arguments])
    assert done.exit_code == 2, done.output


def test_the_gate_ends_with_2_where_nobody_could_tell(pipeline: Pipeline) -> None:
    for token in (None, "unknown", TOKENS["alertmanager"]):
        assert pipeline.gate(token=token).exit_code == 2
    assert pipeline.run("gate", "--org", "other", "--flow", f"flow-1={DIGEST}").exit_code == 2
    with listening(Response()) as port:
        pass
    done = CliRunner().invoke(
        main, ["--url", f"http://127.0.0.1:{port}", "gate", "--org", "retail", "--flow", f"f={DIGEST}"]
    )
    assert done.exit_code == 2
    assert "does the receiver run" in done.stderr


@pytest.mark.parametrize(
    "answer", [Response(status=503), Response("<html>", 200), Response("<html>", 409)], ids=["503", "200", "409"]
)
def test_the_gate_ends_with_2_for_what_is_no_answer_of_a_receiver(answer: Response) -> None:
    with listening(answer) as port:
        url = f"http://127.0.0.1:{port}"
        done = CliRunner().invoke(main, ["--url", url, "gate", "--org", "retail", "--flow", f"f={DIGEST}"])
    assert done.exit_code == 2


def gauge(pipeline: Pipeline) -> str:
    """The samples of the metric."""
    page = httpx.get(f"{pipeline.url}/metrics").text
    return "\n".join(line for line in page.splitlines() if line.startswith("genesys_rollback_known_bad{"))


def test_flow_show_and_the_metric_say_that_what_is_live_is_known_bad(pipeline: Pipeline) -> None:
    with pipeline.store.begin() as tx:
        list_live(tx, "1.0", "15.0", now=NOW)
        assert len(flows.of(tx, "retail")) == 2
    pipeline.shows(*REGISTER, "--version", "flow-1=14.0")
    show = ("flow", "show", "retail", "flow-1")
    assert "KNOWN BAD" not in pipeline.shows(*show, token=TOKENS["viewer"])
    pipeline.shows(*REGISTER, "--version", "flow-1=15.0")
    pipeline.roll_back()
    assert gauge(pipeline) == 'genesys_rollback_known_bad{flow_id="flow-1",org="retail"} 1.0'
    said = "KNOWN BAD: registered with the source digest of 14.0, in quarantine since rollback r1"
    assert said in pipeline.shows(*show, token=TOKENS["viewer"])
