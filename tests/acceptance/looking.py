"""What can be seen of a stack from outside, and how long to look for it.

The simulator is the same world every time: three flows, of which Main IVR gets a
bad version. Deadlines are generous: they end a test that has failed, and say
nothing of how fast the bridge is.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from demo.stack import ORG, Stack
from simulator import scenario

FLOW = "ce677f29-f403-470c-adb0-8bfa6bf81d69"  # Main IVR
GOOD, BAD = "13.0", "14.0"

# In real seconds of a world that is ten times as fast.
FIRES_WITHIN_S = 180.0  # some 50 s
FOR_S = 180.0  # simulated: `for` of the rule
FOLLOWS_WITHIN_S = 90.0  # any reaction of one part to another: mostly two or three seconds, after a window 30
ENDS_WITHIN_S = 180.0  # a rollback: some 20 s, until a deadline up to 90

ALERT = "GenesysFlowFailing"

Json = dict[str, Any]
SeenT = TypeVar("SeenT")


def until(look: Callable[[], SeenT], what: str, *, within_s: float) -> SeenT:
    """The first thing seen that is not empty or false. Raises AssertionError with `what` if there is none in time."""
    end = time.monotonic() + within_s
    while not (seen := look()):
        assert time.monotonic() < end, f"not within {within_s:g} s: {what}"
        time.sleep(0.1)
    return seen


def look_on(look: Callable[[], None], *, for_s: float) -> None:
    """Look again and again for a while; `look` raises if it sees what must not be."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        look()
        time.sleep(0.5)
    look()


def moment(rfc3339: str) -> float:
    """Unix seconds of a time in an answer of the receiver."""
    return datetime.fromisoformat(rfc3339).timestamp()


def deploy_bad_version(stack: Stack) -> None:
    """Let happen at once what happens after a minute in `bad-deploy`; for the scenario `calm`, which has its flows."""
    for at in scenario.load("bad-deploy").timeline:
        stack.sim("POST", "events", at.do.model_dump(mode="json"))


def live_version(stack: Stack, flow_id: str = FLOW) -> str:
    """The version that new callers of a flow meet, as it truly is."""
    flows = stack.sim("GET", "state")["flows"]
    return str(next(flow["live_version"] for flow in flows if flow["id"] == flow_id))


def set_error_ratio(stack: Stack, ratio: float, flow_id: str = FLOW, version: str = BAD) -> None:
    """From now on so many of the version's callers meet an error."""
    event = {"event": "error_ratio", "flow": flow_id, "version": version, "error_ratio": ratio}
    stack.sim("POST", "events", event)


def effects(stack: Stack) -> list[str]:
    """The versions that publishes over the API have made live, or will."""
    return [publish["version"] for publish in stack.publishes() if "effect_at" in publish]


def is_firing(stack: Stack, flow_id: str = FLOW, version: str = BAD, *, state: str = "firing") -> bool:
    """Prometheus says that the version fails, for long enough; or, in the state `pending`, not yet."""
    labels = f'alertname="{ALERT}",alertstate="{state}",flow_id="{flow_id}",flow_version="{version}"'
    return bool(stack.prometheus(f"ALERTS{{{labels}}}"))


def at_alertmanager(stack: Stack, name: str = ALERT) -> list[Json]:
    """Alertmanager's alerts of that name, suppressed ones included."""
    return [alert for alert in stack.alerts() if alert["labels"]["alertname"] == name]


def decisions(stack: Stack, verdict: str) -> list[Json]:
    """The receiver's decisions with that verdict, newest first."""
    found: list[Json] = stack.api("GET", f"decisions?verdict={verdict}")["decisions"]
    return found


def held_back_by(decision: Json) -> dict[str, str]:
    """The guards of a decision that hold back, each with its value."""
    return {guard["guard"]: guard["value"] for guard in decision["guards"] if guard["holds_back"]}


def rollbacks(stack: Stack) -> list[Json]:
    """Every rollback that the receiver knows of, newest first."""
    found: list[Json] = stack.api("GET", "rollbacks")["rollbacks"]
    return found


def the_rollback(stack: Stack) -> Json:
    """The only rollback there is, with its steps and permits."""
    (only,) = rollbacks(stack)
    record: Json = stack.api("GET", f"rollbacks/{only['id']}")
    return record


def told(stack: Stack) -> list[str]:
    """What people have been told, in the order of arrival."""
    return [event["incident_type"] for event in stack.sink.received]


def rollbackctl(stack: Stack, *arguments: str) -> Json:
    """Run the command as an operator does; gives its JSON."""
    access = ["--url", stack.urls["receiver"], "--token-file", str(stack.folder / "operator.secret")]
    command = [sys.executable, "-m", "receiver.ctl.cli", *access, "--output", "json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    answer: Json = json.loads(done.stdout)
    return answer


def await_firing(stack: Stack, flow_id: str = FLOW, version: str = BAD) -> None:
    until(lambda: is_firing(stack, flow_id, version), f"{ALERT} fires in Prometheus", within_s=FIRES_WITHIN_S)


def await_pending(stack: Stack, *, left_s: float = FOR_S) -> None:
    """The alert is pending, and fires in `left_s` simulated seconds."""
    until(lambda: is_firing(stack, state="pending"), f"{ALERT} is pending in Prometheus", within_s=FIRES_WITHIN_S)
    time.sleep(stack.seconds(FOR_S - left_s))


def await_suppressed(stack: Stack, by: str) -> Json:
    """The alert at Alertmanager, once it is suppressed."""

    def look() -> list[Json]:
        return [alert for alert in at_alertmanager(stack) if alert["status"][by]]

    (alert,) = until(look, f"the alert is suppressed at Alertmanager: {by}", within_s=FOLLOWS_WITHIN_S)
    assert alert["status"]["state"] == "suppressed"
    return alert


def await_people_alerted(stack: Stack, name: str) -> None:
    """Alertmanager has an alert of that name for people; the bridge itself is not told of it."""

    def look() -> list[Json]:
        return [alert for alert in at_alertmanager(stack, name) if alert["receivers"] == [{"name": "people"}]]

    until(look, f"{name} reaches people", within_s=FIRES_WITHIN_S)


def await_publish(stack: Stack) -> Json:
    """The first publish, as soon as it has reached the simulator: it may be without an answer."""
    return until(stack.publishes, "a publish reaches Genesys Cloud", within_s=FIRES_WITHIN_S)[0]


def await_end(stack: Stack) -> Json:
    """The record of the only rollback, once it has ended."""
    until(lambda: [one for one in rollbacks(stack) if one["ended_at"]], "the rollback ends", within_s=ENDS_WITHIN_S)
    return the_rollback(stack)


def await_told(stack: Stack, *types: str, in_order: bool = True) -> None:
    """These notifications and no others have arrived; the last may come a moment after the state that it tells of.

    Not `in_order` where a receiver was killed: what it was about to deliver is delivered when its claim has run out.
    """
    until(lambda: len(told(stack)) >= len(types), f"people are told {types}", within_s=FOLLOWS_WITHIN_S)
    assert told(stack) == list(types) or (not in_order and sorted(told(stack)) == sorted(types))


def await_no_lease(stack: Stack) -> None:
    """The metric has come down to 0: nothing keeps other receivers out."""
    held = f'genesys_rollback_lease_held{{org="{ORG}"}} == 0'
    until(lambda: stack.prometheus(held), "the lease is given back", within_s=FOLLOWS_WITHIN_S)


def assert_untouched(stack: Stack) -> None:
    """Nobody has ever tried to write, and the version that was published last is still live."""
    assert stack.publishes() == []
    assert live_version(stack) == BAD


def assert_never_fired(stack: Stack) -> None:
    """Prometheus has been looking all the time, and the alert was pending at most."""
    assert stack.prometheus(f'count_over_time(ALERTS{{alertname="{ALERT}",alertstate="firing"}}[1h])') == []
    assert stack.prometheus("count_over_time(org_flow:genesys_flow_error_ratio[1h])")


def assert_held_back(stack: Stack, *, simulated_s: float, refused: int = 0) -> None:
    """For that long nobody writes, and then the version is still live and the alert still fires.

    `refused`: so many publishes were sent before, and had no effect.
    """

    def look() -> None:
        assert len(stack.publishes()) == refused
        assert effects(stack) == []
        assert live_version(stack) == BAD

    look_on(look, for_s=stack.seconds(simulated_s))
    await_firing(stack)  # at once, unless this machine was too busy to evaluate a rule in time
    look()


def assert_rolled_back_once(stack: Stack) -> None:
    """Soon the good version is live again and read back as such, by the one publish that was ever sent."""
    until(lambda: rollbacks(stack), "the receiver plans a rollback", within_s=FOLLOWS_WITHIN_S)
    until(lambda: the_rollback(stack)["confirmed_at"], "the rollback is read back", within_s=FOLLOWS_WITHIN_S)
    assert [publish["version"] for publish in stack.publishes()] == [GOOD]
    assert live_version(stack) == GOOD
