"""The order of the ways back, and what a copy has of its original."""

import pytest

from genesys.evidence import Tally
from genesys.stints import Stint
from receiver.copies import carried, carried_services, vouched_for
from receiver.service import Record, Service
from receiver.strategy import Strategy, first_of, following, in_order

REPUBLISH, REDEPLOY = Strategy.REPUBLISH, Strategy.REDEPLOY


@pytest.mark.parametrize(
    ("configured", "in_vain", "order"),
    [
        pytest.param([REPUBLISH], [], "republish", id="the only one"),
        pytest.param([REPUBLISH], ["republish"], "republish", id="the only one, in vain before"),
        pytest.param([REPUBLISH, REDEPLOY], [], "republish redeploy", id="as configured"),
        pytest.param([REPUBLISH, REDEPLOY], ["republish"], "redeploy republish", id="what works first"),
        pytest.param([REPUBLISH, REDEPLOY], ["republish", "redeploy"], "republish redeploy", id="both in vain before"),
        pytest.param([REDEPLOY, REPUBLISH], ["repoint"], "redeploy republish", id="what is not configured"),
    ],
)
def test_what_did_nothing_has_its_turn_last(configured: list[Strategy], in_vain: list[str], order: str) -> None:
    assert in_order(configured, in_vain) == order


def test_each_has_its_turn_once() -> None:
    order = "redeploy republish"
    assert first_of(order) is REDEPLOY
    assert following(order, REDEPLOY) is REPUBLISH
    assert following(order, REPUBLISH) is None


def test_a_copy_has_the_record_of_its_original_and_its_own() -> None:
    original = Record((Stint("13.0", 0.0, 100.0),), Service(Tally(2, 300, 290), 90.0))
    own = Record((Stint("15.0", 200.0, 250.0),), Service(Tally(1, 10, 9), 40.0))

    found = carried({"13.0": original, "15.0": own}, {"15.0": "13.0", "17.0": "15.0", "18.0": "9.0"})

    assert found["13.0"] == original
    assert found["15.0"].service == Service(Tally(3, 310, 299), 130.0)
    assert (found["15.0"].live_s, found["15.0"].until) == (150.0, 250.0)
    assert found["17.0"].service == found["15.0"].service
    assert "18.0" not in found
    services = carried_services({"13.0": original.service}, {"15.0": "13.0", "18.0": "9.0"})
    assert services == {"13.0": original.service, "15.0": original.service}


def test_what_people_call_good_is_good_as_a_copy_too() -> None:
    assert vouched_for({"13.0"}, {"15.0": "13.0", "16.0": "12.0", "17.0": "15.0"}) == {"13.0", "15.0", "17.0"}
