"""What changes at the last moment, or is not as the alert says: nothing is written until it is as it was."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from demo.stack import ORG, Stack, World
from simulator import scenario
from tests.acceptance.looking import (
    ALERT,
    BAD,
    FIRES_WITHIN_S,
    FLOW,
    FOLLOWS_WITHIN_S,
    GOOD,
    Json,
    assert_held_back,
    assert_rolled_back_once,
    assert_untouched,
    await_end,
    await_firing,
    await_pending,
    await_publish,
    await_told,
    decisions,
    deploy_bad_version,
    effects,
    held_back_by,
    is_firing,
    live_version,
    look_on,
    moment,
    rollbacks,
    set_error_ratio,
    the_rollback,
    until,
)
from tests.acceptance.stacks import StartStack

pytestmark = pytest.mark.acceptance

PUBLISH = {"method": "POST", "path_prefix": "/api/v2/flows/actions/publish"}
# All in simulated seconds.
HELD_BACK_S = 180.0
RETRY_AFTER_S = 200.0
LOCKOUT_S = 300.0  # of the attempt that was stopped: over soon after the pause
OUT_OF_SERVICE_S = 120.0
LISTED_AGO_S = 300.0  # later than the deployment, and longer than the flow is out of service


def test_a_pause_pressed_while_a_429_is_waited_out_is_obeyed_after_the_wait(start_stack: StartStack) -> None:
    stack = start_stack(World(scenario="calm", timing={"lockout_s": LOCKOUT_S}))
    stack.sim("PUT", "faults", [{"kind": "throttle", "retry_after": RETRY_AFTER_S, "times": 1, "match": PUBLISH}])
    deploy_bad_version(stack)
    await_publish(stack)
    waiting = await_refused_publish(stack)
    stack.api("PUT", "pause", {"reason": "major incident 4711"})
    assert is_firing(stack)
    assert time.time() < moment(waiting["not_before"]), "the pause was to be pressed during the wait"

    stopped = await_end(stack)
    assert (stopped["id"], stopped["state"], stopped["reason"]) == (waiting["id"], "failed", "refused_paused")
    assert moment(stopped["ended_at"]) >= moment(waiting["not_before"])
    assert_held_back(stack, simulated_s=HELD_BACK_S, refused=1)
    why = {"paused": "everything paused by operator: major incident 4711"}
    (at_the_end_of_the_wait,) = [one for one in decisions(stack, "paused") if one["rollback_id"] == stopped["id"]]
    assert held_back_by(at_the_end_of_the_wait) == why
    await_told(stack, "AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUPPRESSED", "ROLLBACK_FAILED")

    stack.api("DELETE", "pause")
    again = until(lambda: [one for one in rollbacks(stack) if one["confirmed_at"]], "it is rolled back", within_s=180)
    assert [one["try"] for one in again] == [2]
    assert len(rollbacks(stack)) == 2
    assert [publish["status"] for publish in stack.publishes()] == [429, 200]
    assert effects(stack) == [GOOD]
    assert live_version(stack) == GOOD


def test_a_forged_alert_is_believed_only_when_the_flow_has_really_become_bad(start_stack: StartStack) -> None:
    stack = start_stack(World(scenario="calm"))
    publish_healthy_version(stack)
    stack.deliver({"version": "4", "alerts": [forged_alert()]})
    refused = until(lambda: decisions(stack, "not_confirmed"), "it reaches the receiver", within_s=FOLLOWS_WITHIN_S)[0]

    def look() -> None:
        assert_untouched(stack)
        assert not is_firing(stack)

    look_on(look, for_s=stack.seconds(HELD_BACK_S))
    (alert,) = stack.api("GET", "alerts")["alerts"]
    assert (alert["source"], alert["open"], alert["verdict"]) == ("webhook", True, "not_confirmed")
    why = held_back_by(refused)
    assert set(why) == {"not_confirmed"}
    errors, volume = (int(number) for number in why["not_confirmed"].split(" in ")[0].split(" errors of "))
    assert volume >= 20
    assert errors <= 0.05 * volume

    set_error_ratio(stack, 0.45)
    await_publish(stack)
    assert_rolled_back_once(stack)


def test_a_deactivated_flow_is_left_alone_until_it_is_in_service_again(start_stack: StartStack, tmp_path: Path) -> None:
    stack = start_stack(World(scenario=calm_with_short_calls(tmp_path)))
    deploy_bad_version(stack)
    await_pending(stack, left_s=80.0)
    list_all_flows_as_they_were(stack, LISTED_AGO_S)
    stack.sim("POST", "events", {"event": "deactivate", "flow": FLOW})
    await_firing(stack)
    refused = until(lambda: decisions(stack, "inactive"), "the alert reaches the receiver", within_s=FOLLOWS_WITHIN_S)
    assert held_back_by(refused[0]) == {"inactive": "deactivated"}
    assert_held_back(stack, simulated_s=OUT_OF_SERVICE_S)
    assert decisions(stack, "inactive") == refused, "nothing else came to hold it back"

    stack.sim("DELETE", "faults")
    stack.sim("POST", "events", {"event": "activate", "flow": FLOW})
    assert_rolled_back_once(stack)


def await_refused_publish(stack: Stack) -> Json:
    """The only rollback, while it waits for what Genesys Cloud has asked it to wait for."""

    def look() -> Json | None:
        rollback = the_rollback(stack)
        return rollback if [permit["answer"] for permit in rollback["permits"]] == ["refused"] else None

    waiting = until(look, "the answer to the publish is recorded", within_s=FOLLOWS_WITHIN_S)
    assert waiting is not None
    assert waiting["state"] == "planned"
    return waiting


def publish_healthy_version(stack: Stack) -> None:
    """It is live and takes calls on return."""
    stack.sim("POST", "events", {"event": "publish", "flow": FLOW, "version": BAD, "error_ratio": 0.01})
    calls = f'genesys_flow_volume{{flow_id="{FLOW}",flow_version="{BAD}",window="5m"}} >= 40'
    until(lambda: stack.prometheus(calls), "the new version takes calls", within_s=FIRES_WITHIN_S)


def forged_alert() -> Json:
    """What somebody with a stolen token could send."""
    labels = {
        "alertname": ALERT,
        "org": ORG,
        "flow_id": FLOW,
        "flow_version": BAD,
        "signal": "error_exit",
        "severity": "critical",
        "genesys_action": "rollback",
        "genesys_contract": "1",
    }
    return {"status": "firing", "labels": labels, "startsAt": datetime.now(UTC).isoformat()}


def calm_with_short_calls(folder: Path) -> str:
    """The scenario `calm`, but good calls are as short as bad ones.

    Long ones would end well after the flow was deactivated, and the alert would end with them.
    """
    calm = scenario.load("calm")
    flows = [flow.model_copy(update={"good_call": flow.bad_call}).model_dump(mode="json") for flow in calm.flows]
    path = folder / "short-calls.yml"
    path.write_text(yaml.safe_dump({"as": "calm", "flows": flows}), encoding="utf-8")
    return str(path)


def list_all_flows_as_they_were(stack: Stack, age_s: float) -> None:
    """A listing of all flows is that old, so that the exporter goes on for so long to report a deactivated one.

    Whoever asks for one flow learns what is true.
    """
    one_flow = {"kind": "slow", "delay_s": 0.0, "match": {"method": "GET", "path_prefix": "/api/v2/flows/"}}
    all_flows = {"kind": "stale_reads", "age_s": age_s, "match": {"method": "GET", "path_prefix": "/api/v2/flows"}}
    stack.sim("PUT", "faults", [one_flow, all_flows])  # the first that matches meets a request
