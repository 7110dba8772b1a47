"""Which transfer target a version is judged by, what its share was before, and that the worst of many is no chance."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from statistics import NormalDist

import pytest

from genesys.evidence import Columns, Evidence, Outcomes, Signal
from genesys.excess import RELATIVE_MOST_RATIO, ExcessLimits
from genesys.routing import EarlierShares, KnownShares, Shift, compare, largest_shift, limits_among
from genesys.transfers import MOST_TARGETS, OTHERS, Target

HOUR, MINUTE = 3600, 60
NOON = 1_800_000_000 // 86400 * 86400 + 12 * HOUR
SERVICE, SALES, NIGHT, NAMELESS = (
    Target("ACD", "Service"),
    Target("ACD", "Sales"),
    Target("ACD", "Night"),
    Target("ACD"),
)
NEW = Target("ACD", "Catch-all")
USUAL = {SERVICE: 45, SALES: 15}

Transfers = Mapping[Target, int]


def calls(transfers: Transfers, volume: int = 100) -> Outcomes:
    moved = sum(transfers.values())
    return Outcomes(volume, {"TRANSFER": moved, "DISCONNECT": volume - moved}, transfers=transfers)


def history(of_hour: Callable[[int], Transfers] = lambda _: USUAL, *, days: int = 7, volume: int = 100) -> Evidence:
    """What version 13.0 did up to noon; `of_hour` is asked how many hours ago an hour ended."""
    start = NOON - days * 86400
    told = {NOON - (ago + 1) * HOUR: calls(of_hour(ago), volume) for ago in range(days * 24)}
    columns = Columns.of(told, start, NOON, HOUR)
    return Evidence(start, NOON, HOUR, {("f", "13.0"): columns})


def minutes(each: Iterable[Outcomes]) -> Evidence:
    """What version 14.0 has done since noon."""
    told = {NOON + minute * MINUTE: one for minute, one in enumerate(each)}
    end = NOON + len(told) * MINUTE
    return Evidence(NOON, end, MINUTE, {("f", "14.0"): Columns.of(told, NOON, end, MINUTE)})


def shares(known: Evidence) -> EarlierShares:
    return EarlierShares(known, "f", "14.0", NOON)


def shift(evidence: Evidence, known: Evidence) -> Shift | None:
    found = largest_shift(evidence, shares(known), flow_id="f", version="14.0", since=NOON)
    kept = KnownShares.of_history(shares(known))
    assert largest_shift(evidence, kept, flow_id="f", version="14.0", since=NOON) == found, "the exporter sees the same"
    return found


def looked_at(transfers: Transfers, known: Evidence | None = None) -> Target | None:
    found = shift(minutes([calls(transfers)] * 20), known or history())
    return None if found is None else found.target


@pytest.mark.parametrize(
    ("transfers", "target"),
    [
        pytest.param({NEW: 90, SERVICE: 4}, NEW, id="everybody to a queue that was never seen"),
        pytest.param({SALES: 45, SERVICE: 15}, SALES, id="two queues confused"),
        pytest.param({SERVICE: 40, SALES: 18}, None, id="a little more of one"),
        pytest.param({SERVICE: 45, SALES: 15, NEW: 4}, None, id="a new one with less than 5 %"),
        pytest.param({SERVICE: 20, SALES: 40, NEW: 30}, NEW, id="of two the stronger"),
        pytest.param({Target("FLOW", "Service"): 45, SALES: 15}, Target("FLOW", "Service"), id="another type"),
        pytest.param({}, None, id="nobody is transferred any more"),
    ],
)
def test_the_target_with_the_strongest_excess_is_looked_at(transfers: Transfers, target: Target | None) -> None:
    assert looked_at(transfers) == target


def test_who_convicts_comes_before_who_is_stronger() -> None:
    """Of a burst that is over nobody needs to hear, whatever else goes on beside it."""
    burst = [calls({NEW: 100})] * 20 + [calls({SERVICE: 45, SALES: 15})] * 15
    goes_on = [calls({Target("USER", "Ann"): 12, NEW: one.transfers.get(NEW, 0) * 88 // 100}) for one in burst]
    found = shift(minutes(goes_on), history())
    assert found is not None
    assert (found.target, found.finding.convicted_by is not None) == (Target("USER", "Ann"), True)


def test_nobody_is_accused_where_too_little_is_known() -> None:
    assert looked_at({NEW: 90}, history(lambda _: {SERVICE: 3}, days=1, volume=5)) is None


def test_what_most_callers_always_did_accuses_nobody() -> None:
    assert looked_at({SERVICE: 100}, history(lambda _: {SERVICE: int(100 * RELATIVE_MOST_RATIO)})) is None


def test_the_share_of_a_target_is_an_upper_bound_of_what_it_was() -> None:
    known = shares(history())
    for target, plain in ((SERVICE, 0.45), (SALES, 0.15), (NEW, 0.0)):
        share = known.of(target).ratio
        assert share is not None
        assert known.least(target) == pytest.approx(plain)
        assert plain < share < plain + 0.01


def test_a_version_with_almost_nothing_before_it_is_compared_with_its_own_past() -> None:
    """The little that was before says nothing, also not that it always was so."""
    known = history()
    little = {NOON - 5 * 86400 - 6 * HOUR: calls({NEW: 100})}
    since = NOON - 5 * 86400
    recent = Evidence(NOON, NOON + HOUR, MINUTE, minutes([calls({NEW: 90})] * 60).outcomes)
    own = {("f", "14.0"): {at: one for at, one in known.outcomes["f", "13.0"].items() if at >= since}}
    earlier = EarlierShares(Evidence(known.start, NOON, HOUR, {**own, ("f", "13.0"): little}), "f", "14.0", since)
    found = largest_shift(recent, earlier, flow_id="f", version="14.0", since=since)
    assert found is not None
    assert found.target == NEW


def test_a_version_does_not_excuse_itself() -> None:
    known = history(lambda ago: {NEW: 90} if ago < 2 else USUAL)
    own = {
        ("f", "14.0"): {start: one for start, one in known.outcomes["f", "13.0"].items() if start >= NOON - 2 * HOUR}
    }
    other = {
        ("f", "13.0"): {start: one for start, one in known.outcomes["f", "13.0"].items() if start < NOON - 2 * HOUR}
    }
    share = EarlierShares(Evidence(known.start, NOON, HOUR, own | other), "f", "14.0", NOON - 2 * HOUR).of(NEW).ratio
    assert share is not None
    assert share < 0.01


@pytest.mark.parametrize(
    ("days_ago", "hours", "excused"),
    [
        pytest.param({7}, {0, 1, 2}, True, id="on the same weekday"),
        pytest.param({1, 2, 3, 4, 5, 6, 7}, {0}, True, id="each day at this hour"),
        pytest.param({1}, {1}, True, id="from the next hour on, yesterday"),
        pytest.param({3}, {12}, False, id="at another hour"),
    ],
)
def test_where_the_calendar_sends_callers_is_no_shift(days_ago: set[int], hours: set[int], excused: bool) -> None:
    def of_hour(ago: int) -> Transfers:
        day, hour = -(-(ago + 1) // 24), -(ago + 1) % 24  # hours that begin at noon are 0 of their day
        return {NIGHT: 90} if day in days_ago and hour in hours else USUAL

    assert looked_at({NIGHT: 90}, history(of_hour)) == (None if excused else NIGHT)


@pytest.mark.parametrize(
    ("before", "now", "target"),
    [
        pytest.param({NAMELESS: 60}, {SERVICE: 45, SALES: 15}, None, id="names that are new"),
        pytest.param(USUAL, {NAMELESS: 60}, None, id="names that are gone"),
        pytest.param(USUAL, {Target("USER"): 60}, Target("USER"), id="another type without names"),
        pytest.param({NAMELESS: 5, SERVICE: 40}, {NEW: 60}, NEW, id="more than all that had no name"),
        pytest.param({OTHERS: 30, SERVICE: 40}, {NEW: 40}, None, id="one behind the largest before"),
        pytest.param(USUAL, {OTHERS: 60}, None, id="many small ones"),
    ],
)
def test_what_is_not_told_apart_is_compared_with_all_that_it_may_have_been(
    before: Transfers, now: Transfers, target: Target | None
) -> None:
    assert looked_at(now, history(lambda _: before)) == target


@pytest.mark.parametrize("now", [{NEW: 90, SALES: 5}, USUAL], ids=["a shift", "no shift"])
def test_the_version_is_judged_by_that_target_alone(now: Transfers) -> None:
    compared = compare(
        minutes([calls(now)] * 20),
        history(),
        flow_id="f",
        version="14.0",
        since=NOON,
        signal=Signal.ROUTING_SHIFT,
    )
    tallies = compared.evidence.tallies("f", "14.0", Signal.ROUTING_SHIFT)
    assert {tally.errors for tally in tallies.values()} == {now.get(NEW, 0)}
    assert compared.target == (NEW if NEW in now else None)
    assert compared.baseline.ratio is not None
    assert compared.baseline.ratio < 0.01
    assert sum(tally.errors for tally in compared.history.tallies("f", "13.0", Signal.ROUTING_SHIFT).values()) == 0


def test_other_signals_know_no_target() -> None:
    compared = compare(
        minutes([calls({NEW: 90})] * 20), history(), flow_id="f", version="14.0", since=NOON, signal=Signal.ERROR_EXIT
    )
    assert (compared.target, compared.evidence.towards) == (None, None)


MANY = {Target("ACD", f"queue {number:02}"): 5 for number in range(MOST_TARGETS)}
ONE = {SERVICE: 5}
HOURS, PER_MINUTE = 150, (0.5, 2.0, 10.0)


@pytest.mark.parametrize(
    ("usual", "redials", "most"),
    [
        pytest.param(ONE, 1, 0, id="one target, each call by itself"),
        pytest.param(MANY, 1, 0, id="twenty targets, each call by itself"),
        pytest.param(ONE, 4, 2, id="one target, callers who dial up to four times"),
        pytest.param(MANY, 4, 2, id="twenty targets, callers who dial up to four times"),
    ],
)
def test_the_worst_of_twenty_targets_is_as_seldom_chance_as_a_single_one(
    usual: dict[Target, int], redials: int, most: int
) -> None:
    rng = random.Random(f"{len(usual)} {redials}")
    known = KnownShares.of_history(shares(history(lambda _: usual)))
    hours = [minutes(_by_chance(rng, usual, rate, redials)) for rate in PER_MINUTE for _ in range(HOURS)]
    found = [largest_shift(hour, known, flow_id="f", version="14.0", since=NOON) for hour in hours]
    assert sum(1 for one in found if one is not None and one.finding.convicted_by is not None) <= most


def test_the_more_targets_there_are_the_more_is_asked_of_the_worst() -> None:
    one, by_chance = ExcessLimits(), NormalDist().cdf
    assert limits_among(0) == limits_among(1) == one
    for targets in (2, 20):
        asked = limits_among(targets)
        assert 1 - by_chance(asked.z) == pytest.approx((1 - by_chance(one.z)) / targets)
        assert asked.c / one.c == pytest.approx(asked.z / one.z)


def _by_chance(rng: random.Random, usual: dict[Target, int], per_minute: float, redials: int) -> list[Outcomes]:
    """An hour in which nothing has changed."""
    told = [(Counter[Target](), 0) for _ in range(60)]
    targets, weights = [*usual, None], [*usual.values(), 100 - sum(usual.values())]
    at = 0.0
    while (at := at + rng.expovariate(per_minute / ((1 + redials) / 2))) < 60:
        (target,) = rng.choices(targets, weights)
        for again in range(rng.randint(1, redials)):
            minute = min(59, int(at) + again)
            counted, volume = told[minute]
            if target is not None:
                counted[target] += 1
            told[minute] = counted, volume + 1
    return [calls(counted, volume) for counted, volume in told]
