"""What the dates of the versions, and the callers, say about the time since the look before a write."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.evidence import Evidence, Outcomes
from genesys.flows import FlowVersion
from receiver.meanwhile import Meanwhile, has_callers, newest_date, published_since

WRITE = 1000.0
V12 = FlowVersion("12.0", debug=False, published_at=100.0, published_until=300.0, published_by=None)
V13 = FlowVersion("13.0", debug=False, published_at=300.0, published_until=900.0, published_by=None)
V14 = FlowVersion("14.0", debug=False, published_at=900.0, published_until=None, published_by=None)
V15 = FlowVersion("15.0", debug=False, published_at=WRITE - 1, published_until=WRITE, published_by=None)
BEFORE = [V12, V13, V14]
RESTORED = replace(V13, published_at=WRITE, published_until=None)
UNDATED = replace(V13, published_until=None)  # a republished version keeps the date of its first time
ENDED = replace(V14, published_until=WRITE)

CASES = {
    "nothing has happened": (BEFORE, Meanwhile(False, ())),
    "only ours": ([V12, RESTORED, ENDED], Meanwhile(True, ())),
    "somebody's between, then ours": ([V12, RESTORED, replace(V14, published_until=WRITE - 1), V15], ("15.0",)),
    "the same without a date of ours": ([V12, UNDATED, replace(V14, published_until=WRITE - 1), V15], ("15.0",)),
    "an older one made live again, which keeps its date": (
        [replace(V12, published_until=WRITE), RESTORED, ENDED],
        ("12.0",),
    ),
    "the accused one made live anew, then ours": (
        [V12, RESTORED, replace(V14, published_at=WRITE - 1, published_until=WRITE)],
        ("14.0",),
    ),
    "somebody's, which is still live": ([*BEFORE[:2], ENDED, replace(V15, published_until=None)], Meanwhile(False, ())),
    "ours, then somebody's": (
        [
            V12,
            replace(V13, published_until=WRITE + 5),
            ENDED,
            replace(V15, published_at=WRITE + 5, published_until=None),
        ],
        Meanwhile(True, ()),
    ),
}


@pytest.mark.parametrize(("versions", "said"), CASES.values(), ids=CASES.keys())
def test_the_dates_tell_what_was_published_since(versions, said):
    found = published_since(versions, newest_date(BEFORE), accused="14.0", target="13.0")
    assert found is not None
    assert (found == said) if isinstance(said, Meanwhile) else (found.overwritten == said)


def test_without_dates_nothing_is_said():
    undated = [replace(version, published_at=None, published_until=None) for version in BEFORE]
    assert newest_date(undated) is None
    assert published_since(BEFORE, None, accused="14.0", target="13.0") is None


def test_the_newest_date_is_of_any_kind():
    assert newest_date(BEFORE) == 900.0
    assert newest_date([V12]) == 300.0
    assert newest_date([]) is None


@given(st.floats(-1e9, 1e9))
def test_whatever_genesys_clock_shows_what_is_said_is_the_same(skew_s):
    def skewed(versions):
        return [
            replace(
                one,
                published_at=None if one.published_at is None else one.published_at + skew_s,
                published_until=None if one.published_until is None else one.published_until + skew_s,
            )
            for one in versions
        ]

    after = [V12, RESTORED, ENDED, V15]
    found = published_since(skewed(after), newest_date(skewed(BEFORE)), accused="14.0", target="13.0")
    assert found == published_since(after, newest_date(BEFORE), accused="14.0", target="13.0")


@pytest.mark.parametrize(
    ("buckets", "met"),
    [
        pytest.param({1020: Outcomes(1, {})}, True, id="one has begun since"),
        pytest.param({960: Outcomes(5, {})}, False, id="in a bucket that began before"),
        pytest.param({1020: Outcomes(0, {"FLOW_DISCONNECT": 3})}, False, id="earlier ones have only ended"),
        pytest.param({}, False, id="none"),
    ],
)
def test_only_a_conversation_that_began_since_proves_that_callers_meet_a_version(buckets, met):
    evidence = Evidence(600, 1200, 60, {("flow-1", "13.0"): buckets, ("flow-2", "13.0"): {1020: Outcomes(9, {})}})
    assert has_callers(evidence, "flow-1", "13.0", since=WRITE) is met
    assert not has_callers(evidence, "flow-1", "12.0", since=WRITE)


def test_without_evidence_nobody_knows_of_callers():
    assert not has_callers(None, "flow-1", "13.0", since=WRITE)
