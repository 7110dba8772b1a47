"""Not one webhook arrives: the flow is rolled back all the same, and people hear that the way is silent."""

import httpx
import pytest

from demo.stack import Stack, World
from tests.acceptance.looking import (
    ENDS_WITHIN_S,
    assert_rolled_back_once,
    await_firing,
    deploy_bad_version,
    told,
    until,
)
from tests.acceptance.stacks import StartStack

pytestmark = pytest.mark.acceptance

NOBODY = "127.0.0.1:1"


def test_with_every_webhook_lost_the_flow_is_rolled_back_once_and_people_hear_of_the_silence(
    start_stack: StartStack,
) -> None:
    stack = start_stack(World(scenario="calm"))
    _lose_every_webhook(stack)
    deploy_bad_version(stack)
    await_firing(stack)
    assert_rolled_back_once(stack)
    (alert,) = stack.api("GET", "alerts")["alerts"]
    assert alert["source"] == "reconciliation"
    until(lambda: "ALERT_PATH_SILENT" in told(stack), "people hear of the silence", within_s=ENDS_WITHIN_S)


def _lose_every_webhook(stack: Stack) -> None:
    path = stack.folder / "alertmanager.yml"
    receiver = stack.urls["receiver"].removeprefix("http://")
    text = path.read_text(encoding="utf-8")
    assert receiver in text
    path.write_text(text.replace(receiver, NOBODY), encoding="utf-8")
    httpx.post(f"{stack.urls['alertmanager']}/-/reload", timeout=10).raise_for_status()
