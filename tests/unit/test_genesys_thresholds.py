"""An explicit threshold, which is the same in both programs' configuration."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import FlowPolicy as ExporterPolicy
from genesys.evidence import Signal
from genesys.excess import BASELINE_FACTOR, THRESHOLD_CAP
from genesys.thresholds import Judging
from receiver.config import FlowPolicy as ReceiverPolicy

POLICIES = [
    pytest.param(ExporterPolicy, {}, id="exporter"),
    pytest.param(ReceiverPolicy, {"mode": "auto"}, id="receiver"),
]
BY_ID = {"match": {"id": "f"}, "threshold_ratio": 0.08}

ratios = st.floats(0.001, 0.9)


@pytest.mark.parametrize(("policy", "needed"), POLICIES)
def test_a_threshold_given_for_the_flows_id_is_taken_as_it_stands(
    policy: type[Judging], needed: dict[str, Any]
) -> None:
    given_for_it = policy.model_validate(BY_ID | needed)

    assert given_for_it.threshold(0.2) == given_for_it.threshold(None) == 0.08
    assert given_for_it.told == "0.08 (explicit)"


@pytest.mark.parametrize(("policy", "needed"), POLICIES)
@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"match": {"name": "Main*"}, "threshold_ratio": 0.05}, id="by name"),
        pytest.param({"match": {"type": "inboundcall"}, "threshold_ratio": 0.05}, id="by type"),
        pytest.param({"match": "*", "threshold_ratio": 0.05}, id="for every flow"),
        pytest.param({"match": {"id": "f"}}, id="by id, but only the default applies"),
    ],
)
def test_any_other_gives_way_to_a_multiple_of_the_flows_own_ratio(
    policy: type[Judging], needed: dict[str, Any], entry: dict[str, Any]
) -> None:
    configured = policy.model_validate(entry | needed)

    assert configured.threshold(0.1) == pytest.approx(BASELINE_FACTOR * 0.1)
    assert configured.threshold(0.005) == configured.threshold(None) == 0.05
    assert configured.told == "0.05"


@given(threshold=ratios, baseline=st.none() | st.floats(0, 1))
def test_an_explicit_threshold_never_depends_on_the_past_and_both_programs_agree(
    threshold: float, baseline: float | None
) -> None:
    entry = {"match": {"id": "f"}, "threshold_ratio": threshold}
    exporter = ExporterPolicy.model_validate(entry)
    receiver = ReceiverPolicy.model_validate(entry | {"mode": "auto"})

    assert exporter.threshold(baseline) == receiver.threshold(baseline) == min(threshold, THRESHOLD_CAP)


RELATIVE = [signal for signal in Signal if signal is not Signal.ERROR_EXIT]


@pytest.mark.parametrize("signal", RELATIVE)
@pytest.mark.parametrize(
    ("baseline", "threshold"),
    [
        pytest.param(None, None, id="nobody knows what is usual"),
        pytest.param(0.0, 0.05, id="it never happened"),
        pytest.param(0.04, 0.2, id="rare: five times as often"),
        pytest.param(0.25, 0.45, id="usual: a fifth of all conversations more"),
        pytest.param(0.69, 0.89, id="many end so"),
        pytest.param(0.7, None, id="so many end so that more could not be told apart"),
        pytest.param(1.0, None, id="all end so"),
    ],
)
def test_a_relative_signal_is_compared_with_the_flows_own_past(
    signal: Signal, baseline: float | None, threshold: float | None
) -> None:
    configured = ExporterPolicy.model_validate({"match": "*"})
    assert configured.threshold_of(signal, baseline) == (None if threshold is None else pytest.approx(threshold))


@pytest.mark.parametrize("signal", RELATIVE)
@pytest.mark.parametrize(
    ("baseline", "spread", "threshold"),
    [
        pytest.param(0.25, 0.0, 0.45, id="every hour is alike"),
        pytest.param(0.25, 0.02, 0.45, id="hours differ a little"),
        pytest.param(0.25, 0.05, 0.65, id="hours differ: eight times as far"),
        pytest.param(0.25, 0.09, None, id="hours differ so much that more could not be told apart"),
        pytest.param(0.02, 0.05, 0.1, id="rare: five times as often, however the hours differ"),
        pytest.param(None, 0.05, None, id="nobody knows what is usual"),
    ],
)
def test_a_share_that_varies_by_itself_must_become_more_than_it_varies(
    signal: Signal, baseline: float | None, spread: float, threshold: float | None
) -> None:
    configured = ExporterPolicy.model_validate({"match": "*"})
    assert configured.threshold_of(signal, baseline, spread) == (
        None if threshold is None else pytest.approx(threshold)
    )
    assert configured.threshold_of(Signal.ERROR_EXIT, baseline, spread) == configured.threshold(baseline)


@given(baseline=st.none() | st.floats(0, 1), signal=st.sampled_from(RELATIVE), explicit=ratios)
def test_a_threshold_of_errors_never_says_anything_about_another_signal_and_both_programs_agree(
    baseline: float | None, signal: Signal, explicit: float
) -> None:
    entry = {"match": {"id": "f"}, "threshold_ratio": explicit}
    exporter = ExporterPolicy.model_validate(entry).threshold_of(signal, baseline)

    assert exporter == ReceiverPolicy.model_validate(entry | {"mode": "auto"}).threshold_of(signal, baseline)
    assert exporter == ExporterPolicy.model_validate({"match": "*"}).threshold_of(signal, baseline)
    if exporter is not None and baseline is not None:
        assert baseline < exporter < THRESHOLD_CAP


@given(baseline=st.none() | st.floats(0, 1), threshold=ratios)
def test_the_threshold_of_error_exits_is_the_configured_one(baseline: float | None, threshold: float) -> None:
    policy = ExporterPolicy.model_validate({"match": "*", "threshold_ratio": threshold})
    assert policy.threshold_of(Signal.ERROR_EXIT, baseline) == policy.threshold(baseline)
