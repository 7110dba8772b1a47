"""Every other scenario of `make demo`, and the demo's own honesty: with a safety taken out it must fail.

Each break has its control among the scenarios: the same world with the safety in place.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from demo.breaks import SCENARIOS, Break
from demo.plots import PLOTS
from demo.processes import ROOT

pytestmark = pytest.mark.acceptance

LEFT_ALONE = "demo: nothing was rolled back, as it should be: "
ROLLED_BACK = "demo: flow Main IVR rolled back from 14.0 to 13.0, "

# How each ends. `bad-deploy` has a test of its own, and `rate-limited` one that looks closer.
ENDS = {
    "data-action": "demo: data action Look up customer restored, ",
    "ivr": "demo: ivr Main line restored, ",
    "two-receivers": ROLLED_BACK,
    "platform-outage": ROLLED_BACK,
    "low-traffic": LEFT_ALONE + "100% errors in the worst minute, but neither beyond chance nor lasting",
    "flapping": LEFT_ALONE,
    "burst": LEFT_ALONE,
    "maintenance": LEFT_ALONE + "GenesysFlowFailing fires and is inhibited by the maintenance window",
    "silenced": LEFT_ALONE + "GenesysFlowFailing fires and is silenced",
    "backend-outage": LEFT_ALONE,
    "forged-alert": LEFT_ALONE + "1 alert(s) refused, not_confirmed: ",
}

FAILURES = {
    Break.RULES: "GenesysFlowFailing fired, and was not to",
    Break.INHIBIT: "Alertmanager does not suppress it",
    Break.LEASE: "one publish was to be sent and accepted; sent were ",
    Break.READBACK: "14.0 is live, not 13.0",
    Break.EVIDENCE: "nothing was to be published; sent were 13.0",
}


@pytest.mark.parametrize("scenario", ENDS)
def test_a_scenario_ends_as_it_should_and_proves_it(tmp_path, scenario):
    code, said = run_demo(tmp_path, "--scenario", scenario)
    assert code == 0, said
    assert said.splitlines()[-1].startswith(ENDS[scenario]), said


@pytest.mark.parametrize("broken", FAILURES)
def test_with_a_safety_taken_out_the_demo_fails_and_says_why(tmp_path, broken):
    code, said = run_demo(tmp_path, "--break", broken.value)
    assert code == 1, said
    assert FAILURES[broken] in said


@pytest.mark.parametrize("broken", FAILURES)
def test_the_same_scenario_with_the_safety_in_place_is_among_those_that_end_well(broken):
    assert SCENARIOS[broken] in ENDS or SCENARIOS[broken] == "bad-deploy"


def test_every_scenario_is_tried():
    assert set(PLOTS) == set(ENDS) | {"bad-deploy", "rate-limited"}


def run_demo(folder: Path, option: str, name: str) -> tuple[int, str]:
    """Exit code and output of a demo."""
    command = [sys.executable, "-m", "demo", option, name, "--folder", str(folder / "demo")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stdout + done.stderr
