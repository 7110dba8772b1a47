"""Other ways back than to publish the old label again: each row of the fault table ends as it says."""

from pathlib import Path

import pytest

from tests.integration.fault_cases import NEXT, REDEPLOYED
from tests.integration.fault_table import Outcome, rows_of, see

ROWS = rows_of(REDEPLOYED | NEXT)


@pytest.mark.parametrize(("name", "outcome"), ROWS.items(), ids=ROWS)
def test_a_fault_ends_as_the_table_says(tmp_path: Path, name: str, outcome: Outcome) -> None:
    assert see(tmp_path, name) == outcome
