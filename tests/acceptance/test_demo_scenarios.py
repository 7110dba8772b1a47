"""Every other scenario of `make demo`, and the demo's own honesty: with a safety taken out it must fail.

Two demos run at the same time; what they print is read by the tests. Each break
has its control among the scenarios: the same world with the safety in place.
"""

import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from demo.breaks import SCENARIOS, Break
from demo.plots import PLOTS
from demo.processes import ROOT

pytestmark = pytest.mark.acceptance

LEFT_ALONE = "demo: nothing was rolled back, as it should be: "
ROLLED_BACK = "demo: flow Main IVR rolled back from 14.0 to 13.0, "

# How each ends. `bad-deploy` has a test of its own, and `rate-limited` one that looks closer.
ENDS = {
    "platform-outage": ROLLED_BACK,
    "low-traffic": LEFT_ALONE + "100% errors in the worst minute, but neither beyond chance nor lasting",
    "flapping": LEFT_ALONE,
    "burst": LEFT_ALONE,
    "maintenance": LEFT_ALONE + "GenesysFlowFailing fires and is inhibited by the maintenance window",
    "silenced": LEFT_ALONE + "GenesysFlowFailing fires and is silenced",
    "backend-outage": LEFT_ALONE,
    "forged-alert": LEFT_ALONE + "1 alert(s) refused, not_confirmed: ",
}

# `lease` is left out: whether the second receiver still sends is a race that it can lose (open, see the changelog).
FAILURES = {
    Break.RULES: "GenesysFlowFailing fired, and was not to",
    Break.INHIBIT: "Alertmanager does not suppress it",
    Break.READBACK: "14.0 is live, not 13.0",
    Break.EVIDENCE: "nothing was to be published; sent were 13.0",
}


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[int, str]]:
    """Exit code and output of each demo, by scenario or break."""

    def run(option: str, name: str) -> tuple[int, str]:
        folder = tmp_path_factory.mktemp(name) / "demo"
        command = [sys.executable, "-m", "demo", option, name, "--folder", str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
        return done.returncode, done.stdout + done.stderr

    wanted = [("--scenario", name) for name in ENDS] + [("--break", one.value) for one in FAILURES]
    with ThreadPoolExecutor(2) as two:
        running = {name: two.submit(run, option, name) for option, name in wanted}
        return {name: demo.result() for name, demo in running.items()}


@pytest.mark.parametrize("scenario", ENDS)
def test_a_scenario_ends_as_it_should_and_proves_it(demos, scenario):
    code, said = demos[scenario]
    assert code == 0, said
    assert said.splitlines()[-1].startswith(ENDS[scenario]), said


@pytest.mark.parametrize("broken", FAILURES)
def test_with_a_safety_taken_out_the_demo_fails_and_says_why(demos, broken):
    code, said = demos[broken.value]
    assert code == 1, said
    assert FAILURES[broken] in said


@pytest.mark.parametrize("broken", FAILURES)
def test_the_same_scenario_with_the_safety_in_place_is_among_those_that_end_well(broken):
    assert SCENARIOS[broken] in ENDS or SCENARIOS[broken] == "bad-deploy"


def test_every_scenario_is_tried():
    assert set(PLOTS) == set(ENDS) | {"bad-deploy", "rate-limited"}
