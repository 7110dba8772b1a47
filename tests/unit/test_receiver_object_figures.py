"""What is counted for an object: what its flow's callers met while it was like this, and nothing of any other time."""

from collections.abc import Mapping

from genesys.evidence import Evidence, Executions, Outcomes, Signal, total
from receiver.objects.figures import EARLIER, Observed, figures
from receiver.store.objects import Stint

START = 60_000
FLOW, OTHER = "f", "g"
BUCKETS = range(START, START + 600, 60)


def evidence(outcomes: Mapping[tuple[str, str], Outcomes]) -> Evidence:
    """The same in each of ten minutes."""
    return Evidence(START, START + 600, 60, {key: dict.fromkeys(BUCKETS, one) for key, one in outcomes.items()})


def at(minute: float) -> float:
    return START + 60 * minute


BAD = Outcomes(4, {"FLOW_ERROR_EXIT": 1, "TRANSFER": 3})
CHANGED = (Stint("a", at(0), at(4.5)), Stint("b", at(5.5), at(6)))


def observed(*stints: Stint, is_action: bool = False, **flow_ids: str) -> Observed:
    return Observed("x", is_action, stints, flow_ids or {"a": FLOW, "b": FLOW, EARLIER: FLOW})


def starts(found: Mapping[tuple[str, str], Mapping[int, object]], version: str) -> list[int]:
    return [(start - START) // 60 for start in found.get(("x", version), {})]


def test_each_version_has_the_buckets_that_lie_in_its_stint_whole_and_the_newest_all_since() -> None:
    found = figures(evidence({(FLOW, "1"): BAD}), observed(*CHANGED))
    assert starts(found, "a") == [0, 1, 2, 3]
    assert starts(found, "b") == [6, 7, 8, 9]


def test_what_was_before_the_first_reading_is_nobodys_version() -> None:
    found = figures(evidence({(FLOW, "1"): BAD}), observed(Stint("a", at(3.5), at(9))))
    assert starts(found, EARLIER) == [0, 1, 2]
    assert starts(found, "a") == [4, 5, 6, 7, 8, 9]


def test_all_versions_of_the_flow_count_and_no_other_flow() -> None:
    found = figures(evidence({(FLOW, "1"): BAD, (FLOW, "2"): BAD, (OTHER, "1"): BAD}), observed(*CHANGED))
    done = total(found["x", "b"].tallies(Signal.ERROR_EXIT, 0.0).values())
    assert (done.errors, done.volume) == (2 * 4, 8 * 4)


def test_a_call_route_that_led_elsewhere_has_the_figures_of_that_flow() -> None:
    found = figures(evidence({(OTHER, "1"): BAD}), observed(*CHANGED, a=FLOW, b=OTHER))
    assert starts(found, "a") == []
    assert starts(found, "b") == [6, 7, 8, 9]


def test_of_a_data_action_only_its_own_executions_count() -> None:
    ran = Outcomes(4, {}, actions={"x": Executions(3, 1, 0), "y": Executions(9, 9, 9)})
    found = figures(evidence({(FLOW, "1"): ran}), observed(*CHANGED, is_action=True))
    done = total(found["x", "b"].tallies(Signal.ACTION_FAILURE, 0.0).values())
    assert (done.errors, done.exits, done.entries) == (4, 12, 0)


def test_an_object_whose_flow_nobody_knows_has_no_figures() -> None:
    assert not figures(evidence({(FLOW, "1"): BAD}), Observed("x", False, CHANGED, {}))
