"""With Genesys Cloud down a round waits for one call, not for one a flow; what nobody needs is not read at all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from genesys.errors import Refused, Unavailable
from receiver.store.rollbacks import AlreadyTried
from tests.integration.receiver_world import FLOW_ID, FlowInGenesys, GenesysInMemory, Scene, alert_of, scene

DEADLINE_S = 30.0


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path, lockout_scope="flow") as made:
        made.clouds["retail"] = GenesysInMemory(
            made.time, FlowInGenesys(), *(FlowInGenesys(f"flow-{number}") for number in range(2, 12))
        )
        made.receiver = made.another_receiver("receiver-1")
        yield made


def test_a_round_with_genesys_down_waits_for_one_call_however_many_flows_are_accused(here: Scene) -> None:
    here.deliver(*(alert_of(f"flow-{number}") for number in range(1, 12)))
    here.genesys.down = Unavailable("no answer", 503)
    here.genesys.reading_takes_s = DEADLINE_S
    before = here.time.now
    here.receiver.tick()

    assert here.time.now - before == DEADLINE_S
    assert len(here.decisions()) == 11, "each alert is decided all the same"
    assert here.published() == []


def test_with_genesys_back_the_next_reading_is_whole(here: Scene) -> None:
    here.deliver()
    here.genesys.down = Unavailable("no answer", 503)
    here.run(30)
    here.genesys.down = None
    here.run(30)
    assert here.published() == ["13.0"]


def test_one_flow_that_genesys_never_shows_does_not_hide_the_others(here: Scene) -> None:
    """Its id comes first; and its 5xx looks like an outage."""
    known = here.genesys.flow

    def flow(flow_id: str) -> object:
        if flow_id == "flow-0":
            here.time.pass_(DEADLINE_S)
            raise Unavailable("no answer", 503)
        return known(flow_id)

    here.genesys.flow = flow  # type: ignore[method-assign, assignment]
    here.deliver(alert_of("flow-0"), alert_of())
    here.run(120)
    assert [flow_id for _, flow_id, _ in here.genesys.published] == [FLOW_ID]


def test_for_an_alert_that_is_not_understood_nothing_is_read(here: Scene) -> None:
    def nothing() -> None:
        raise AssertionError("Genesys Cloud was asked")

    here.genesys.before_read = nothing
    here.deliver(alert_of(labels={"genesys_contract": "9"}), alert_of("flow-2", labels={"signal": ""}))
    here.run(10)
    assert here.verdicts() == ["unknown_contract", "unknown_contract"]


def decided(here: Scene) -> float:
    """Decisions as they are counted, whatever their verdict."""
    (family,) = [one for one in here.receiver.metrics.collect() if one.name == "genesys_rollback_decisions"]
    return sum(sample.value for sample in family.samples)


def test_a_decision_is_counted_once_it_is_durable(here: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AlreadyTried("somebody was faster")

    here.deliver()
    monkeypatch.setattr("receiver.deciding.put_suppressed", refused)
    here.genesys.down = Refused("not read", 400)
    here.run(4)
    assert (here.decisions(), decided(here)) == ([], 0)

    monkeypatch.undo()
    here.run(4)
    assert len(here.decisions()) == decided(here) == 1
