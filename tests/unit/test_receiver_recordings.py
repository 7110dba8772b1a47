"""Recorded deliveries: one document, or one in every line; and the words for what is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from receiver.recordings import RecordingError, read_recordings

PAYLOAD: dict[str, Any] = {
    "version": "4",
    "alerts": [
        {
            "status": "firing",
            "labels": {"org": "retail", "flow_id": "flow-1", "flow_version": "14.0", "signal": "error_exit"},
            "annotations": {},
            "startsAt": "2024-01-01T12:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": "f1",
        }
    ],
}


@pytest.mark.parametrize("indent", [None, 2], ids=["one line", "many lines"])
def test_a_document_is_one_recording(tmp_path: Path, indent: int | None) -> None:
    file = tmp_path / "alerts.json"
    file.write_text(json.dumps(PAYLOAD, indent=indent))
    (found,) = read_recordings([str(file)])
    assert found.where == str(file)
    assert [alert.fingerprint for alert in found.delivery.alerts] == ["f1"]


def test_every_line_can_be_one_and_an_empty_one_is_none(tmp_path: Path) -> None:
    file = tmp_path / "alerts.jsonl"
    file.write_text(f"{json.dumps(PAYLOAD)}\n\n{json.dumps(PAYLOAD)}\n")
    assert [found.where for found in read_recordings([str(file)])] == [f"{file}:1", f"{file}:3"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("{", ": not JSON: ", id="no JSON"),
        pytest.param("", ": not JSON: ", id="nothing"),
        pytest.param("[]", ": not an Alertmanager webhook payload of version 4: ", id="a list"),
        pytest.param('{"version": "3", "alerts": []}', "version", id="another version"),
        pytest.param(f"{json.dumps(PAYLOAD)}\n{{", ":2: not JSON: ", id="a line that is no JSON"),
        pytest.param(f"{json.dumps(PAYLOAD)}\n{{}}", ":2: not an Alertmanager", id="a line that is no payload"),
        pytest.param('{\n"version": "4",\n', ": not JSON: ", id="a document that was cut off"),
    ],
)
def test_what_is_no_recording_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "alerts.json"
    file.write_text(text)
    with pytest.raises(RecordingError) as caught:
        read_recordings([str(file)])
    assert str(caught.value).startswith(str(file))
    assert words in str(caught.value)


def test_the_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(RecordingError) as caught:
        read_recordings([str(tmp_path / "a.json"), str(tmp_path / "missing.json"), str(tmp_path)])
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[1] == f"{tmp_path / 'missing.json'}: No such file or directory"
