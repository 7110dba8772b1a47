"""The fault table of the documentation and the tests have the same rows."""

from tests.integration.fault_cases import CASES
from tests.integration.fault_orders import ORDERED
from tests.integration.fault_table import rows


def test_every_row_of_the_fault_table_has_a_test_and_every_test_a_row() -> None:
    assert rows().keys() == CASES.keys() | ORDERED.keys()
