"""Alertmanager's and Prometheus' clocks may be hours off: decisions rest on Genesys Cloud's figures and our clock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from receiver.payload import Alert
from tests.integration.receiver_world import ALERTMANAGER, Scene, alert_of, scene

HOUR_S = 3600.0
YEAR_1 = -62_135_596_800.0
YEAR_9999 = 253_370_764_800.0

Skew = Callable[[float], float]
SKEWS: dict[str, Skew] = {
    "an hour ahead": lambda at: at + HOUR_S,
    "half a day behind": lambda at: at - 12 * HOUR_S,
    "at the beginning of time": lambda _: YEAR_1,
    "at the end of time": lambda _: YEAR_9999,
}
every_skew = pytest.mark.parametrize("skew", SKEWS.values(), ids=SKEWS.keys())


@contextmanager
def world() -> Iterator[Scene]:
    with TemporaryDirectory() as folder, scene(Path(folder), alertmanagers=[ALERTMANAGER]) as here:
        here.alertmanager.list()
        yield here


def skewed(skew: Skew) -> Alert:
    alert = alert_of()
    return replace(alert, starts_at=skew(alert.starts_at))


Story = tuple[list[str], list[str], list[str]]


def story_of(alert: Alert, *, delivered: bool) -> Story:
    """What is decided, written and told about an alert that Alertmanager lists, whether its webhook came or not."""
    with world() as here:
        here.alertmanager.list(alert)
        if delivered:
            here.deliver(alert)
        here.run(60, step_s=5)
        return here.verdicts(), here.published(), here.told_types()


@cache
def right_story(delivered: bool) -> Story:
    """With every clock right."""
    return story_of(skewed(lambda at: at), delivered=delivered)


@pytest.mark.parametrize("delivered", [True, False], ids=["delivered", "only listed"])
@every_skew
def test_an_alert_whose_start_is_off_is_decided_as_if_it_were_right(skew: Skew, delivered: bool) -> None:
    verdicts, published, told = right_story(delivered)
    assert (published, told) == (["13.0"], ["AUTO_ROLLBACK_TRIGGERED"])
    assert story_of(skewed(skew), delivered=delivered) == (verdicts, published, told)


def open_in_architect(here: Scene, alert: Alert) -> None:
    """The alert is there, and nothing may be done yet."""
    here.genesys.of().locked_by = "bob"
    here.alertmanager.list(alert)
    here.deliver(alert)
    here.receiver.tick()
    assert here.verdicts() == ["locked_in_architect"]


@every_skew
def test_an_alert_that_is_over_is_over_whatever_its_end_says(skew: Skew) -> None:
    """Prometheus' clock gives the start, Alertmanager's the end: the end may lie before the start."""
    with world() as here:
        firing = alert_of()
        open_in_architect(here, firing)
        here.deliver(replace(firing, firing=False, ends_at=skew(firing.starts_at + 60)))
        here.alertmanager.list()
        here.genesys.of().locked_by = None
        here.run(90, step_s=5)

        assert (here.verdicts()[1:], here.published()) == (["resolved"], [])


def test_the_control_of_the_last_one_without_its_end_it_is_rolled_back() -> None:
    with world() as here:
        open_in_architect(here, alert_of())
        here.genesys.of().locked_by = None
        here.run(90, step_s=5)

        assert (here.verdicts()[1], here.published()) == ("roll_back", ["13.0"])
