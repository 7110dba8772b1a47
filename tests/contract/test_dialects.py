"""What every dialect promises (`genesys.dialect.GenesysCloud`), shown against the simulator over HTTP.

Every test runs once for each dialect; what the simulator says under `/sim/` is the truth to compare with.
The simulator's answers in the dialect `guide` hold no dates, so what that dialect tells of the past is what
it has seen.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pytest
from pydantic import SecretStr

from genesys.dialect import Call, GenesysCloud
from genesys.errors import GenesysError, Gone, NotAllowed, Refused, Throttled, Unavailable
from genesys.evidence import Signal, total
from genesys.flows import Readback, read_back
from genesys.history import baseline_of
from genesys.organizations import Organization, open_organization
from tests.conftest import SimulatorProcess, StartSimulator

MAIN = "ce677f29-f403-470c-adb0-8bfa6bf81d69"
FACTOR = 10
BUCKET_S = 6  # a simulated minute
HISTORY_BUCKET_S = 360

PUBLISH = {
    "platform": ("POST", "/api/v2/flows/actions/publish"),
    "guide": ("PATCH", "/api/v2/architect/deployments/"),
}
READ_FLOW = {
    "platform": ("GET", f"/api/v2/flows/{MAIN}"),
    "guide": ("GET", f"/api/v2/architect/flows/{MAIN}/versions"),
}
KNOWS_THE_PAST = {"platform": True, "guide": False}

T = TypeVar("T")


@pytest.fixture(scope="module")
def simulator(start_simulator: StartSimulator) -> SimulatorProcess:
    return start_simulator(scenario="calm", time_factor=FACTOR)


@pytest.fixture(autouse=True)
def _no_faults(simulator: SimulatorProcess) -> None:
    simulator.control("DELETE", "faults")


@pytest.fixture(params=["platform", "guide"])
def dialect(request: pytest.FixtureRequest) -> str:
    return request.param


def connect(
    simulator: SimulatorProcess,
    dialect: str,
    *,
    secret: str = "simulator",
    observe: Callable[[Call], None] | None = None,
    timeout_s: float = 2.0,
    deadline_s: float = 3.0,
) -> GenesysCloud:
    flows = [
        {"id": flow["id"], "name": flow["name"], "type": "inboundcall", "division": "Home"}
        for flow in simulator.control("GET", "state")["flows"]
    ]
    settings = {
        "name": "retail",
        "api_url": simulator.url,
        "login_url": simulator.url,
        "dialect": dialect,
        "flows": flows if dialect == "guide" else [],
        "credentials": {"client_id": "simulator", "client_secret": SecretStr(secret)},
        "timeout_s": timeout_s,
        "deadline_s": deadline_s,
    }
    return open_organization(Organization.model_validate(settings), observe=observe)


@pytest.fixture
def cloud(simulator: SimulatorProcess, dialect: str) -> Iterator[GenesysCloud]:
    connected = connect(simulator, dialect)
    yield connected
    connected.close()


def settled(bucket_s: int = BUCKET_S, settle_s: float = 18.0) -> int:
    """End of the newest bucket that no report can be missing from (latency, jitter and late reports are 16 s here)."""
    return int((time.time() - settle_s) // bucket_s) * bucket_s


def eventually(look: Callable[[], T | None], *, within_s: float = 15.0) -> T:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail(f"not within {within_s} s")


def state_of(simulator: SimulatorProcess, flow_id: str) -> dict:
    return next(flow for flow in simulator.control("GET", "state")["flows"] if flow["id"] == flow_id)


def fault(kind: str, where: tuple[str, str], **more: object) -> dict:
    return {"kind": kind, "match": {"method": where[0], "path_prefix": where[1]}, **more}


@dataclass(frozen=True)
class Stretch:
    """Buckets of which a connection knows everything."""

    start: int
    end: int
    bucket_s: int


@pytest.fixture
def stretch(simulator: SimulatorProcess, dialect: str, cloud: GenesysCloud) -> Iterator[Stretch]:
    """A trailing hour; or, where versions have no dates, what has settled of the seconds in which we looked."""
    if KNOWS_THE_PAST[dialect]:
        yield Stretch(settled() - 60 * BUCKET_S, settled(), BUCKET_S)
        return
    usual = simulator.control("GET", "state")["settings"]
    at_once = {"analytics_latency": 0.0, "analytics_jitter": 0.0, "analytics_late_ratio": 0.0}
    simulator.control("PUT", "settings", at_once)
    bucket_s = 2
    looked_at = time.time()
    for _ in range(10):
        cloud.flows()
        time.sleep(1)
    yield Stretch(math.ceil(looked_at / bucket_s + 1) * bucket_s, settled(bucket_s, settle_s=1), bucket_s)
    simulator.control("PUT", "settings", usual)


def test_evidence_holds_what_every_version_did(simulator, cloud, stretch):
    evidence = cloud.evidence(stretch.start, stretch.end, bucket_s=stretch.bucket_s)
    truth = state_of(simulator, MAIN)
    assert truth["live_version"] in evidence.versions(MAIN)
    assert {flow_id for flow_id, _ in evidence.outcomes} == {
        flow["id"] for flow in simulator.control("GET", "state")["flows"]
    }
    tally = total(evidence.tallies(MAIN, truth["live_version"], Signal.ERROR_EXIT).values())
    calls = truth["calls_per_min"] * FACTOR / 60 * (stretch.end - stretch.start)
    assert tally.entries == pytest.approx(calls, abs=5 * math.sqrt(calls))
    assert tally.exits == pytest.approx(tally.entries, rel=0.1)
    assert tally.errors <= 0.05 * tally.volume + 3
    starts = {bucket for buckets in evidence.outcomes.values() for bucket in buckets}
    assert all(stretch.start <= start < stretch.end and start % stretch.bucket_s == 0 for start in starts)
    some = cloud.evidence(stretch.start, stretch.end, bucket_s=stretch.bucket_s, flow_ids=[MAIN])
    assert some.outcomes == {key: value for key, value in evidence.outcomes.items() if key[0] == MAIN}


def test_long_buckets_give_a_flow_its_baseline_where_the_past_is_known(cloud, dialect):
    end = settled(HISTORY_BUCKET_S)
    history = cloud.evidence(end - 168 * HISTORY_BUCKET_S, end, bucket_s=HISTORY_BUCKET_S)
    flow = cloud.flow(MAIN)
    known = baseline_of(
        history, flow_id=MAIN, live_version=flow.live_version or "", live_since=time.time(), signal=Signal.ERROR_EXIT
    )
    assert (known.ratio is not None) == KNOWS_THE_PAST[dialect]
    assert known.ratio is None or 0.001 < known.ratio < 0.05
    # The guide's figures come by the day: nobody knows how they lie in it.
    assert (known.scatter is not None) == (KNOWS_THE_PAST[dialect] and not history.is_spread)
    assert history.is_spread == (dialect == "guide")


def test_conversations_count_the_whole_organization(simulator, cloud):
    end = settled()
    found = cloud.conversations(end - 60 * BUCKET_S, end, bucket_s=BUCKET_S)
    calls_per_min = sum(flow["calls_per_min"] for flow in simulator.control("GET", "state")["flows"])
    assert sum(volume for _, volume in found.values()) == pytest.approx(60 * calls_per_min, rel=0.25)
    assert all(0 <= errors <= volume for errors, volume in found.values())


def test_the_guides_answers_are_read_alike_with_one_metric_in_them_or_with_both(simulator):
    end = settled()
    found = {}
    for position, requests in (("one", 20), ("both", 10)):
        simulator.control("PUT", "switches", {"guide_metrics": position})
        calls: list[Call] = []
        cloud = connect(simulator, "guide", observe=calls.append)
        found[position] = cloud.conversations(end - 10 * BUCKET_S, end, bucket_s=BUCKET_S)
        cloud.close()
        assert sum(call.endpoint != "oauth/token" for call in calls) == requests
    simulator.control("PUT", "switches", {"guide_metrics": "one"})
    assert found["one"] == found["both"]
    assert all(volume > errors >= 0 for errors, volume in found["one"].values())


def test_flows_are_those_that_there_are(simulator, cloud, dialect):
    truth = {flow["id"]: flow for flow in simulator.control("GET", "state")["flows"]}
    flows = {flow.id: flow for flow in cloud.flows()}
    assert flows.keys() == truth.keys()
    main = flows[MAIN]
    assert (main.name, main.type, main.live_version) == ("Main IVR", "inboundcall", truth[MAIN]["live_version"])
    assert (main.active, main.deleted, main.locked_by, main.division_id != "") == (True, False, None, True)
    if KNOWS_THE_PAST[dialect]:
        assert main.live_published_at == pytest.approx(truth[MAIN]["live_since"], abs=1)
    else:
        assert main.live_published_at is None
    assert cloud.flow(MAIN) == main


def test_versions_that_are_the_same_thing_have_the_same_content_where_it_is_told(simulator, cloud, dialect):
    flow_id = {flow["name"]: flow["id"] for flow in simulator.control("GET", "state")["flows"]}["Main IVR"]
    told = {flow["id"]: flow for flow in simulator.control("GET", "state")["flows"]}[flow_id]
    first, *_, last = told["versions"]
    if dialect == "guide":
        assert cloud.configuration(flow_id, last) is None
        return
    assert cloud.configuration(flow_id, last) == cloud.configuration(flow_id, last)
    assert cloud.configuration(flow_id, last) != cloud.configuration(flow_id, first)
    with pytest.raises(Gone):
        cloud.configuration(flow_id, "99.0")


@pytest.mark.parametrize(("position", "error"), [("refused", NotAllowed), ("absent", Gone)])
def test_content_that_nobody_may_know_is_an_error_of_its_own(simulator, position, error):
    simulator.control("PUT", "switches", {"configuration": position})
    cloud = connect(simulator, "platform")
    try:
        with pytest.raises(error):
            cloud.configuration(MAIN, "13.0")
    finally:
        cloud.close()
        simulator.control("PUT", "switches", {"configuration": "given"})


def test_flows_published_after_a_time_are_those_that_may_have_been(cloud, dialect):
    published = cloud.flow(MAIN).live_published_at or 0.0
    assert MAIN in {flow.id for flow in cloud.flows(published_after=published - 60)}
    none = cloud.flows(published_after=time.time() + 60)
    assert [flow.id for flow in none if flow.live_published_at is not None] == []
    assert (none == []) == KNOWS_THE_PAST[dialect]


def test_versions_are_those_that_there_are_with_their_times(simulator, cloud, dialect):
    versions = {version.id: version for version in cloud.versions(MAIN)}
    assert versions.keys() == state_of(simulator, MAIN)["versions"].keys()
    live = versions[cloud.flow(MAIN).live_version or ""]
    assert live.published_until is None
    earlier = [version for version in versions.values() if version.id != live.id]
    assert earlier
    assert not any(version.debug for version in versions.values())
    if KNOWS_THE_PAST[dialect]:
        assert all(version.published_at < version.published_until <= live.published_at for version in earlier)
    else:
        assert all(version.published_at is version.published_until is None for version in versions.values())


def test_what_does_not_exist_is_gone(cloud):
    for read in (cloud.flow, cloud.versions):
        with pytest.raises(Gone):
            read("00000000-0000-0000-0000-000000000000")


def publishes(simulator: SimulatorProcess) -> list[tuple[str, str]]:
    """Method and path of every publish that was really sent."""
    return [(one["method"], one["path"]) for one in simulator.control("GET", "requests") if one.get("publish")]


def test_a_publish_takes_effect_is_read_back_and_the_old_version_is_known_to_have_been_live(simulator, cloud, dialect):
    accused = cloud.flow(MAIN).live_version or ""
    target = next(version.id for version in cloud.versions(MAIN) if version.id != accused)
    before = len(publishes(simulator))
    started = time.time()
    operation = cloud.publish(MAIN, target)

    def done() -> bool:
        said = read_back(cloud.flow(MAIN), accused=accused, target=target, operation_id=operation.id)
        assert said in (Readback.PENDING, Readback.DONE)
        return said is Readback.DONE

    eventually(done)
    assert state_of(simulator, MAIN)["live_version"] == target
    ((method, path),) = publishes(simulator)[before:]
    assert method == PUBLISH[dialect][0]
    assert path.startswith(PUBLISH[dialect][1])
    replaced = next(version for version in cloud.versions(MAIN) if version.id == accused)
    assert replaced.published_at is not None
    assert replaced.published_at < started + 1 < time.time() + 1
    assert started - 1 < (replaced.published_until or 0.0) < time.time()


FAILED_PUBLISHES = {
    "throttled": ({"kind": "throttle", "retry_after": 5}, Throttled),
    "an error of the server": ({"kind": "status", "status": 503}, Unavailable),
    "a gateway's error": ({"kind": "status", "status": 502}, Unavailable),
    "a conflict": ({"kind": "status", "status": 409}, Refused),
    "a missing permission": ({"kind": "status", "status": 403}, NotAllowed),
    "a token that ran out": ({"kind": "status", "status": 401}, NotAllowed),
    "dropped before the effect": ({"kind": "drop_before"}, Unavailable),
    "dropped after the effect": ({"kind": "drop_after"}, Unavailable),
    "slower than the timeout": ({"kind": "slow", "delay_s": 30}, Unavailable),
}


@pytest.mark.parametrize(("what", "error"), FAILED_PUBLISHES.values(), ids=FAILED_PUBLISHES.keys())
def test_a_publish_that_fails_was_sent_once(simulator, dialect, what, error):
    flow_id = next(flow["id"] for flow in simulator.control("GET", "state")["flows"] if flow["id"] != MAIN)
    cloud = connect(simulator, dialect, timeout_s=1.0)
    live = cloud.flow(flow_id).live_version or ""
    before = len(publishes(simulator))
    more = {key: value for key, value in what.items() if key != "kind"}
    simulator.control("PUT", "faults", [fault(str(what["kind"]), PUBLISH[dialect], times=3, **more)])
    with pytest.raises(error) as caught:
        cloud.publish(flow_id, live)
    cloud.close()
    assert type(caught.value) is error
    assert len(publishes(simulator)) == before + 1


PASSING_FAULTS = {
    "errors of the server": {"kind": "status", "status": 503, "times": 2},
    "a limit that ends soon": {"kind": "throttle", "retry_after": 10, "times": 1},
    "dropped connections": {"kind": "drop_before", "times": 2},
    "answers that are lost": {"kind": "drop_after", "times": 2},
    "a token that ran out": {"kind": "status", "status": 401, "times": 1},
}


@pytest.mark.parametrize("what", PASSING_FAULTS.values(), ids=PASSING_FAULTS.keys())
def test_a_read_gets_over_what_passes(simulator, cloud, dialect, what):
    more = {key: value for key, value in what.items() if key != "kind"}
    simulator.control("PUT", "faults", [fault(str(what["kind"]), READ_FLOW[dialect], **more)])
    assert cloud.flow(MAIN).id == MAIN


def test_a_read_gives_up_at_its_deadline(simulator, dialect):
    cloud = connect(simulator, dialect, timeout_s=0.5, deadline_s=1.0)
    simulator.control("PUT", "faults", [fault("slow", READ_FLOW[dialect], delay_s=100)])
    started = time.monotonic()
    with pytest.raises(Unavailable):
        cloud.flow(MAIN)
    cloud.close()
    assert time.monotonic() - started < 2.5


def test_a_limit_beyond_the_deadline_is_left_to_the_caller_with_its_time(simulator, cloud, dialect):
    simulator.control("PUT", "faults", [fault("throttle", READ_FLOW[dialect], retry_after=100)])
    started = time.monotonic()
    with pytest.raises(Throttled) as caught:
        cloud.flow(MAIN)
    assert time.monotonic() - started < 1
    assert caught.value.retry_after_s == pytest.approx(10, abs=1)


def test_expired_tokens_are_renewed_without_a_word(simulator, cloud):
    cloud.flow(MAIN)
    simulator.control("POST", "events", {"event": "expire_tokens"})
    assert cloud.flow(MAIN).id == MAIN


def test_wrong_credentials_are_not_allowed(simulator, dialect):
    cloud = connect(simulator, dialect, secret="wrong-secret-of-tests")
    with pytest.raises(NotAllowed) as caught:
        cloud.flows()
    cloud.close()
    assert "wrong-secret-of-tests" not in f"{caught.value} {caught.value!r}"


def test_nobody_listening_is_unavailable(start_simulator, dialect):
    ended = start_simulator()
    cloud = connect(ended, dialect, timeout_s=0.5, deadline_s=0.5)
    ended.end()
    with pytest.raises(Unavailable):
        cloud.flows()
    cloud.close()


def test_the_rate_limit_is_known_after_the_first_answer(simulator, dialect):
    cloud = connect(simulator, dialect)
    assert cloud.rate_limit is None
    cloud.flow(MAIN)
    limit = cloud.rate_limit
    assert limit is not None
    assert 0 < limit.used <= limit.allowed
    cloud.flow(MAIN)
    assert cloud.rate_limit is not limit
    cloud.close()


def test_every_request_is_observed_and_no_endpoint_holds_an_id(simulator, dialect):
    calls: list[Call] = []
    cloud = connect(simulator, dialect, observe=calls.append)
    end = settled()
    cloud.evidence(end - BUCKET_S, end, bucket_s=BUCKET_S)
    cloud.conversations(end - BUCKET_S, end, bucket_s=BUCKET_S)
    cloud.flows()
    cloud.flow(MAIN)
    cloud.versions(MAIN)
    with pytest.raises(GenesysError):
        cloud.flow("unknown")
    cloud.close()
    assert {call.code for call in calls} == {"200", "404"}
    assert all(call.duration_s > 0 for call in calls)
    assert not any(MAIN in call.endpoint or "unknown" in call.endpoint for call in calls)
