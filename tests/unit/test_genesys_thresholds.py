"""An explicit threshold, which is the same in both programs' configuration."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import FlowPolicy as ExporterPolicy
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
