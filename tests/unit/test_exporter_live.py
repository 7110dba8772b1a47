"""Which version is live, and since when it is judged."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.live import (
    LiveVersion,
    changed,
    contradicted,
    follow,
    others_started_until,
    predecessors_end,
    raised,
)
from genesys.evidence import Evidence, Outcomes
from genesys.flows import Flow, FlowVersion
from tests.unit.exporter_world import MAIN, MINUTE, NOON, bad, good

KNOWN = {"main": LiveVersion("13.0", since=NOON - 600.0, published_at=NOON - 600.0)}
PUBLISHED_13 = replace(MAIN, live_published_at=NOON - 600.0)


@pytest.mark.parametrize(
    ("known", "flow", "since"),
    [
        pytest.param(KNOWN, PUBLISHED_13, NOON - 600.0, id="nothing changed"),
        pytest.param(None, PUBLISHED_13, NOON - 600.0, id="the first poll sees no change and takes the date"),
        pytest.param(
            None, replace(MAIN, live_published_at=None), NOON, id="without a date only what comes from now on counts"
        ),
        pytest.param({}, PUBLISHED_13, NOON, id="a flow that appears later counts from the poll that saw it"),
        pytest.param(
            KNOWN, replace(MAIN, live_version="14.0", live_published_at=NOON - 40.0), NOON, id="a new version"
        ),
        pytest.param(
            KNOWN,
            replace(MAIN, live_version="12.0", live_published_at=NOON - 9e5),
            NOON,
            id="a version that is live again with its old date",
        ),
        pytest.param(
            KNOWN,
            replace(MAIN, live_version="14.0", live_published_at=None),
            NOON,
            id="a new version without a date",
        ),
        pytest.param(
            KNOWN,
            replace(MAIN, live_version="14.0", live_published_at=NOON + 5.0),
            NOON + 5.0,
            id="Genesys Cloud's clock is ahead of ours",
        ),
        pytest.param(
            KNOWN,
            replace(MAIN, live_published_at=NOON - 20.0),
            NOON,
            id="the same version was published again between two polls",
        ),
        pytest.param(
            KNOWN,
            replace(MAIN, live_published_at=NOON - 9000.0),
            NOON - 600.0,
            id="an earlier date of the same version is another view of the same event",
        ),
    ],
)
def test_since_is_the_latest_of_publication_and_the_poll_that_saw_the_change(
    known: dict[str, LiveVersion] | None, flow: Flow, since: float
) -> None:
    live = follow(known, [flow], polled_at=NOON)

    assert live["main"].since == since
    assert live["main"].version == flow.live_version


@pytest.mark.parametrize(
    "flow",
    [
        pytest.param(replace(MAIN, active=False), id="deactivated"),
        pytest.param(replace(MAIN, deleted=True), id="deleted"),
        pytest.param(replace(MAIN, live_version=None), id="never published"),
    ],
)
def test_a_flow_that_takes_no_calls_has_no_live_version(flow: Flow) -> None:
    assert follow(KNOWN, [flow], polled_at=NOON) == {}


def test_a_changed_version_has_a_larger_since_even_if_the_old_one_lies_in_the_future() -> None:
    """Of two series the rules take the one with the larger value: equal ones would both be live."""
    known = {"main": LiveVersion("13.0", since=NOON + 900.0, published_at=NOON + 900.0)}

    live = follow(known, [replace(MAIN, live_version="14.0", live_published_at=NOON - 30.0)], polled_at=NOON)

    assert live["main"].since > NOON + 900.0


@given(
    polls=st.lists(
        st.tuples(
            st.sampled_from(["12.0", "13.0", "14.0"]),
            st.one_of(st.none(), st.floats(NOON - 7200, NOON + 7200)),
            st.floats(0, 300),
        ),
        min_size=2,
    )
)
def test_since_never_decreases_and_grows_at_every_change(polls: list[tuple[str, float | None, float]]) -> None:
    live: dict[str, LiveVersion] | None = None
    now = float(NOON)
    for version, published_at, later_s in polls:
        now += later_s
        before = live
        live = follow(before, [replace(MAIN, live_version=version, live_published_at=published_at)], polled_at=now)
        if before is not None:
            assert live["main"].since >= before["main"].since
            if before["main"].version != version:
                assert live["main"].since > before["main"].since


def test_only_flows_that_were_known_with_another_version_have_changed() -> None:
    now = {name: LiveVersion("14.0", NOON, NOON) for name in ("same", "other", "new")}
    known = {"same": now["same"], "other": LiveVersion("13.0", NOON, NOON), "gone": now["same"]}

    assert changed(known, now) == ["other"]
    assert changed(None, now) == []


def test_the_predecessor_ended_when_the_newest_other_version_did() -> None:
    versions = [
        FlowVersion("12.0", debug=False, published_at=1.0, published_until=2.0, published_by=None),
        FlowVersion("13.0", debug=False, published_at=2.0, published_until=5.0, published_by=None),
        FlowVersion("14.0", debug=False, published_at=5.0, published_until=9.0, published_by=None),
        FlowVersion("15.0", debug=False, published_at=None, published_until=None, published_by=None),
    ]

    assert predecessors_end(versions, "14.0") == 5.0
    assert predecessors_end([], "14.0") is None


def _evidence(outcomes: dict[tuple[str, str], dict[int, Outcomes]]) -> Evidence:
    return Evidence(NOON - 60 * MINUTE, NOON, MINUTE, outcomes)


def test_the_newest_bucket_in_which_another_version_started_conversations_is_found() -> None:
    evidence = _evidence(
        {
            ("main", "13.0"): {NOON - 60: good(5)},
            ("main", "14.0"): {NOON - 600: bad(3), NOON - 540: bad(1), NOON - 120: Outcomes(exits={"TRANSFER": 1})},
            ("main", "12.0"): {NOON - 900: good(2)},
            ("unlisted", "1.0"): {NOON - 60: good(1)},
        }
    )

    until = others_started_until(evidence, KNOWN)

    assert until == {"main": NOON - 540 + MINUTE}, "an exit is no start: conversations drain for a while"


@pytest.mark.parametrize(
    ("bucket", "doubtful"),
    [
        pytest.param(NOON - 660, set(), id="before the change"),
        pytest.param(NOON - 600, {"main"}, id="in the first bucket that counts"),
        pytest.param(NOON - 120, {"main"}, id="long after it"),
    ],
)
def test_another_versions_starts_after_the_change_contradict_the_list(bucket: int, doubtful: set[str]) -> None:
    until = others_started_until(_evidence({("main", "14.0"): {bucket: good(1)}}), KNOWN)

    assert contradicted(KNOWN, until, bucket_s=MINUTE) == doubtful


def test_floors_raise_since_and_never_lower_it() -> None:
    assert raised(KNOWN, {"main": NOON - 60})["main"].since == NOON - 60
    assert raised(KNOWN, {"main": NOON - 6000})["main"].since == NOON - 600
    assert raised(KNOWN, {}) == KNOWN
