"""What is kept of a configuration object: never a secret, and the same digest for the same configuration."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.objects import ObjectType
from receiver.objects.snapshot import ABSENT, Difference, Snapshot, differences, snapshot_of

PLANTED = "hunter2"
IVR = {"id": "i", "name": "Main", "version": 3, "dnis": ["+1"], "openHoursFlow": {"id": "f", "name": "Open"}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def ivr(**more: Any) -> Snapshot:
    return snapshot_of(ObjectType.IVR, "i", IVR | more)


def action(**request: Any) -> Snapshot:
    config = {"request": {"requestType": "POST", **request}, "response": {"translationMap": {"name": "$.name"}}}
    return snapshot_of(ObjectType.DATA_ACTION, "a", {"id": "a", "config": config})


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"headers": {"X-Partner": PLANTED}}, id="a header of any name"),
        pytest.param({"requestUrlTemplate": f"https://crm.example/v1?k={PLANTED}"}, id="the query of the URL"),
        pytest.param({"requestUrlTemplate": f"https://me:{PLANTED}@crm.example/v1"}, id="a password in the URL"),
        pytest.param({"requestUrlTemplate": f"me:{PLANTED}@crm.example/v1"}, id="a password without a scheme"),
        pytest.param({"requestUrlTemplate": f"https://crm.example/v1#{PLANTED}"}, id="the fragment of the URL"),
        pytest.param({"requestUrlTemplate": f"https://crm.example/{PLANTED}-8d7f6e5d4c3b2a"}, id="a key in the path"),
        pytest.param({"requestTemplateUri": f"/v1?{PLANTED}"}, id="the address of a template"),
        pytest.param({"requestTemplate": f'{{"client_secret": "{PLANTED}"}}'}, id="a member of the body"),
        pytest.param({"requestTemplate": f"grant_type=password&password={PLANTED}"}, id="a form"),
        pytest.param({"requestTemplate": f'{{"k": ["${{input.id}}", "{PLANTED}"]}}'}, id="a word beside a reference"),
        pytest.param({"requestTemplate": f'${{esc.jsonString("{PLANTED}")}}'}, id="a word in a call"),
    ],
)
def test_a_secret_of_a_data_action_is_not_kept(request_: dict[str, Any]) -> None:
    kept = action(**request_)
    assert PLANTED not in json.dumps(kept.content)
    assert kept.content["config"]["response"]["translationMap"] == {"name": "$.name"}


@pytest.mark.parametrize(
    "row",
    [
        *[
            {name: PLANTED}
            for name in ("apiKey", "API_KEY", "Passwort", "pwd", "accessToken", "credentials", "subscription-key")
        ],
        {"credentials": {"user": PLANTED}},
        {"secrets": [PLANTED]},
        {"note": f"Bearer {PLANTED}"},
        {"notes": [{"more": [f"Bearer {PLANTED}"]}]},
        {"note": f"ftp://me:{PLANTED}@files.example"},
        {"note": f"-----BEGIN KEY-----{PLANTED}"},
    ],
    ids=str,
)
def test_a_secret_in_a_row_is_not_kept(row: dict[str, Any]) -> None:
    kept = snapshot_of(ObjectType.DATA_TABLE, "t", {"id": "t", "rows": {"1": {"key": "1", "open": True, **row}}})
    assert PLANTED not in json.dumps(kept.content)
    assert kept.content["rows"]["1"]["open"] is True


def test_a_secret_is_no_part_of_the_digest() -> None:
    """Else whoever has the digest could guess a short one."""
    assert action(headers={"k": "one"}).sha256 == action(headers={"k": "two"}).sha256


def test_what_is_no_secret_is_kept_as_it_is() -> None:
    url = "https://crm.example/v1/customers/${input.id}"
    kept = action(requestUrlTemplate=url, requestTemplate="${input.rawRequest}").content["config"]["request"]
    assert kept == {"requestType": "POST", "requestUrlTemplate": url, "requestTemplate": "${input.rawRequest}"}


def test_of_a_body_it_is_kept_what_it_is_filled_in_with() -> None:
    kept = action(requestTemplate='{"id": "${input.id}", "mode": "$!{input.mode}"}')
    assert kept.content["config"]["request"]["requestTemplate"] == "***${input.id}***$!{input.mode}***"


def test_of_a_query_it_is_kept_what_it_is_filled_in_with() -> None:
    kept = action(
        requestUrlTemplate=f"https://crm.example/v1?id=${{input.id}}&k={PLANTED}&${{input.more}}&token=${{t}}"
    )
    assert (
        kept.content["config"]["request"]["requestUrlTemplate"] == "https://crm.example/v1?id=${input.id}&***&***&***"
    )


def test_who_wrote_it_last_and_how_often_is_not_its_configuration() -> None:
    again = ivr(version=9, dateModified="2026-11-22T14:02:11.000Z", modifiedBy="ann", selfUri="/x")
    assert again == ivr()
    assert again.sha256 == ivr().sha256


def test_the_digest_does_not_depend_on_the_order_of_the_fields() -> None:
    assert snapshot_of(ObjectType.IVR, "i", dict(reversed(IVR.items()))).sha256 == ivr().sha256


def test_half_a_character_has_a_digest() -> None:
    """JSON can say it, and UTF-8 cannot."""
    assert ivr(name="\ud83d").sha256 != ivr(name="\ud83e").sha256


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"name": "Other"}, Difference("name", "Main", "Other")),
        ({"openHoursFlow": {"id": "g", "name": "Open"}}, Difference("openHoursFlow.id", "f", "g")),
        ({"openHoursFlow": None}, Difference("openHoursFlow", {"id": "f", "name": "Open"}, None)),
        ({"state": "active"}, Difference("state", ABSENT, "active")),
        ({"dnis": ["+2"]}, Difference("dnis[0]", "+1", "+2")),
        ({"dnis": ["+1", "+2"]}, Difference("dnis", ["+1"], ["+1", "+2"])),
    ],
    ids=["a field", "a field below", "emptied", "added", "in a list", "a longer list"],
)
def test_each_difference_has_its_place(change: dict[str, Any], found: Difference) -> None:
    assert list(differences(ivr().content, ivr(**change).content)) == [found]
    assert ivr(**change).sha256 != ivr().sha256


def test_one_is_not_true() -> None:
    assert list(differences({"on": 1}, {"on": True})) == [Difference("on", 1, True)]


@given(JSON, JSON)
def test_no_difference_is_always_the_same_digest(one: Any, other: Any) -> None:
    first, second = (Snapshot(ObjectType.QUEUE, "q", {"x": value}) for value in (one, other))
    assert (not list(differences(first.content, second.content))) == (first.sha256 == second.sha256)


@given(JSON)
def test_a_content_never_differs_from_itself(value: Any) -> None:
    assert not list(differences(value, json.loads(json.dumps(value))))
