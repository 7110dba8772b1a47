"""Other people use up most of the rate limit: what can wait is put off, and a rollback is not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from genesys.budget import Budget
from genesys.organizations import Organization
from receiver.store.rollbacks import ENDS, State
from tests.integration.exporter_scene import CALM, MINUTE, scene
from tests.integration.simulated_scene import SimulatedScene, simulated_scene

ALLOWED = 300
RESERVE = Organization.model_fields["reserve_ratio"].default
MOST = int(ALLOWED * (1 - RESERVE))  # requests of a minute after which what can wait does
BUSY = MOST - 1  # of others: with the first of ours the reserve is all that is left


def test_an_exporter_polls_again_once_the_minute_of_the_limit_is_over() -> None:
    with scene(scenario=CALM) as (time, clouds, exporter):
        assert exporter.poll()["genesys_polls_put_off_total"] == {"retail": 0}
        clouds["retail"].set(others_per_min=BUSY)
        waits: list[float] = []

        def wait(seconds: float) -> bool:
            waits.append(seconds)
            time.pass_(seconds)
            return len(waits) == 5

        before = len(clouds["retail"].requests())
        began = time.now
        exporter.pollers["retail"].run(clock=lambda: time.now, wait=wait)

        page = exporter.page()
        assert page["genesys_polls_put_off_total"]["retail"] > 0
        assert page["genesys_up"] == {"retail": 1}, "to wait is not to fail"
        assert page["genesys_api_rate_limit_used"]["retail"] > MOST
        polls = (len(clouds["retail"].requests()) - before) / 4
        assert 1 <= polls <= (time.now - began) / MINUTE
        assert 429 not in {one.status for one in clouds["retail"].requests()}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SimulatedScene]:
    with simulated_scene(tmp_path) as made:
        yield made


def test_a_rollback_goes_on_where_everything_that_can_wait_does(here: SimulatedScene) -> None:
    control = here.app.test_client()
    assert control.put("/sim/settings", json={"others_per_min": MOST}).status_code == 200
    here.cloud.flow("ce677f29-f403-470c-adb0-8bfa6bf81d69")
    budget = Budget("retail", lambda: here.cloud.rate_limit, reserve_ratio=RESERVE, now=lambda: here.time.now)
    assert budget.put_off_s("flows") > 0

    here.scene.deliver(here.accusation())
    began = here.time.now
    while not here.scene.rollbacks() or here.scene.rollbacks()[0].state not in ENDS | {State.VERIFYING}:
        assert here.time.now < began + 60
        here.time.pass_(2.0)
        here.receivers[0].tick()
    assert here.publishes() == ["13.0"]
    assert budget.put_off_s("flows") > 0, "all the while"
