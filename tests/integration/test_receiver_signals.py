"""A bad version without error exits is rolled back by the signal that accuses it, and by no other."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exporter.config import ExporterConfig
from genesys.actions import DataAction
from genesys.evidence import ACTION_SIGNALS, Signal
from genesys.organizations import Analytics
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
SENDS_ALL_TO_ONE: dict[str, Any] = {
    "error_ratio": 0.01,
    "exits": [
        {"reason": "TRANSFER", "share": 0.9, "transfer_type": "ACD", "transfer_target": "Catch-all"},
        {"reason": "DISCONNECT", "share": 0.1},
    ],
}
CONFUSES_TWO: dict[str, Any] = {
    "error_ratio": 0.01,
    "exits": [
        {"reason": "TRANSFER", "share": 0.45, "transfer_type": "ACD", "transfer_target": "Sales"},
        {"reason": "TRANSFER", "share": 0.15, "transfer_type": "ACD", "transfer_target": "Service"},
        {"reason": "DISCONNECT", "share": 0.25},
        {"reason": "FLOW_DISCONNECT", "share": 0.15},
    ],
}
FAILS: dict[str, Any] = {"failed_ratio": 0.6, "response_status": "400"}
BALANCE: dict[str, Any] = {"id": "balance", "name": "Balance", "failed_ratio": 0.01}
LOOK_UP: dict[str, Any] = {"id": "look-up", "name": "Look up"}
ACTIONS = [DataAction("balance", FLOW_ID, 3.0), DataAction("look-up", FLOW_ID, 3.0)]
BAD = {
    Signal.FLOW_DISCONNECT: HANGS_UP,
    Signal.CALLER_HANGUP: LOSES_CALLERS,
    Signal.RECOGNITION: UNDERSTANDS_NOBODY,
    Signal.OUTCOME_FAILED: {"error_ratio": 0.01, "outcome_failed_ratio": 0.8},
    Signal.ROUTING_SHIFT: SENDS_ALL_TO_ONE,
    Signal.ACTION_FAILURE: {"error_ratio": 0.01, "actions": [BALANCE, LOOK_UP | FAILS]},
    Signal.ACTION_SLOW: {"error_ratio": 0.01, "actions": [BALANCE, LOOK_UP | {"duration": 8.0}]},
}


@pytest.mark.parametrize(("signal", "bad"), BAD.items())
def test_the_version_is_rolled_back_once_and_verified_by_the_same_signal(
    tmp_path: Path, signal: Signal, bad: dict[str, Any]
) -> None:
    with simulated_scene(tmp_path, bad=bad, outcomes=True, data_actions=ACTIONS) as here:
        here.deliver(signal=signal)
        rollback = here.run_to_the_end(here.receiver())

        assert rollback is not None, here.verdicts()
        assert (rollback.state, rollback.target_version) == (State.SUCCEEDED, TARGET)
        assert rollback.facts["signal"] == signal
        assert here.genesys.live() == TARGET
        assert len(here.genesys.effects()) == 1


@pytest.mark.parametrize(
    ("bad", "target", "before"), [(SENDS_ALL_TO_ONE, "Catch-all", 0.0), (CONFUSES_TWO, "Sales", 0.15)]
)
def test_people_read_which_target_took_over_and_what_its_share_was(
    tmp_path: Path, bad: dict[str, Any], target: str, before: float
) -> None:
    with simulated_scene(tmp_path, bad=bad) as here:
        here.deliver(signal=Signal.ROUTING_SHIFT)
        rollback = here.run_to_the_end(here.receiver())
        assert rollback is not None, here.verdicts()
        assert rollback.state is State.SUCCEEDED
        for event in here.told():
            assert (event["transfer_type"], event["transfer_target"]) == ("ACD", target)
            assert event["baseline_ratio"] == pytest.approx(before, abs=0.06)
        found = here.guards("not_confirmed")[0]["value"]
        assert f" transfers to ACD {target} of " in found
        measured = rollback.facts["verification"]
        assert 0 <= measured["errors"] <= before * 1.5 * measured["ended"], "of the same target"


@pytest.mark.parametrize(
    "signal", [Signal.FLOW_DISCONNECT, Signal.OUTCOME_FAILED, Signal.ROUTING_SHIFT, *sorted(ACTION_SIGNALS)]
)
def test_what_the_exporter_shows_of_a_signal_that_acts_the_receiver_finds_as_well(
    tmp_path: Path, signal: Signal
) -> None:
    acting = ExporterConfig.model_validate({"flows": [{"match": "*", "act_on": [signal]}]})
    watched = [{"action_id": one.action_id, "flow_id": one.flow_id} for one in ACTIONS]
    analytics = Analytics.model_validate(
        ANALYTICS.model_dump() | {"outcomes": True, "transfers": True, "data_actions": watched}
    )
    with simulated_scene(tmp_path, bad=BAD[signal], outcomes=True, data_actions=ACTIONS) as here:
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
    with simulated_scene(tmp_path, bad=HANGS_UP, outcomes=True, data_actions=ACTIONS) as here:
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


@pytest.mark.parametrize(
    "switches",
    [
        pytest.param({"action_no_error": "none"}, id="an error type of those that worked"),
        pytest.param({"action_no_error": "absent"}, id="none of those that worked"),
        pytest.param({"action_views": "ignored"}, id="views are not told"),
        pytest.param({"action_views": "refused"}, id="views are refused"),
    ],
)
def test_a_version_whose_data_action_fails_is_rolled_back_whatever_else_is_told(
    tmp_path: Path, switches: dict[str, str]
) -> None:
    with simulated_scene(tmp_path, bad=BAD[Signal.ACTION_FAILURE], data_actions=ACTIONS) as here:
        here.genesys.switch(**switches)
        here.deliver(signal=Signal.ACTION_FAILURE)
        rollback = here.run_to_the_end(here.receiver())

        assert rollback is not None, here.verdicts()
        assert rollback.state is State.SUCCEEDED
        worst, other = rollback.facts["parts"]
        assert (worst.split()[-1], other.split()[-1]) == ("look-up", "balance")
        assert worst in here.guards("not_confirmed")[0]["value"], "the record says which data action"
        assert {tuple(event["parts"]) for event in here.told()} == {(worst, other)}


@pytest.mark.parametrize("position", ["ignored", "refused"])
def test_without_views_nobody_is_accused_of_slow_data_actions(tmp_path: Path, position: str) -> None:
    with simulated_scene(tmp_path, bad=BAD[Signal.ACTION_SLOW], data_actions=ACTIONS) as here:
        here.genesys.switch(action_views=position)
        here.deliver(signal=Signal.ACTION_SLOW)
        assert here.run_to_the_end(here.receiver()) is None
        assert set(here.verdicts()) == {"stale_evidence"}
        (guard,) = {guard["value"] for guard in here.guards("stale_evidence")}
        assert "action_slow is not told here" in guard
        assert "analytics.data_actions" in guard


@pytest.mark.parametrize(
    ("watched", "says"),
    [
        pytest.param((), "action_failure is not told here", id="of no flow"),
        pytest.param((DataAction("look-up", "flow-2", 3.0),), "or they are not in analytics.data_actions", id="other"),
    ],
)
def test_an_accusation_by_data_actions_that_the_receiver_does_not_watch_is_refused_and_says_so(
    tmp_path: Path, watched: tuple[DataAction, ...], says: str
) -> None:
    with simulated_scene(tmp_path, bad=BAD[Signal.ACTION_FAILURE], data_actions=watched) as here:
        here.deliver(signal=Signal.ACTION_FAILURE)
        assert here.run_to_the_end(here.receiver()) is None
        assert set(here.verdicts()) == {"stale_evidence"}
        (guard,) = {guard["value"] for guard in here.guards("stale_evidence")}
        assert says in guard


def test_data_actions_that_we_may_not_see_cost_an_accusation_by_errors_nothing(tmp_path: Path) -> None:
    actions = {"kind": "status", "status": 403, "match": {"path_prefix": "/api/v2/analytics/actions"}}
    with simulated_scene(tmp_path, data_actions=ACTIONS) as here:
        here.genesys.fault(actions)
        here.deliver()
        rollback = here.run_to_the_end(here.receiver())
        assert rollback is not None, here.verdicts()
        assert rollback.state is State.SUCCEEDED
