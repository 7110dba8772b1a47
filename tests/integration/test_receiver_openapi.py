"""The API's document: complete, true to the views, and the same for everybody who reads it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask

from receiver.metrics import ReceiverMetrics
from receiver.web import create_app
from receiver.web.documented import CALL, ROLES
from receiver.web.openapi import document_of
from tests.openapi_document import PREFIX, Document
from tests.receiver_world import ORGS, opened, settings_of

WEB = Path(__file__).resolve().parents[2] / "receiver" / "web"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    settings = settings_of(tmp_path)
    with opened(settings) as store:
        yield create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())


@pytest.fixture
def content(app: Flask) -> Any:
    return app.test_client().get("/openapi.json").get_json()


def test_it_is_served_without_a_token_with_the_api_and_at_the_root(app: Flask, content: Any) -> None:
    answer = app.test_client().get(f"{PREFIX}/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.get_json() == content
    assert content["openapi"] == "3.1.0"
    assert content["servers"] == [{"url": PREFIX}]


def test_every_call_of_the_api_is_in_it_and_no_other(app: Flask, content: Any) -> None:
    routed = {
        (method, rule.rule.removeprefix(PREFIX).replace("<", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(PREFIX)
        for method in (rule.methods or set()) - {"HEAD"}
    }
    assert Document(content).calls() == routed


def test_a_call_that_says_nothing_about_itself_is_a_fault(app: Flask) -> None:
    app.get(f"{PREFIX}/secret", endpoint="secret")(lambda: "")
    with pytest.raises(KeyError, match=CALL):
        document_of(app, PREFIX)


def test_it_is_a_valid_document(content: Any) -> None:
    """As far as it can be told without its own meta schema: each schema is one, and what is referred to is there."""
    for name in content["components"]["schemas"]:
        whole = {"$ref": f"#/components/schemas/{name}", "components": content["components"]}
        jsonschema_rs.meta.validate(whole)
        jsonschema_rs.validator_for(whole)
    identities = [call["operationId"] for calls in content["paths"].values() for call in calls.values()]
    assert len(set(identities)) == len(identities)


def test_the_roles_are_those_that_the_view_asks_for(app: Flask, content: Any) -> None:
    calls = content["paths"]["/maintenance"]
    assert calls["post"]["security"] == [{"token": ["ci", "operator"]}]
    assert calls["post"]["description"] == "Roles: ci, operator."
    assert "security" not in content["paths"]["/openapi.json"]["get"]
    asked = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(PREFIX) and ROLES in app.view_functions[rule.endpoint].__dict__
    }
    secured = {
        call["operationId"] for calls in content["paths"].values() for call in calls.values() if "security" in call
    }
    assert secured == {endpoint.replace(".", "_") for endpoint in asked}


def test_a_parameter_of_a_query_is_described_as_it_is_read(content: Any) -> None:
    parameters = {one["name"]: one for one in content["paths"]["/alerts"]["get"]["parameters"]}
    assert list(parameters)[:2] == ["org", "open"]
    assert parameters["org"]["schema"] == {"title": "Org", "type": "string", "maxLength": 200}
    assert parameters["limit"]["schema"]["maximum"] == 1000
    (name, *_) = content["paths"]["/rollbacks/{rollback_id}"]["get"]["parameters"]
    assert (name["in"], name["required"]) == ("path", True)
    assert [one["required"] for one in content["paths"]["/holds"]["delete"]["parameters"]] == [True, False, False]


def test_a_body_that_may_be_left_out_is_not_required(content: Any) -> None:
    required = {
        action: content["paths"][f"/rollbacks/{{rollback_id}}/{action}"]["post"]["requestBody"]["required"]
        for action in ("approve", "deny", "undo")
    }
    assert required == {"approve": False, "deny": False, "undo": True}


def test_a_time_is_one_in_requests_and_in_answers(content: Any) -> None:
    schemas = content["components"]["schemas"]
    for schema in (schemas["WindowOrder"], schemas["WindowAnswer"]):
        assert schema["properties"]["ends_at"]["format"] == "date-time"


# That a view reads the models which stand in the document


def views() -> Iterator[tuple[str, ast.FunctionDef, dict[str, str]]]:
    """Each documented view, with the models that its decorator names."""
    for file in sorted(WEB.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for decorator in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "documented":
                    named = {str(one.arg): ast.unparse(one.value) for one in decorator.keywords}
                    yield f"{file.name}:{node.name}", node, named


VIEWS = {name: (view, named) for name, view, named in views()}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_reads_the_models_that_it_names(name: str) -> None:
    view, named = VIEWS[name]
    read = {
        (ast.unparse(one.func), ast.unparse(one.args[0]))
        for one in ast.walk(view)
        if isinstance(one, ast.Call) and ast.unparse(one.func) in ("query", "body", "body_or")
    }
    expected = {("query", named.get("query", "NoParameters"))}
    if "body" in named and named["body"] != "Payload":  # Alertmanager's is read by `payload`
        expected.add(("body_or" if "body_may_be_left_out" in named else "body", named["body"]))
    assert read == expected


def test_there_are_views(app: Flask) -> None:
    documented = [one for one in app.view_functions.values() if CALL in one.__dict__]
    assert len({id(one) for one in documented}) == len(VIEWS)
