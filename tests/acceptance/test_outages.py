"""With nobody looking, or nothing to be seen, a version is neither accused nor taken back; people are told instead.

The version is really bad in each of these worlds, and its alert is on its way:
once the outage is over, it fires, and the version is rolled back once.
"""

from datetime import UTC, datetime

import pytest

from demo.stack import Stack, World
from tests.acceptance.looking import (
    ALERT,
    FOLLOWS_WITHIN_S,
    FOR_S,
    Json,
    assert_never_fired,
    assert_rolled_back_once,
    assert_untouched,
    await_firing,
    await_pending,
    await_people_alerted,
    decisions,
    deploy_bad_version,
    is_firing,
    look_on,
    told,
    until,
)
from tests.acceptance.stacks import StartStack

pytestmark = pytest.mark.acceptance

NO_ANSWER = {"kind": "down"}
# Longer than any read is willing to wait, as Genesys Cloud's minute is longer than the 30 s that a read may take.
RATE_LIMITED = {"kind": "throttle", "retry_after": 600}
# Per simulated minute: the exporter begins a poll, and the receiver reads the accused flow anew after each `retry_s`
# of 10 s; and some for what is seldom asked. Genesys Cloud allows a token 300.
MOST_REQUESTS_PER_MIN = 10


def test_an_exporter_that_dies_while_the_alert_is_pending_ends_it(start_stack: StartStack) -> None:
    stack = start_stack(World(scenario="calm"))
    deploy_bad_version(stack)
    await_pending(stack)
    stack.processes["exporter"].kill()
    await_people_alerted(stack, "GenesysExporterDown")
    assert not is_firing(stack, state="pending"), "its last samples are bridged for a minute only"
    assert_never_fired(stack)
    assert_untouched(stack)

    stack.start("exporter")
    await_firing(stack)
    assert_rolled_back_once(stack)


def test_an_exporter_that_dies_while_the_alert_fires_ends_it_and_nothing_is_left_to_be_decided(
    start_stack: StartStack,
) -> None:
    # The pause only gains time: without it the rollback would be over before the exporter is dead. Had the receiver
    # decided in between, it could have gone on, because it rests on what it reads from Genesys Cloud itself.
    stack = start_stack(World(scenario="calm"))
    stack.api("PUT", "pause", {"reason": "the exporter is going to die"})
    deploy_bad_version(stack)
    await_firing(stack)
    until(lambda: decisions(stack, "paused"), "the alert reaches the receiver", within_s=FOLLOWS_WITHIN_S)
    stack.processes["exporter"].kill()
    until(lambda: not is_firing(stack), "the alert ends in Prometheus", within_s=FOLLOWS_WITHIN_S)
    until(lambda: decisions(stack, "resolved"), "the receiver learns of it", within_s=FOLLOWS_WITHIN_S)
    stack.api("DELETE", "pause")
    look_on(lambda: assert_untouched(stack), for_s=stack.seconds(FOR_S))
    assert stack.api("GET", "alerts?open=true")["alerts"] == []
    await_people_alerted(stack, "GenesysExporterDown")

    stack.start("exporter")
    await_firing(stack)
    assert_rolled_back_once(stack)


@pytest.mark.parametrize("fault", [NO_ANSWER, RATE_LIMITED], ids=["genesys_unreachable", "429_storm"])
def test_while_genesys_cannot_be_read_nobody_is_accused_nothing_is_written_and_people_are_told(
    start_stack: StartStack, fault: Json
) -> None:
    stack = start_stack(World(scenario="calm"))
    deploy_bad_version(stack)
    await_pending(stack)
    alert = _the_alert(stack)
    stack.sim("PUT", "faults", [fault])
    began = stack.sim("GET", "state")

    # Whether the alert gets there in time or not, the receiver can no longer see what it says.
    stack.deliver({"version": "4", "alerts": [alert]})
    until(lambda: told(stack) == ["ROLLBACK_SUPPRESSED"], "people hear that it holds back", within_s=FOLLOWS_WITHIN_S)
    newest = stack.api("GET", "decisions")["decisions"][0]
    unknown = {guard["guard"] for guard in newest["guards"] if guard["unknown"]}
    assert {"inactive", "superseded", "stale_evidence", "not_confirmed", "common_cause"} <= unknown
    await_people_alerted(stack, "GenesysDataStale")
    assert not is_firing(stack, state="pending"), "what the exporter knows is too old to accuse anybody"
    assert_never_fired(stack)
    assert_untouched(stack)
    _assert_no_hammering(stack, since=began)

    stack.deliver({"version": "4", "alerts": [alert | {"status": "resolved", "endsAt": _now()}]})
    until(lambda: decisions(stack, "resolved"), "that alert is over", within_s=FOLLOWS_WITHIN_S)
    stack.sim("DELETE", "faults")
    await_firing(stack)
    assert_rolled_back_once(stack)


def _the_alert(stack: Stack) -> Json:
    """The pending alert, as Alertmanager would deliver it if it fired now."""
    (sample,) = stack.prometheus(f'ALERTS{{alertname="{ALERT}"}}')
    labels = {name: value for name, value in sample["metric"].items() if name not in ("__name__", "alertstate")}
    return {"status": "firing", "labels": labels, "startsAt": _now()}


def _assert_no_hammering(stack: Stack, *, since: Json) -> None:
    now = stack.sim("GET", "state")
    minutes = (now["now"] - since["now"]) / stack.seconds(60)
    requests = now["request_count"] - since["request_count"]
    assert 0 < requests <= MOST_REQUESTS_PER_MIN * minutes


def _now() -> str:
    return datetime.now(UTC).isoformat()
