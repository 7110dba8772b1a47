"""When the newest conversations of an accused version say that it is over."""

import pytest

from genesys.evidence import Signal, Tally
from receiver.findings import is_recovered


@pytest.mark.parametrize(
    ("signal", "errors", "exits", "recovered"),
    [
        pytest.param(Signal.ERROR_EXIT, 0, 5, True, id="no errors"),
        pytest.param(Signal.ERROR_EXIT, 1, 100, False, id="one error, fewer than before"),
        pytest.param(Signal.ERROR_EXIT, 0, 4, False, id="too few to say"),
        pytest.param(Signal.CALLER_HANGUP, 25, 100, True, id="as many hang up as before"),
        pytest.param(Signal.CALLER_HANGUP, 26, 100, False, id="more hang up than before"),
        pytest.param(Signal.CALLER_HANGUP, 1, 4, False, id="too few hang-ups to say"),
    ],
)
def test_a_version_has_recovered_when_it_is_no_worse_than_its_flow_was(
    signal: Signal, errors: int, exits: int, recovered: bool
) -> None:
    assert is_recovered(Tally(errors, exits, exits), signal, 0.25) is recovered


def test_nobody_has_recovered_to_what_is_not_known() -> None:
    assert not is_recovered(Tally(1, 20, 20), Signal.STUCK, None)
