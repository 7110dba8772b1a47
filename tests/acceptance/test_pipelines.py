"""The pipelines' examples with the whole stack: a good version, one that is taken back, and the gate after it."""

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from demo.processes import ROOT
from demo.stack import ORG, Stack, World
from tests.acceptance.looking import FLOW, GOOD, await_no_lease, effects, live_version, until
from tests.acceptance.stacks import StartStack
from tests.pipeline_jobs import JOBS, SCRIPTS, SOURCE, Checkout, checkout

pytestmark = pytest.mark.acceptance

DEPLOYED, WORSE = "14.0", "15.0"


def token_of(stack: Stack) -> str:
    """A token as docs/pipelines.md has it made."""
    create = "from receiver.cli import main; main()"
    options = ["--config", "receiver.yml", "--role", "ci", "--role", "viewer", "--org", ORG, "--expires-in", "90d"]
    done = subprocess.run(
        [sys.executable, "-c", create, "token", "create", "pipeline", *options],
        cwd=stack.folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def repository_of(stack: Stack, folder: Path) -> Checkout:
    """A team's repository; its deployment publishes what the file `next` says in the simulator."""
    url = f"{stack.urls['simulator']}/sim/events"
    publish = (
        "import sys, urllib.request as r; "
        f"r.urlopen(r.Request({url!r}, open('next', 'rb').read(), {{'Content-Type': 'application/json'}}))"
    )
    script = f"{shlex.quote(sys.executable)} -c {shlex.quote(publish)}"
    return checkout(folder, url=stack.urls["receiver"], token=token_of(stack), flow_id=FLOW, publish=script)


def write(repository: Checkout, version: str, error_ratio: float) -> None:
    """Somebody has written a version, which Genesys Cloud will give this number."""
    event = {"event": "publish", "flow": FLOW, "version": version, "error_ratio": error_ratio, "by": "pipeline"}
    (repository.folder / "next").write_text(json.dumps(event))
    repository.change(f"inboundCall: {{name: Main IVR, number: {version}}}\n")


def is_watched(stack: Stack) -> bool:
    """Whether a watch would call the flow armed from its first look on."""
    if not any(flow["flow_id"] == FLOW for flow in stack.api("GET", "flows")["flows"]):
        return False
    flow = stack.api("GET", f"flows/{ORG}/{FLOW}")
    return bool(flow["armed"]) and None not in (flow["watchdog_age_s"], flow["data_watchdog_age_s"])


def test_a_good_version_stays_a_bad_one_is_taken_back_and_does_not_pass_the_gate_again(
    start_stack: StartStack, tmp_path: Path
) -> None:
    stack = start_stack(World(scenario="calm"))
    repository = repository_of(stack, tmp_path)
    until(lambda: is_watched(stack), "the flow is armed, and what always fires has arrived", within_s=60.0)

    # Else the list that is read at once may not show the version yet, and the next one comes after a real minute.
    stack.sim("PUT", "settings", {"effect_delay": 0})
    write(repository, DEPLOYED, 0.01)
    done = repository.run(JOBS["github/archy"], WATCH_FOR="30s")
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("good: nothing was rolled back, and the bridge was armed\n")
    assert live_version(stack) == DEPLOYED

    write(repository, WORSE, 0.45)
    done = repository.run(JOBS["gitlab/cx-as-code"], WATCH_FOR="10m", COMMIT="badc0de")
    assert done.returncode == 1, done.stdout
    assert f"ROLLED BACK: Main IVR {WORSE} -> {GOOD} succeeded" in done.stdout
    assert "published by ann badc0de" in done.stdout
    assert (effects(stack), live_version(stack)) == ([GOOD], GOOD)

    await_no_lease(stack)
    done = repository.run(JOBS["jenkins/archy"])
    assert done.returncode == 1
    digest = sha256((repository.folder / SOURCE).read_bytes()).hexdigest()
    assert "quarantined" in done.stdout
    assert "the bridge refuses it: nothing is deployed" in done.stdout
    assert live_version(stack) == GOOD
    assert [flow["source_digest"] for flow in stack.api("GET", "deployments?limit=1")["deployments"][0]["flows"]] == [
        digest
    ]


def test_a_job_whose_receiver_goes_away_says_that_nobody_can_tell(start_stack: StartStack, tmp_path: Path) -> None:
    stack = start_stack(World(scenario="calm"))
    repository = repository_of(stack, tmp_path)
    write(repository, DEPLOYED, 0.01)
    whole = JOBS["gitlab/archy"]
    deployed = replace(whole, commands=whole.commands[:-1])
    assert repository.run(deployed).returncode == 0
    stack.processes["receiver"].kill()
    watch = f"rollbackctl watch --org {ORG} --deployment $(cat deployment.id) --for 10m --every 1s --patience 3s"
    done = repository.sh(watch)
    assert done.returncode == 2
    assert "CANNOT TELL: the receiver was out of reach for" in done.stdout
    done = repository.run(whole)
    assert done.returncode == 2
    assert f"{SCRIPTS}" not in done.stdout
    assert "nobody can tell whether it may be published: nothing is deployed" in done.stdout
