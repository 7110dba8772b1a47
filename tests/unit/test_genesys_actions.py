"""Data actions: what is asked, what counts as failed and slow, and to which version it belongs."""

import pytest

from genesys.actions import DataAction
from genesys.evidence import ACTION_SIGNALS, MAX_COUNT, Executions, Signal, Tally
from tests.genesys_wire import Wire, ok, refused

START = 1_795_356_000  # 2026-11-22T14:00:00Z
FLOW = "main"
LOOK_UP, ORDER = DataAction("look-up", FLOW, 3.0), DataAction("order", FLOW, 0.5)
OTHER = DataAction("balance", "bank", 3.0)
EVERY = "everyExecution"
NOTHING = ok({})


def at(minute: int) -> int:
    return START + 60 * minute


def bucket(minute: int, **counts: int) -> dict:
    """Counts by metric or by view, as Genesys Cloud has them."""
    told = [{"metric" if name[0] in "tn" else "name": name, "stats": {"count": n}} for name, n in counts.items()]
    parts = {kind: [one for one in told if key in one] for kind, key in (("metrics", "metric"), ("views", "name"))}
    ends = [f"2026-11-22T14:{each:02}:00.000Z" for each in (minute, minute + 1)]
    return {"interval": "/".join(ends), **{kind: found for kind, found in parts.items() if found}}


def ran(minute: int, count: int, slow: int = 0, at_least_ms: int = 3000) -> dict:
    views = {f"atLeast{at_least_ms}ms": slow} if slow else {}
    return bucket(minute, tTotalExecution=count, **{EVERY: count}, **views)


def group(*buckets: dict, action: str = "look-up", **ends: str) -> dict:
    return {"group": {"actionId": action, **ends}, "data": list(buckets)}


def began(*minutes: int, version: str = "14.0", flow: str = FLOW) -> dict:
    return {"group": {"flowId": flow, "flowVersion": version}, "data": [bucket(minute, nFlow=9) for minute in minutes]}


def read(starts: list[dict], executions: list[dict], *actions: DataAction, flow_ids=()):
    """The evidence when conversations began so and executions are told so; and what was asked."""
    wire = Wire([NOTHING, ok({"results": starts}), ok({"results": executions})])
    cloud = wire.platform(deadline_s=1, data_actions=actions or [LOOK_UP])
    return wire, cloud.evidence(START, START + 3600, bucket_s=60, flow_ids=flow_ids)


def test_they_are_asked_for_in_one_more_query_with_a_view_for_each_duration():
    wire, _ = read([], [], LOOK_UP, ORDER, OTHER)

    assert [request.url.path.split("/")[4] for request in wire.requests] == ["flows", "flows", "actions"]
    assert wire.bodies()[2] == {
        "interval": "2026-11-22T14:00:00.000Z/2026-11-22T15:00:00.000Z",
        "granularity": "PT1M",
        "metrics": ["tTotalExecution"],
        "groupBy": ["actionId", "errorType", "responseStatus"],
        "views": [
            {"name": name, "target": "tTotalExecution", "function": "rangeBound", "range": {"gte": at_least_ms}}
            for name, at_least_ms in ((EVERY, 0), ("atLeast3000ms", 3000), ("atLeast500ms", 500))
        ],
        "filter": {
            "type": "or",
            "predicates": [
                {"dimension": "actionId", "operator": "matches", "value": action}
                for action in ("look-up", "order", "balance")
            ],
        },
    }


def test_of_named_flows_only_their_own_are_asked_for():
    wire, _ = read([], [], LOOK_UP, OTHER, flow_ids=["bank"])
    assert [predicate["value"] for predicate in wire.bodies()[2]["filter"]["predicates"]] == ["balance"]


def test_flows_that_run_none_cost_no_query():
    wire, found = read([], [], LOOK_UP, flow_ids=["bank"])
    assert len(wire.requests) == 2
    assert found.signals >= ACTION_SIGNALS


def test_where_none_is_configured_nothing_is_asked_and_nothing_known():
    wire = Wire([NOTHING, NOTHING])
    found = wire.platform(deadline_s=1).evidence(START, START + 3600, bucket_s=60)
    assert not found.signals & ACTION_SIGNALS


@pytest.mark.parametrize(
    ("ends", "has_failed"),
    [
        pytest.param({"errorType": "NONE", "responseStatus": "200"}, False, id="no error, said so"),
        pytest.param({"errorType": "none"}, False, id="in small letters"),
        pytest.param({"responseStatus": "200"}, False, id="no error, by its absence"),
        pytest.param({"errorType": ""}, False, id="an empty one"),
        pytest.param({}, False, id="nothing is told"),
        pytest.param({"errorType": "REQUEST_FAILED", "responseStatus": "500"}, True, id="an error"),
        pytest.param({"errorType": "TIMEOUT"}, True, id="an error without a status"),
        pytest.param({"errorType": "NONE", "responseStatus": "400"}, True, id="a status of errors"),
        pytest.param({"responseStatus": "503"}, True, id="a status of errors alone"),
        pytest.param({"responseStatus": "399"}, False, id="the last status that is none"),
        pytest.param({"responseStatus": "OK"}, False, id="a status that is no number"),
    ],
)
def test_an_execution_has_failed_if_its_error_or_its_status_says_so(ends, has_failed):
    _, found = read([began(3)], [group(ran(3, 20), **ends)])
    assert found.tallies(FLOW, "14.0", Signal.ACTION_FAILURE) == {at(3): Tally(20 * has_failed, 0, 20)}


def test_all_ends_and_actions_of_a_flow_are_counted_together_and_told_apart():
    executions = [
        group(ran(3, 20, slow=2), errorType="NONE"),
        group(ran(3, 5, slow=4), errorType="REQUEST_FAILED"),
        group(ran(3, 10, slow=3, at_least_ms=500), action="order"),
        group(ran(3, 99), action="not ours"),
    ]
    _, found = read([began(3)], executions, LOOK_UP, ORDER)

    assert found.tallies(FLOW, "14.0", Signal.ACTION_FAILURE) == {at(3): Tally(5, 0, 35)}
    assert found.tallies(FLOW, "14.0", Signal.ACTION_SLOW) == {at(3): Tally(9, 0, 35)}
    assert found.signals >= ACTION_SIGNALS
    assert found.executions(FLOW, "14.0", 0) == {"look-up": Executions(25, 5, 6), "order": Executions(10, 0, 3)}
    assert found.tallies(FLOW, "14.0", Signal.ERROR_EXIT) == {at(3): Tally(0, 9)}


@pytest.mark.parametrize(
    ("starts", "owned"),
    [
        pytest.param([began(3, 4, 5)], {"14.0": [3, 4, 5]}, id="one version"),
        pytest.param([began(3, version="13.0"), began(5)], {"13.0": [3, 4], "14.0": [5]}, id="until the next begins"),
        pytest.param([began(3, 4, version="13.0"), began(4, 5)], {"13.0": [3], "14.0": [5]}, id="both in one minute"),
        pytest.param([began(3, 4, version="13.0"), began(4)], {"13.0": [3]}, id="both, and then nobody"),
        pytest.param([began(4)], {"14.0": [4, 5]}, id="before the first"),
        pytest.param([began(3, version="debug"), began(4)], {"14.0": [4, 5]}, id="the editor's test calls"),
        pytest.param([began(3, flow="bank"), began(5)], {"14.0": [5]}, id="another flow"),
        pytest.param([], {}, id="nobody began"),
    ],
)
def test_what_ran_belongs_to_the_version_on_which_alone_conversations_began(starts, owned):
    _, found = read(starts, [group(ran(3, 20), ran(4, 20), ran(5, 20))])

    for version in ("13.0", "14.0"):
        tallies = found.tallies(FLOW, version, Signal.ACTION_FAILURE)
        assert tallies == {at(minute): Tally(0, 0, 20) for minute in owned.get(version, [])}


@pytest.mark.parametrize("status", [400, 403, 404])
def test_what_is_refused_is_unknown_from_then_on_and_told_once(status, caplog):
    views = 1 if status == 400 else 0  # they may be to blame: it is asked once more without them
    wire = Wire([NOTHING, ok({"results": [began(3)]}), *[refused(status)] * (1 + views), NOTHING, NOTHING])
    cloud = wire.platform(deadline_s=1, data_actions=[LOOK_UP])

    found, again = (cloud.evidence(START, START + 3600, bucket_s=60) for _ in range(2))

    assert not (found.signals | again.signals) & ACTION_SIGNALS
    assert found.tallies(FLOW, "14.0", Signal.ERROR_EXIT) == {at(3): Tally(0, 9)}, "the rest is told all the same"
    assert len(wire.requests) == 5 + views
    assert caplog.text.count("data_actions_refused") == 1


def test_views_that_are_refused_leave_the_failures(caplog):
    told = ok({"results": [group(bucket(3, tTotalExecution=20), errorType="X")]})
    wire = Wire([NOTHING, ok({"results": [began(3)]}), refused(400), told, NOTHING, NOTHING, told])
    cloud = wire.platform(deadline_s=1, data_actions=[LOOK_UP])

    found, again = (cloud.evidence(START, START + 3600, bucket_s=60) for _ in range(2))

    assert found.signals & ACTION_SIGNALS == again.signals & ACTION_SIGNALS == {Signal.ACTION_FAILURE}
    assert found.tallies(FLOW, "14.0", Signal.ACTION_FAILURE) == {at(3): Tally(20, 0, 20)}
    assert ["views" in body for body in wire.bodies()] == [False, False, True, False, False, False, False]
    assert caplog.text.count("action_views_refused") == 1


def test_where_views_are_not_told_nobody_knows_what_was_slow(caplog):
    _, found = read([began(3)], [group(bucket(3, tTotalExecution=20))])
    assert found.signals & ACTION_SIGNALS == {Signal.ACTION_FAILURE}
    assert caplog.text.count("action_views_not_told") == 1


def test_where_nothing_ran_views_may_yet_be_told():
    _, found = read([began(3)], [])
    assert found.signals >= ACTION_SIGNALS


@pytest.mark.parametrize("status", [409, 429, 500])
def test_what_cannot_be_read_is_unknown_this_time_only(status):
    wire = Wire([])
    wire.answer_always(lambda request: refused(status) if "/actions/" in request.url.path else NOTHING)
    platform = wire.platform(deadline_s=1, data_actions=[LOOK_UP])
    found = platform.evidence(START, START + 3600, bucket_s=60)
    assert not found.signals & ACTION_SIGNALS
    assert Signal.ERROR_EXIT in found.signals

    wire.answer_always(lambda _: NOTHING)
    assert found.signals | ACTION_SIGNALS == platform.evidence(START, START + 3600, bucket_s=60).signals


def test_what_is_refused_in_the_middle_of_a_long_stretch_is_unknown_as_a_whole():
    first = [NOTHING, ok({"results": [began(3)]}), ok({"results": [group(ran(3, 20))]})]
    wire = Wire([*first, NOTHING, NOTHING, refused(403)])
    found = wire.platform(deadline_s=1, data_actions=[LOOK_UP]).evidence(START, START + 7200, bucket_s=60)
    assert not found.signals & ACTION_SIGNALS
    assert not found.tallies(FLOW, "14.0", Signal.ACTION_FAILURE)


def test_more_executions_than_there_can_be_are_unknown():
    most = MAX_COUNT
    many = [group(*[bucket(3, tTotalExecution=most)] * 1025, errorType=str(number)) for number in range(2)]
    _, found = read([began(3)], many)
    assert not found.signals & ACTION_SIGNALS
