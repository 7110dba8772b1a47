"""Dialect `platform`: what is asked, and how answers are read, documented and otherwise."""

import contextlib
import json
from datetime import datetime
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.aggregates import iso
from genesys.errors import GenesysError, Refused, Unavailable
from genesys.evidence import Outcomes, Signal, Tally
from genesys.flows import Flow, FlowVersion, Operation
from genesys.platform import WITHOUT_TARGETS
from genesys.transfers import Target
from tests.genesys_wire import Wire, ok, refused

START = 1_795_356_000  # 2026-11-22T14:00:00Z
FLOW_ID = "ce677f29-f403-470c-adb0-8bfa6bf81d69"
NOTHING = ok({})

# The examples of the API's reference.
FLOW = {
    "id": FLOW_ID,
    "name": "Main IVR",
    "type": "INBOUNDCALL",
    "active": True,
    "deleted": False,
    "system": False,
    "division": {"id": "d62836e8-ff2a-43ee-bcf6-dc9d8b9e89a0"},
    "publishedVersion": {
        "id": "14.0",
        "name": "14.0",
        "commitVersion": "14.0",
        "type": "PUBLISH",
        "dateCreated": 1795349000000,
        "datePublished": "2026-11-22T14:02:11.000Z",
    },
    "checkedInVersion": {"id": "14.0"},
    "savedVersion": {"id": "14.0"},
    "currentOperation": {
        "id": "cc4533ab-69fb-49a3-8f90-4b3cc70ca5f6",
        "complete": True,
        "actionName": "PUBLISH",
        "actionStatus": "SUCCESS",
    },
}
OPERATION = {"id": "op-1", "complete": False, "actionName": "PUBLISH", "actionStatus": "STARTED"}


def bucket(minute: int, metric: str, count: object, start: str | None = None) -> dict:
    start = start or f"2026-11-22T14:{minute:02}:00.000Z"
    end = f"2026-11-22T14:{minute + 1:02}:00.000Z"
    return {"interval": f"{start}/{end}", "metrics": [{"metric": metric, "stats": {"count": count, "sum": 9}}]}


def group(*buckets: dict, version: str | None = "14.0", **more: str) -> dict:
    keys = {"flowId": FLOW_ID, "flowVersion": version, **more}
    return {"group": {key: value for key, value in keys.items() if value is not None}, "data": list(buckets)}


def evidence(*answers: object, **options):
    wire = Wire([ok(answer) if not isinstance(answer, httpx.Response) else answer for answer in answers])
    found = wire.platform(deadline_s=1).evidence(START, START + 3600, bucket_s=60, **options)
    return wire, found


def test_evidence_is_asked_for_in_two_queries():
    wire, _ = evidence({}, {})
    common = {"interval": "2026-11-22T14:00:00.000Z/2026-11-22T15:00:00.000Z", "granularity": "PT1M"}
    assert wire.bodies() == [
        {**common, "groupBy": ["flowId", "flowVersion", "exitReason"], "metrics": ["tFlow"]},
        {**common, "groupBy": ["flowId", "flowVersion"], "metrics": ["nFlow"]},
    ]
    assert {(request.method, request.url.path) for request in wire.requests} == {
        ("POST", "/api/v2/analytics/flows/aggregates/query")
    }


OUTCOMES = {
    "results": [
        group(bucket(3, "nFlowOutcome", 20), bucket(4, "nFlowOutcome", 3)),
        group(bucket(3, "nFlowOutcomeFailed", 6)),
        group(bucket(3, "nFlowOutcome", 9), version=None),
    ]
}


def outcomes(*answers: httpx.Response):
    wire = Wire(answers)
    cloud = wire.platform(deadline_s=1, outcomes=True)
    return wire, cloud, cloud.evidence(START, START + 3600, bucket_s=60)


def test_flow_outcomes_are_asked_for_in_a_third_query_and_counted_apart_from_calls():
    wire, _, found = outcomes(ok({"results": [group(bucket(3, "tFlow", 30))]}), NOTHING, ok(OUTCOMES))
    asked = wire.bodies()[2]
    assert (asked["metrics"], asked["groupBy"]) == (["nFlowOutcome", "nFlowOutcomeFailed"], ["flowId", "flowVersion"])
    assert found.tallies(FLOW_ID, "14.0", Signal.OUTCOME_FAILED) == {
        START + 180: Tally(6, 0, 20),
        START + 240: Tally(0, 0, 3),
    }
    assert found.tallies(FLOW_ID, "14.0", Signal.ERROR_EXIT) == {START + 180: Tally(0, 0, 30)}
    assert found.outcomes[FLOW_ID, "14.0"][START + 180] == Outcomes(0, {"UNKNOWN": 30}, 20, 6)
    assert Signal.OUTCOME_FAILED in found.signals


@pytest.mark.parametrize("status", [400, 403])
def test_outcomes_that_are_refused_are_unknown_from_then_on_and_told_once(status, caplog):
    wire, cloud, found = outcomes(NOTHING, NOTHING, refused(status), NOTHING, NOTHING)
    again = cloud.evidence(START, START + 3600, bucket_s=60)
    assert found.signals == again.signals
    assert Signal.OUTCOME_FAILED not in found.signals
    assert len(wire.requests) == 5
    assert [record.getMessage() for record in caplog.records if "outcomes_refused" in record.getMessage()] != []
    assert caplog.text.count("outcomes_refused") == 1


@pytest.mark.parametrize("status", [404, 409, 500])
def test_outcomes_that_cannot_be_read_are_unknown_this_time_only(status):
    wire = Wire()
    wire.answer_always(lambda request: refused(status) if b"nFlowOutcome" in request.content else NOTHING)
    platform = wire.platform(deadline_s=1, outcomes=True)
    found = platform.evidence(START, START + 3600, bucket_s=60)
    assert Signal.OUTCOME_FAILED not in found.signals
    assert Signal.ERROR_EXIT in found.signals

    wire.answer_always(lambda _: NOTHING)
    assert Signal.OUTCOME_FAILED in platform.evidence(START, START + 3600, bucket_s=60).signals


def test_outcomes_that_nobody_asks_for_are_unknown():
    _, found = evidence({}, {})
    assert Signal.OUTCOME_FAILED not in found.signals


BY_TARGET = ["flowId", "flowVersion", "exitReason", "transferType", "transferTargetName"]
HANGS_UP = group(bucket(3, "tFlow", 4), exitReason="DISCONNECT")
SALES, PHONE, NAMELESS = (
    group(bucket(3, "tFlow", count), exitReason="TRANSFER", transferType=kind, **more)
    for count, kind, more in (
        (20, "ACD", {"transferTargetName": "Sales"}),
        (7, "NUMBER", {"transferTargetName": "+49 30 1234567", "transferTargetAddress": "tel:+49301234567"}),
        (3, "ACD", {"transferTargetAddress": "7d0b7a3f-0000-4000-8000-000000000001"}),
    )
)


def by_target(*answers: httpx.Response):
    wire = Wire(answers)
    cloud = wire.platform(deadline_s=1, transfers=True)
    return wire, cloud, cloud.evidence(START, START + 3600, bucket_s=60)


def test_exits_are_told_by_transfer_target_without_a_query_more_and_no_address_is_kept():
    wire, _, found = by_target(ok({"results": [SALES, HANGS_UP, PHONE, NAMELESS]}), NOTHING)
    assert [asked["groupBy"] for asked in wire.bodies()] == [BY_TARGET, BY_TARGET[:2]]
    told = found.outcomes[FLOW_ID, "14.0"][START + 180]
    assert told.exits == {"TRANSFER": 30, "DISCONNECT": 4}
    assert told.transfers == {Target("ACD", "Sales"): 20, Target("NUMBER"): 7, Target("ACD"): 3}
    assert "1234567" not in repr(found)
    assert Signal.ROUTING_SHIFT in found.signals


def wire_of(with_targets: httpx.Response, without: httpx.Response) -> Wire:
    """Answers the queries for exits by whether they ask for targets, and has no entries."""
    wire = Wire()

    def answer(request: httpx.Request) -> httpx.Response:
        if b"tFlow" not in request.content:
            return NOTHING
        return with_targets if b"transferType" in request.content else without

    wire.answer_always(answer)
    return wire


def test_who_does_not_look_at_transfers_does_not_ask_for_them():
    wire, found = evidence({"results": [SALES]}, {})
    assert [asked["groupBy"] for asked in wire.bodies()] == [BY_TARGET[:3], BY_TARGET[:2]]
    assert Signal.ROUTING_SHIFT not in found.signals


def test_an_error_exit_that_names_a_target_is_no_transfer():
    failed = group(bucket(3, "tFlow", 5), exitReason="FLOW_ERROR_DISCONNECT", transferType="ACD")
    _, _, found = by_target(ok({"results": [failed]}), NOTHING)
    assert found.outcomes[FLOW_ID, "14.0"][START + 180] == Outcomes(0, {"FLOW_ERROR_DISCONNECT": 5})


def test_where_targets_are_refused_exits_are_told_without_them_from_then_on(caplog):
    wire = wire_of(refused(400), ok({"results": [HANGS_UP]}))
    cloud = wire.platform(deadline_s=1, transfers=True)
    for _ in range(2):
        found = cloud.evidence(START, START + 3600, bucket_s=60)
        assert found.outcomes[FLOW_ID, "14.0"][START + 180].exits == {"DISCONNECT": 4}
        assert Signal.ROUTING_SHIFT not in found.signals
    asked = ["transferType" in body["groupBy"] for body in wire.bodies()]
    assert asked == [*([True] * 4), *([False] * 4)], "an eighth of the time may be too much as well, but not twice"
    assert caplog.text.count("transfers_not_told") == 1


@pytest.mark.parametrize(
    ("without", "is_told", "asked"),
    [
        pytest.param([SALES, HANGS_UP], False, 6, id="other exits are left out"),
        pytest.param([SALES], True, 8, id="there are no others"),
    ],
)
def test_where_all_exits_are_transfers_they_are_asked_for_once_more_without_targets(without, is_told, asked, caplog):
    wire = wire_of(ok({"results": [SALES]}), ok({"results": without}))
    cloud = wire.platform(deadline_s=1, transfers=True)
    for _ in range(2):
        found = cloud.evidence(START, START + 3600, bucket_s=60)
        assert (Signal.ROUTING_SHIFT in found.signals) == is_told
        exits = found.outcomes[FLOW_ID, "14.0"][START + 180].exits
        assert exits == ({"TRANSFER": 20} if is_told else {"TRANSFER": 20, "DISCONNECT": 4})
    assert len(wire.requests) == asked
    assert caplog.text.count("transfers_not_told") == (not is_told)


def test_once_other_exits_were_told_with_targets_a_flow_that_only_transfers_is_not_asked_for_twice():
    wire = Wire()
    cloud = wire.platform(deadline_s=1, transfers=True)
    for told in (HANGS_UP, SALES, SALES):
        wire.answer_always(
            lambda request, told=told: ok({"results": [told]}) if b"tFlow" in request.content else NOTHING
        )
        found = cloud.evidence(START, START + 3600, bucket_s=60)
        assert Signal.ROUTING_SHIFT in found.signals
    assert len(wire.requests) == 6


@pytest.mark.parametrize(("status", "left_out"), [(413, 1000), (409, WITHOUT_TARGETS), (500, WITHOUT_TARGETS)])
def test_exits_that_cannot_be_told_by_target_are_told_without_for_a_while_or_for_good(status, left_out):
    wire = Wire()
    wire.answer_always(lambda request: refused(status) if b"transferType" in request.content else NOTHING)
    platform = wire.platform(deadline_s=1, transfers=True)
    for _ in range(min(left_out, 40) + 1):
        found = platform.evidence(START, START + 60, bucket_s=60)
        assert Signal.ROUTING_SHIFT not in found.signals
        assert Signal.ERROR_EXIT in found.signals

    wire.answer_always(lambda _: NOTHING)
    again = platform.evidence(START, START + 60, bucket_s=60)
    assert (Signal.ROUTING_SHIFT in again.signals) == (left_out == WITHOUT_TARGETS)


@pytest.mark.parametrize("status", [403, 404])
def test_any_other_failure_of_the_query_for_exits_is_no_evidence(status):
    wire = Wire()
    wire.answer_always(lambda _: refused(status))
    with pytest.raises(GenesysError):
        wire.platform(deadline_s=1, transfers=True).evidence(START, START + 60, bucket_s=60)
    assert all("transferType" in body["groupBy"] for body in wire.bodies())


@pytest.mark.parametrize(
    ("seconds", "granularity"), [(60, "PT1M"), (3600, "PT1H"), (6, "PT6S"), (360, "PT6M"), (90, "PT90S"), (1, "PT1S")]
)
def test_the_length_of_a_bucket_is_an_iso_duration(seconds, granularity):
    wire = Wire([NOTHING, NOTHING])
    wire.platform().evidence(0, seconds * 10, bucket_s=seconds)
    assert [body["granularity"] for body in wire.bodies()] == [granularity] * 2


@pytest.mark.parametrize(("start", "end"), [(0, 0), (60, 0), (0, 90)])
def test_a_stretch_that_is_no_whole_number_of_buckets_is_a_mistake_of_the_caller(start, end):
    with pytest.raises(ValueError, match="whole number of buckets"):
        Wire().platform().evidence(start, end, bucket_s=60)


def test_exits_and_entries_meet_in_their_version_and_bucket():
    _, found = evidence(
        {
            "results": [
                group(bucket(3, "tFlow", 7), bucket(4, "tFlow", 2), exitReason="FLOW_ERROR_DISCONNECT"),
                group(bucket(3, "tFlow", 20), exitReason="TRANSFER"),
                group(bucket(3, "tFlow", 5), version="13.0", exitReason="DISCONNECT"),
            ]
        },
        {"results": [group(bucket(3, "nFlow", 30), bucket(5, "nFlow", 1))]},
    )
    assert found.outcomes == {
        (FLOW_ID, "14.0"): {
            START + 180: Outcomes(30, {"FLOW_ERROR_DISCONNECT": 7, "TRANSFER": 20}),
            START + 240: Outcomes(0, {"FLOW_ERROR_DISCONNECT": 2}),
            START + 300: Outcomes(1, {}),
        },
        (FLOW_ID, "13.0"): {START + 180: Outcomes(0, {"DISCONNECT": 5})},
    }
    assert (found.start, found.end, found.bucket_s) == (START, START + 3600, 60)


def test_groups_that_differ_in_keys_nobody_asked_for_are_summed():
    _, found = evidence(
        {
            "results": [
                group(bucket(3, "tFlow", 7), exitReason="FLOW_ERROR_EXIT", mediaType="voice"),
                group(bucket(3, "tFlow", 2), exitReason="FLOW_ERROR_EXIT", mediaType="message"),
            ]
        },
        {"results": [group(bucket(3, "nFlow", 4), mediaType="voice"), group(bucket(3, "nFlow", 6), mediaType="chat")]},
    )
    assert found.tallies(FLOW_ID, "14.0", Signal.ERROR_EXIT) == {START + 180: Tally(9, 10, 9)}


@pytest.mark.parametrize(
    "reason", [None, "UNKNOWN", "RECOGNITION_FAILURE_EXIT", "SOMETHING_NEW"], ids=lambda reason: reason or "unset"
)
def test_an_exit_for_any_other_reason_is_volume_but_no_error(reason):
    more = {} if reason is None else {"exitReason": reason}
    _, found = evidence({"results": [group(bucket(3, "tFlow", 7), **more)]}, {})
    assert found.tallies(FLOW_ID, "14.0", Signal.ERROR_EXIT) == {START + 180: Tally(0, 0, 7)}


@pytest.mark.parametrize("version", ["debug", None, ""])
def test_what_belongs_to_no_published_version_is_dropped(version):
    _, found = evidence({"results": [group(bucket(3, "tFlow", 7), version=version, exitReason="FLOW_ERROR_EXIT")]}, {})
    assert found.outcomes == {}


@pytest.mark.parametrize("answer", [{}, {"results": []}, {"results": None}, {"results": [{"group": {}}]}])
def test_absent_is_none(answer):
    assert evidence(answer, answer)[1].outcomes == {}


BROKEN = {
    "not an object": [],
    "results is no list": {"results": {}},
    "a result is no object": {"results": ["x"]},
    "group is no object": {"results": [{"group": "x", "data": []}]},
    "flowId is no text": {"results": [{"group": {"flowId": 5}, "data": []}]},
    "data is no list": {"results": [{"group": {}, "data": {}}]},
    "no interval": {"results": [group({"metrics": []})]},
    "interval is no text": {"results": [group({"interval": 5, "metrics": []})]},
    "interval is no date": {"results": [group({"interval": "yesterday", "metrics": []})]},
    "a bucket outside": {"results": [group(bucket(0, "tFlow", 1, start="2026-11-22T15:00:00.000Z"))]},
    "a bucket before": {"results": [group(bucket(0, "tFlow", 1, start="2026-11-22T13:59:00.000Z"))]},
    "a bucket off the edge": {"results": [group(bucket(0, "tFlow", 1, start="2026-11-22T14:00:30.000Z"))]},
    "no stats": {"results": [group({**bucket(0, "tFlow", 1), "metrics": [{"metric": "tFlow"}]})]},
    "no count": {"results": [group({**bucket(0, "tFlow", 1), "metrics": [{"metric": "tFlow", "stats": {}}]})]},
    "count is a text": {"results": [group(bucket(0, "tFlow", "1"))]},
    "count is a fraction": {"results": [group(bucket(0, "tFlow", 1.5))]},
    "count is true": {"results": [group(bucket(0, "tFlow", True))]},
    "count is negative": {"results": [group(bucket(0, "tFlow", -1))]},
    "count is null": {"results": [group(bucket(0, "tFlow", None))]},
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_an_answer_that_is_not_as_documented_is_no_evidence(answer):
    wire = Wire()
    wire.answer_always(lambda _: ok(answer))
    with pytest.raises(Unavailable, match="unexpected answer"):
        wire.platform(deadline_s=1).evidence(START, START + 3600, bucket_s=60)


def test_flow_ids_are_asked_for_a_hundred_at_a_time_and_each_once():
    ids = [f"flow-{number}" for number in range(150)]
    wire, _ = evidence(*([{}] * 4), flow_ids=[*ids, *ids])
    asked = [[predicate["value"] for predicate in body["filter"]["predicates"]] for body in wire.bodies()]
    assert asked == [ids[:100], ids[:100], ids[100:], ids[100:]]
    assert wire.bodies()[0]["filter"]["type"] == "or"
    assert wire.bodies()[0]["filter"]["predicates"][0] == {
        "dimension": "flowId",
        "operator": "matches",
        "value": "flow-0",
    }


def bounded(*, most_buckets: int = 1_000, most_flows: int = 1_000, status: int = 413) -> Wire:
    """Answers 1 error exit and 2 entries of every flow and bucket; refuses more buckets or flows than so many."""
    wire = Wire()

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        start, end = (int(datetime.fromisoformat(text).timestamp()) for text in body["interval"].split("/"))
        flows = [each["value"] for each in body.get("filter", {"predicates": [{"value": FLOW_ID}]})["predicates"]]
        starts = range(start, end, 3600)
        if len(starts) > most_buckets or len(flows) > most_flows:
            return refused(status)
        (metric,) = body["metrics"]
        counted = [{"metric": metric, "stats": {"count": 1 if metric == "tFlow" else 2}}]
        data = [{"interval": f"{iso(at)}/{iso(at + 3600)}", "metrics": counted} for at in starts]
        keys = {"flowVersion": "14.0"} | ({"exitReason": "FLOW_ERROR_EXIT"} if metric == "tFlow" else {})
        return ok({"results": [{"group": {"flowId": flow, **keys}, "data": data} for flow in flows]})

    wire.answer_always(answer)
    return wire


WEEK = range(START, START + 168 * 3600, 3600)
HOUR = Outcomes(2, {"FLOW_ERROR_EXIT": 1})


def hours_asked(wire: Wire) -> list[int]:
    return [round((end - start) / 3600) for start, end in map(stretch, wire.bodies())]


def stretch(body: object) -> list[float]:
    return [datetime.fromisoformat(text).timestamp() for text in body["interval"].split("/")]


def test_a_long_stretch_is_asked_for_in_parts_that_are_no_longer_than_a_poll() -> None:
    wire = bounded()

    found = wire.platform().evidence(WEEK.start, WEEK.stop, bucket_s=3600)

    assert hours_asked(wire) == [60, 60, 60, 60, 48, 48]
    assert found.outcomes == {(FLOW_ID, "14.0"): dict.fromkeys(WEEK, HOUR)}
    assert found.columns(FLOW_ID, "14.0").start == found.start == START


def test_a_bucket_of_another_part_is_not_one_that_was_asked_for() -> None:
    wire = Wire()
    item = {"interval": f"{iso(START)}/{iso(START + 3600)}", "metrics": []}
    wire.answer_always(lambda _: ok({"results": [{"group": {}, "data": [item]}]}))

    with pytest.raises(Unavailable, match="not one of the buckets"):
        wire.platform().evidence(WEEK.start, WEEK.stop, bucket_s=3600)
    assert hours_asked(wire)[-1] == 60
    assert stretch(wire.bodies()[-1])[0] == START + 60 * 3600


@pytest.mark.parametrize("status", [400, 413])
def test_a_query_that_is_too_large_is_asked_in_halves_of_the_time_and_that_is_remembered(status: int) -> None:
    wire = bounded(most_buckets=20, status=status)
    platform = wire.platform()

    found = platform.evidence(START, START + 60 * 3600, bucket_s=3600)

    assert found.outcomes == {(FLOW_ID, "14.0"): dict.fromkeys(WEEK[:60], HOUR)}
    assert hours_asked(wire) == [60, 30, 15, 15, 30, 15, 15] * 2
    wire.requests.clear()
    assert platform.evidence(START, START + 60 * 3600, bucket_s=3600) == found
    assert hours_asked(wire) == [15] * 8


def test_a_query_for_too_many_flows_is_asked_in_halves_of_them_and_that_is_remembered() -> None:
    wire = bounded(most_flows=30)
    platform, ids = wire.platform(), [f"flow-{number}" for number in range(100)]

    found = platform.evidence(START, START + 3600, bucket_s=3600, flow_ids=ids)

    assert found.outcomes == {(flow, "14.0"): {START: HOUR} for flow in ids}
    wire.requests.clear()
    assert platform.evidence(START, START + 3600, bucket_s=3600, flow_ids=ids) == found
    assert [len(body["filter"]["predicates"]) for body in wire.bodies()] == [25] * 8


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        pytest.param({"status": 400}, [60, 30, 15, 8], id="an eighth is refused too"),
        pytest.param({"status": 409}, [60], id="for another reason"),
    ],
)
def test_a_query_that_is_wrong_whatever_its_size_is_given_up_after_few_tries(
    options: dict[str, int], asked: list[int]
) -> None:
    wire = bounded(most_buckets=0, **options)
    platform = wire.platform()

    for _ in range(2):  # nothing is remembered: it may pass
        wire.requests.clear()
        with pytest.raises(Refused):
            platform.evidence(START, START + 60 * 3600, bucket_s=3600)
        assert hours_asked(wire) == asked


def test_one_bucket_of_one_flow_cannot_be_halved() -> None:
    wire = bounded(most_buckets=0)
    with pytest.raises(Refused):
        wire.platform().evidence(START, START + 3600, bucket_s=3600, flow_ids=["one"])
    assert hours_asked(wire) == [1]


def conversations(wire: Wire):
    return wire.platform(deadline_s=1).conversations(START, START + 3600, bucket_s=60)


def test_conversations_are_counted_by_bucket_whatever_the_groups():
    def item(errors: int | None, volume: int) -> dict:
        metrics = [{"metric": "nConversations", "stats": {"count": volume}}]
        if errors is not None:
            metrics.append({"metric": "nError", "stats": {"count": errors}})
        return {**bucket(3, "x", 0), "metrics": metrics}

    results = [{"group": {"mediaType": "voice"}, "data": [item(2, 10)]}, {"data": [item(None, 5)]}]
    wire = Wire([ok({"results": results})])
    assert conversations(wire) == {START + 180: (2, 15)}
    assert "groupBy" not in wire.bodies()[0]
    assert wire.requests[0].url.path == "/api/v2/analytics/conversations/aggregates/query"


def test_where_conversations_cannot_be_counted_offers_are_and_that_is_remembered():
    offered = ok({"results": [{"data": [bucket(3, "nOffered", 8)]}]})
    wire = Wire([refused(400), offered, offered])
    platform = wire.platform()
    for _ in range(2):
        assert platform.conversations(START, START + 3600, bucket_s=60) == {START + 180: (0, 8)}
    asked = [body["metrics"] for body in wire.bodies()]
    assert asked == [["nError", "nConversations"], ["nError", "nOffered"], ["nError", "nOffered"]]


def test_a_query_that_is_refused_either_way_is_asked_as_before_the_next_time():
    counted = ok({"results": [{"data": [bucket(3, "nConversations", 8)]}]})
    wire = Wire([refused(400), refused(400), counted])
    platform = wire.platform()
    with pytest.raises(Refused):
        platform.conversations(START, START + 3600, bucket_s=60)
    assert platform.conversations(START, START + 3600, bucket_s=60) == {START + 180: (0, 8)}


def test_only_a_400_says_that_conversations_cannot_be_counted():
    wire = Wire([refused(409)])
    with pytest.raises(Refused):
        conversations(wire)
    assert len(wire.requests) == 1


def page(number: int, count: int, *entities: dict) -> httpx.Response:
    return ok({"entities": list(entities), "pageNumber": number, "pageCount": count, "pageSize": 500, "total": 9})


def flow_json(flow_id: str, **changes: object) -> dict:
    return {**FLOW, "id": flow_id, **changes}


def test_a_flow_is_read_as_documented():
    wire = Wire([ok(FLOW)])
    assert wire.platform().flow(FLOW_ID) == Flow(
        id=FLOW_ID,
        name="Main IVR",
        type="inboundcall",
        division_id="d62836e8-ff2a-43ee-bcf6-dc9d8b9e89a0",
        division_name="",
        active=True,
        deleted=False,
        live_version="14.0",
        live_published_at=START + 131,
        published_by=None,
        locked_by=None,
        operation=Operation("cc4533ab-69fb-49a3-8f90-4b3cc70ca5f6", True, "PUBLISH", "SUCCESS", None),
    )
    assert wire.requests[0].url.path == f"/api/v2/flows/{FLOW_ID}"


def test_a_flow_that_was_never_published_and_has_nothing_under_way_is_read():
    bare = {"id": "f", "name": "New", "type": "WORKFLOW", "active": False, "deleted": False}
    flow = Wire([ok(bare)]).platform().flow("f")
    assert (flow.live_version, flow.live_published_at, flow.operation, flow.division_id) == (None, None, None, "")


@pytest.mark.parametrize(
    ("changes", "locked_by"),
    [
        ({"lockedUser": {"id": "u-1", "name": "Ann"}}, "Ann"),
        ({"lockedUser": {"id": "u-1"}}, "u-1"),
        ({"lockedClient": {"id": "c-1"}}, "c-1"),
        ({"lockedUser": None, "lockedClient": {}}, "unknown"),
        ({"lockedUser": None}, None),
    ],
)
def test_whoever_locks_a_flow_is_named(changes, locked_by):
    assert Wire([ok({**FLOW, **changes})]).platform().flow("f").locked_by == locked_by


@pytest.mark.parametrize(
    "date", ["2026-11-22T14:02:11.000Z", "2026-11-22T15:02:11+01:00", "2026-11-22T14:02:11", 1795356131000]
)
def test_dates_come_as_texts_or_as_milliseconds(date):
    told = {**FLOW, "publishedVersion": {"id": "14.0", "datePublished": date}}
    assert Wire([ok(told)]).platform().flow("f").live_published_at == START + 131


@pytest.mark.parametrize("date", ["", "yesterday", -1, 1.5, True, 10**400, {}], ids=repr)
def test_a_date_that_is_none_is_no_answer(date):
    told = {**FLOW, "publishedVersion": {"id": "14.0", "datePublished": date}}
    with pytest.raises(Unavailable, match="datePublished is not a date"):
        Wire([ok(told)]).platform(deadline_s=0.1).flow("f")


@pytest.mark.parametrize("field", ["id", "name", "type", "active", "deleted"])
@pytest.mark.parametrize("value", [None, 5, [], {}], ids=repr)
def test_a_flow_without_a_required_field_is_no_answer(field, value):
    with pytest.raises(Unavailable, match=f"unexpected answer: {field}"):
        Wire([ok({**FLOW, field: value})]).platform(deadline_s=0.1).flow("f")


def test_the_id_of_a_flow_cannot_leave_its_place_in_the_path():
    wire = Wire([ok(FLOW)])
    wire.platform().flow("../x/actions?y=1#z")
    assert wire.requests[0].url.raw_path.startswith(b"/api/v2/flows/..%2Fx%2Factions%3Fy%3D1%23z?")


def test_flows_are_read_over_all_pages_without_the_deleted_and_each_once():
    wire = Wire(
        [
            page(1, 2, flow_json("a"), flow_json("b", deleted=True)),
            page(2, 2, flow_json("a", name="Renamed"), flow_json("c")),
        ]
    )
    flows = wire.platform().flows()
    assert [(flow.id, flow.name) for flow in flows] == [("a", "Renamed"), ("c", "Main IVR")]
    asked = [parse_qs(request.url.query.decode()) for request in wire.requests]
    assert asked == [{"pageSize": ["500"], "pageNumber": [number]} for number in ("1", "2")]


def test_flows_may_be_limited_to_those_published_after_a_time():
    wire = Wire([ok({"pageCount": 0})])
    assert wire.platform().flows(published_after=START + 0.5) == []
    assert wire.requests[0].url.params["publishedAfter"] == "2026-11-22T14:00:00.500Z"


def test_where_the_list_cannot_be_limited_by_date_it_is_read_whole_and_that_is_remembered():
    whole = page(1, 1, flow_json("a"), flow_json("b"))
    wire = Wire([refused(400), whole, whole])
    platform = wire.platform()
    for _ in range(2):
        assert [flow.id for flow in platform.flows(published_after=START)] == ["a", "b"]
    assert ["publishedAfter" in request.url.params for request in wire.requests] == [True, False, False]


def test_a_list_that_is_refused_either_way_is_asked_by_date_the_next_time():
    wire = Wire([refused(400), refused(400), page(1, 1, flow_json("a"))])
    platform = wire.platform()
    with pytest.raises(Refused):
        platform.flows(published_after=START)
    assert [flow.id for flow in platform.flows(published_after=START)] == ["a"]
    assert ["publishedAfter" in request.url.params for request in wire.requests] == [True, False, True]


def test_only_a_400_says_that_the_list_cannot_be_limited_by_date():
    wire = Wire([refused(409)])
    with pytest.raises(Refused):
        wire.platform().flows(published_after=START)
    assert len(wire.requests) == 1


def test_a_failing_page_gives_no_flows_at_all():
    wire = Wire([page(1, 2, flow_json("a")), refused(403)])
    with pytest.raises(GenesysError):
        wire.platform().flows()


def test_all_pages_share_one_deadline():
    wire = Wire([])

    def slow(request: httpx.Request) -> httpx.Response:
        wire.time.at += 4
        return page(1, 1000, flow_json(request.url.params["pageNumber"]))

    wire.answer_always(slow)
    with pytest.raises(Unavailable):
        wire.platform(deadline_s=30).flows()
    assert len(wire.requests) == 8


def test_versions_are_read_over_all_pages():
    first = {
        "id": "13.0",
        "dateCreated": 1795349000000,
        "datePublished": "2026-11-20T10:00:00.000Z",
        "datePublishedEnd": "2026-11-22T14:02:11.000Z",
        "createdBy": {"id": "u-1", "name": "Ann"},
    }
    draft = {"id": "saved_version_1", "debug": True, "createdByClient": {"id": "c-1"}}
    wire = Wire([page(1, 2, first), page(2, 2, draft)])
    assert wire.platform().versions(FLOW_ID) == [
        FlowVersion("13.0", False, START - 187_200, START + 131, "Ann"),
        FlowVersion("saved_version_1", True, None, None, "c-1"),
    ]
    assert wire.requests[0].url.path == f"/api/v2/flows/{FLOW_ID}/versions"


def test_the_content_of_a_version_is_told_apart_by_all_that_is_in_it_and_not_by_its_order():
    told = [
        {"a": {"b": [1, 2], "c": "x"}, "d": 1},
        {"d": 1, "a": {"c": "x", "b": [1, 2]}},
        {"a": {"b": [2, 1]}, "d": 1},
    ]
    wire = Wire([ok(one) for one in told])
    first, same, other = (wire.platform(deadline_s=1).configuration(FLOW_ID, "14.0") for _ in told)
    assert first == same != other
    assert first is not None
    assert len(first) == 64
    (path,) = {request.url.path for request in wire.requests}
    assert path == f"/api/v2/flows/{FLOW_ID}/versions/14.0/configuration"


def test_an_empty_content_tells_nothing():
    assert Wire([NOTHING]).platform(deadline_s=1).configuration(FLOW_ID, "14.0") is None


def test_a_content_that_is_no_object_is_no_answer():
    with pytest.raises(Unavailable, match="not an object"):
        Wire([ok([1]), ok([1])]).platform(deadline_s=0.1).configuration(FLOW_ID, "14.0")


def test_a_publish_is_one_post_without_a_body():
    wire = Wire([ok(OPERATION)])
    operation = wire.platform().publish(FLOW_ID, "13.0")
    assert operation == Operation("op-1", False, "PUBLISH", "STARTED", None)
    request = wire.requests[0]
    assert (request.method, request.url.path, request.content) == ("POST", "/api/v2/flows/actions/publish", b"")
    assert dict(request.url.params) == {"flow": FLOW_ID, "version": "13.0"}


def test_the_error_of_an_operation_is_one_line():
    failed = {
        **OPERATION,
        "complete": True,
        "actionStatus": "FAILURE",
        "errorCode": "x.y",
        "errorMessage": "Not\nvalid",
        "errorDetails": [{"errorCode": "z", "fieldName": "f"}],
    }
    assert Wire([ok(failed)]).platform().publish("f", "1.0").error == "x.y Not valid z"


@pytest.mark.parametrize("answer", [{}, [], None, {"id": "op"}, {"id": 5, "complete": True}])
def test_a_publish_that_is_answered_strangely_may_have_had_an_effect(answer):
    wire = Wire([ok(answer)])
    with pytest.raises(Unavailable):
        wire.platform().publish("f", "1.0")
    assert len(wire.requests) == 1


def test_the_endpoints_of_all_calls_are_templates():
    wire = Wire([NOTHING, NOTHING, NOTHING, page(1, 1), ok(FLOW), page(1, 1), ok(OPERATION)])
    platform = wire.platform()
    platform.evidence(START, START + 60, bucket_s=60)
    platform.conversations(START, START + 60, bucket_s=60)
    platform.flows()
    platform.flow(FLOW_ID)
    platform.versions(FLOW_ID)
    platform.publish(FLOW_ID, "13.0")
    assert {call.endpoint for call in wire.calls} == {
        "oauth/token",
        "analytics/flows/aggregates/query",
        "analytics/conversations/aggregates/query",
        "flows",
        "flows/{id}",
        "flows/{id}/versions",
        "flows/actions/publish",
    }


KEYS = [
    "results",
    "group",
    "data",
    "interval",
    "metrics",
    "metric",
    "stats",
    "count",
    "flowId",
    "flowVersion",
    "exitReason",
    "entities",
    "pageCount",
    "id",
    "name",
    "type",
    "division",
    "publishedVersion",
    "datePublished",
    "currentOperation",
    "complete",
    "active",
    "deleted",
    "errorDetails",
    "lockedUser",
    "debug",
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)

READS = {
    "evidence": lambda platform: platform.evidence(START, START + 60, bucket_s=60),
    "conversations": lambda platform: platform.conversations(START, START + 60, bucket_s=60),
    "flows": lambda platform: platform.flows(),
    "flow": lambda platform: platform.flow("f"),
    "versions": lambda platform: platform.versions("f"),
    "publish": lambda platform: platform.publish("f", "1.0"),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
@given(answer=JSON)
def test_any_json_gives_a_result_or_a_genesys_error(read, answer):
    text = json.dumps(answer)
    wire = Wire()

    def respond(_: httpx.Request) -> httpx.Response:
        wire.time.at += 1
        return httpx.Response(200, content=text)

    wire.answer_always(respond)
    with contextlib.suppress(GenesysError):
        read(wire.platform(deadline_s=3))
