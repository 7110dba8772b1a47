"""Which buckets count as corrected."""

import pytest

from exporter.revisions import fingerprints, revised_buckets
from genesys.evidence import Evidence, Outcomes
from tests.unit.exporter_world import MINUTE, NOON, bad, good

Minutes = dict[tuple[str, str], dict[int, Outcomes]]

BEFORE: Minutes = {("main", "13.0"): {NOON - 120: good(5), NOON - 60: good(3)}, ("other", "1.0"): {NOON - 60: good(1)}}


@pytest.mark.parametrize(
    ("after", "revised"),
    [
        pytest.param(BEFORE, [], id="the same answer"),
        pytest.param(dict(reversed(BEFORE.items())), [], id="the same answer in another order"),
        pytest.param({**BEFORE, ("main", "13.0"): {NOON - 120: good(6), NOON - 60: good(3)}}, [NOON - 120], id="more"),
        pytest.param({**BEFORE, ("main", "13.0"): {NOON - 120: bad(5), NOON - 60: good(3)}}, [NOON - 120], id="worse"),
        pytest.param({**BEFORE, ("main", "14.0"): {NOON - 60: good(1)}}, [NOON - 60], id="another version appears"),
        pytest.param({("other", "1.0"): {NOON - 60: good(1)}}, [NOON - 120, NOON - 60], id="a flow disappears"),
        pytest.param({**BEFORE, ("new", "1.0"): {NOON: good(1)}}, [], id="a bucket that was not asked for before"),
        pytest.param({**BEFORE, ("new", "1.0"): {NOON - 3600: good(1)}}, [], id="a bucket that has left the hour"),
    ],
)
def test_buckets_that_both_answers_cover_and_that_differ_are_revised(after: Minutes, revised: list[int]) -> None:
    first = Evidence(NOON - 3600, NOON, MINUTE, BEFORE)
    second = Evidence(NOON - 3540, NOON + 60, MINUTE, after)

    assert revised_buckets(fingerprints(first), fingerprints(second)) == revised
