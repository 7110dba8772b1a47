"""Which version was live when: what looks and dates tell, and what is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.flows import FlowVersion
from genesys.stints import MOST_STINTS, Stint, Stretch, dated, seen, stretches

MINUTE = 60


def looks(*what: tuple[float, str | None]) -> tuple[Stint, ...]:
    """Looks at these times, each answered a second later."""
    stints: tuple[Stint, ...] = ()
    for at, live in what:
        stints = seen(stints, live, asked_at=at, answered_at=at + 1, max_gap_s=5 * MINUTE)
    return stints


def version(label: str, published_at: float | None = None, published_until: float | None = None) -> FlowVersion:
    return FlowVersion(label, False, published_at, published_until, None)


def buckets(stints: tuple[Stint, ...], end: int = 600) -> dict[int, str]:
    found = stretches(stints, start=0, end=end, bucket_s=MINUTE, max_buckets=1)
    return {stretch.start: stretch.version for stretch in found}


def test_one_look_tells_of_a_moment_only():
    assert looks((30, "13.0")) == (Stint("13.0", 31, 31),)
    assert buckets(looks((30, "13.0"))) == {}


def test_between_two_looks_that_saw_the_same_version_it_was_live():
    assert buckets(looks((30, "13.0"), (90, "13.0"), (185, "13.0"))) == {60: "13.0", 120: "13.0"}


def test_the_bucket_of_a_change_belongs_to_nobody():
    stints = looks((1, "13.0"), (59, "13.0"), (119, "13.0"), (178, "14.0"), (239, "14.0"), (300, "14.0"))
    assert buckets(stints) == {180: "14.0", 240: "14.0"}


def test_nobody_knows_what_was_live_while_nobody_looked_for_long():
    assert buckets(looks((0, "13.0"), (60, "13.0"), (361, "13.0"), (421, "13.0"))) == {}
    assert list(buckets(looks((0, "13.0"), (60, "13.0"), (360, "13.0")))) == [60, 120, 180, 240, 300]


def test_a_flow_without_a_live_version_has_no_stint_and_ends_the_one_before():
    stints = looks((0, "13.0"), (60, None), (120, None), (180, "13.0"))
    assert buckets(stints) == {}


def test_a_look_that_was_asked_earlier_takes_nothing_back():
    assert looks((0, "13.0"), (120, "13.0"), (60, "13.0")) == (Stint("13.0", 1, 120),)


def test_what_was_seen_is_bounded():
    stints = looks(*((float(second), f"{second % 2}.0") for second in range(3 * MOST_STINTS)))
    assert len(stints) == MOST_STINTS
    assert stints[-1].start == 3 * MOST_STINTS


def test_dates_tell_the_last_stint_of_each_version():
    versions = [version("12.0", 0, 100), version("13.0", 100, 400), version("14.0", 400), version("draft")]
    assert dated(versions, "14.0", asked_at=600) == (
        Stint("12.0", 0, 100),
        Stint("13.0", 100, 400),
        Stint("14.0", 400, 600),
    )


@pytest.mark.parametrize(
    ("versions", "stints"),
    [
        pytest.param([version("13.0", 0), version("14.0", 100, 300)], {"13.0": (300, 600)}, id="its date stayed"),
        pytest.param([version("13.0", 300), version("14.0", 100, 300)], {"13.0": (300, 600)}, id="its date moved"),
        pytest.param([version("13.0", 0), version("14.0", 100)], {}, id="the end of a later one is unknown"),
        pytest.param([version("13.0", 200), version("12.0", 100)], {"13.0": (200, 600)}, id="that of an earlier one"),
        pytest.param([version("13.0"), version("12.0", 0, 100)], {}, id="no date"),
        pytest.param([version("13.0", 700)], {}, id="published in the future"),
    ],
)
def test_a_version_that_is_live_again_begins_after_the_others(versions, stints):
    found = {stint.version: (stint.start, stint.end) for stint in dated(versions, "13.0", asked_at=600)}
    assert {label: stint for label, stint in found.items() if label == "13.0"} == stints


def test_versions_without_dates_and_flows_without_a_live_one_tell_nothing():
    assert dated([version("13.0"), version("14.0")], "14.0", asked_at=600) == ()
    assert dated([version("13.0", 0)], None, asked_at=600) == ()
    assert dated([version("13.0", 300, 200)], None, asked_at=600) == ()


def test_looks_and_dates_together_reach_further():
    stints = (*looks((300, "14.0"), (480, "14.0")), *dated([version("14.0", 60)], "14.0", asked_at=480))
    assert list(buckets(stints)) == [60, 120, 180, 240, 300, 360, 420]


def test_where_looks_and_dates_disagree_nobody_knows():
    stale = looks((0, "13.0"), (200, "13.0"))  # a read that lags behind
    stints = (*stale, *dated([version("13.0", 0, 130), version("14.0", 130)], "14.0", asked_at=300))
    assert buckets(stints) == {0: "13.0", 60: "13.0", 240: "14.0"}


def test_long_stretches_are_cut_at_changes_and_at_the_multiples_of_their_length():
    stints = (Stint("13.0", 0, 500), Stint("14.0", 500, 1300))
    assert stretches(stints, start=60, end=1200, bucket_s=MINUTE, max_buckets=5) == (
        Stretch("13.0", 60, 300),
        Stretch("13.0", 300, 480),
        Stretch("14.0", 540, 600),
        Stretch("14.0", 600, 900),
        Stretch("14.0", 900, 1200),
    )


@given(
    st.lists(st.tuples(st.integers(1, 60), st.sampled_from(["13.0", "14.0", None])), max_size=30),
    st.integers(1, 24),
)
def test_a_version_is_never_given_a_moment_at_which_another_was_seen(steps, max_buckets):
    at, what = 0, []
    for pause, live in steps:
        at += pause
        what.append((float(at), live))
    stints = looks(*what)
    for stretch in stretches(stints, start=0, end=1800, bucket_s=MINUTE, max_buckets=max_buckets):
        assert stretch.end - stretch.start <= max_buckets * MINUTE
        inside = {live for seen_at, live in what if stretch.start < seen_at + 1 < stretch.end}
        assert inside <= {stretch.version}
        assert any(seen_at <= stretch.start for seen_at, _ in what)
        assert any(seen_at >= stretch.end for seen_at, _ in what)
