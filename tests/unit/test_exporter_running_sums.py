"""Running sums give what adding up a window bucket by bucket gives."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.running_sums import Counted, RunningSums
from genesys.evidence import Tally

FIRST, BUCKET_S, THRESHOLD = 1_795_348_800, 60, 0.05

tallies = st.builds(Tally, st.integers(0, 9), st.integers(0, 99), st.integers(0, 99))


@given(minutes=st.dictionaries(st.integers(0, 30), tallies), start=st.integers(-5, 40), length=st.integers(0, 40))
def test_a_window_is_the_sum_of_its_minutes(minutes: dict[int, Tally], start: int, length: int) -> None:
    sums = RunningSums({FIRST + BUCKET_S * at: one for at, one in minutes.items()}, FIRST, BUCKET_S, THRESHOLD)
    inside = [one for at, one in minutes.items() if start <= at < start + length]
    expected = Counted(
        errors=sum(one.errors for one in inside),
        volume=max(sum(one.entries for one in inside), sum(one.exits for one in inside)),
        breached=sum(one.errors > THRESHOLD * one.volume for one in inside),
    )
    assert sums.between(FIRST + BUCKET_S * start, FIRST + BUCKET_S * (start + length)) == expected


def test_without_a_minute_every_window_is_empty() -> None:
    assert RunningSums({}, FIRST, BUCKET_S, THRESHOLD).between(FIRST, FIRST + 3600) == Counted(0, 0, 0)
