"""The shipped rules and `genesys.excess.find_excess` convict the same versions, by the same windows."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from genesys.evidence import WINDOWS, Tally, breach_minutes, total, window_of
from genesys.excess import Finding, find_excess, threshold_for
from tests.rules.conftest import Run
from tests.rules.flow_cases import RULES

BUCKET_S = 60
END_S = 3600
FLOWS = 150


@dataclass(frozen=True)
class Judged:
    """One flow with random minutes, and what the reference says about it."""

    flow_id: str
    tallies: dict[int, Tally]
    threshold_ratio: float
    baseline_ratio: float | None
    scatter: float | None
    finding: Finding


def _judged(number: int, rng: random.Random) -> Judged:
    baseline = rng.choice((None, 0.0, 0.004, 0.02, 0.08, 0.35))
    threshold = threshold_for(rng.choice((0.03, 0.05, 0.1)), baseline)
    per_minute = rng.choice((0.3, 1, 3, 10, 60))
    ratio, ratio_before = (rng.choice((0.0, 0.02, threshold, 0.3, 1.0)) for _ in range(2))
    turned_s = END_S - rng.choice((1, 2, 3, 4, 6, 12, 40)) * BUCKET_S
    tallies = {}
    for start in range(0, END_S, BUCKET_S):
        volume = (
            sum(rng.random() < 0.5 for _ in range(round(2 * per_minute))) if per_minute >= 1 else rng.random() < 0.3
        )
        errors = sum(rng.random() < (ratio if start >= turned_s else ratio_before) for _ in range(volume))
        tallies[start] = Tally(errors, entries=volume, exits=volume)
    scatter = rng.choice((None, 0.7, 1.2, 1.7, 5.0))
    finding = find_excess(
        tallies, end=END_S, bucket_s=BUCKET_S, threshold_ratio=threshold, baseline_ratio=baseline, scatter=scatter
    )
    return Judged(f"flow-{number}", tallies, threshold, baseline, scatter, finding)


def _series(judged: Judged) -> Iterator[tuple[str, float]]:
    of_flow = f'job="genesys-exporter",instance="a",org="retail",flow_id="{judged.flow_id}"'
    of_signal = f'{of_flow},signal="error_exit"'
    yield f'genesys_flow_live_since_timestamp_seconds{{{of_flow},flow_version="1.0"}}', 0
    yield f"genesys_flow_threshold_ratio{{{of_signal}}}", judged.threshold_ratio
    if judged.baseline_ratio is not None:
        yield f"genesys_flow_baseline_ratio{{{of_signal}}}", judged.baseline_ratio
    if judged.scatter is not None:
        yield f"genesys_flow_scatter_ratio{{{of_signal}}}", judged.scatter
    for window, buckets in WINDOWS.items():
        inside = window_of(judged.tallies, end=END_S, bucket_s=BUCKET_S, buckets=buckets).values()
        labels = f'{{{of_signal},flow_version="1.0",window="{window}"}}'
        yield f"genesys_flow_errors{labels}", total(inside).errors
        yield f"genesys_flow_volume{labels}", total(inside).volume
        yield f"genesys_flow_breach_minutes{labels}", breach_minutes(inside, judged.threshold_ratio)


def test_rules_and_reference_convict_the_same_flows_by_the_same_window(promtool: Run, tmp_path: Path) -> None:
    rng = random.Random(7)
    flows = [_judged(number, rng) for number in range(FLOWS)]
    convicted = {flow.flow_id: flow.finding.convicted_by.window for flow in flows if flow.finding.convicted_by}
    acquitted = [flow for flow in flows if flow.finding.acquitted_by and not flow.finding.convicted_by]
    assert {"5m", "15m", "60m"} == set(convicted.values()), "the random flows must reach every window"
    assert len(acquitted) >= 5
    assert len(convicted) + len(acquitted) <= FLOWS - 30, "some must be beyond suspicion"

    steady = [{"series": series, "values": f"{value!r}x20"} for flow in flows for series, value in _series(flow)]
    data_end = {"series": 'genesys_data_end_timestamp_seconds{org="retail"}', "values": "-60+15x20"}
    data_end["series"] = 'genesys_data_end_timestamp_seconds{job="genesys-exporter",instance="a",org="retail"}'
    check = {
        "expr": "max by (flow_id, window) (org_flow:genesys_flow_convicted:strength > bool 0)",
        "eval_time": "5m",
        "exp_samples": [
            {"labels": f'{{flow_id="{flow_id}", window="{window}"}}', "value": 1}
            for flow_id, window in convicted.items()
        ],
    }
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "30s",
        "tests": [{"interval": "15s", "input_series": [*steady, data_end], "promql_expr_test": [check]}],
    }
    file = tmp_path / "agreement.yml"
    file.write_text(yaml.safe_dump(document))
    promtool("test", "rules", file)
