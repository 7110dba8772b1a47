"""When what fails has a cause that no single deployment has."""

from dataclasses import replace

import pytest

from genesys.evidence import Evidence, Outcomes, Signal
from genesys.flows import Flow
from genesys.probation import ProbationLimits
from genesys.transfers import Target
from receiver.common_cause import CommonCause, CommonCauseLimits, Neighbour, find_common_cause, survey
from receiver.config import FlowPolicy

HEALTHY = Neighbour("f", "Main IVR", "14.0", "cx-as-code", 1000.0, failing={})
FAILING = replace(HEALTHY, failing={Signal.ERROR_EXIT: False})
ESTABLISHED = replace(HEALTHY, failing={Signal.ERROR_EXIT: True})
DEFAULTS = CommonCauseLimits()


def published(at: float, by: str | None = "cx-as-code") -> Neighbour:
    return replace(FAILING, published_at=at, published_by=by)


def cause(*neighbours: Neighbour, limits: CommonCauseLimits = DEFAULTS) -> CommonCause:
    return find_common_cause(neighbours, limits)


@pytest.mark.parametrize(
    "neighbours",
    [
        pytest.param([FAILING], id="one flow alone"),
        pytest.param([FAILING, *[HEALTHY] * 9], id="one of ten"),
        pytest.param([FAILING, ESTABLISHED, *[HEALTHY] * 9], id="one established flow fails as well"),
        pytest.param([published(0), published(5000)], id="both of two flows: too few to say"),
        pytest.param([published(0), published(5000), HEALTHY], id="two of three flows: too few to say"),
        pytest.param([published(0), published(5000), *[HEALTHY] * 5], id="two of seven"),
        pytest.param([published(60 * n) for n in range(9)], id="nine flows of one change set, and nothing else"),
        pytest.param([published(600), published(0), published(1200), HEALTHY], id="each within ten minutes of another"),
        pytest.param([HEALTHY] * 9, id="nothing fails"),
        pytest.param([], id="no traffic at all"),
    ],
)
def test_it_may_be_the_deployment(neighbours: list[Neighbour]) -> None:
    assert not cause(*neighbours).found


@pytest.mark.parametrize(
    "neighbours",
    [
        pytest.param([ESTABLISHED, ESTABLISHED], id="two established flows"),
        pytest.param([ESTABLISHED, ESTABLISHED, *[HEALTHY] * 200], id="two established flows of many"),
        pytest.param([published(0), published(601), HEALTHY, HEALTHY], id="two deployments among four flows"),
        pytest.param([published(0), published(0, "archy"), *[HEALTHY] * 4], id="two publishers at the same moment"),
        pytest.param([published(0, None), published(0, None), HEALTHY, HEALTHY], id="unknown publishers"),
        pytest.param([published(0), published(5000), *[HEALTHY] * 4], id="a third of six"),
        pytest.param(
            [*(published(60 * n) for n in range(9)), published(9e9), *[HEALTHY] * 4], id="a change set and one"
        ),
    ],
)
def test_it_is_not_the_deployment(neighbours: list[Neighbour]) -> None:
    assert cause(*neighbours).found


def test_share_number_and_distance_are_settings() -> None:
    ten = [published(0), published(900), *[HEALTHY] * 8]

    assert not cause(*ten).found
    assert cause(*ten, limits=replace(DEFAULTS, ratio=0.2)).found
    assert not cause(*ten, limits=replace(DEFAULTS, ratio=0.2, min_flows=11)).found
    assert not cause(*ten, limits=replace(DEFAULTS, ratio=0.2, deployment_s=900)).found


def test_the_record_names_what_fails_and_what_would_be_allowed() -> None:
    found = cause(replace(ESTABLISHED, name="Support"), replace(ESTABLISHED, name="Sales", published_at=9e9), HEALTHY)

    assert found.describe() == (
        "2 independent deployments and 2 established flows fail (Sales, Support), 1 of 3 flows with traffic do not"
    )
    assert found.allowed().startswith("fewer than 2 established flows, and fewer than 30% of the flows")


# Judging an organization

END = 100 * 3600
FLOW = Flow(
    id="f0",
    name="Flow 0",
    type="inboundcall",
    division_id="d",
    division_name="Home",
    active=True,
    deleted=False,
    live_version="1.0",
    live_published_at=1800.0,
    published_by="archy",
    locked_by=None,
    operation=None,
)


def policy(threshold_ratio: float) -> FlowPolicy:
    return FlowPolicy.model_validate({"match": "*", "mode": "auto", "threshold_ratio": threshold_ratio})


POLICY = policy(0.05)


def outcomes(errors: int, exits: int = 10) -> Outcomes:
    return Outcomes(exits, {"FLOW_ERROR_EXIT": errors, "FLOW_DISCONNECT": exits - errors})


def judged(
    flow: Flow = FLOW,
    *,
    recent: dict[str, list[int]] | None = None,
    past: dict[str, list[int]] | None = None,
    configured: FlowPolicy = POLICY,
) -> tuple[Neighbour, ...]:
    """`recent`: errors of ten in each of the newest minutes, by version; `past`: errors of 600 in the newest hours."""
    minutes = {
        ("f0", version): {END - 60 * (age + 1): outcomes(count) for age, count in enumerate(reversed(errors))}
        for version, errors in (recent or {}).items()
    }
    by_hour = {
        ("f0", version): {END - 3600 * (age + 1): outcomes(count, 600) for age, count in enumerate(reversed(errors))}
        for version, errors in (past or {}).items()
    }
    return survey(
        Evidence(END - 3600, END, 60, minutes),
        Evidence(0, END, 3600, by_hour),
        [flow],
        policy_for=lambda _: configured,
        probation=ProbationLimits(),
    )


def test_a_version_that_served_well_and_fails_now_is_established() -> None:
    (found,) = judged(recent={"1.0": [0] * 40 + [5] * 20}, past={"1.0": [6] * 50})
    assert found == Neighbour("f0", "Flow 0", "1.0", "archy", 1800.0, failing={Signal.ERROR_EXIT: True})


def test_a_version_that_failed_from_its_first_call_on_is_not() -> None:
    fresh = replace(FLOW, live_version="2.0", live_published_at=END - 1200.0)
    (found,) = judged(fresh, recent={"2.0": [5] * 20}, past={"1.0": [6] * 50})
    assert found.failing == {Signal.ERROR_EXIT: False}


@pytest.mark.parametrize(
    ("recent", "threshold_ratio"),
    [
        pytest.param({"1.0": [0] * 60}, 0.05, id="no errors"),
        pytest.param({"1.0": [0] * 58 + [9, 9]}, 0.05, id="two bad minutes"),
        pytest.param({"1.0": [5] * 20 + [0] * 40}, 0.05, id="over"),
        pytest.param({"1.0": [5] * 20}, 0.6, id="within its configured threshold"),
        pytest.param({"1.0": [5] * 20, "2.0": [0] * 1}, 0.05, id="another version has taken calls since"),
    ],
)
def test_a_flow_with_traffic_that_does_not_fail_counts_as_healthy(
    recent: dict[str, list[int]], threshold_ratio: float
) -> None:
    (found,) = judged(recent=recent, past={"1.0": [6] * 50}, configured=policy(threshold_ratio))
    assert not found.failing


def test_a_flow_that_always_failed_as_much_does_not_fail_now() -> None:
    (found,) = judged(recent={"1.0": [1] * 60}, past={"1.0": [60] * 60})
    assert not found.failing


@pytest.mark.parametrize(
    "flow",
    [
        pytest.param(replace(FLOW, id="quiet"), id="without traffic"),
        pytest.param(replace(FLOW, live_version=None), id="without a live version"),
    ],
)
def test_what_takes_no_calls_is_not_counted(flow: Flow) -> None:
    assert judged(flow, recent={"1.0": [5] * 60}) == ()


def test_an_explicit_threshold_of_a_flow_is_not_raised_by_its_past() -> None:
    explicit = FlowPolicy.model_validate({"match": {"id": "f0"}, "mode": "auto", "threshold_ratio": 0.05})
    twice_as_much = {"recent": {"1.0": [2] * 60}, "past": {"1.0": [60] * 60}}

    (by_its_past,), (found,) = judged(**twice_as_much), judged(**twice_as_much, configured=explicit)

    assert (by_its_past.failing.keys(), found.failing.keys()) == (set(), {Signal.ERROR_EXIT})


HANGS_UP = {Signal.FLOW_DISCONNECT: True}


@pytest.mark.parametrize(
    ("signal", "also", "found"),
    [
        pytest.param(Signal.FLOW_DISCONNECT, HANGS_UP, True, id="the same signal"),
        pytest.param(Signal.FLOW_DISCONNECT, {Signal.ERROR_EXIT: True}, True, id="errors elsewhere"),
        pytest.param(Signal.ERROR_EXIT, HANGS_UP, False, id="hang-ups elsewhere do not excuse errors"),
        pytest.param(Signal.STUCK, HANGS_UP, False, id="another signal"),
    ],
)
def test_a_cause_is_common_to_flows_that_fail_by_the_same_signal_or_by_errors(
    signal: Signal, also: dict[Signal, bool], found: bool
) -> None:
    others = [replace(HEALTHY, name=name, failing=also) for name in ("Support", "Sales")]
    assert find_common_cause([*others, *[HEALTHY] * 9], DEFAULTS, signal=signal).found is found


@pytest.mark.parametrize(
    ("before", "failing"),
    [
        pytest.param((60, 60), {Signal.FLOW_DISCONNECT: True}, id="more than ever"),
        pytest.param((0, 240), {}, id="its hours always differed"),
    ],
)
def test_a_flow_that_hangs_up_on_more_callers_than_before_fails_by_that_signal_alone(
    before: tuple[int, int], failing: dict[Signal, bool]
) -> None:
    def leaving(hung_up: int, of: int) -> Outcomes:
        return Outcomes(of, {"FLOW_DISCONNECT": hung_up, "TRANSFER": of - hung_up})

    recent = {("f0", "1.0"): {END - 60 * age: leaving(8 if age <= 20 else 1, 10) for age in range(1, 61)}}
    past = {("f0", "1.0"): {END - 3600 * age: leaving(before[age % 2], 600) for age in range(1, 60)}}
    (found,) = survey(
        Evidence(END - 3600, END, 60, recent),
        Evidence(0, END, 3600, past),
        [FLOW],
        policy_for=lambda _: POLICY,
        probation=ProbationLimits(),
    )
    assert found.failing == failing


def routed(target: str, *, live_at: float) -> tuple[Neighbour, ...]:
    """A flow that sent six of ten calls to Service until noon, and in the newest 20 minutes eight to `target`."""
    flow = replace(FLOW, live_version="2.0", live_published_at=live_at)

    def to(name: str, calls: int, volume: int) -> Outcomes:
        return Outcomes(
            volume, {"TRANSFER": calls, "DISCONNECT": volume - calls}, transfers={Target("ACD", name): calls}
        )

    minutes = {("f0", "2.0"): {END - 60 * age: to(target, 8, 10) for age in range(1, 21)}}
    hours = {("f0", "1.0"): {END - 3600 * age: to("Service", 360, 600) for age in range(2, 60)}}
    return survey(
        Evidence(END - 3600, END, 60, minutes),
        Evidence(0, END, 3600, hours),
        [flow],
        policy_for=lambda _: POLICY,
        probation=ProbationLimits(),
    )


def test_a_flow_whose_callers_are_sent_elsewhere_fails_by_that() -> None:
    (shifted,), (usual,) = routed("Catch-all", live_at=END - 1200.0), routed("Service", live_at=END - 1200.0)
    assert shifted.failing == {Signal.ROUTING_SHIFT: False}
    assert usual.failing == {}
