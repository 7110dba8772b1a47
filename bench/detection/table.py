"""The table on stdout. Pure."""

import math
from collections.abc import Iterator, Sequence

from bench.detection.goals import Check
from bench.detection.grid import Grid
from bench.detection.incidents import Blamed
from bench.detection.measure import Result
from bench.detection.mistakes import Accused, Noticed
from bench.detection.rule_sets import RuleSet

NEARLY_NEVER = 0.98  # of the publishes; a signal that finds fewer is not shown


def minutes(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.1f}"


def lines(grid: Grid, results: Sequence[Result], blamed: Sequence[Blamed]) -> Iterator[str]:
    """One line for each cell, seed and rule set."""
    yield (
        f"{'cell':58} {'seed':>4} {'rules':13} {'publishes':>9} {'rolled back':>11} {'per 10,000':>10} {'at most':>8}"
        f" {'alert p50':>9} {'p95':>7} {'live p50':>9} {'p95':>7} {'CUSUM':>6} {'indep.':>6}"
    )
    order = {
        cell: place
        for place, cell in enumerate((*grid.good, *grid.reported, *grid.at_threshold, *grid.bursts, *grid.bad))
    }
    for result in sorted(results, key=lambda one: (order[one.cell], one.seed)):
        for rule_set, found in result.found.items():
            limit = "" if result.cusum_min is None else minutes(result.cusum_min)
            easier = "" if result.cusum_independent_min is None else minutes(result.cusum_independent_min)
            yield (
                f"{result.cell.name:58} {result.seed:>4} {rule_set.value:13} {found.publishes:>9}"
                f" {found.rolled_back:>11} {found.per_10000:>10.1f} {found.upper_per_10000:>8.1f}"
                f" {minutes(found.alert_min[0]):>9} {minutes(found.alert_min[1]):>7}"
                f" {minutes(found.live_min[0]):>9} {minutes(found.live_min[1]):>7} {limit:>6} {easier:>6}"
            )
    for one in blamed:
        name = f"incident over {one.incident.share:.0%} of {one.incident.flows} flows"
        for rules, count in ((RuleSet.SHIPPED.value, one.with_veto), ("without veto", one.without_veto)):
            share = 1e4 * count / one.incidents
            yield f"{name:58} {one.seed:>4} {rules:13} {one.incidents:>9} {count:>11} {share:>10.1f}"


def signal_lines(accused: Sequence[Accused], noticed: Sequence[Noticed]) -> Iterator[str]:
    """One line for each calm flow, then one for each signal that finds a mistake, and for the first that does."""
    if accused:
        yield f"{'calm flow':66} {'seed':>4} {'publishes':>9} {'accused':>11} {'per 10,000':>10} {'at most':>8}"
    for calm in accused:
        yield (
            f"{calm.calm.name:66} {calm.seed:>4} {calm.publishes:>9} {calm.accused:>11} {calm.per_10000:>10.1f}"
            f" {calm.upper_per_10000:>8.1f}"
        )
    if noticed:
        yield f"{'mistake':66} {'seed':>4} {'publishes':>9} {'found by':>15} {'alert p50':>9} {'p95':>7} {'never':>6}"
    for one in noticed:
        found = {signal.value: late for signal, late in one.by_signal.items() if late.never <= NEARLY_NEVER}
        shown = found if len(found) == 1 else {**found, "the first": one.first}
        for name, late in sorted(shown.items(), key=lambda item: (item[0] == "the first", item[1].median_min)):
            yield (
                f"{one.made.name:66} {one.seed:>4} {one.made.publishes:>9} {name:>15} {minutes(late.median_min):>9}"
                f" {minutes(late.late_min):>7} {late.never:>6.0%}"
            )


def verdict(found: Sequence[Check], rule_set: RuleSet) -> Iterator[str]:
    """What was missed, worst first, and how many goals were met."""
    missed = sorted((check for check in found if not check.is_met), key=lambda one: -one.measured / one.limit)
    for check in missed:
        yield (
            f"missed: {check.goal}: {check.measured:.3g}, goal {check.limit:.3g} ({check.what.name}, seed {check.seed})"
        )
    yield f"{len(found) - len(missed)} of {len(found)} goals met by {rule_set.value}"
