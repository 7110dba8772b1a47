"""Reading Alertmanager's webhook payload: what is taken, what is refused and in which words."""

import copy
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from receiver.payload import MAX_KEY_CHARS, REQUIRED_LABELS, Alert, Delivery, PayloadError, parse, parse_listed

Json = dict[str, Any]

# As Alertmanager 0.28 sends it.
GOOD: Json = {
    "receiver": "rollback-receiver",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {
                "alertname": "GenesysFlowFailing",
                "flow_id": "flow-1",
                "flow_version": "14.0",
                "genesys_action": "rollback",
                "org": "retail",
                "signal": "error_exit",
            },
            "annotations": {"summary": "Main IVR fails"},
            "startsAt": "2024-01-01T12:00:00.5Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph",
            "fingerprint": "5b7e2f0c1d3a4b59",
        }
    ],
    "groupLabels": {"org": "retail"},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
    "version": "4",
    "groupKey": '{}:{org="retail"}',
    "truncatedAlerts": 0,
}
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC).timestamp()
REFUSED = "not an Alertmanager webhook payload of version 4: "


def changed(change: Callable[[Json, Json], object]) -> Json:
    """The good payload with one thing changed; `change` gets the payload and its alert."""
    body = copy.deepcopy(GOOD)
    change(body, body["alerts"][0])
    return body


def test_a_firing_alert_is_read_with_its_times_in_unix_seconds() -> None:
    assert parse(GOOD) == Delivery(
        (
            Alert(
                fingerprint="5b7e2f0c1d3a4b59",
                firing=True,
                starts_at=NOON + 0.5,
                ends_at=None,
                labels=GOOD["alerts"][0]["labels"],
                annotations={"summary": "Main IVR fails"},
            ),
        ),
        truncated=0,
    )


def test_firing_and_resolved_alerts_of_one_payload_are_told_apart_by_their_own_status() -> None:
    body = changed(
        lambda payload, alert: payload["alerts"].append(
            alert | {"status": "resolved", "endsAt": "2024-01-01T13:10:00+01:00"}
        )
    )
    first, second = parse(body).alerts
    assert (first.firing, second.firing, second.ends_at) == (True, False, NOON + 600)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda payload, _: payload.update(notification_reason="first"), id="a field of a newer release"),
        pytest.param(lambda _, alert: alert.update(silenceURL="http://x"), id="a new field of an alert"),
        pytest.param(lambda _, alert: alert.pop("annotations"), id="no annotations"),
        pytest.param(lambda _, alert: alert.pop("endsAt"), id="no endsAt"),
        pytest.param(lambda _, alert: alert["labels"].pop("org"), id="a label of the contract is missing"),
        pytest.param(lambda payload, _: payload.pop("truncatedAlerts"), id="no truncatedAlerts"),
        pytest.param(lambda payload, _: payload.update(alerts=[]), id="no alert at all"),
        pytest.param(lambda _, alert: alert.update(fingerprint="f" * MAX_KEY_CHARS), id="the longest fingerprint"),
        pytest.param(lambda _, alert: alert["labels"].update(org="x" * MAX_KEY_CHARS), id="the longest label"),
    ],
)
def test_what_is_tolerated(change: Callable[[Json, Json], object]) -> None:
    parse(changed(change))


def test_alerts_that_alertmanager_left_out_are_counted() -> None:
    assert parse(changed(lambda payload, _: payload.update(truncatedAlerts=3))).truncated == 3


def test_an_alert_without_fingerprint_gets_the_same_one_for_the_same_labels() -> None:
    bare = changed(lambda _, alert: alert.pop("fingerprint"))
    other = changed(lambda _, alert: (alert.pop("fingerprint"), alert["labels"].update(org="bank")))
    reordered = changed(
        lambda _, alert: (alert.pop("fingerprint"), alert.update(labels=dict(reversed(alert["labels"].items()))))
    )
    assert parse(bare).alerts[0].fingerprint == parse(reordered).alerts[0].fingerprint
    assert parse(bare).alerts[0].fingerprint != parse(other).alerts[0].fingerprint
    assert re.fullmatch("[0-9a-f]{16}", parse(bare).alerts[0].fingerprint)  # as Alertmanager's own


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda payload, _: payload.update(version="3"), "version: ", id="another version"),
        pytest.param(lambda payload, _: payload.pop("version"), "version: ", id="no version"),
        pytest.param(lambda payload, _: payload.pop("alerts"), "alerts: ", id="no list of alerts"),
        pytest.param(lambda payload, _: payload.update(alerts={}), "alerts: ", id="alerts is no list"),
        pytest.param(lambda payload, _: payload.update(truncatedAlerts=-1), "truncatedAlerts: ", id="fewer than none"),
        pytest.param(lambda _, alert: alert.update(status="pending"), "alerts[0].status: ", id="an unknown status"),
        pytest.param(lambda _, alert: alert.pop("labels"), "alerts[0].labels: ", id="no labels"),
        pytest.param(lambda _, alert: alert["labels"].update(org=7), "alerts[0].labels.org: ", id="a number for text"),
        pytest.param(
            lambda _, alert: alert["labels"].update(org="a\0b"),
            "alerts[0].labels.org: Value error, contains a NUL character",
            id="a NUL character",
        ),
        pytest.param(
            lambda _, alert: alert["labels"].update(org="\ud800"),
            "alerts[0].labels.org: Value error, is not valid Unicode",
            id="half a surrogate pair",
        ),
        pytest.param(lambda _, alert: alert.pop("startsAt"), "alerts[0].startsAt: ", id="no start"),
        pytest.param(
            lambda _, alert: alert.update(startsAt="2024-01-01T12:00:00"), "alerts[0].startsAt: ", id="a naive time"
        ),
        pytest.param(lambda _, alert: alert.update(startsAt="soon"), "alerts[0].startsAt: ", id="no time"),
        pytest.param(
            lambda _, alert: alert.update(startsAt="0001-01-01T00:00:00+14:00"),
            "alerts[0].startsAt: Value error, is not a time between the years 1 and 9999 in UTC",
            id="before year 1",
        ),
        pytest.param(
            lambda _, alert: alert.update(endsAt="9999-12-31T23:00:00-14:00"),
            "alerts[0].endsAt: Value error, is not a time between the years 1 and 9999 in UTC",
            id="after year 9999",
        ),
        pytest.param(
            lambda _, alert: alert.update(fingerprint="f" * (MAX_KEY_CHARS + 1)),
            "alerts[0].fingerprint: ",
            id="a fingerprint that no index takes",
        ),
        *(
            pytest.param(
                lambda _, alert, name=name: alert["labels"].update({name: "x" * (MAX_KEY_CHARS + 1)}),
                f"alerts[0].labels: Value error, {name}: longer than 128 characters",
                id=f"a {name} that no index takes",
            )
            for name in REQUIRED_LABELS
        ),
        pytest.param(
            lambda _, alert: alert["labels"].update(org="x" * 200, signal="x" * 200),
            "alerts[0].labels: Value error, org, signal: longer than 128 characters",
            id="two labels that no index takes",
        ),
    ],
)
def test_what_is_refused_and_where_the_fault_is(change: Callable[[Json, Json], object], said: str) -> None:
    with pytest.raises(PayloadError) as refused:
        parse(changed(change))
    message = str(refused.value).removeprefix(REFUSED)
    if said.endswith(": "):  # what follows are the words of the library
        assert message.startswith(said)
        assert message != said
    else:
        assert message == said


def test_a_body_that_is_no_object_is_refused_as_a_whole() -> None:
    with pytest.raises(PayloadError) as refused:
        parse([])
    assert str(refused.value).startswith(f"{REFUSED}body: ")


@pytest.mark.parametrize(
    ("faults", "ending"),
    [
        pytest.param(2, "", id="few"),
        pytest.param(10, "", id="ten"),
        pytest.param(11, "; and 1 more", id="eleven"),
        pytest.param(13, "; and 3 more", id="many"),
    ],
)
def test_of_many_faults_ten_are_named_and_the_others_counted(faults: int, ending: str) -> None:
    body = changed(lambda _, alert: alert["labels"].update(org="\0"))
    body["alerts"] *= faults
    named = [f"alerts[{number}].labels.org: Value error, contains a NUL character" for number in range(min(faults, 10))]
    with pytest.raises(PayloadError) as refused:
        parse(body)
    assert str(refused.value) == f"{REFUSED}{'; '.join(named)}{ending}"


LISTED: Json = {key: value for key, value in GOOD["alerts"][0].items() if key != "status"} | {
    "status": {"state": "suppressed", "silencedBy": ["s1"], "inhibitedBy": []},
    "endsAt": "2024-01-01T12:04:00Z",  # when it would end, were it not sent again
    "updatedAt": "2024-01-01T12:00:00Z",
    "receivers": [{"name": "rollback-receiver"}],
}


def test_an_entry_of_alertmanagers_list_is_an_alert_that_fires_and_has_no_end() -> None:
    assert parse_listed(LISTED) == parse(GOOD).alerts[0]


def test_the_list_names_the_same_start_as_the_webhook_although_it_tells_it_less_exactly() -> None:
    """Alertmanager's API gives milliseconds, cut off; its webhooks give what Prometheus said."""
    told = changed(lambda _, alert: alert.update(startsAt="2024-01-01T12:00:00.541999123Z"))
    listed = LISTED | {"startsAt": "2024-01-01T12:00:00.541Z"}
    assert parse_listed(listed).starts_at == parse(told).alerts[0].starts_at == NOON + 0.541


def test_an_entry_without_annotations_has_none() -> None:
    assert parse_listed({key: value for key, value in LISTED.items() if key != "annotations"}).annotations == {}


def test_an_entry_without_fingerprint_gets_that_of_the_webhook() -> None:
    bare = changed(lambda _, alert: alert.pop("fingerprint"))
    listed = {key: value for key, value in LISTED.items() if key != "fingerprint"}
    assert parse_listed(listed).fingerprint == parse(bare).alerts[0].fingerprint


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        pytest.param(
            LISTED | {"labels": {"org": "a\0b"}}, "labels.org: Value error, contains a NUL character", id="a NUL"
        ),
        pytest.param(
            LISTED | {"labels": {"org": "\0"}, "annotations": {"summary": "\ud800"}},
            "labels.org: Value error, contains a NUL character",
            id="of two faults the first",
        ),
        pytest.param(
            LISTED | {"startsAt": "0001-01-01T00:00:00+14:00"},
            "startsAt: Value error, is not a time between the years 1 and 9999 in UTC",
            id="a time that cannot be",
        ),
    ],
)
def test_an_entry_that_is_no_alert_is_refused_with_its_first_fault(entry: Json, said: str) -> None:
    with pytest.raises(PayloadError) as refused:
        parse_listed(entry)
    assert str(refused.value) == f"not an alert as Alertmanager lists it: {said}"


def test_a_label_that_is_missing_is_empty() -> None:
    alert = parse(GOOD).alerts[0]
    assert (alert.label("org"), alert.label("cluster")) == ("retail", "")


@pytest.mark.parametrize(("action", "watchdog"), [("watchdog", True), ("rollback", False), ("page", False)])
def test_the_watchdog_is_known_by_its_action(action: str, watchdog: bool) -> None:
    body = changed(lambda _, alert: alert["labels"].update(genesys_action=action))
    assert parse(body).alerts[0].is_watchdog is watchdog


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda children: st.lists(children) | st.dictionaries(st.text(st.characters(exclude_categories=())), children),
    max_leaves=20,
)
moments = st.datetimes(timezones=st.timezones() | st.just(UTC)).map(datetime.isoformat) | json_values
labels = st.dictionaries(st.sampled_from(REQUIRED_LABELS) | st.text(), st.text() | json_values)
almost_alerts = st.fixed_dictionaries(
    {"status": st.sampled_from(["firing", "resolved"]) | json_values, "labels": labels | json_values},
    optional={"startsAt": moments, "endsAt": moments, "annotations": labels, "fingerprint": st.text() | json_values},
)
almost_payloads = st.fixed_dictionaries(
    {"version": st.just("4") | json_values, "alerts": st.lists(almost_alerts) | json_values},
    optional={"truncatedAlerts": st.integers() | json_values},
)


@given(body=json_values | almost_payloads)
@example(body={"version": "4", "alerts": [{"status": "firing", "labels": {"\ud800": 1}, "startsAt": 10**400}]})
@example(body={"version": "4", "alerts": [], "truncatedAlerts": float("nan")})
def test_any_json_gives_alerts_or_a_payload_error(body: object) -> None:
    try:
        delivery = parse(body)
    except PayloadError:
        return
    for alert in delivery.alerts:
        for moment in (alert.starts_at, alert.ends_at):
            assert moment is None or datetime.fromtimestamp(moment, UTC)
        for text in (alert.fingerprint, *alert.labels, *alert.labels.values(), *alert.annotations.values()):
            text.encode()
            assert "\x00" not in text
