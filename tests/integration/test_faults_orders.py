"""What people order, and what may happen meanwhile: each row of the fault table ends as it says."""

from pathlib import Path

import pytest

from tests.integration.fault_orders import ORDERED, see
from tests.integration.fault_table import Outcome, rows_of

ROWS = rows_of(ORDERED)


@pytest.mark.parametrize(("name", "outcome"), ROWS.items(), ids=ROWS)
def test_an_order_ends_as_the_table_says(tmp_path: Path, name: str, outcome: Outcome) -> None:
    assert see(tmp_path, name) == outcome
