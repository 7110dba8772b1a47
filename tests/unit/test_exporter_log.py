"""Log lines stay one line each, whatever they tell."""

import json
import logging
import sys

import pytest

from genesys.log import LineFormatter, event

log = logging.getLogger("exporter.test")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("retail", "field=retail", id="a word"),
        pytest.param(60.5, "field=60.5", id="a number"),
        pytest.param("no answer", 'field="no answer"', id="with a space"),
        pytest.param('says "hello"', 'field="says \\"hello\\""', id="with quotes"),
        pytest.param("two\nlines", 'field="two\\nlines"', id="with a newline"),
        pytest.param("", 'field=""', id="empty"),
    ],
)
def test_a_field_is_quoted_where_it_has_to_be(value: object, written: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        event(log, logging.INFO, "poll_failed", field=value)

    assert caplog.messages == [f"poll_failed {written}"]


def _failing() -> None:
    raise ValueError("two\nlines")


def test_a_traceback_is_a_field() -> None:
    try:
        _failing()
    except ValueError:
        raised = sys.exc_info()
    record = log.makeRecord(log.name, logging.ERROR, "f", 1, "poll_broken org=%s", ("retail",), raised)
    record.created = 1_795_348_800.25

    line = LineFormatter().format(record)

    assert line.startswith("2026-11-22T12:00:00.250Z error poll_broken org=retail traceback=")
    assert "\n" not in line
    assert "two\nlines" in json.loads(line.split("traceback=", 1)[1])
