"""Answers of analytics, read from their bytes: the same as a reader that loads everything and counts in plain dicts."""

import json
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.aggregates import Group, Query, Row, RowReader, iso, rows
from genesys.errors import Unavailable
from genesys.evidence import MAX_COUNT, Columns, Evidence, Outcomes, Signal, Tally
from tests.genesys_wire import Wire

START, BUCKET_S, BUCKETS = 1_795_356_000, 60, 5
END = START + BUCKETS * BUCKET_S

Found = dict[tuple[str, str], dict[int, Outcomes]]


def naive(exits: dict[str, Any], entries: dict[str, Any]) -> Found:
    """Bucket by bucket, without a thought for how long it takes."""
    found: Found = {}
    for metric, answer in (("tFlow", exits), ("nFlow", entries)):
        for result in answer.get("results") or []:
            group = result.get("group") or {}
            key = (group.get("flowId") or "", group.get("flowVersion") or "")
            if not all(key) or key[1] == "debug":
                continue
            for item in result.get("data") or []:
                start = next(at for at in range(START, END, BUCKET_S) if item["interval"].startswith(iso(at)))
                for each in item.get("metrics") or []:
                    count = each["stats"]["count"]
                    if each["metric"] == metric and count:
                        before = found.setdefault(key, {}).get(start, Outcomes())
                        reason = group.get("exitReason") or "UNKNOWN"
                        more = {reason: before.exits.get(reason, 0) + count} if metric == "tFlow" else {}
                        entered = before.entries + (count if metric == "nFlow" else 0)
                        found[key][start] = Outcomes(entered, {**before.exits, **more})
    return found


def interval(bucket: int) -> str:
    return f"{iso(START + bucket * BUCKET_S)}/{iso(START + (bucket + 1) * BUCKET_S)}"


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


numbers = st.integers(0, 3) | st.integers(0, MAX_COUNT // 64)
metric = st.builds(
    lambda name, count, more: {"metric": name, "stats": {"count": count, **more}},
    st.sampled_from(["tFlow", "nFlow", "oFlow"]),
    numbers,
    st.sampled_from([{}, {"max": 1.5, "min": -2e9, "sum": 1e300}, {"ratio": None}]),
)
item = st.builds(
    lambda bucket, metrics, more: {"interval": interval(bucket), **metrics, **more},
    st.integers(0, BUCKETS - 1),
    st.just({}) | maybe(st.lists(metric, max_size=3)).map(lambda found: {"metrics": found}),
    st.sampled_from([{}, {"views": [{"name": "slow", "stats": {"count": 1}}]}]),
)
group = st.fixed_dictionaries(
    {},
    optional={
        "flowId": maybe(st.sampled_from(["f", "g", "", 'Zürich "\\/\n🎧'])),
        "flowVersion": maybe(st.sampled_from(["1.0", "2.0", "debug", ""])),
        "exitReason": maybe(st.sampled_from(["TRANSFER", "FLOW_ERROR_EXIT", "FLOW_ERROR_DISCONNECT", ""])),
        "mediaType": maybe(st.sampled_from(["voice", "message"])),
        "nobodyAsked": st.sampled_from([5, [1], {"a": None}]),
    },
)
result = st.fixed_dictionaries({}, optional={"group": maybe(group), "data": maybe(st.lists(item, max_size=6))})
answer = st.fixed_dictionaries({}, optional={"results": maybe(st.lists(result, max_size=6)), "more": st.text()})


def read(*bodies: bytes) -> Evidence:
    wire = Wire([httpx.Response(200, content=body) for body in bodies])
    return wire.platform(deadline_s=0.1).evidence(START, END, bucket_s=BUCKET_S)


@given(exits=answer, entries=answer)
def test_any_answer_gives_the_evidence_of_a_naive_reader(exits: dict[str, Any], entries: dict[str, Any]) -> None:
    found, expected = read(*(json.dumps(each).encode() for each in (exits, entries))), naive(exits, entries)

    assert found.outcomes == expected
    plain = Evidence(START, END, BUCKET_S, expected)
    for key, buckets in expected.items():
        assert found.versions(key[0]) == plain.versions(key[0])
        for since in (0.0, START + 60.5, float(END)):
            assert found.tallies(*key, Signal.ERROR_EXIT, since) == plain.tallies(*key, Signal.ERROR_EXIT, since)
        assert found.columns(*key).newest() == max(buckets) == plain.columns(*key).newest()
        entered = [start for start, outcomes in buckets.items() if outcomes.entries]
        assert found.columns(*key).newest_entry() == max(entered, default=None)
        assert plain.columns(*key) == buckets


def test_a_metric_that_nobody_asked_for_is_not_counted_a_second_time() -> None:
    """Entries are asked for apart; an answer that tells exits there as well would count them twice."""
    counted = [{"metric": name, "stats": {"count": 4}} for name in ("tFlow", "nFlow")]
    told = {"group": {"flowId": "f", "flowVersion": "1.0"}, "data": [{"interval": interval(0), "metrics": counted}]}
    body = json.dumps({"results": [told]}).encode()
    assert read(body, body).tallies("f", "1.0", Signal.ERROR_EXIT) == {START: Tally(0, 4, 4)}


QUERY = Query(START, END, BUCKET_S, ["tFlow"])


def fed(body: bytes, sizes: Sequence[int]) -> Sequence[Row]:
    """The rows of an answer that comes in pieces of these sizes, again and again."""
    reader, at, turns = RowReader(QUERY), 0, cycle(sizes)
    while at < len(body):
        size = next(turns)
        reader.feed(body[at : at + size])
        at += size
    return rows("here", reader.end())


written = st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}])
sizes = st.lists(st.integers(1, 200), min_size=1, max_size=4)


@given(told=answer, style=written, sizes=sizes)
def test_an_answer_means_the_same_however_it_is_written_and_cut_into_pieces(
    told: dict[str, Any], style: dict[str, Any], sizes: list[int]
) -> None:
    whole = json.dumps(told).encode()
    assert fed(json.dumps(told, **style).encode(), sizes) == fed(whole, [len(whole)])


TRAP = ',{"group":{"flowId":"x"}}'


@pytest.mark.parametrize("style", [{}, {"indent": 2}, {"separators": (",", ":")}], ids=["spaces", "lines", "compact"])
def test_of_a_long_answer_no_more_is_kept_than_a_result_or_two(style: dict[str, Any]) -> None:
    item = {"interval": interval(0), "metrics": [{"metric": "tFlow", "stats": {"count": 1}}], "text": TRAP}
    results = [{"group": {"flowId": str(number)}, "data": [item] * 3} for number in range(500)]
    body, longest = json.dumps({"results": results}, **style).encode(), len(json.dumps(results[-1], indent=2)) * 2
    reader = RowReader(QUERY)

    kept = [reader.feed(body[at : at + 100]) for at in range(0, len(body), 100)]

    assert max(kept) < 2 * longest < len(body) / 50
    found = rows("here", reader.end())
    assert [(group.flow_id, columns["tFlow"][0]) for group, columns in found] == [(str(each), 3) for each in range(500)]


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({"more": 1, "results": [{"group": {}, "data": []}]}, id="something before the results"),
        pytest.param({"results": [{"data": [], "group": {}}] * 3}, id="the group at the end"),
        pytest.param({"results": [{}] * 3, "more": [1, {"group": {}}]}, id="no groups, and something behind"),
    ],
)
def test_an_answer_in_another_order_is_understood_at_its_end(told: dict[str, Any]) -> None:
    assert fed(json.dumps(told).encode(), [7]) == [(Group(), {})] * len(told["results"])


@given(exits=answer, cut=st.floats(0, 1, exclude_max=True))
def test_an_answer_that_is_cut_off_anywhere_is_none(exits: dict[str, Any], cut: float) -> None:
    body = json.dumps(exits).encode()

    with pytest.raises(Unavailable, match="cut off"):
        read(body[: int(cut * len(body))], b"{}")


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(lambda body: body + b"}", id="something behind it"),
        pytest.param(lambda body: body.replace(b"7", b"NaN"), id="no number of JSON"),
        pytest.param(lambda body: body.replace(b"7", b"07"), id="a leading zero"),
        pytest.param(lambda body: body.replace(b":", b"=", 1), id="no JSON"),
        pytest.param(lambda body: b"[" * 100_000, id="too deep"),
    ],
)
def test_what_is_no_json_is_no_answer(spoilt: Callable[[bytes], bytes]) -> None:
    item = {"interval": interval(0), "metrics": [{"metric": "tFlow", "stats": {"count": 7}}]}
    body = json.dumps({"results": [{"group": {"flowId": "f", "flowVersion": "1.0"}, "data": [item]}]}).encode()
    assert read(body, b"{}").outcomes == {("f", "1.0"): {START: Outcomes(0, {"UNKNOWN": 7})}}

    with pytest.raises(Unavailable):
        read(spoilt(body), b"{}")


@pytest.mark.parametrize("count", ["1.0", "1e3", str(MAX_COUNT + 1), "-1", "true", "null", '"1"', "[]"])
def test_what_is_no_count_is_no_answer(count: str) -> None:
    metric = f'{{"metric":"tFlow","stats":{{"count":{count}}}}}'
    body = f'{{"results":[{{"group":{{}},"data":[{{"interval":"{interval(0)}","metrics":[{metric}]}}]}}]}}'

    with pytest.raises(Unavailable, match="unexpected answer"):
        read(body.encode(), b"{}")


@pytest.mark.parametrize(("groups", "metrics"), [(1, 2100), (2100, 1)], ids=["in one group", "in many"])
def test_counts_that_no_column_can_hold_are_no_answer(groups: int, metrics: int) -> None:
    metric = {"metric": "tFlow", "stats": {"count": MAX_COUNT}}
    group = {"flowId": "f", "flowVersion": "1.0"}
    results = [{"group": group, "data": [{"interval": interval(0), "metrics": [metric] * metrics}]}] * groups
    body = json.dumps({"results": results}).encode()

    with pytest.raises(Unavailable, match="unexpected answer"):
        read(body, b"{}")


def test_a_bucket_that_was_not_asked_for_or_had_no_outcome_is_not_there() -> None:
    columns = Columns.of({START: Outcomes(1, {"TRANSFER": 2}), END: Outcomes(9, {})}, START, END, BUCKET_S)

    assert dict(columns) == {START: Outcomes(1, {"TRANSFER": 2})}
    assert len(columns) == 1
    for absent in (START + 60, START + 1, START - 60, END):
        assert columns.get(absent) is None
