"""The runbook names every state of a rollback, in the order in which it passes them."""

import re

from receiver.store.rollbacks import State
from tests.project.shipped import ROOT


def test_the_runbook_explains_every_state() -> None:
    section = (ROOT / "alert_rules" / "RUNBOOK.md").read_text(encoding="utf-8").split("\n## States\n")[1]

    assert re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE) == [state.value for state in State]
