"""A bad version without error exits is rolled back by the signal that accuses it, and by no other."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exporter.config import ExporterConfig
from genesys.evidence import Signal
from receiver.store.rollbacks import State
from tests.integration.exporter_scene import Exporter
from tests.integration.receiver_world import FLOW_ID
from tests.integration.simulated_world import ACCUSED, ANALYTICS, TARGET, simulated_scene

HANGS_UP: dict[str, Any] = {
    "error_ratio": 0.01,
    "exits": [
        {"reason": "FLOW_DISCONNECT", "share": 0.9},
        {"reason": "TRANSFER", "share": 0.1, "transfer_type": "ACD", "transfer_target": "Service"},
    ],
}
LOSES_CALLERS: dict[str, Any] = {"error_ratio": 0.01, "exits": [{"reason": "DISCONNECT", "share": 1.0}]}
UNDERSTANDS_NOBODY: dict[str, Any] = {
    "error_ratio": 0.01,
    "exits": [{"reason": "RECOGNITION_FAILURE_DISCONNECT", "share": 1.0}],
}
BAD = {
    Signal.FLOW_DISCONNECT: HANGS_UP,
    Signal.CALLER_HANGUP: LOSES_CALLERS,
    Signal.RECOGNITION: UNDERSTANDS_NOBODY,
    Signal.OUTCOME_FAILED: {"error_ratio": 0.01, "outcome_failed_ratio": 0.8},
}


@pytest.mark.parametrize(("signal", "bad"), BAD.items())
def test_the_version_is_rolled_back_once_and_verified_by_the_same_signal(
    tmp_path: Path, signal: Signal, bad: dict[str, Any]
) -> None:
    with simulated_scene(tmp_path, bad=bad, outcomes=True) as here:
        here.deliver(signal=signal)
        rollback = here.run_to_the_end(here.receiver())

        assert rollback is not None, here.verdicts()
        assert (rollback.state, rollback.target_version) == (State.SUCCEEDED, TARGET)
        assert rollback.facts["signal"] == signal
        assert here.genesys.live() == TARGET
        assert len(here.genesys.effects()) == 1


@pytest.mark.parametrize("signal", [Signal.FLOW_DISCONNECT, Signal.OUTCOME_FAILED])
def test_what_the_exporter_shows_of_a_signal_that_acts_the_receiver_finds_as_well(
    tmp_path: Path, signal: Signal
) -> None:
    acting = ExporterConfig.model_validate({"flows": [{"match": "*", "act_on": [signal]}]})
    analytics = ANALYTICS.model_copy(update={"outcomes": True})
    with simulated_scene(tmp_path, bad=BAD[signal], outcomes=True) as here:
        urls = {"retail": here.genesys.url}
        with closing(Exporter(here.time, urls, acting, deadline_s=30.0, analytics=analytics)) as exporter:
            exporter.poll(minutes_later=0)
            page = exporter.poll()
        threshold = page["genesys_flow_threshold_ratio"][f"{FLOW_ID} retail {signal}"]
        window = f"{FLOW_ID} {ACCUSED} retail {signal} 15m"
        assert page["genesys_flow_signal_acts"][f"{FLOW_ID} retail {signal}"] == 1
        assert page["genesys_flow_errors"][window] > threshold * page["genesys_flow_volume"][window]
        assert page["genesys_flow_breach_minutes"][window] >= 3
        here.deliver(signal=signal)
        rollback = here.run_to_the_end(here.receiver())
        assert rollback is not None, here.verdicts()
        assert rollback.state is State.SUCCEEDED
        assert rollback.threshold_ratio == pytest.approx(threshold)


@pytest.mark.parametrize("signal", [signal for signal in Signal if signal is not Signal.FLOW_DISCONNECT])
def test_another_signal_than_the_one_that_fails_confirms_nothing(tmp_path: Path, signal: Signal) -> None:
    with simulated_scene(tmp_path, bad=HANGS_UP, outcomes=True) as here:
        here.deliver(signal=signal)
        assert here.run_to_the_end(here.receiver()) is None
        assert set(here.verdicts()) == {"not_confirmed"}
        assert not here.genesys.publishes()


def test_a_signal_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with simulated_scene(tmp_path, bad=HANGS_UP) as here:
        here.deliver(signal="mood")
        assert here.run_to_the_end(here.receiver()) is None
        assert set(here.verdicts()) == {"unknown_contract"}


@pytest.mark.parametrize(
    ("outcomes", "switches", "verdict"),
    [
        pytest.param(False, {}, "stale_evidence", id="nobody asks for them"),
        pytest.param(True, {"outcome_version": False}, "stale_evidence", id="they tell no version"),
    ],
)
def test_outcomes_that_are_not_told_by_version_accuse_nobody(
    tmp_path: Path, outcomes: bool, switches: dict[str, bool], verdict: str
) -> None:
    with simulated_scene(tmp_path, bad={"error_ratio": 0.01, "outcome_failed_ratio": 0.8}, outcomes=outcomes) as here:
        here.genesys.switch(**switches)
        here.deliver(signal=Signal.OUTCOME_FAILED)
        assert here.run_to_the_end(here.receiver()) is None
        assert set(here.verdicts()) == {verdict}
