"""What a real Alertmanager sent, and the same spoilt, at the running door: taken whole or refused whole."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.payload import parse
from tests.integration.webhook_door import RECORDED, Door, door, must_be_taken_or_refused

SPOILT_OF_EACH = 60
DEEP: Any = json.loads("[" * 150 + "]" * 150)
BAD: tuple[Any, ...] = (
    *(None, True, 0, -1, 0.5, 10**4000, float("nan"), float("inf"), "", "\x00", "\ud800", "x" * 200, "2024-01-01"),
    *("9999-12-31T23:59:59-23:59", [], {}, [None], {"a": None}, {"\ud800": "x"}, {"a\x00": "x"}, DEEP),
)

every_recording = pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")


@pytest.fixture
def at(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Door]:
    with door(tmp_path) as made:
        yield made
    assert not [record for record in caplog.records if record.exc_info], "a traceback in the log"


def holders(node: Any) -> Iterator[tuple[Any, Any]]:
    """Each field as the mapping or list that holds it, and its name or position."""
    for key, below in list(node.items()) if isinstance(node, dict) else list(enumerate(node)):
        yield node, key
        if isinstance(below, dict | list):
            yield from holders(below)


def spoilt_ones(recorded: bytes, chance: random.Random) -> Iterator[bytes]:
    """The recorded body with one field left out, or holding what nobody sends."""
    count = len(list(holders(json.loads(recorded))))
    for _ in range(SPOILT_OF_EACH):
        body = json.loads(recorded)
        holder, key = list(holders(body))[chance.randrange(count)]
        if chance.random() < 0.2:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(chance.choice(BAD))
        yield json.dumps(body).encode()


@every_recording
def test_a_recorded_payload_is_stored_as_it_is(at: Door, path: Path) -> None:
    sent = [alert for alert in parse(json.loads(path.read_bytes())).alerts if not alert.is_watchdog]

    assert must_be_taken_or_refused(at, path.read_bytes()) == 202
    assert at.rows() == {(alert.fingerprint, alert.starts_at, alert.firing) for alert in sent}
    assert must_be_taken_or_refused(at, path.read_bytes()) == 202
    assert len(at.rows()) == len(sent), "repeated, it is known"


def test_the_recorded_life_of_a_group_leaves_nothing_open(at: Door) -> None:
    for folder in {path.parent for path in RECORDED}:
        opened = []
        for name in ("firing", "firing_group", "firing_and_resolved", "resolved"):
            at.post((folder / f"{name}.json").read_bytes())
            opened.append(sum(is_open for _, _, is_open in at.rows()))
        assert opened == [1, 2, 1, 0]


def test_a_recorded_payload_with_one_field_spoilt_is_taken_whole_or_refused_whole(at: Door) -> None:
    for path in RECORDED:
        spoilt = spoilt_ones(path.read_bytes(), random.Random(path.stem))
        assert {must_be_taken_or_refused(at, body) for body in spoilt} == {202, 400}, path.stem


def test_a_recorded_payload_that_is_cut_off_anywhere_is_refused(at: Door) -> None:
    for path in RECORDED:
        recorded = path.read_bytes().rstrip()
        for end in range(0, len(recorded), max(1, len(recorded) // 40)):
            assert must_be_taken_or_refused(at, recorded[:end]) == 400
    assert at.rows() == set()


def test_a_recorded_payload_with_one_byte_changed_is_taken_whole_or_refused_whole(at: Door) -> None:
    for path in RECORDED:
        recorded, chance = path.read_bytes(), random.Random(path.stem)
        for _ in range(40):
            changed = bytearray(recorded)
            changed[chance.randrange(len(changed))] = chance.randrange(256)
            must_be_taken_or_refused(at, bytes(changed))
