"""Who is convicted, by which window, and who never is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.evidence import Tally
from genesys.excess import THRESHOLD_CAP, ExcessLimits, chance_factor, chance_ratio, find_excess, threshold_for

END = 3600
THRESHOLD = 0.05


def minutes(*newest_last: tuple[int, int]) -> dict[int, Tally]:
    """(errors, volume) of consecutive minutes up to the end."""
    first = END - 60 * len(newest_last)
    return {
        first + 60 * position: Tally(errors, volume, volume) for position, (errors, volume) in enumerate(newest_last)
    }


def judge(tallies, *, threshold=THRESHOLD, baseline: float | None = 0.01, scatter: float | None = 1.0, **limits):
    return find_excess(
        tallies,
        end=END,
        bucket_s=60,
        threshold_ratio=threshold,
        baseline_ratio=baseline,
        scatter=scatter,
        limits=ExcessLimits(**limits) if limits else None,
    )


def convicted(tallies, **options) -> str | None:
    finding = judge(tallies, **options).convicted_by
    return finding.window if finding else None


HEALTHY = (0, 10)
FAILING = (10, 10)

CASES = {
    "a total failure for three minutes": ([FAILING] * 3, "5m"),
    "two minutes of it are not enough": ([FAILING] * 2, None),
    "nothing happened at all": ([], None),
    "one failed call at night": ([(1, 1)], None),
    "three failed calls in three minutes, of three": ([(1, 1)] * 3, None),
    "five failed calls in five minutes, of five": ([(1, 1)] * 5, None),
    "six failed calls in six minutes, of six": ([(1, 1)] * 6, "15m"),
    "six failed calls in six minutes, of eighteen": ([(1, 3)] * 6, None),
    "a healed burst of one minute": ([FAILING, HEALTHY, HEALTHY], None),
    "a healed burst of four minutes": ([*[FAILING] * 4, HEALTHY, HEALTHY], None),
    "a healed burst of two minutes, an hour with little else": (
        [*[(0, 2)] * 20, (12, 12), (12, 12), *[HEALTHY] * 3],
        None,
    ),
    "a burst after which nobody calls": ([*[FAILING] * 4, (0, 0), (0, 0)], "5m"),
    "6 % for an hour at 50 calls a minute": ([(3, 50)] * 60, "60m"),
    "the same for a quarter of an hour": ([(3, 50)] * 15, "15m"),
    "6 % for three minutes is too short to tell": ([(3, 50)] * 3, None),
    "4 % for an hour is below the threshold": ([(2, 50)] * 60, None),
    "exactly 5 % for an hour": ([(5, 100)] * 60, None),
    "one bad minute in a healthy hour": ([*[HEALTHY] * 59, FAILING], None),
}


@pytest.mark.parametrize(("newest_last", "window"), CASES.values(), ids=CASES.keys())
def test_the_strongest_window_that_nothing_acquits_convicts(newest_last, window):
    assert convicted(minutes(*newest_last)) == window


def test_a_finding_says_what_was_counted():
    finding = judge(minutes(*[HEALTHY] * 5, *[FAILING] * 5)).convicted_by
    assert finding is not None
    assert (finding.window, finding.errors, finding.volume, finding.breach_minutes) == ("5m", 50, 50, 5)
    assert finding.ratio == 1.0
    assert finding.strength == pytest.approx(50 - 0.5 - 3.25 * (0.01 * 0.99 * 50) ** 0.5 - 4.5)


def test_who_acquits_is_told():
    finding = judge(minutes(*[FAILING] * 4, HEALTHY, HEALTHY))
    assert finding.convicted_by is None
    assert finding.acquitted_by is not None
    assert finding.acquitted_by.window == "1m"


def test_what_acquits_is_too_good_to_be_chance():
    """One good call is nothing when four of five fail; two in a row are rare, and nothing else is in that minute."""
    mostly = [(8, 10)] * 4
    assert convicted(minutes(*mostly, (0, 1))) == "5m"
    assert convicted(minutes(*mostly, (0, 2))) is None


def test_a_good_minute_does_not_acquit_a_version_that_fails_now_and_then():
    assert convicted(minutes(*[(1, 12)] * 59, (0, 10))) == "60m"


def test_what_is_over_for_a_window_is_over_for_the_longer_ones():
    """The newest minute is too short to say so of the hour by itself: it would have one or two errors."""
    hour = minutes(*[(1, 10)] * 56, *[(10, 10)] * 3, (0, 10))
    finding = judge(hour)
    assert finding.convicted_by is None
    assert [window.window for window in finding.windows if window.accuses] == ["5m", "15m", "60m"]
    assert convicted(minutes(*[(1, 10)] * 59, (0, 10))) == "60m"


def test_an_unknown_past_is_taken_for_the_threshold():
    slight = minutes(*[(3, 50)] * 60)
    assert convicted(slight, baseline=0.01) == "60m"
    assert convicted(slight, baseline=None) is None
    assert chance_ratio(None, 0.05, ExcessLimits()) == 0.05


@pytest.mark.parametrize(("baseline", "base"), [(0.0, 0.01), (0.005, 0.01), (0.02, 0.02), (0.99, THRESHOLD_CAP)])
def test_a_known_past_has_a_floor_and_a_cap(baseline, base):
    assert chance_ratio(baseline, 0.05, ExcessLimits()) == base


@pytest.mark.parametrize(
    ("scatter", "factor"),
    [(None, 2.0), (0.3, 1.0), (1.0, 1.0), (1.7, 1.7), (2.0, 2.0), (9.0, 2.0)],
    ids=["unknown is the worst", "even", "independent", "redials", "the most", "beyond it"],
)
def test_chance_explains_more_where_errors_scatter(scatter, factor):
    assert chance_factor(scatter, ExcessLimits()) == factor
    window = judge(minutes(*[HEALTHY] * 5, *[FAILING] * 5), scatter=scatter).windows[-1]
    limits = ExcessLimits()
    assert window.strength == pytest.approx(50 - 1 - factor * (limits.z * (0.01 * 0.99 * 100) ** 0.5 + limits.c))


@pytest.mark.parametrize(
    ("configured", "baseline", "threshold"),
    [(0.05, None, 0.05), (0.05, 0.01, 0.05), (0.05, 0.02, 0.1), (0.05, 0.5, 0.9), (0.95, None, 0.9)],
    ids=["no past", "a good past", "a worse one", "capped", "configured above the cap"],
)
def test_the_threshold_is_the_configured_one_or_five_times_the_past(configured, baseline, threshold):
    assert threshold_for(configured, baseline) == pytest.approx(threshold)


counts = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (pair[0], pair[0] + pair[1]))
hours = st.lists(counts, max_size=60)
ratios = st.floats(0.001, 0.9)
pasts = st.none() | st.floats(0, 1)


@given(st.lists(st.integers(0, 500), max_size=60), ratios, pasts)
def test_without_errors_nobody_is_ever_convicted(volumes, threshold, past):
    assert convicted(minutes(*((0, volume) for volume in volumes)), threshold=threshold, baseline=past) is None


@given(hours, ratios, pasts)
def test_a_window_at_or_below_the_threshold_never_convicts(newest_last, threshold, past):
    finding = judge(minutes(*newest_last), threshold=threshold, baseline=past)
    assert all(window.errors > threshold * window.volume for window in finding.windows if window.accuses)
    assert finding.convicted_by is None or finding.convicted_by.accuses


@given(hours, ratios, pasts, st.integers(1, 200))
def test_more_good_calls_in_the_newest_minute_never_make_a_window_accuse(newest_last, threshold, past, good):
    before = minutes(*newest_last)
    newest = END - 60
    after = {**before, newest: before.get(newest, Tally()) + Tally(0, good, good)}
    accused = [window.accuses for window in judge(before, threshold=threshold, baseline=past).windows]
    still = [window.accuses for window in judge(after, threshold=threshold, baseline=past).windows]
    assert all(was for was, does in zip(accused, still, strict=True) if does)


@given(hours, ratios, pasts)
def test_a_worse_past_never_makes_a_window_accuse(newest_last, configured, past):
    known = past or 0.0
    worse = min(1.0, known + 0.05)
    accused, still = (
        [
            window.accuses
            for window in judge(
                minutes(*newest_last), threshold=threshold_for(configured, ratio), baseline=ratio
            ).windows
        ]
        for ratio in (known, worse)
    )
    assert all(was for was, does in zip(accused, still, strict=True) if does)


@given(hours, ratios, pasts, st.none() | st.floats(0, 5), st.floats(0, 5))
def test_more_scatter_never_makes_a_window_accuse_and_unknown_is_the_most(newest_last, threshold, past, some, less):
    accused, still, unknown = (
        [
            window.accuses
            for window in judge(minutes(*newest_last), threshold=threshold, baseline=past, scatter=one).windows
        ]
        for one in (less, None if some is None else less + some, None)
    )
    assert all(was for was, does in zip(accused, still, strict=True) if does)
    assert all(was for was, does in zip(still, unknown, strict=True) if does)


@given(hours, ratios, pasts)
def test_fewer_than_three_breached_minutes_never_convict(newest_last, threshold, past):
    finding = judge(minutes(*newest_last[-2:]), threshold=threshold, baseline=past)
    assert finding.convicted_by is None


@given(hours, ratios, pasts)
def test_what_lies_outside_the_hour_never_matters(newest_last, threshold, past):
    tallies = minutes(*newest_last)
    outside = {-60: Tally(900, 900, 900), END: Tally(900, 900, 900)}
    assert judge(tallies, threshold=threshold, baseline=past) == judge(
        {**tallies, **outside}, threshold=threshold, baseline=past
    )
