"""`python -m bench.detection`: runs the grid on all cores, prints one table, and says whether the goals are met."""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.detection import goals, grid, incidents, measure, mistakes, plots, table
from bench.detection.cell import Cell
from bench.detection.incidents import Blamed, Incident
from bench.detection.measure import Result
from bench.detection.mistakes import Accused, Calm, Made, Noticed
from bench.detection.rule_sets import RuleSet

DEFAULT_SEED = 1


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to simulate from one seed; the rule sets that judge a cell, the first of them in full."""

    what: Cell | Incident | Made | Calm
    seed: int
    rule_sets: tuple[RuleSet, ...]

    def run(self) -> Result | Blamed | Noticed | Accused:
        if isinstance(self.what, Incident):
            return incidents.run(self.what, self.seed)
        if isinstance(self.what, Made):
            return mistakes.notice(self.what, self.seed)
        if isinstance(self.what, Calm):
            return mistakes.accuse(self.what, self.seed)
        return measure.run(self.what, self.seed, self.rule_sets)


def jobs(cells: grid.Grid, seeds: Sequence[int], rule_set: RuleSet, *, quick: bool) -> list[Job]:
    """The longest first; the other rule sets are shown the publishes of the first seed."""
    compared = tuple(other for other in RuleSet if other is not rule_set)
    all_cells = (*cells.good, *cells.reported, *cells.at_threshold, *cells.bursts, *cells.bad)
    todo = [
        Job(cell, seed, (rule_set, *(compared if seed == seeds[0] and not quick else ())))
        for seed in seeds
        for cell in all_cells
    ]
    todo.sort(key=lambda job: -job.what.publishes * job.what.minutes if isinstance(job.what, Cell) else 0)
    if rule_set is not RuleSet.SHIPPED:
        return todo  # of the others nobody says what they would do with other signals, or know of other flows
    signals = grid.signals_quick() if quick else grid.signals()
    shown = (*(() if quick else incidents.incidents()), *signals.calm, *signals.made)
    return todo + [Job(one, seed, ()) for seed in seeds for one in shown]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.detection", description=__doc__)
    parser.add_argument("--seed", type=int, nargs="+", default=[DEFAULT_SEED], help="each seed runs the whole grid")
    parser.add_argument("--quick", action="store_true", help="the cells that decide, without redials: a minute")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write the plots of docs/detection.md there")
    parser.add_argument(
        "--rule-set",
        type=RuleSet,
        choices=list(RuleSet),
        default=RuleSet.SHIPPED,
        help="plant another rule set: it is then asked for the goals",
    )
    return parser.parse_args()


def main() -> None:
    """Exit status 1 if a goal is missed."""
    arguments = _arguments()
    cells = grid.quick() if arguments.quick else grid.full()
    todo = jobs(cells, arguments.seed, arguments.rule_set, quick=arguments.quick)
    done: list[Result | Blamed | Noticed | Accused] = []
    began = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for one in pool.imap_unordered(Job.run, todo):
            done.append(one)
            told = f"{len(done)} of {len(todo)}, {time.monotonic() - began:.0f} s"
            print(f"\r{told}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    results = [one for one in done if isinstance(one, Result)]
    blamed = sorted(
        (one for one in done if isinstance(one, Blamed)),
        key=lambda one: (one.incident.flows, one.incident.share, one.seed),
    )
    place = {job.what: place for place, job in enumerate(todo)}
    accused = sorted((one for one in done if isinstance(one, Accused)), key=lambda one: (place[one.calm], one.seed))
    noticed = sorted((one for one in done if isinstance(one, Noticed)), key=lambda one: (place[one.made], one.seed))
    for line in (*table.lines(cells, results, blamed), *table.signal_lines(accused, noticed)):
        print(line)
    found = [*goals.checks(cells, results, arguments.rule_set), *goals.signal_checks(accused, noticed)]
    for line in table.verdict(found, arguments.rule_set):
        print(line)
    if arguments.plots:
        plots.write(arguments.plots, results)
    sys.exit(0 if all(check.is_met for check in found) else 1)
