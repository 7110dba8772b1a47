"""The shipped files, unchanged, in real time: the only test that waits as long as its users do.

It comes first of its folder, so that the others run while it waits.
"""

import time
from pathlib import Path

import pytest

from demo.stack import RULES, Stack, World
from tests.acceptance.looking import (
    BAD,
    GOOD,
    effects,
    live_version,
    moment,
    rollbacks,
    the_rollback,
    told,
    until,
)
from tests.acceptance.stacks import StartStack

pytestmark = pytest.mark.acceptance

# After the publish: up to a minute until a poll sees it, three whole minutes above the threshold, one to settle, up to
# 45 s for scrape and evaluation, and three of `for`. By the second of the minute that is 7.3 to 8.8 minutes.
FIRES_WITHIN_S = 540.0
ENDS_WITHIN_S = 900.0  # verifying waits for figures that have settled


def test_in_real_time_a_bad_version_fires_within_nine_minutes_and_is_rolled_back_once(start_stack: StartStack) -> None:
    stack = start_stack(World(factor=1))
    for name in ("rollback.rules.yml", "health.rules.yml", "prometheus.yml", "alertmanager.yml"):
        assert as_shipped(stack, name) == (RULES / name).read_text(encoding="utf-8")

    until(lambda: live_version(stack) == BAD, "the bad version is published", within_s=120)
    published_at = time.time()
    (alert,) = until(lambda: stack.api("GET", "alerts")["alerts"], "an alert arrives", within_s=ENDS_WITHIN_S)
    assert alert["source"] == "webhook"
    assert moment(alert["starts_at"]) - published_at <= FIRES_WITHIN_S

    until(lambda: [one for one in rollbacks(stack) if one["ended_at"]], "the rollback ends", within_s=ENDS_WITHIN_S)
    rollback = the_rollback(stack)
    assert (rollback["accused_version"], rollback["target_version"], rollback["state"]) == (BAD, GOOD, "succeeded")
    assert effects(stack) == [GOOD]
    assert len(stack.publishes()) == 1
    assert live_version(stack) == GOOD
    until(lambda: len(told(stack)) == 2, "people are told", within_s=60)
    assert told(stack) == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED"]


def as_shipped(stack: Stack, name: str) -> str:
    """What Prometheus or Alertmanager was started with, but for the ports, which are free ones."""
    text = Path(stack.folder / name).read_text(encoding="utf-8")
    for part, port in {"exporter": 9742, "receiver": 9743, "prometheus": 9090, "alertmanager": 9093}.items():
        text = text.replace(stack.urls[part].removeprefix("http://"), f"127.0.0.1:{port}")
    return text
