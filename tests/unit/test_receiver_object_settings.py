"""`objects` in receiver.yml: what is refused, and why."""

from pathlib import Path
from typing import Any

import pytest

from genesys.evidence import Signal
from genesys.settings import SettingsError
from receiver.objects.settings import ObjectPolicy
from receiver.strategy import Strategy
from tests.receiver_world import settings_of

IVR = {"org": "retail", "type": "ivr", "id": "main", "mode": "approve"}


def policy(**changes: Any) -> ObjectPolicy:
    return ObjectPolicy.model_validate(IVR | changes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"mode": "auto"}, "restored with approval at most", id="by itself"),
        pytest.param({"type": "queue"}, "only read and compared", id="a queue is restored"),
        pytest.param({"type": "emergency_group", "mode": "observe"}, "only read and compared", id="a group observed"),
        pytest.param({"type": "data_table"}, "name the flow whose callers meet", id="a table that nobody meets"),
        pytest.param({"type": "data_action", "flow_id": "f"}, "analytics.data_actions", id="an action names its flow"),
        pytest.param({"type": "prompt"}, "data_table", id="a type that there is not"),
        pytest.param({"treshold_ratio": 0.1}, "treshold_ratio", id="a key that there is not"),
        pytest.param({"mode": None}, "mode", id="no mode"),
        pytest.param({"name": "Main*"}, "not both", id="an id and a name"),
        pytest.param({"id": "name:x"}, "how the bridge names a filter", id="an id like a filter's"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_reason(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        settings_of(tmp_path, objects=[IVR | changes])


def test_an_id_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the id main is given twice"):
        settings_of(tmp_path, objects=[IVR, IVR | {"org": "bank"}])


def test_a_name_that_is_given_twice_for_one_type_is_refused(tmp_path: Path) -> None:
    named = {"org": "retail", "type": "ivr", "name": "Main*", "mode": "approve"}
    settings_of(tmp_path, objects=[named, named | {"type": "schedule", "flow_id": "f"}, named | {"org": "bank"}])
    with pytest.raises(SettingsError, match=r"the name Main\* is given twice"):
        settings_of(tmp_path, objects=[named, named])


def test_neither_an_id_nor_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="give the id of one object, or name"):
        settings_of(tmp_path, objects=[{"org": "retail", "type": "ivr", "mode": "approve"}])


def test_restoring_is_no_way_back_for_a_flow(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="restore is for what is named in objects"):
        settings_of(tmp_path, flows=[{"match": "*", "mode": "auto", "ways_back": ["republish", "restore"]}])


def test_an_object_goes_back_by_being_restored_and_by_no_other_way() -> None:
    assert policy().ways_back == (Strategy.RESTORE,)


def test_a_data_action_is_accused_by_its_own_executions_and_everything_else_by_what_callers_meet() -> None:
    of_action = set(policy(type="data_action").signals)
    assert of_action == {Signal.ACTION_FAILURE, Signal.ACTION_SLOW}
    assert set(policy().signals) == set(Signal) - of_action


def test_a_threshold_is_as_of_a_flow() -> None:
    assert policy().threshold_of(Signal.ERROR_EXIT, 0.08) == pytest.approx(0.4)  # five times its own earlier ratio
    assert policy(threshold_ratio=0.1).threshold_of(Signal.ERROR_EXIT, 0.08) == 0.1
    assert policy().threshold_of(Signal.ACTION_FAILURE, None) is None
