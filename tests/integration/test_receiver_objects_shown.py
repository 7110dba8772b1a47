"""What people see of kept objects: API, rollbackctl, console, notification; and what a pipeline brings about."""

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from receiver.ctl.cli import main as rollbackctl
from receiver.notify.wording import worded
from receiver.web.app import create_app
from tests.integration.object_world import ACTION, IVR, TYPES, ObjectScene, object_scene
from tests.receiver_world import TOKENS, listening

AS_OPERATOR = {"Authorization": f"Bearer {TOKENS['operator']}"}
PLACE = "config.request.requestUrlTemplate"
OLD_URL, NEW_URL = "https://crm.example/v2/customers/${input.id}", "https://crm.example/v3/${input.id}"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[ObjectScene]:
    """A data action was changed, and a person is asked."""
    with object_scene(tmp_path) as made:
        made.break_it(ACTION)
        made.accuse(ACTION)
        made.run(made.receiver(), 10)
        yield made


@pytest.fixture
def client(here: ObjectScene) -> FlaskClient:
    metrics = here.receiver().metrics
    return create_app(here.store, here.settings, ["retail"], metrics, lambda: ()).test_client()


def get(client: FlaskClient, path: str) -> Any:
    answer = client.get(path, headers=AS_OPERATOR)
    assert answer.status_code == 200, answer.text
    return answer.get_json() if path.startswith("/api") else answer.text


def test_the_list_has_every_object_in_the_order_of_the_configuration(client: FlaskClient) -> None:
    found = get(client, "/api/v1/objects?org=retail")["objects"]
    assert [one["object_id"] for one in found] == [ACTION, IVR, "holidays", "weekdays", "office", "sales"]
    assert {one["object_id"]: one["flow_id"] for one in found}[IVR] == "flow-1"


def test_one_object_has_its_versions_and_what_is_not_as_before(here: ObjectScene, client: FlaskClient) -> None:
    found = get(client, f"/api/v1/objects/retail/data_action/{ACTION}")
    newest, before = found["versions"]
    assert (newest["version"], found["against"]) == (found["live_version"], before["version"])
    assert found["differences"] == [{"path": PLACE, "accused": NEW_URL, "target": OLD_URL}]
    same = get(client, f"/api/v1/objects/retail/data_action/{ACTION}?against={newest['version']}")
    assert same["differences"] == []


@pytest.mark.parametrize("path", ["ivr/another", f"queue/{ACTION}", f"data_action/{ACTION}?against=0123"])
def test_what_is_not_kept_is_not_there(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/api/v1/objects/retail/{path}", headers=AS_OPERATOR)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "page",
    [
        f"/console/objects/retail/data_action/{ACTION}",
        "/console/objects",
        f"/console/flows/retail/{ACTION}",
        "/console/approvals",
    ],
)
def test_the_console_names_the_object(client: FlaskClient, page: str) -> None:
    assert "Look up customer" in get(client, page)


def test_the_record_shows_what_is_written(here: ObjectScene, client: FlaskClient) -> None:
    page = get(client, f"/console/rollbacks/{here.asked_for().id}")
    for text in (PLACE, OLD_URL, NEW_URL, "What is written, 1 place"):
        assert text in page
    assert "hunter2" not in page


def test_people_are_told_in_words_what_is_written(here: ObjectScene) -> None:
    (event,) = here.told()
    said = worded(event, UTC)
    assert said.title.startswith("data action Look up customer (retail) ")
    assert f"What is written: {PLACE}: {NEW_URL} becomes {OLD_URL}." in said.text


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["object", "list"], ["look-up", "holidays", "flow-1", "team-crm"]),
        (["object", "show", "retail", "data_action", ACTION], [PLACE, NEW_URL, OLD_URL, "SEEN FROM"]),
        (["rollback", "show"], ["WHAT IS WRITTEN", PLACE, NEW_URL]),
    ],
    ids=["the list", "one object", "the attempt"],
)
def test_rollbackctl_shows_it(
    here: ObjectScene, client: FlaskClient, tmp_path: Path, words: list[str], shown: list[str]
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKENS["operator"])
    about = [here.asked_for().id] if words[0] == "rollback" else []
    with listening(client.application) as port:
        done = CliRunner().invoke(
            rollbackctl, ["--url", f"http://127.0.0.1:{port}", "--token-file", str(token), *words, *about]
        )
    assert done.exit_code == 0, done.output
    for text in shown:
        assert text in done.output


@pytest.mark.parametrize("call", ["gate", "deployments"])
def test_a_pipeline_has_every_object_read_before_it_deploys_and_after(
    here: ObjectScene, client: FlaskClient, call: str
) -> None:
    flow = {"flow_id": "flow-1", "source_digest": "0" * 64}
    body = {"org": "retail", "flows": [flow]} | ({} if call == "gate" else {"commit": "c0ffee"})
    here.keeper.read_due()
    assert here.keeper.read_due() == 0
    answer = client.post(f"/api/v1/{call}", json=body, headers={"Authorization": f"Bearer {TOKENS['ci']}"})
    assert answer.status_code in (200, 201), answer.text
    assert here.keeper.read_due() == len(TYPES)
