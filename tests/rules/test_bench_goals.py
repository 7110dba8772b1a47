"""`python -m bench.detection --quick`: the shipped rules meet their goals; a plain ratio in their place does not."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("rule_set", "code"), [("shipped", 0), ("plain-ratio", 1)])
def test_the_quick_form_tells_the_shipped_rules_from_a_plain_ratio(rule_set: str, code: int) -> None:
    command = [sys.executable, "-m", "bench.detection", "--quick", "--rule-set", rule_set]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == code, done.stdout + done.stderr
    assert f"goals met by {rule_set}" in done.stdout
    for row in ("caller_hangup 0.25", "catch-all queue, 90% of the callers"):
        assert (row in done.stdout) is (rule_set == "shipped"), "signals that are no errors are asked of nobody else"
    assert ("missed: " in done.stdout) is (code == 1)
