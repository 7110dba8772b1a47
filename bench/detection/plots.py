"""The plots of docs/detection.md, as small SVG files that are the same for the same figures."""

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.detection.cell import Cell, Durations, Errors
from bench.detection.measure import Result
from bench.detection.rule_sets import RuleSet

_VOLUMES = (0.5, 10.0, 200.0)
_DELAY_RATIO = 0.15
_NOT_DRAWN = re.compile(
    r"<!DOCTYPE[^>]*>\s*|<metadata>.*?</metadata>\s*|[ \t]+$", re.DOTALL | re.MULTILINE
)  # a date among it
_NEVER_MIN = 1000.0  # where "never" is drawn
_NONE_PER_10000 = 0.1  # where "none" is
_SHOWN_ERRORS = (Errors.INDEPENDENT, Errors.SWINGS, Errors.BETA)


def write(folder: Path, results: Sequence[Result]) -> None:
    """Write every plot; the first seed's figures, in which all rule sets are."""
    folder.mkdir(parents=True, exist_ok=True)
    seed = min((one.seed for one in results if len(one.found) > 1), default=None)
    shown = [one for one in results if one.seed == seed]
    if not shown:
        return
    mpl.rcParams.update({"svg.hashsalt": "detection", "svg.fonttype": "none", "font.size": 9})
    for name, figure in (("trade-off.svg", _trade_off(shown)), ("delay.svg", _delay(shown))):
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", bbox_inches="tight")
        (folder / name).write_text(_NOT_DRAWN.sub("", drawn.getvalue()), encoding="utf-8")


def _is_plain(cell: Cell) -> bool:
    return not cell.rhythm and cell.known and not cell.burst_minutes and cell.durations is Durations.USUAL


def _trade_off(results: Sequence[Result]) -> Figure:
    """False rollbacks in the worst cell but redials against the delay, one panel for each volume."""
    figure = Figure(figsize=(9, 3.2))
    figure.subplots_adjust(wspace=0.3)
    for place, volume in enumerate(_VOLUMES, 1):
        axes = figure.add_subplot(1, len(_VOLUMES), place)
        here = [one for one in results if one.cell.per_minute == volume and _is_plain(one.cell)]
        good = [one for one in here if one.cell.after == one.cell.before <= 0.03 and one.cell.errors in _SHOWN_ERRORS]
        (bad,) = (one for one in here if one.cell.after == _DELAY_RATIO)
        for rule_set in RuleSet:
            worst = max(one.found[rule_set].per_10000 for one in good)
            delay = bad.found[rule_set].alert_min[0]
            axes.plot(max(worst, _NONE_PER_10000), _shown(delay), "o", label=rule_set.value)
        axes.set(xscale="log", yscale="log", xlim=(0.07, 2e4), ylim=(2, 2 * _NEVER_MIN), title=f"{volume:g} calls/min")
        axes.set_xticks([_NONE_PER_10000, 1, 10, 100, 1000, 10000], ["none", "1", "10", "100", "1,000", "10,000"])
        axes.set_yticks([2, 5, 10, 30, 100, _NEVER_MIN], ["2", "5", "10", "30", "100", "never"])
        axes.tick_params(axis="x", rotation=45)
        axes.minorticks_off()
        if place == 1:
            axes.set_ylabel(f"minutes to the alert at {_DELAY_RATIO:.0%}")
    figure.supxlabel("false rollbacks per 10,000 publishes", y=-0.16)
    figure.legend(*axes.get_legend_handles_labels(), loc="upper center", ncols=6, bbox_to_anchor=(0.5, -0.16))
    return figure


def _delay(results: Sequence[Result]) -> Figure:
    """How long the shipped rules need, by volume and ratio."""
    figure = Figure(figsize=(6, 3.6))
    axes = figure.add_subplot()
    bad = [
        one
        for one in results
        if _is_plain(one.cell) and one.cell.after > one.cell.before and one.cell.errors is Errors.INDEPENDENT
    ]
    for ratio in sorted({one.cell.after for one in bad}):
        line = sorted(
            (one.cell.per_minute, one.found[RuleSet.SHIPPED].alert_min[0]) for one in bad if one.cell.after == ratio
        )
        axes.plot([volume for volume, _ in line], [_shown(delay) for _, delay in line], "o-", label=f"{ratio:.0%}")
    axes.set(xscale="log", yscale="log", xlabel="calls per minute", ylabel="minutes to the alert, median")
    axes.set_yticks([5, 10, 20, 50, 100, 300, _NEVER_MIN], ["5", "10", "20", "50", "100", "300", "never"])
    axes.set_xticks([0.5, 1, 2, 5, 10, 50, 200, 500], ["0.5", "1", "2", "5", "10", "50", "200", "500"])
    axes.minorticks_off()
    axes.legend(title="ratio after")
    return figure


def _shown(delay_min: float) -> float:
    return _NEVER_MIN if math.isinf(delay_min) else delay_min
