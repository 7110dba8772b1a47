"""The official Python SDK can use the simulator and reads every answer into its own models.

The SDK is made by Genesys from the definition of their API: what it can read
here, a client of the real Genesys Cloud can read as well.
"""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import PureCloudPlatformClientV2 as sdk  # noqa: N813
import pytest
from PureCloudPlatformClientV2.rest import ApiException

from genesys.actions import Actions, DataAction
from genesys.aggregates import Query
from simulator.catalogue import (
    ACTION_DIMENSIONS,
    ACTION_METRICS,
    FLOW_METRICS,
    Dimensions,
    Metrics,
    flow_dimensions,
)

MAIN = "ce677f29-f403-470c-adb0-8bfa6bf81d69"
LOOK_UP = "custom_-_3b0d5a41-6f5e-4d0c-9a53-52c8c1a7e101"  # its data action


class Simulator:
    """The real program, and its control API."""

    def __init__(self, *more_options: str) -> None:
        command = "from simulator.cli import main; main()"
        options = ["--scenario", "calm", "--listen", "127.0.0.1:0", "--time-factor", "10", "--seed", "7"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", command, *options, *more_options], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        first_line = self.process.stdout.readline()
        assert first_line.startswith("listening on http://127.0.0.1:")
        self.url = first_line.split()[-1]

    def control(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/sim/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=5) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    started = Simulator()
    # At once, so that a publish can be read back without waiting.
    started.control("PUT", "settings", {"publish_time": 0, "effect_delay": 0, "analytics_latency": 0})
    yield started
    started.end()


@pytest.fixture
def switch(simulator: Simulator) -> Iterator[Callable[..., None]]:
    """Sets switches for one test."""
    before = simulator.control("GET", "switches")
    yield lambda **switches: simulator.control("PUT", "switches", switches)
    simulator.control("PUT", "switches", before)


@pytest.fixture(scope="module")
def client(simulator: Simulator) -> Any:
    """The SDK's client with a token; its login host is its API host where that does not begin with `api.`."""
    return sdk.ApiClient(host=simulator.url).get_client_credentials_token("simulator", "simulator")


def test_switches_are_set_on_the_command_line() -> None:
    started = Simulator("--switch", "republish=nothing", "--switch", "extra_group_keys=false")
    told = started.control("GET", "switches")
    started.end()
    assert (told["republish"], told["extra_group_keys"], told["published_after"]) == ("nothing", False, "works")


def an_interval(length: timedelta) -> str:
    end = datetime.now(UTC).replace(microsecond=0)
    return f"{(end - length).isoformat()}/{end.isoformat()}"


def test_the_sdk_gets_a_token(client: Any) -> None:
    assert len(client.access_token) > 20


def test_the_sdk_is_told_of_wrong_credentials(simulator: Simulator) -> None:
    with pytest.raises(ApiException) as refused:
        sdk.ApiClient(host=simulator.url).get_client_credentials_token("simulator", "wrong")
    assert refused.value.status == 400
    assert json.loads(refused.value.body)["error"] == "invalid_client"


@pytest.mark.parametrize("entries_tell_exits", [False, True])
@pytest.mark.parametrize("extra_keys", [False, True])
def test_the_sdk_reads_flow_aggregates(
    client: Any, switch: Callable[..., None], extra_keys: bool, entries_tell_exits: bool
) -> None:
    switch(extra_group_keys=extra_keys, n_flow_exit_reason=entries_tell_exits)
    query = sdk.FlowAggregationQuery()
    query.interval = an_interval(timedelta(minutes=6))
    query.granularity = "PT6S"
    query.group_by = ["flowId", "flowVersion", "exitReason"]
    query.metrics = ["nFlow", "tFlow"]
    query.filter = sdk.FlowAggregateQueryFilter()
    query.filter.type = "or"
    predicate = sdk.FlowAggregateQueryPredicate()
    predicate.type, predicate.dimension, predicate.operator, predicate.value = "dimension", "flowId", "matches", MAIN
    query.filter.predicates = [predicate]

    answer = sdk.FlowsApi(client).post_analytics_flows_aggregates_query(query)

    assert {result.group["flowId"] for result in answer.results} == {MAIN}
    assert {result.group["flowVersion"] for result in answer.results} == {"13.0"}
    assert {"mediaType" in result.group for result in answer.results} == {extra_keys}
    assert {"exitReason" in result.group for result in answer.results} == {True, entries_tell_exits}
    stats = {metric.metric: metric.stats for result in answer.results for row in result.data for metric in row.metrics}
    assert set(stats) == {"nFlow", "tFlow"}
    assert isinstance(answer.results[0].data[0].metrics[0].stats.count, int)
    assert stats["nFlow"].count > 0
    assert stats["nFlow"].sum is None
    assert 0 < stats["tFlow"].min <= stats["tFlow"].sum / stats["tFlow"].count <= stats["tFlow"].max
    start, end = (datetime.fromisoformat(text) for text in answer.results[0].data[0].interval.split("/"))
    assert end - start == timedelta(seconds=6)


def an_aggregation(kind: str, metrics: list[str], *group_by: str) -> Any:
    """A question of the SDK about the hour before the start (of simulated time), as one bucket."""
    query = getattr(sdk, f"{kind}AggregationQuery")()
    query.interval = an_interval(timedelta(minutes=6))
    query.metrics, query.group_by = metrics, list(group_by)
    return query


def a_view(kind: str, target: str, name: str, gte: float) -> Any:
    view = getattr(sdk, f"{kind}AggregationView")()
    view.target, view.name, view.function = target, name, "rangeBound"
    view.range = sdk.AggregationRange()
    view.range.gte = gte
    return view


@pytest.mark.parametrize(
    ("position", "keys"),
    [
        ("named", {"transferTargetName", "transferTargetAddress"}),
        ("address", {"transferTargetAddress"}),
        ("absent", set()),
    ],
)
def test_the_sdk_reads_where_flows_transfer_to(
    client: Any, switch: Callable[..., None], position: str, keys: set[str]
) -> None:
    switch(transfer_target=position, extra_group_keys=False)
    ways = ("transferType", "transferTargetName", "transferTargetAddress")
    query = an_aggregation("Flow", ["tFlow"], "flowId", "flowVersion", "exitReason", *ways)

    answer = sdk.FlowsApi(client).post_analytics_flows_aggregates_query(query)

    for result in answer.results:
        transferred = result.group["exitReason"] == "TRANSFER"
        assert {*ways} & set(result.group) == ({"transferType", *keys} if transferred else set())
    assert {result.group.get("transferType") for result in answer.results} == {"ACD", None}


def test_the_sdk_reads_no_exit_without_a_transfer_where_what_is_unset_is_left_out(
    client: Any, switch: Callable[..., None]
) -> None:
    query = an_aggregation("Flow", ["tFlow"], "flowId", "flowVersion", "exitReason", "transferType")
    seen = []
    for told in (True, False):
        switch(unset_dimensions=told, extra_group_keys=False)
        results = sdk.FlowsApi(client).post_analytics_flows_aggregates_query(query).results
        seen.append({result.group["exitReason"] for result in results})
    assert seen[1] == {"TRANSFER"} < seen[0]


def test_the_sdk_reads_outcomes_and_views(client: Any, switch: Callable[..., None]) -> None:
    switch(extra_group_keys=False)
    flows = sdk.FlowsApi(client)
    query = an_aggregation(
        "Flow", ["nFlowOutcome", "nFlowOutcomeFailed"], "flowId", "flowVersion", "flowOutcomeId", "flowOutcomeValue"
    )
    of_main = [
        result
        for result in flows.post_analytics_flows_aggregates_query(query).results
        if result.group["flowId"] == MAIN and result.group["flowVersion"] == "13.0"
    ]
    assert {result.group["flowOutcomeValue"] for result in of_main} == {"SUCCESS", "FAILURE"}
    assert len({result.group["flowOutcomeId"] for result in of_main}) == 1
    metrics = {(each.metric, result.group["flowOutcomeValue"]) for result in of_main for each in result.data[0].metrics}
    assert metrics == {("nFlowOutcome", "SUCCESS"), ("nFlowOutcome", "FAILURE"), ("nFlowOutcomeFailed", "FAILURE")}

    query = an_aggregation("Flow", ["tFlow"], "flowId")
    query.views = [a_view("Flow", "tFlow", "long", 12_000)]  # two simulated minutes
    row = flows.post_analytics_flows_aggregates_query(query).results[0].data[0]
    assert [view.name for view in row.views] == ["long"]
    assert 0 < row.views[0].stats.count < row.metrics[0].stats.count
    assert row.views[0].stats.min >= 12_000


@pytest.mark.parametrize(
    ("position", "ends"), [("none", {"NONE", "REQUEST_FAILED"}), ("absent", {None, "REQUEST_FAILED"})]
)
def test_the_sdk_reads_action_aggregates(
    client: Any, switch: Callable[..., None], position: str, ends: set[str | None]
) -> None:
    switch(action_no_error=position)
    query = an_aggregation("Action", ["tTotalExecution"], "actionId", "errorType", "responseStatus")
    query.views = [a_view("Action", "tTotalExecution", "slow", 100)]

    answer = sdk.AnalyticsApi(client).post_analytics_actions_aggregates_query(query)

    assert len({result.group["actionId"] for result in answer.results}) == 2
    assert {result.group.get("errorType") for result in answer.results} == ends
    assert all("flowId" not in result.group for result in answer.results)
    assert {result.data[0].metrics[0].metric for result in answer.results} == {"tTotalExecution"}
    usual = max(answer.results, key=lambda result: result.data[0].metrics[0].stats.count).data[0]
    assert 20 < usual.metrics[0].stats.sum / usual.metrics[0].stats.count < 80  # 0.4 simulated seconds
    assert usual.views is None or usual.views[0].stats.count < 0.1 * usual.metrics[0].stats.count


def as_we_ask(client: Any) -> tuple[dict[str, object], Any]:
    """Our question about two data actions of the last hour of simulated time, and the same one of the SDK."""
    end = int(datetime.now(UTC).timestamp())
    watched = [DataAction(LOOK_UP, MAIN, 0.02), DataAction("never ran", MAIN, 0.1)]
    ours = Actions(watched).query(Query(end - 360, end, 6, ()), ())
    assert ours is not None
    body = ours.body()
    query = sdk.ActionAggregationQuery()
    query.interval, query.granularity = body["interval"], body["granularity"]
    query.metrics, query.group_by = list(ours.metrics), list(ours.group_by)
    query.views = [a_view("Action", view.metric, view.name, round(view.at_least_s * 1000)) for view in ours.views]
    query.filter = sdk.ActionAggregateQueryFilter()
    query.filter.type, query.filter.predicates = "or", []
    for action in watched:
        predicate = sdk.ActionAggregateQueryPredicate()
        predicate.dimension, predicate.operator, predicate.value = "actionId", "matches", action.action_id
        query.filter.predicates.append(predicate)
    return body, query


def test_the_sdk_asks_as_we_do_for_the_data_actions_of_a_flow(client: Any) -> None:
    body, query = as_we_ask(client)
    assert client.sanitize_for_serialization(query) == body


@pytest.mark.parametrize("position", ["works", "ignored", "refused"])
def test_the_sdk_reads_the_views_of_data_actions_or_is_refused(
    client: Any, switch: Callable[..., None], position: str
) -> None:
    switch(action_views=position)
    _, query = as_we_ask(client)
    if position == "refused":
        with pytest.raises(ApiException) as refused:
            sdk.AnalyticsApi(client).post_analytics_actions_aggregates_query(query)
        assert refused.value.status == 400
        return

    answer = sdk.AnalyticsApi(client).post_analytics_actions_aggregates_query(query)

    assert {result.group["actionId"] for result in answer.results} == {LOOK_UP}
    rows = [row for result in answer.results for row in result.data]
    ran = sum(row.metrics[0].stats.count for row in rows)
    viewed: dict[str, int] = {}
    for view in (view for row in rows for view in row.views or ()):
        viewed[view.name] = viewed.get(view.name, 0) + view.stats.count
    if position == "ignored":
        assert not viewed
    else:
        assert viewed.pop("everyExecution") == ran > 0
        assert 0 < viewed["atLeast20ms"] < ran
        assert viewed.get("atLeast100ms", 0) < viewed["atLeast20ms"]


@pytest.mark.parametrize(
    ("kind", "dimensions", "metrics"),
    [("Flow", flow_dimensions({}), FLOW_METRICS), ("Action", ACTION_DIMENSIONS, ACTION_METRICS)],
)
def test_the_sdk_knows_every_dimension_and_metric_of_the_simulator(
    kind: str, dimensions: Dimensions, metrics: Metrics
) -> None:
    for dimension in dimensions:
        predicate = getattr(sdk, f"{kind}AggregateQueryPredicate")()
        predicate.dimension = dimension
        assert predicate.dimension == dimension  # else `outdated_sdk_version`
    for metric in metrics:
        assert a_view(kind, metric, "view", 0).target == metric


@pytest.mark.parametrize("extra_keys", [False, True])
def test_the_sdk_reads_conversation_aggregates(client: Any, switch: Callable[..., None], extra_keys: bool) -> None:
    switch(extra_group_keys=extra_keys)
    query = sdk.ConversationAggregationQuery()
    query.interval = an_interval(timedelta(hours=1))
    query.granularity = "PT6M"
    query.metrics = ["nConversations", "nError"]

    answer = sdk.AnalyticsApi(client).post_analytics_conversations_aggregates_query(query)

    counts = [
        (metric.metric, metric.stats.count)
        for result in answer.results
        for row in result.data
        for metric in row.metrics
    ]
    conversations = sum(count for metric, count in counts if metric == "nConversations")
    errors = sum(count for metric, count in counts if metric == "nError")
    assert 0 < errors < 0.1 * conversations
    assert set(answer.results[0].group or {}) == ({"mediaType"} if extra_keys else set())


def test_the_sdk_lists_flows_and_versions(client: Any) -> None:
    architect = sdk.ArchitectApi(client)
    page = architect.get_flows(page_size=2, page_number=1, type=["inboundcall"])
    assert (page.total, page.page_count, len(page.entities)) == (3, 2, 2)
    main = page.entities[0]
    assert (main.id, main.name, main.type, main.active) == (MAIN, "Main IVR", "INBOUNDCALL", True)
    assert main.division.name == "Home"
    assert main.published_version.id == "13.0"
    assert isinstance(main.published_version.date_published, datetime)

    versions = {version.id: version for version in architect.get_flow_versions(MAIN).entities}
    assert {"12.0", "13.0"} <= set(versions)
    assert versions["12.0"].date_published_end == versions["13.0"].date_published
    assert versions["13.0"].created_by_client.name == "cx-as-code"
    assert isinstance(versions["13.0"].date_created, int)
    assert architect.get_flow_version(MAIN, "12.0").commit_version == "12.0"


@pytest.mark.parametrize(("position", "found"), [("works", 1), ("ignored", 3), ("refused", None)])
def test_the_sdk_asks_for_flows_published_after_a_time(
    client: Any, switch: Callable[..., None], position: str, found: int | None
) -> None:
    switch(published_after=position)
    week_ago = (datetime.now(UTC) - timedelta(seconds=6 * 8640)).isoformat()  # simulated days last 8640 s
    architect = sdk.ArchitectApi(client)
    if found is None:
        with pytest.raises(ApiException) as refused:
            architect.get_flows(published_after=week_ago)
        assert refused.value.status == 400
    else:
        assert architect.get_flows(published_after=week_ago).total == found


def test_the_sdk_makes_an_older_version_live_again_with_one_request(simulator: Simulator, client: Any) -> None:
    event = {"event": "publish", "flow": MAIN, "version": "14.0", "error_ratio": 0.45, "by": "cx-as-code"}
    simulator.control("POST", "events", event)
    architect = sdk.ArchitectApi(client)
    assert architect.get_flow(MAIN).published_version.id == "14.0"

    operation = architect.post_flows_actions_publish(MAIN, version="13.0")

    assert operation.action_name == "PUBLISH"
    flow = architect.get_flow(MAIN)
    assert flow.published_version.id == "13.0"
    assert (flow.current_operation.id, flow.current_operation.complete) == (operation.id, True)
    assert flow.current_operation.action_status == "SUCCESS"
    ended = architect.get_flow_version(MAIN, "14.0")
    assert ended.date_published_end == flow.published_version.date_published > ended.date_published

    publishes = [request for request in simulator.control("GET", "requests") if request["path"].endswith("/publish")]
    assert len(publishes) == 1
    assert (publishes[0]["flow_id"], publishes[0]["version"], publishes[0]["status"]) == (MAIN, "13.0", 200)


def test_the_sdk_sees_a_date_that_stays(simulator: Simulator, client: Any, switch: Callable[..., None]) -> None:
    switch(date_published="stays")
    architect = sdk.ArchitectApi(client)
    before = architect.get_flow_version(MAIN, "12.0").date_published
    architect.post_flows_actions_publish(MAIN, version="12.0")
    published = architect.get_flow(MAIN).published_version
    assert (published.id, published.date_published) == ("12.0", before)
    architect.post_flows_actions_publish(MAIN, version="13.0")
    assert architect.get_flow(MAIN).published_version.id == "13.0"


def test_the_sdk_sees_a_republish_that_does_nothing(client: Any, switch: Callable[..., None]) -> None:
    switch(republish="nothing")
    architect = sdk.ArchitectApi(client)
    operation = architect.post_flows_actions_publish(MAIN, version="12.0")
    flow = architect.get_flow(MAIN)
    assert flow.published_version.id == "13.0"
    assert (flow.current_operation.id, flow.current_operation.action_status) == (operation.id, "SUCCESS")


def test_the_sdk_is_told_that_a_republish_is_refused(client: Any, switch: Callable[..., None]) -> None:
    switch(republish="refused")
    with pytest.raises(ApiException) as refused:
        sdk.ArchitectApi(client).post_flows_actions_publish(MAIN, version="12.0")
    assert (refused.value.status, json.loads(refused.value.body)["status"]) == (400, 400)


def test_the_sdk_sees_an_operation_that_fails(simulator: Simulator, client: Any) -> None:
    simulator.control("PUT", "faults", [{"kind": "publish_fails", "times": 1}])
    architect = sdk.ArchitectApi(client)
    architect.post_flows_actions_publish(MAIN, version="12.0")
    flow = architect.get_flow(MAIN)
    assert flow.published_version.id == "13.0"
    assert (flow.current_operation.complete, flow.current_operation.action_status) == (True, "FAILURE")
    assert flow.current_operation.error_code == "flow.publish.failed"


def test_the_sdk_is_told_what_is_wrong(client: Any) -> None:
    with pytest.raises(ApiException) as refused:
        sdk.ArchitectApi(client).post_flows_actions_publish(MAIN, version="99.0")
    body = json.loads(refused.value.body)
    assert (refused.value.status, body["status"]) == (404, 404)
    assert body["contextId"] == refused.value.headers["ININ-Correlation-Id"]


def finished(ask: Callable[[], Any]) -> Any:
    """A job once it has ended."""
    for _ in range(200):
        job = ask()
        if job.status in ("Success", "Failure"):
            return job
        time.sleep(0.02)
    raise AssertionError(f"not ended: {job}")


def an_export_of(version: str) -> Any:
    body, details, flow = sdk.RegisterArchitectExportJob(), sdk.ExportDetails(), sdk.ArchitectFlowReference()
    flow.id, flow.version = MAIN, version
    details.flow, details.export_type = flow, "Yaml"
    body.flows = [details]
    return body


def the_file(architect: Any, version: str) -> bytes:
    job = architect.post_flows_export_jobs(an_export_of(version))
    assert (job.status, job.total_flows) == ("Registered", 1)
    done = finished(lambda: architect.get_flows_export_job(job.id))
    assert (done.status, done.command) == ("Success", "Export")
    with urllib.request.urlopen(done.download_url, timeout=10) as answer:
        read: bytes = answer.read()
        return read


def put(job: Any, file: bytes, **more_headers: str) -> int:
    """The status with which the storage answers an upload."""
    headers = job.headers | more_headers
    request = urllib.request.Request(job.presigned_url, file, headers, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as refused:
        return refused.code


@pytest.fixture
def quick(simulator: Simulator) -> Iterator[None]:
    """Jobs take no time, and no fault is left."""
    simulator.control("PUT", "settings", {"export_time": 0, "deploy_time": 0})
    yield
    simulator.control("DELETE", "faults")
    simulator.control("PUT", "settings", {"export_time": 4, "deploy_time": 30})


@pytest.mark.usefixtures("quick")
def test_the_sdk_exports_a_version_and_deploys_it_as_a_new_one(client: Any) -> None:
    architect = sdk.ArchitectApi(client)
    before = architect.get_flow(MAIN).published_version.id
    registered = architect.post_flows_jobs()
    waiting = architect.get_flows_job(registered.id, expand=["messages"])

    status = put(registered, the_file(architect, "12.0"))
    done = finished(lambda: architect.get_flows_job(registered.id, expand=["messages"]))

    flow = architect.get_flow(MAIN)
    assert (waiting.status, status) == ("Registered", 200)
    assert (done.status, done.command, done.flow.id, done.messages) == ("Success", "Publish", MAIN, [])
    assert float(flow.published_version.id) > float(before)
    made = architect.get_flow_version_configuration(MAIN, flow.published_version.id)
    assert made == architect.get_flow_version_configuration(MAIN, "12.0")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("more_headers", [{"Authorization": "Bearer x"}, {"x-amz-meta-job": "another"}])
def test_an_upload_that_is_not_signed_or_carries_a_token_is_refused(client: Any, more_headers: dict[str, str]) -> None:
    architect = sdk.ArchitectApi(client)
    file = the_file(architect, "12.0")
    registered = architect.post_flows_jobs()

    status = put(registered, file, **more_headers)

    assert status in (400, 403)
    assert architect.get_flows_job(registered.id).status == "Registered"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("kind", "uploaded", "status"),
    [
        ("upload_refused", 403, "Registered"),
        ("deploy_fails", 200, "Failure"),
        ("deploy_hangs", 200, "Started"),
        ("deploy_nothing", 200, "Success"),
    ],
)
def test_the_sdk_sees_what_becomes_of_a_deployment_that_has_no_effect(
    simulator: Simulator, client: Any, kind: str, uploaded: int, status: str
) -> None:
    architect = sdk.ArchitectApi(client)
    file = the_file(architect, "12.0")
    before = architect.get_flow(MAIN).published_version.id
    simulator.control("PUT", "faults", [{"kind": kind, "times": 1}])
    registered = architect.post_flows_jobs()

    assert put(registered, file) == uploaded
    job = architect.get_flows_job(registered.id, expand=["messages"])

    assert job.status == status
    assert [message.type for message in job.messages] == (["Error"] if status == "Failure" else [])
    assert architect.get_flow(MAIN).published_version.id == before


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("kind", "status"), [("export_fails", "Failure"), ("export_hangs", "Started")])
def test_the_sdk_sees_an_export_that_gives_no_file(simulator: Simulator, client: Any, kind: str, status: str) -> None:
    architect = sdk.ArchitectApi(client)
    simulator.control("PUT", "faults", [{"kind": kind, "times": 1}])
    job = architect.post_flows_export_jobs(an_export_of("12.0"))

    told = architect.get_flows_export_job(job.id, expand=["messages"])

    assert (told.status, told.download_url) == (status, None)
    assert [message.type for message in told.messages] == (["Error"] if status == "Failure" else [])


def test_the_sdk_is_told_that_a_version_that_is_gone_cannot_be_exported(client: Any) -> None:
    with pytest.raises(ApiException) as refused:
        sdk.ArchitectApi(client).post_flows_export_jobs(an_export_of("99.0"))
    assert refused.value.status == 404


MODULE = """
description: a common module and two flows, of which one uses it
flows:
  - id: m-1
    name: Opening hours
    type: commonmodule
    calls_per_min: 1
    versions: [{version: "2.0", published_ago: 86400}]
  - id: f-1
    name: Main IVR
    type: inboundcall
    calls_per_min: 1
    versions: [{version: "5.0", published_ago: 86400}]
    uses: [m-1]
  - id: f-2
    name: Support
    type: inboundcall
    calls_per_min: 1
    versions: [{version: "6.0", published_ago: 86400}]
"""


@pytest.mark.parametrize(
    ("tracking", "status", "users"),
    [("works", "OPERATIONAL", [("f-1", "Main IVR", "5.0", "INBOUNDCALLFLOW")]), ("absent", "NOTBUILT", [])],
)
def test_the_sdk_reads_which_flows_use_a_common_module(
    tmp_path: Path, tracking: str, status: str, users: list[tuple[str, ...]]
) -> None:
    scenario = tmp_path / "module.yml"
    scenario.write_text(MODULE)
    started = Simulator("--scenario", str(scenario), "--switch", f"dependency_tracking={tracking}")
    architect = sdk.ArchitectApi(sdk.ApiClient(host=started.url).get_client_credentials_token("simulator", "simulator"))
    build = architect.get_architect_dependencytracking_build()
    found = architect.get_architect_dependencytracking_consumingresources(
        "m-1", "COMMONMODULEFLOW", flow_filter="published", page_size=100
    )
    started.end()
    assert build.status == status
    assert [(one.id, one.name, one.version, one.type) for one in found.entities] == users
    assert found.total == len(users)


def an_audit_query(service: str, **more: Any) -> Any:
    query = sdk.AuditRealtimeQueryRequest()
    now = datetime.now(UTC)
    query.interval = f"{(now - timedelta(days=14)).isoformat()}/{(now + timedelta(minutes=1)).isoformat()}"
    query.service_name = service
    for name, value in more.items():
        setattr(query, name, value)
    return query


def test_the_sdk_reads_who_changed_what(simulator: Simulator, client: Any) -> None:
    """A person, CX as Code, and the OAuth client that published by the API."""
    simulator.control("PUT", "settings", {"audit_latency": 0})
    simulator.control(
        "POST",
        "events",
        {
            "event": "change",
            "service": "Routing",
            "entity_type": "Queue",
            "entity_name": "Sales",
            "by": "Ann",
            "person": True,
            "application": "Admin",
        },
    )
    sdk.ArchitectApi(client).post_flows_actions_publish(MAIN, version="12.0")
    api = sdk.AuditApi(client)

    routing = api.post_audits_query_realtime(an_audit_query("Routing"), expand=["user"])
    sort = sdk.AuditQuerySort()
    sort.name, sort.sort_order = "Timestamp", "descending"
    of_main = sdk.AuditQueryFilter()
    of_main.pcProperty, of_main.value = "EntityId", MAIN
    published = api.post_audits_query_realtime(
        an_audit_query("Architect", sort=[sort], filters=[of_main], page_size=1), expand=["user"]
    )

    (queue,) = routing.entities
    assert (queue.user.name, queue.client, queue.application) == ("Ann", None, "Admin")
    assert (queue.entity_type, queue.entity.name, queue.action, queue.status) == ("Queue", "Sales", "Update", "SUCCESS")
    assert queue.event_date.utcoffset() == timedelta(0)
    newest = published.entities[0]
    assert (newest.action, newest.entity.id, newest.context, newest.user) == (
        "Publish",
        MAIN,
        {"version": "12.0"},
        None,
    )
    assert newest.client.id == "simulator"
    assert published.page_count == published.total > 1


def test_an_audit_entry_comes_late(simulator: Simulator, client: Any) -> None:
    change = {"event": "change", "service": "Integrations", "entity_type": "Action", "entity_name": "look up"}
    simulator.control("PUT", "settings", {"audit_latency": 0})
    simulator.control("POST", "events", change | {"late_s": 3600})
    simulator.control("POST", "events", change | {"entity_name": "in time"})

    found = sdk.AuditApi(client).post_audits_query_realtime(an_audit_query("Integrations"))

    assert [one.entity.name for one in found.entities] == ["in time"]


def test_the_audit_can_be_refused(simulator: Simulator, client: Any) -> None:
    match = {"path_prefix": "/api/v2/audits"}
    simulator.control("PUT", "faults", [{"kind": "status", "status": 403, "match": match}])
    with pytest.raises(ApiException) as refused:
        sdk.AuditApi(client).post_audits_query_realtime(an_audit_query("Routing"))
    simulator.control("DELETE", "faults")
    assert refused.value.status == 403


OBJECTS = """
as: calm
objects:
  - type: data_table
    id: holidays
    name: Holidays
    fields: {schema: {type: object, properties: {key: {type: string}}}}
    rows: [{key: "2026-12-24", closed: true}, {key: "2026-12-25", closed: true}, {key: "2026-12-26", closed: true}]
  - {type: data_action, id: look-up, name: Look up, fields: {config: {request: {headers: {X-Key: k}}}}}
  - {type: ivr, id: main, name: Main, fields: {dnis: ["+1"], scheduleGroup: {id: office}, openHoursFlow: {id: f}}}
  - {type: schedule_group, id: office, name: Office, fields: {timeZone: UTC, openSchedules: [{id: weekdays}]}}
  - {type: schedule, id: weekdays, name: Weekdays, fields: {rrule: "FREQ=WEEKLY"}}
  - {type: emergency_group, id: fire, name: Fire, fields: {enabled: false}}
  - {type: queue, id: sales, name: Sales, fields: {skillEvaluationMethod: BEST}}
"""


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[tuple[Simulator, Any]]:
    """A simulator with objects that are no flows, and the SDK's client of it."""
    (tmp_path / "objects.yml").write_text(OBJECTS)
    started = Simulator("--scenario", str(tmp_path / "objects.yml"))
    started.control("PUT", "settings", {"audit_latency": 0})
    yield started, sdk.ApiClient(host=started.url).get_client_credentials_token("simulator", "simulator")
    started.end()


def test_the_sdk_reads_every_kind_of_object(configured: tuple[Simulator, Any]) -> None:
    _, client = configured
    architect, integrations = sdk.ArchitectApi(client), sdk.IntegrationsApi(client)
    ivr = architect.get_architect_ivr("main")
    assert (ivr.dnis, ivr.version, ivr.schedule_group.id, ivr.open_hours_flow.id) == (["+1"], 1, "office", "f")
    assert architect.get_architect_schedulegroup("office").open_schedules[0].id == "weekdays"
    assert architect.get_architect_schedule("weekdays").rrule == "FREQ=WEEKLY"
    assert architect.get_architect_emergencygroup("fire").enabled is False
    assert sdk.RoutingApi(client).get_routing_queue("sales").skill_evaluation_method == "BEST"
    assert integrations.get_integrations_action("look-up").config is None
    with_config = integrations.get_integrations_action("look-up", include_config=True)
    assert (with_config.config.request.headers, with_config.version) == ({"X-Key": "k"}, 1)
    with pytest.raises(ApiException) as refused:
        architect.get_architect_ivr("another")
    assert refused.value.status == 404


def test_the_sdk_reads_the_rows_of_a_data_table_over_pages(configured: tuple[Simulator, Any]) -> None:
    api = sdk.ArchitectApi(configured[1])
    assert api.get_flows_datatable("holidays").schema is None
    assert api.get_flows_datatable("holidays", expand="schema").schema.type == "object"
    first = api.get_flows_datatable_rows("holidays", page_size=2, showbrief=False)
    second = api.get_flows_datatable_rows("holidays", page_size=2, page_number=2)
    assert (first.total, first.page_count) == (3, 2)
    assert first.entities == [{"key": "2026-12-24", "closed": True}, {"key": "2026-12-25", "closed": True}]
    assert second.entities == [{"key": "2026-12-26"}]  # brief, unless asked otherwise


def test_the_sdk_sees_who_changed_and_who_deleted_an_object(configured: tuple[Simulator, Any]) -> None:
    simulator, client = configured
    of_ann = {"by": "Ann", "person": True}
    simulator.control(
        "POST", "events", {"event": "change_object", "type": "ivr", "id": "main", "fields": {"dnis": ["+2"]}, **of_ann}
    )
    simulator.control("POST", "events", {"event": "delete_object", "type": "data_action", "id": "look-up"})
    ivr = sdk.ArchitectApi(client).get_architect_ivr("main")
    assert (ivr.dnis, ivr.version) == (["+2"], 2)
    with pytest.raises(ApiException) as gone:
        sdk.IntegrationsApi(client).get_integrations_action("look-up")
    assert gone.value.status == 404
    audits = sdk.AuditApi(client)
    (changed,) = audits.post_audits_query_realtime(an_audit_query("Routing"), expand=["user"]).entities
    assert (changed.entity.id, changed.action, changed.user.name) == ("main", "Update", "Ann")
    (deleted,) = audits.post_audits_query_realtime(an_audit_query("Integrations")).entities
    assert (deleted.entity.id, deleted.action, deleted.user) == ("look-up", "Delete", None)


def writes_of(simulator: Simulator) -> list[tuple[str, int]]:
    """What was really sent to write an object, with the answers."""
    return [(one["method"], one["status"]) for one in simulator.control("GET", "requests") if one.get("object_write")]


def test_what_the_sdk_writes_it_reads_back(configured: tuple[Simulator, Any]) -> None:
    simulator, client = configured
    architect, integrations = sdk.ArchitectApi(client), sdk.IntegrationsApi(client)
    ivr = architect.get_architect_ivr("main")
    ivr.dnis = ["+2"]
    assert architect.put_architect_ivr("main", ivr).version == 2
    assert architect.get_architect_ivr("main").dnis == ["+2"]
    schedule = architect.get_architect_schedule("weekdays")
    schedule.rrule = "FREQ=DAILY"
    architect.put_architect_schedule("weekdays", schedule)
    assert architect.get_architect_schedule("weekdays").rrule == "FREQ=DAILY"
    group = architect.get_architect_schedulegroup("office")
    group.time_zone = "Europe/Berlin"
    architect.put_architect_schedulegroup("office", group)
    assert architect.get_architect_schedulegroup("office").time_zone == "Europe/Berlin"
    action = integrations.get_integrations_action("look-up", include_config=True)
    action.config.request.headers = {"X-Key": "other"}
    update = sdk.UpdateActionInput()
    update.name, update.config, update.version = action.name, action.config, action.version
    assert integrations.patch_integrations_action("look-up", update).version == 2
    again = integrations.get_integrations_action("look-up", include_config=True)
    assert again.config.request.headers == {"X-Key": "other"}
    assert writes_of(simulator) == [("PUT", 200), ("PUT", 200), ("PUT", 200), ("PATCH", 200)]
    (told,) = sdk.AuditApi(client).post_audits_query_realtime(an_audit_query("Integrations")).entities
    assert (told.entity.id, told.action, told.client.id) == ("look-up", "Update", "simulator")


def test_the_sdk_writes_rows_of_a_data_table(configured: tuple[Simulator, Any]) -> None:
    simulator, client = configured
    api = sdk.ArchitectApi(client)
    api.put_flows_datatable_row("holidays", "2026-12-24", body={"key": "2026-12-24", "closed": False})
    api.post_flows_datatable_rows("holidays", {"key": "2026-12-31", "closed": True})
    api.delete_flows_datatable_row("holidays", "2026-12-26")
    rows = api.get_flows_datatable_rows("holidays", showbrief=False).entities
    assert {row["key"]: row["closed"] for row in rows} == {
        "2026-12-24": False,
        "2026-12-25": True,
        "2026-12-31": True,
    }
    assert writes_of(simulator) == [("PUT", 200), ("POST", 200), ("DELETE", 204)]


@pytest.mark.parametrize(
    ("write", "status"),
    [
        pytest.param(lambda api, ivr: api.put_architect_ivr("main", ivr), 409, id="another version"),
        pytest.param(lambda api, ivr: api.put_architect_ivr("gone", ivr), 404, id="no such object"),
        pytest.param(
            lambda api, _: api.put_flows_datatable_row("holidays", "x", body={"key": "x"}), 404, id="no such row"
        ),
        pytest.param(
            lambda api, _: api.post_flows_datatable_rows("holidays", {"key": "2026-12-24"}), 409, id="the row is there"
        ),
        pytest.param(lambda api, _: api.delete_flows_datatable_row("holidays", "x"), 404, id="no row to delete"),
    ],
)
def test_a_write_that_does_not_fit_is_refused(configured: tuple[Simulator, Any], write: Any, status: int) -> None:
    api = sdk.ArchitectApi(configured[1])
    ivr = api.get_architect_ivr("main")
    ivr.version = 7
    with pytest.raises(ApiException) as refused:
        write(api, ivr)
    assert refused.value.status == status
    assert api.get_architect_ivr("main").version == 1


def test_a_write_may_be_answered_and_do_nothing(configured: tuple[Simulator, Any]) -> None:
    simulator, client = configured
    simulator.control("PUT", "faults", [{"kind": "object_nothing"}])
    api = sdk.ArchitectApi(client)
    ivr = api.get_architect_ivr("main")
    ivr.dnis = ["+2"]
    api.put_architect_ivr("main", ivr)
    assert api.get_architect_ivr("main").dnis == ["+1"]
    assert writes_of(simulator) == [("PUT", 200)]
