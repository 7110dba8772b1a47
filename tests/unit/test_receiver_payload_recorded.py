"""What a real Alertmanager sent, read whole, and with every one of its fields spoilt."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.payload import MAX_KEY_CHARS, Delivery, PayloadError, parse

RECORDED = sorted((Path(__file__).parents[1] / "data" / "alertmanager").glob("*/*.json"))
NAMES = {path.stem for path in RECORDED}

Place = tuple[str | int, ...]
GONE = object()  # instead of a value: the field is left out
DEEP: Any = "bottom"
for _ in range(150):
    DEEP = [DEEP]

# What a field may hold that nobody has thought of; `GONE` and NaN among them.
BAD: tuple[Any, ...] = (
    *(GONE, None, True, False, 0, -1, 10**400, 0.5, float("nan"), float("inf"), -float("inf")),
    *("", " ", "null", "\x00", "a\x00b", "\ud800", "\udfff", "x" * (MAX_KEY_CHARS + 1), "\U0010ffff", "٣", "-1"),
    *(
        "2024-01-01",
        "2024-01-01T12:00:00",
        "2024-13-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
    ),
    *([], {}, [[]], [None], {"": ""}, {"a": None}, {"\ud800": "x"}, {"a\x00": "x"}, DEEP, {"a": DEEP}),
)


@cache
def recorded(path: Path) -> Any:
    return json.loads(path.read_bytes())


def places(node: Any, here: Place = ()) -> Iterator[Place]:
    """Every field of a payload, at any depth; entries of lists are fields too."""
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in below:
        yield (*here, key)
        yield from places(value, (*here, key))


def spoilt(node: Any, place: Place, value: Any) -> Any:
    """A copy in which one field is another; what is not on the way to it is shared."""
    key, rest = place[0], place[1:]
    if isinstance(node, list):
        changed = [spoilt(node[key], rest, value)] if rest else [] if value is GONE else [value]
        return [*node[:key], *changed, *node[key + 1 :]]  # type: ignore[operator, misc]
    without = {name: below for name, below in node.items() if name != key}
    return without if value is GONE and not rest else {**node, key: spoilt(node[key], rest, value) if rest else value}


def moment(text: str) -> float:
    """RFC 3339 as Go writes it, to the millisecond: cut off, as in the list of alerts of Alertmanager."""
    whole, _, rest = text.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    fraction = f".{rest[: min(digits, 3)]:0<3}" if rest else ""
    return datetime.fromisoformat(f"{whole}{fraction}{rest[digits:]}".replace("Z", "+00:00")).timestamp()


def is_read(place: Place) -> bool:
    """True of the fields that an alert is made of; the others may hold whatever they like."""
    if place[0] != "alerts":
        return place[0] in ("version", "truncatedAlerts")
    return len(place) < 3 or place[2] != "generatorURL"


def must_be_usable(delivery: Delivery) -> None:
    """Whatever is taken can be stored on every database and shown."""
    for alert in delivery.alerts:
        for at in (alert.starts_at, alert.ends_at):
            assert at is None or datetime.fromtimestamp(at, UTC)
        assert alert.fingerprint
        for text in (alert.fingerprint, *alert.labels, *alert.labels.values(), *alert.annotations.values()):
            text.encode()
            assert "\x00" not in text


def must_give_alerts_or_a_payload_error(body: Any) -> Delivery | None:
    try:
        delivery = parse(body)
    except PayloadError:
        return None
    must_be_usable(delivery)
    return delivery


every_recording = pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")


def test_there_is_a_recording_of_everything_that_alertmanager_does() -> None:
    assert {
        *("firing", "firing_group", "firing_and_resolved", "resolved", "truncated", "watchdog", "bare"),
        *("odd_characters", "no_external_url", "times_with_offset", "local_time"),
    } <= NAMES


@every_recording
def test_a_recorded_payload_gives_the_alerts_that_it_holds(path: Path) -> None:
    body = recorded(path)
    delivery = parse(body)

    assert delivery.truncated == body["truncatedAlerts"] == (2 if path.stem == "truncated" else 0)
    assert len(delivery.alerts) == len(body["alerts"]) > 0
    for alert, sent in zip(delivery.alerts, body["alerts"], strict=True):
        assert (alert.fingerprint, alert.labels, alert.annotations) == (
            sent["fingerprint"],
            sent["labels"],
            sent["annotations"],
        )
        assert alert.firing == (sent["status"] == "firing")
        assert alert.starts_at == pytest.approx(moment(sent["startsAt"]), abs=1e-6)
        assert alert.ends_at == (None if alert.firing else pytest.approx(moment(sent["endsAt"]), abs=1e-6))


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("firing", [True]),
        ("firing_group", [True, True]),
        ("firing_and_resolved", [True, False]),
        ("resolved", [False]),
        ("truncated", [True]),
    ],
)
def test_which_of_a_recorded_group_fire(name: str, states: list[bool]) -> None:
    for path in RECORDED:
        if path.stem == name:
            assert [alert.firing for alert in parse(recorded(path)).alerts] == states


def test_one_alert_keeps_its_fingerprint_and_its_start_in_every_payload_of_its_life() -> None:
    for folder in {path.parent for path in RECORDED}:
        life = ("firing", "firing_group", "firing_and_resolved", "resolved")
        first = [parse(recorded(folder / f"{name}.json")).alerts[0] for name in life]
        assert len({(alert.fingerprint, alert.starts_at) for alert in first}) == 1


@every_recording
def test_a_recorded_payload_with_any_one_field_spoilt_gives_alerts_or_a_payload_error(path: Path) -> None:
    body = recorded(path)
    whole = parse(body)
    spoilt_ones = 0
    for place in places(body):
        for value in BAD:
            delivery = must_give_alerts_or_a_payload_error(spoilt(body, place, value))
            assert is_read(place) or delivery == whole, f"{place} is of no interest"
            spoilt_ones += 1
    assert spoilt_ones >= 20 * len(BAD)


def is_text(value: Any) -> bool:
    """True of text that every database can keep."""
    return isinstance(value, str) and "\x00" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)


@every_recording
@pytest.mark.parametrize(
    ("field", "is_taken"),
    [
        pytest.param(("version",), lambda value: False, id="version"),
        pytest.param(("alerts",), lambda value: value == [], id="alerts"),
        pytest.param(("alerts", 0), lambda value: value is GONE, id="an alert"),
        pytest.param(("alerts", 0, "status"), lambda value: False, id="status"),
        pytest.param(("alerts", 0, "labels"), lambda value: value in ({}, {"": ""}), id="labels"),
        pytest.param(
            ("alerts", 0, "labels", "genesys_action"), lambda value: value is GONE or is_text(value), id="a label"
        ),
        pytest.param(
            ("alerts", 0, "annotations"), lambda value: value is GONE or value in ({}, {"": ""}), id="annotations"
        ),
    ],
)
def test_of_what_an_alert_needs_nothing_else_is_taken(
    path: Path, field: Place, is_taken: Callable[[Any], bool]
) -> None:
    for value in BAD:
        body = spoilt(recorded(path), field, value)
        if is_taken(value):
            parse(body)
        else:
            with pytest.raises(PayloadError):
                parse(body)


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=())), inner),
    max_leaves=8,
)


@given(data=st.data(), value=any_json)
def test_a_recorded_payload_with_any_one_field_replaced_by_any_json_gives_alerts_or_a_payload_error(
    data: st.DataObject, value: Any
) -> None:
    body = recorded(data.draw(st.sampled_from(RECORDED)))
    must_give_alerts_or_a_payload_error(spoilt(body, data.draw(st.sampled_from(list(places(body)))), value))
