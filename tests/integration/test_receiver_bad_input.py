"""Bad input at the webhook: a clear error or a stored alert, never a traceback, and nothing lost.

What `test_receiver_web` has already is not repeated here.
"""

import gzip
import json
import re
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.payload import REQUIRED_LABELS
from tests.integration.webhook_door import RECORDED, Door, alert, body, door
from tests.receiver_world import TOKENS

# Alertmanager gives an answer up, and sends again, after max(10 s, group_interval); the shipped group_interval is 1 m.
PATIENCE_S = 10.0
NOON = 1_704_110_400.0  # 2024-01-01T12:00:00Z


@pytest.fixture
def at(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Door]:
    with door(tmp_path) as made:
        yield made
    assert not [record for record in caplog.records if record.exc_info], "a traceback in the log"


def refusal(at: Door, data: bytes, status: int = 400, **headers: Any) -> str:
    """What the sender is told; nothing is stored."""
    answer = at.post(data, **headers)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), answer.text
    assert at.rows() == set()
    detail: str = answer.get_json()["detail"]
    return detail


# What is refused


@pytest.mark.parametrize(
    ("text", "key"),
    [
        pytest.param('{"version": "3", "version": "4", "alerts": []}', "version", id="the version"),
        pytest.param('{"version": "4", "alerts": [ALERT], "alerts": []}', "alerts", id="the list of alerts"),
        pytest.param('{"version": "4", "alerts": [], "x": {"a": [{"b": 1, "b": 1}]}}', "b", id="what nobody reads"),
        pytest.param('{"version": "4", "alerts": [{"status": "resolved", ALERT}]}', "status", id="a status"),
        pytest.param('{"version": "4", "alerts": [{"labels": {"org": "a", "org": "b"}}]}', "org", id="a label"),
        pytest.param('{"version": "4", "alerts": [], "vers\\u0069on": "4"}', "version", id="in another spelling"),
    ],
)
def test_a_key_that_is_given_twice_is_refused_because_nobody_knows_which_is_meant(
    at: Door, caplog: pytest.LogCaptureFixture, text: str, key: str
) -> None:
    one = json.dumps(alert())
    filled = text.replace("[ALERT]", f"[{one}]").replace("ALERT", one[1:-1])
    assert f'the key "{key}" is given twice' in refusal(at, filled.encode())
    assert "delivery_rejected outcome=malformed" in caplog.text


def test_an_order_that_gives_a_key_twice_is_refused_too(at: Door) -> None:
    order = b'{"org": "retail", "reason": "storm", "org": "bank"}'
    headers = {"Authorization": f"Bearer {TOKENS['operator']}"}
    answer = at.app.test_client().put("/api/v1/pause", data=order, headers=headers)
    assert (answer.status_code, answer.get_json()["detail"]) == (
        400,
        'the key "org" is given twice in one object; give it once',
    )
    assert at.app.test_client().delete("/api/v1/pause?org=bank", headers=headers).status_code == 404


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, br", "GZIP"])
def test_a_compressed_body_is_refused_with_the_cure(at: Door, coding: str) -> None:
    packed = zlib.compress(body(alert())) if coding == "deflate" else gzip.compress(body(alert()))
    said = refusal(at, packed, Content_Encoding=coding)
    assert "compressed" in said
    assert "Content-Encoding" in said


def test_a_body_that_is_compressed_without_saying_so_is_refused(at: Door) -> None:
    assert "not JSON" in refusal(at, gzip.compress(body(alert())))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(body(alert()).decode().encode("utf-16"), id="UTF-16"),
        pytest.param(body(alert()).decode().encode("utf-32"), id="UTF-32"),
        pytest.param(b"\xef\xbb\xbf" + body(alert()), id="a byte order mark"),
        pytest.param(body(alert()) + body(alert()), id="two payloads"),
        pytest.param(body(alert()) + b"\x00", id="a NUL after it"),
        pytest.param(b"'" + body(alert()) + b"'", id="in quotes"),
        pytest.param(b"payload=" + body(alert()), id="a form"),
        pytest.param(body(alert()).replace(b'"', b"'"), id="Python's quotes"),
        pytest.param(body(alert(annotations={"a": "x"})).replace(b'"x"', b'"\xff"'), id="one byte that is not UTF-8"),
        pytest.param(body(alert()).replace(b'"f1"', b"1" * 5000), id="a number of five thousand digits"),
        pytest.param(body(alert(), truncatedAlerts="N").replace(b'"N"', b"1e999"), id="a number that is too large"),
        pytest.param(body(alert(), truncatedAlerts="N").replace(b'"N"', b"-Infinity"), id="minus infinity"),
        pytest.param(b'{"a":' * 300 + b"1" + b"}" * 300, id="three hundred levels"),
        pytest.param(b"<xml/>", id="XML"),
    ],
)
def test_what_is_no_json_in_utf_8_is_refused(at: Door, data: bytes) -> None:
    said = refusal(at, data)
    assert said.startswith(("the body is not JSON: ", "not an Alertmanager webhook payload of version 4: "))


@pytest.mark.parametrize("version", ["3", "5", 4, 4.0, None, "", "4 ", ["4"]])
def test_another_version_is_refused_by_that_name(at: Door, version: object) -> None:
    assert "version" in refusal(at, body(alert(), version=version))


def test_a_payload_of_grafana_is_refused(at: Door) -> None:
    """It looks like Alertmanager's, and says version "1"."""
    grafana = body(alert(values={"B": 44.2}), version="1", orgId=1, title="[FIRING:1]", state="alerting", message="x")
    assert "version: Input should be '4'" in refusal(at, grafana)


def test_one_alert_that_cannot_be_read_keeps_the_others_out_and_is_named(
    at: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """All or nothing: half of a group that answers 202 would lose the other half without a trace."""
    said = refusal(at, body(alert("f1"), alert("f2", startsAt="soon"), alert("f3")))
    assert "alerts[1].startsAt" in said
    assert "alerts[1].startsAt" in caplog.text


def test_a_delivery_that_is_refused_does_not_flood_the_log(at: Door, caplog: pytest.LogCaptureFixture) -> None:
    refusal(at, body(*(alert(labels={"x" * 100_000: number}) for number in range(20))))
    (record,) = caplog.records
    assert len(record.getMessage()) < 1000


@pytest.mark.parametrize("token", [None, "", "unknown", TOKENS["alertmanager"] + "\u00a0"])
def test_without_its_token_nothing_is_looked_at(at: Door, token: str | None) -> None:
    for data in (body(alert()), b"no JSON", b"x" * 1_000_000):
        assert "token" in refusal(at, data, 401, token=token)


def test_a_token_of_another_role_delivers_nothing(at: Door) -> None:
    assert "alertmanager" in refusal(at, body(alert()), 403, token=TOKENS["operator"])


# What is stored all the same


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json; charset=utf-16", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
def test_the_content_type_decides_nothing(at: Door, content_type: str) -> None:
    assert at.post(body(alert()), Content_Type=content_type).status_code == 202
    assert at.rows() == {("f1", NOON, True)}


@pytest.mark.parametrize("name", REQUIRED_LABELS)
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_an_alert_without_a_label_of_the_contract_is_stored_so_that_its_refusal_can_be_recorded(
    at: Door, name: str, value: str | None
) -> None:
    labels = {key: text for key, text in alert()["labels"].items() if key != name}
    assert at.post(body(alert(labels=labels if value is None else labels | {name: value}))).status_code == 202
    assert at.rows() == {("f1", NOON, True)}


def test_fields_that_nobody_knows_change_nothing(at: Door) -> None:
    unknown = {"notification_reason": "repeat", "nested": {"deep": [1, None, {"": ""}]}, "": 0}
    assert at.post(body(alert(**unknown), **unknown)).status_code == 202
    assert at.rows() == {("f1", NOON, True)}


@pytest.mark.parametrize(
    ("starts_at", "ends_at"),
    [
        pytest.param("2124-01-01T12:00:00Z", "0001-01-01T00:00:00Z", id="fires in a century"),
        pytest.param("1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", id="since 1970"),
        pytest.param("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", id="since the year 1"),
        pytest.param("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", id="from the last second"),
        pytest.param("2024-01-01T12:00:00Z", "2024-01-01T11:00:00Z", id="over before it began"),
        pytest.param("2024-01-01T12:00:00Z", "0001-01-01T00:00:00Z", id="over in the year 1"),
    ],
)
def test_a_clock_that_is_wrong_keeps_no_alert_out_and_none_open(at: Door, starts_at: str, ends_at: str) -> None:
    assert at.post(body(alert(startsAt=starts_at))).status_code == 202
    assert [is_open for _, _, is_open in at.rows()] == [True]
    assert at.post(body(alert(status="resolved", startsAt=starts_at, endsAt=ends_at))).status_code == 202
    assert [is_open for _, _, is_open in at.rows()] == [False]


# Ten thousand alerts in one group


def a_group(count: int, status: str = "firing") -> bytes:
    """Alerts with all the labels and annotations of the shipped rule, each for a flow of its own."""
    recorded = json.loads(next(path for path in RECORDED if path.stem == "firing").read_bytes())
    (one,) = recorded["alerts"]
    many = [
        one
        | {
            "status": status,
            "labels": one["labels"] | {"flow_id": f"{number:08x}-f403-470c-adb0-8bfa6bf81d69"},
            "fingerprint": f"{number:016x}",
        }
        for number in range(count)
    ]
    return json.dumps(recorded | {"alerts": many}, separators=(",", ":")).encode()


def test_ten_thousand_alerts_in_one_group_are_stored_and_closed_before_alertmanager_gives_up(at: Door) -> None:
    for status, is_open in (("firing", True), ("firing", True), ("resolved", False)):
        group = a_group(10_000, status)
        started = time.process_time()  # of the processor, because the machine may be busy with other things
        answer = at.post(group)
        took_s = time.process_time() - started
        assert answer.status_code == 202, answer.text
        assert took_s < PATIENCE_S
        rows = at.rows()
        assert len(rows) == 10_000
        assert {row[2] for row in rows} == {is_open}


def test_a_group_beyond_the_limit_is_refused_whole_with_the_limit_in_the_answer_and_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with door(tmp_path, max_body_bytes=100_000) as small:
        said = refusal(small, a_group(1000), 413)
        assert "100000" in said
        assert "max_body_bytes" in said
        assert re.search(r"delivery_rejected outcome=too_large .*max_body_bytes", caplog.text)
        assert small.post(a_group(50)).status_code == 202
        assert len(small.rows()) == 50
