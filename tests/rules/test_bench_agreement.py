"""What `make bench-detection` takes for the shipped rules is the shipped PromQL, and the receiver's test.

Sampled publishes are judged by the benchmark's evaluator, by promtool over the series that an exporter would publish,
and by `find_excess`: the alert fires at the same evaluations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from bench.detection.cell import Cell, Errors
from bench.detection.shipped import BUCKET_S, convicted, firing, is_confirmed, tallies_of
from bench.detection.traffic import POLLS_BEFORE, SETTLE_POLLS, Traffic, simulate
from exporter.snapshot import ALL_WINDOWS, LONG_WINDOWS
from genesys.evidence import WINDOWS, breach_minutes, total, window_of
from genesys.excess import ExcessLimits
from tests.rules.conftest import Run
from tests.rules.exporter_model import LEAST_BREACHED, POLL_DURATION_S, SCRAPE_S
from tests.rules.flow_cases import EVALUATION_S, FIRING, RULES

MINUTES = 75  # longer than the longest window
PAST_POLLS = 5  # before column 0, for an exporter that has been running
ROWS = 3

CELLS = [
    Cell(1.0, 0.01, 1.0, ROWS, MINUTES),
    Cell(3.0, 0.01, 0.01, ROWS, MINUTES, burst_minutes=2),
    Cell(12.0, 0.01, 0.01, ROWS, MINUTES, burst_minutes=3),
    Cell(10.0, 0.01, 0.06, ROWS, MINUTES),
    Cell(20.0, 0.01, 0.1, ROWS, MINUTES, known=False),
    Cell(2.0, 0.03, 0.03, ROWS, MINUTES, Errors.REDIALS),
    Cell(5.0, 0.01, 0.2, ROWS, MINUTES, Errors.REDIALS),
    Cell(50.0, 0.03, 0.12, ROWS, MINUTES, Errors.SWINGS),
    Cell(200.0, 0.02, 0.06, ROWS, MINUTES, Errors.BETA),
    Cell(200.0, 0.01, 0.05, ROWS, MINUTES),
    Cell(200.0, 0.08, 0.45, ROWS, MINUTES),
]


@dataclass(frozen=True)
class Judging:
    """The signal by which a publish is judged, and what the rules make of it."""

    signal: str = "error_exit"
    windows: tuple[str, ...] = ALL_WINDOWS
    acts: bool = True


ACTS, PAGES = Judging(), Judging("caller_hangup", LONG_WINDOWS, acts=False)


def _traffic(position: int) -> Traffic:
    return simulate(CELLS[position], np.random.default_rng([5, position]), ROWS)


def _page(traffic: Traffic, row: int, poll: int, flow_id: str, judging: Judging) -> Iterator[tuple[str, float]]:
    """What the exporter of one organization publishes after a poll, all of it in minutes since column 0."""
    target = f'job="genesys-exporter",instance="a",org="{flow_id}"'
    of_flow = f'{target},flow_id="{flow_id}"'
    of_signal = f'{of_flow},signal="{judging.signal}"'
    threshold, baseline, scatter = (
        float(one[row, 0]) for one in (traffic.threshold, traffic.baseline, traffic.scatter)
    )
    seen = int(np.argmax(traffic.polled[row, POLLS_BEFORE:]))
    version, since = ("14.0", seen * BUCKET_S) if poll >= seen else ("13.0", -100_000)
    end = (poll - SETTLE_POLLS + 1) * BUCKET_S
    tallies = tallies_of(traffic, row, poll) if poll >= SETTLE_POLLS and version == "14.0" else {}
    offset = PAST_POLLS * BUCKET_S
    yield f"genesys_data_end_timestamp_seconds{{{target}}}", end + offset
    yield f'genesys_flow_live_since_timestamp_seconds{{{of_flow},flow_version="{version}"}}', since + offset
    hour = window_of(tallies, end=end, bucket_s=BUCKET_S, buckets=60).values()
    if not judging.acts and breach_minutes(hour, threshold) < LEAST_BREACHED:
        return
    yield f"genesys_flow_signal_acts{{{of_signal}}}", int(judging.acts)
    yield f"genesys_flow_threshold_ratio{{{of_signal}}}", threshold
    if not np.isnan(baseline):
        yield f"genesys_flow_baseline_ratio{{{of_signal}}}", baseline
        yield f"genesys_flow_scatter_ratio{{{of_signal}}}", scatter
    for window in judging.windows:
        inside = window_of(tallies, end=end, bucket_s=BUCKET_S, buckets=WINDOWS[window]).values()
        labels = f'{{{of_signal},flow_version="{version}",window="{window}"}}'
        yield f"genesys_flow_errors{labels}", total(inside).errors
        yield f"genesys_flow_volume{labels}", total(inside).volume
        yield f"genesys_flow_breach_minutes{labels}", breach_minutes(inside, threshold)


def _series(traffic: Traffic, row: int, flow_id: str, judging: Judging) -> list[dict[str, str]]:
    """promtool's input at each scrape; a failed poll leaves the page of the one before."""
    polled = traffic.polled[row]
    pages: dict[int, dict[str, float]] = {}
    newest = -PAST_POLLS
    for poll in range(-PAST_POLLS, MINUTES + SETTLE_POLLS):
        if poll < -POLLS_BEFORE or polled[poll + POLLS_BEFORE]:
            newest = poll
            pages[poll] = dict(_page(traffic, row, poll, flow_id, judging))
        else:
            pages[poll] = pages[newest]
    names = sorted({name for page in pages.values() for name in page})
    columns: dict[str, list[str]] = {name: [] for name in names}
    for at in range(0, (PAST_POLLS + MINUTES + SETTLE_POLLS) * BUCKET_S, SCRAPE_S):
        poll = (at - POLL_DURATION_S) // BUCKET_S - PAST_POLLS
        page = pages.get(poll, {})
        for name in names:
            before = columns[name][-1] if columns[name] else "_"
            gone = "_" if before in {"_", "stale"} else "stale"
            columns[name].append(repr(float(page[name])) if name in page else gone)
    return [{"series": name, "values": " ".join(values)} for name, values in columns.items()]


@pytest.mark.parametrize("judging", [ACTS, PAGES], ids=["acts", "pages"])
@pytest.mark.parametrize("position", range(len(CELLS)), ids=lambda position: CELLS[position].name)
def test_promtool_fires_at_the_evaluations_at_which_the_benchmark_does(
    position: int, judging: Judging, promtool: Run, tmp_path: Path
) -> None:
    traffic = _traffic(position)
    fires = firing(traffic, convicted(traffic, ExcessLimits(), judging.windows))
    action = "rollback" if judging.acts else "page"
    checks = []
    for poll in range(MINUTES + SETTLE_POLLS - 1):
        expected = [f"flow-{row}" for row in range(ROWS) if fires[row, poll]]
        for evaluation in (EVALUATION_S, 2 * EVALUATION_S):
            samples = [
                {
                    "labels": f'{{org="{flow_id}", flow_id="{flow_id}", flow_version="14.0", signal="{judging.signal}",'
                    f' genesys_action="{action}"}}',
                    "value": 1,
                }
                for flow_id in expected
            ]
            at = (poll + PAST_POLLS) * BUCKET_S + evaluation
            checks.append({"expr": FIRING, "eval_time": f"{at}s", "exp_samples": samples})
    series = [one for row in range(ROWS) for one in _series(traffic, row, f"flow-{row}", judging)]
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{EVALUATION_S}s",
        "tests": [{"interval": f"{SCRAPE_S}s", "input_series": series, "promql_expr_test": checks}],
    }
    file = tmp_path / "agreement.yml"
    file.write_text(yaml.safe_dump(document))
    promtool("test", "rules", file)


def test_find_excess_convicts_at_the_polls_at_which_the_benchmark_does() -> None:
    limits = ExcessLimits()
    found = {True: 0, False: 0}
    for position in range(len(CELLS)):
        traffic = _traffic(position)
        is_convicted = convicted(traffic, limits)
        for row in range(ROWS):
            for poll in range(SETTLE_POLLS, MINUTES + SETTLE_POLLS):
                expected = is_confirmed(traffic, row, poll, limits)
                assert is_convicted[row, poll - SETTLE_POLLS] == expected, (CELLS[position].name, row, poll)
                found[expected] += 1
    assert min(found.values()) > 200, "the sampled publishes must show both"


@pytest.mark.parametrize("judging", [ACTS, PAGES], ids=["acts", "pages"])
def test_the_sampled_publishes_fire_and_do_not_and_lose_polls(judging: Judging) -> None:
    traffics = [_traffic(position) for position in range(len(CELLS))]
    fired = np.concatenate(
        [firing(one, convicted(one, ExcessLimits(), judging.windows)).any(axis=1) for one in traffics]
    )
    assert 8 < fired.sum() < fired.size - 8
    assert sum(int((~one.polled).any(axis=1).sum()) for one in traffics) > 8
