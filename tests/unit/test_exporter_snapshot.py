"""From one poll to samples: which series there are, and what is counted into them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import ExporterConfig
from exporter.live import LiveVersion
from exporter.metrics import SNAPSHOT_METRICS
from exporter.snapshot import LONG_WINDOWS, Snapshot, count_windows, samples
from genesys.evidence import WINDOWS, Evidence, Outcomes, Signal, breach_minutes, total, window_of
from genesys.excess import BREACH_MINUTES
from genesys.history import Baseline
from genesys.routing import KnownShares
from genesys.transfers import Target
from tests.unit.exporter_world import MAIN, MINUTE, NOON, bad, good

CONFIG = ExporterConfig()

Series = dict[tuple[str, ...], float]


def snapshot(outcomes: dict[tuple[str, str], dict[int, Outcomes]]) -> Snapshot:
    """`main` with version 14.0 live for half an hour; data end at noon."""
    return Snapshot(
        org="retail",
        flows={"main": replace(MAIN, live_version="14.0")},
        live={"main": LiveVersion("14.0", since=NOON - 1800.0, published_at=NOON - 1800.0)},
        evidence=Evidence(NOON - 60 * MINUTE, NOON, MINUTE, outcomes),
        conversations={NOON - 60: (1, 20), NOON - 240: (2, 30), NOON - 3600: (4, 40)},
        baselines={},
    )


def series(of: Snapshot, metric: str, config: ExporterConfig = CONFIG) -> Series:
    """Value by label values after `org`, in the catalogue's order."""
    found = [(labels, value) for each, labels, value in samples(of, config) if each.name == metric]
    assert all(org == "retail" for (org, *_), _ in found)
    assert len(dict(found)) == len(found), "a series occurs twice"
    return {labels[1:]: value for labels, value in found}


def by_window(of: Snapshot, metric: str, version: str = "14.0", config: ExporterConfig = CONFIG) -> dict[str, float]:
    found = series(of, metric, config)
    return {labels[3]: value for labels, value in found.items() if labels[:3] == ("main", version, "error_exit")}


def test_every_sample_is_of_a_metric_of_snapshots_and_has_a_value_for_each_of_its_labels() -> None:
    found = replace(
        snapshot({("main", "14.0"): {NOON - 60: bad(2)}}),
        baselines={("main", Signal.ERROR_EXIT): Baseline(0.02, 1.0)},
        asked=frozenset({Signal.OUTCOME_FAILED}),
    )

    given: dict[str, set[int]] = {}
    for metric, labels, _ in samples(found, CONFIG):
        given.setdefault(metric.name, set()).add(len(labels))

    assert given == {metric.name: {len(metric.labels)} for metric in SNAPSHOT_METRICS}


def test_errors_volume_and_breached_minutes_are_counted_per_window() -> None:
    found = snapshot(
        {
            ("main", "14.0"): {
                NOON - 60: bad(2),
                NOON - 120: good(10),
                NOON - 300: Outcomes(entries=20, exits={"FLOW_ERROR_EXIT": 1, "TRANSFER": 3}),
                NOON - 1800: bad(3),
            }
        }
    )

    assert by_window(found, "genesys_flow_errors") == {"1m": 2, "2m": 2, "5m": 3, "15m": 3, "60m": 6}
    assert by_window(found, "genesys_flow_volume") == {"1m": 2, "2m": 12, "5m": 32, "15m": 32, "60m": 35}
    # 1 of 20 is the threshold of 5 %, and not above it.
    assert by_window(found, "genesys_flow_breach_minutes") == {"1m": 1, "2m": 1, "5m": 1, "15m": 1, "60m": 2}


def test_of_the_live_version_only_buckets_since_it_is_live_count() -> None:
    found = snapshot({("main", "14.0"): {NOON - 1860: bad(50), NOON - 1800: good(4)}})

    assert by_window(found, "genesys_flow_errors")["60m"] == 0
    assert by_window(found, "genesys_flow_volume")["60m"] == 4
    assert series(found, "genesys_flow_entries")["main", "14.0", "60m"] == 4
    assert series(found, "genesys_flow_exits") == {("main", "14.0", "60m", "TRANSFER"): 4}


def test_the_live_version_has_every_window_also_without_a_single_conversation() -> None:
    quiet = snapshot({})

    for metric in ("genesys_flow_errors", "genesys_flow_volume", "genesys_flow_breach_minutes"):
        assert by_window(quiet, metric) == dict.fromkeys(WINDOWS, 0)
    assert series(quiet, "genesys_flow_entries") == {("main", "14.0", "15m"): 0, ("main", "14.0", "60m"): 0}
    assert series(quiet, "genesys_flow_exits") == {}


def test_a_draining_version_has_the_windows_in_which_it_had_outcomes() -> None:
    found = snapshot({("main", "13.0"): {NOON - 240: bad(1), NOON - 2400: good(7)}})

    assert by_window(found, "genesys_flow_errors", "13.0") == {"5m": 1, "15m": 1, "60m": 1}
    assert by_window(found, "genesys_flow_volume", "13.0") == {"5m": 1, "15m": 1, "60m": 8}
    assert series(found, "genesys_flow_entries")["main", "13.0", "60m"] == 8
    assert series(found, "genesys_flow_live_since_timestamp_seconds") == {("main", "14.0"): NOON - 1800}


def test_exits_are_told_by_reason() -> None:
    found = snapshot(
        {("main", "14.0"): {NOON - 60: Outcomes(0, {"TRANSFER": 3, "A_NEW_REASON": 1}), NOON - 1200: good(2)}}
    )

    assert series(found, "genesys_flow_exits") == {
        ("main", "14.0", "15m", "TRANSFER"): 3,
        ("main", "14.0", "15m", "A_NEW_REASON"): 1,
        ("main", "14.0", "60m", "TRANSFER"): 5,
        ("main", "14.0", "60m", "A_NEW_REASON"): 1,
    }
    assert by_window(found, "genesys_flow_errors")["60m"] == 0, "a reason that nobody knows is no error"


def test_a_deactivated_flow_keeps_its_names_and_accuses_nobody() -> None:
    running = snapshot({("main", "14.0"): {NOON - 60: bad(9)}})
    stopped = replace(running, flows={"main": replace(running.flows["main"], active=False)}, live={})

    assert len(series(stopped, "genesys_flow_info")) == 1
    for metric in ("live_since_timestamp_seconds", "threshold_ratio", "signal_acts", "baseline_ratio", "scatter_ratio"):
        assert series(stopped, f"genesys_flow_{metric}") == {}
    assert by_window(stopped, "genesys_flow_errors")["1m"] == 9, "its last conversations are still shown"


def test_a_flow_that_is_not_listed_has_no_samples() -> None:
    found = snapshot({("deleted", "3.0"): {NOON - 60: bad(9)}})

    assert all(labels[0] != "deleted" for labels in series(found, "genesys_flow_errors"))


@pytest.mark.parametrize(
    ("baseline", "threshold"),
    [
        pytest.param(None, 0.05, id="unknown: the configured one"),
        pytest.param(0.01, 0.05, id="small: the configured one"),
        pytest.param(0.1, 0.5, id="large: five times the flow's own ratio"),
        pytest.param(0.5, 0.9, id="very large: capped, because above 1 no ratio could breach it"),
    ],
)
def test_the_threshold_is_the_larger_of_configuration_and_own_past(baseline: float | None, threshold: float) -> None:
    baselines = {} if baseline is None else {("main", Signal.ERROR_EXIT): Baseline(baseline)}
    found = replace(snapshot({}), baselines=baselines)

    assert series(found, "genesys_flow_threshold_ratio") == {("main", "error_exit"): pytest.approx(threshold)}
    known = series(found, "genesys_flow_baseline_ratio")
    assert known == ({} if baseline is None else {("main", "error_exit"): baseline})


@pytest.mark.parametrize(("scatter", "told"), [(None, {}), (3.4, {("main", "error_exit"): 3.4})])
def test_the_scatter_is_told_as_it_is_and_absent_while_unknown(
    scatter: float | None, told: dict[object, float]
) -> None:
    found = replace(snapshot({}), baselines={("main", Signal.ERROR_EXIT): Baseline(0.01, scatter)})

    assert series(found, "genesys_flow_scatter_ratio") == told


def test_a_threshold_that_names_the_flow_by_its_id_is_taken_as_it_stands() -> None:
    config = ExporterConfig.model_validate(
        {"flows": [{"match": {"id": "main"}, "threshold_ratio": 0.05}, {"match": "*"}]}
    )
    found = replace(snapshot({}), baselines={("main", Signal.ERROR_EXIT): Baseline(0.1, 1.0)})

    assert series(found, "genesys_flow_threshold_ratio", config) == {("main", "error_exit"): 0.05}
    # Certainty is measured from the flow's own past all the same.
    assert series(found, "genesys_flow_baseline_ratio", config) == {("main", "error_exit"): 0.1}


def test_a_breached_minute_is_above_the_flows_own_threshold() -> None:
    noisy = snapshot({("main", "14.0"): {NOON - 60: Outcomes(10, {"FLOW_ERROR_EXIT": 2, "TRANSFER": 8})}})
    used_to_it = replace(noisy, baselines={("main", Signal.ERROR_EXIT): Baseline(0.1, 1.0)})

    assert by_window(noisy, "genesys_flow_breach_minutes")["1m"] == 1
    assert by_window(used_to_it, "genesys_flow_breach_minutes")["1m"] == 0


def test_the_first_selector_that_matches_gives_threshold_owner_and_what_acts() -> None:
    config = ExporterConfig.model_validate(
        {
            "flows": [
                {"match": {"name": "Main*"}, "threshold_ratio": 0.2, "owner": "team-voice", "act_on": []},
                {"match": "*"},
            ]
        }
    )
    found = snapshot({})

    assert series(found, "genesys_flow_threshold_ratio", config) == {("main", "error_exit"): 0.2}
    assert series(found, "genesys_flow_signal_acts", config) == {("main", "error_exit"): 0}
    assert series(found, "genesys_flow_signal_acts") == {("main", "error_exit"): 1}
    names = ("main", "Main IVR", "inboundcall", "d-1", "Home")
    assert series(found, "genesys_flow_info", config) == {(*names, "team-voice"): 1}
    assert series(found, "genesys_flow_info") == {(*names, ""): 1}
    # A signal that only pages has the long windows only: five for each would be too many series.
    assert set(by_window(found, "genesys_flow_errors", config=config)) == {"15m", "60m"}


def test_the_organizations_figures_are_summed_per_window() -> None:
    found = snapshot({})

    errors = {"1m": 1, "2m": 1, "5m": 3, "15m": 3, "60m": 7}
    assert series(found, "genesys_org_errors") == {(window,): value for window, value in errors.items()}
    volume = {"1m": 20, "2m": 20, "5m": 50, "15m": 50, "60m": 90}
    assert series(found, "genesys_org_volume") == {(window,): value for window, value in volume.items()}


def test_figures_that_could_not_be_read_are_absent_not_zero() -> None:
    found = replace(snapshot({}), conversations=None)

    assert series(found, "genesys_org_errors") == {}
    assert series(found, "genesys_org_volume") == {}


def test_the_newest_event_is_the_end_of_the_newest_bucket_and_absent_without_any() -> None:
    found = snapshot({("main", "14.0"): {NOON - 300: good(1)}})

    assert series(found, "genesys_data_end_timestamp_seconds") == {(): NOON}
    assert series(found, "genesys_newest_event_timestamp_seconds") == {(): NOON - 240}
    assert series(snapshot({}), "genesys_newest_event_timestamp_seconds") == {}


counts = st.integers(0, 50)
minutes = st.dictionaries(
    st.integers(1, 60).map(lambda ago: NOON - ago * MINUTE),
    st.builds(
        Outcomes,
        entries=counts,
        exits=st.dictionaries(st.sampled_from(["TRANSFER", "DISCONNECT", "FLOW_ERROR_EXIT"]), counts),
    ),
)


@given(minutes=minutes, since=st.integers(0, 61).map(lambda ago: NOON - ago * MINUTE), threshold=st.floats(0.01, 0.9))
def test_windows_are_counted_as_the_receiver_counts_them(
    minutes: dict[int, Outcomes], since: int, threshold: float
) -> None:
    evidence = Evidence(NOON - 60 * MINUTE, NOON, MINUTE, {("main", "14.0"): minutes})
    tallies = evidence.tallies("main", "14.0", Signal.ERROR_EXIT, since)

    counted = count_windows(evidence, ("main", "14.0"), Signal.ERROR_EXIT, threshold, since)

    for window, length in WINDOWS.items():
        reference = window_of(tallies, end=NOON, bucket_s=MINUTE, buckets=length).values()
        assert counted[window].tally == total(reference)
        assert counted[window].breached == breach_minutes(reference, threshold)


@given(minutes=minutes, configured=st.floats(0.001, 0.9), baseline=st.one_of(st.none(), st.floats(0, 1)))
def test_errors_never_exceed_volume_and_the_threshold_is_always_one_that_a_ratio_can_breach(
    minutes: dict[int, Outcomes], configured: float, baseline: float | None
) -> None:
    config = ExporterConfig.model_validate({"flows": [{"match": "*", "threshold_ratio": configured}]})
    baselines = {} if baseline is None else {("main", Signal.ERROR_EXIT): Baseline(baseline)}
    found = replace(snapshot({("main", "14.0"): minutes}), baselines=baselines)

    volume = by_window(found, "genesys_flow_volume", config=config)
    assert all(errors <= volume[window] for window, errors in by_window(found, "genesys_flow_errors").items())
    (threshold,) = series(found, "genesys_flow_threshold_ratio", config).values()
    assert 0 < threshold <= 0.9


def leaving(reason: str, count: int, of: int = 10) -> dict[int, Outcomes]:
    """The newest ten minutes."""
    return {NOON - 60 * age: Outcomes(of, {reason: count, "TRANSFER": of - count}) for age in range(1, 11)}


def told(of: Snapshot, metric: str, signal: Signal, config: ExporterConfig = CONFIG) -> dict[str, float]:
    """Value by the labels after the signal."""
    found = series(of, metric, config)
    at = next(each for each in SNAPSHOT_METRICS if each.name == metric).labels.index("signal") - 1
    return {" ".join(labels[at + 1 :]): value for labels, value in found.items() if labels[at] == signal}


REASONS = {
    Signal.FLOW_DISCONNECT: "FLOW_DISCONNECT",
    Signal.CALLER_HANGUP: "DISCONNECT",
    Signal.RECOGNITION: "RECOGNITION_FAILURE_EXIT",
    Signal.STUCK: "SESSION_EXPIRE_DISCONNECT",
}
WATCHING = ExporterConfig.model_validate({"flows": [{"match": "*", "watch": list(REASONS)}]})


@pytest.mark.parametrize(("signal", "reason"), REASONS.items())
def test_a_signal_that_is_watched_has_the_long_windows_and_a_threshold_of_its_own(signal: Signal, reason: str) -> None:
    found = replace(snapshot({("main", "14.0"): leaving(reason, 8)}), baselines={("main", signal): Baseline(0.1, 1.0)})

    assert told(found, "genesys_flow_errors", signal, WATCHING) == {"15m": 80, "60m": 80}
    assert told(found, "genesys_flow_volume", signal, WATCHING) == {"15m": 100, "60m": 100}
    assert told(found, "genesys_flow_breach_minutes", signal, WATCHING) == {"15m": 10, "60m": 10}
    assert told(found, "genesys_flow_threshold_ratio", signal, WATCHING) == {"": pytest.approx(0.3)}
    assert told(found, "genesys_flow_signal_acts", signal, WATCHING) == {"": 0}


@pytest.mark.parametrize(("signal", "reason"), REASONS.items())
def test_a_signal_that_acts_has_all_windows_0_included(signal: Signal, reason: str) -> None:
    acting = ExporterConfig.model_validate({"flows": [{"match": "*", "act_on": [signal]}]})
    found = replace(snapshot({}), baselines={("main", signal): Baseline(0.1, 1.0)})

    assert told(found, "genesys_flow_errors", signal, acting) == dict.fromkeys(WINDOWS, 0)
    assert told(found, "genesys_flow_signal_acts", signal, acting) == {"": 1}


@pytest.mark.parametrize("signal", REASONS)
@pytest.mark.parametrize("metric", ["genesys_flow_errors", "genesys_flow_volume", "genesys_flow_threshold_ratio"])
def test_a_signal_is_absent_where_nothing_can_be_said(signal: Signal, metric: str) -> None:
    happened = snapshot({("main", "14.0"): leaving(REASONS[signal], 8)})
    known = replace(happened, baselines={("main", signal): Baseline(0.1, 1.0)})
    unheard = replace(known, evidence=replace(known.evidence, signals=frozenset({Signal.ERROR_EXIT})))
    never = replace(
        snapshot({("main", "14.0"): leaving("TRANSFER", 8)}), baselines={("main", signal): Baseline(0.1, 1.0)}
    )
    usual = replace(happened, baselines={("main", signal): Baseline(0.9, 1.0)})
    unwatched = ExporterConfig.model_validate({"flows": [{"match": "*", "watch": []}]})

    assert told(known, metric, signal, WATCHING)
    assert not told(happened, metric, signal, WATCHING), "nobody knows what is usual"
    assert not told(usual, metric, signal, WATCHING), "nearly all always ended so"
    assert not told(unheard, metric, signal, WATCHING), "Genesys Cloud does not tell"
    assert not told(never, metric, signal, WATCHING), "it did not happen"
    assert not told(known, metric, signal, unwatched), "nobody has asked for it"


@pytest.mark.parametrize(
    ("minutes", "is_told"),
    [
        pytest.param((*range(1, 4), *range(25, 28)), True, id="six bad minutes in the hour"),
        pytest.param((*range(1, 4), *range(25, 27)), False, id="five"),
        pytest.param((*range(1, 6), 31), False, id="five, and one before the version was live"),
    ],
)
def test_a_signal_that_does_not_act_is_told_while_a_window_could_accuse(
    minutes: tuple[int, ...], is_told: bool
) -> None:
    """Six in a quarter of an hour can: the hour that has them is told as soon, and for as long."""
    assert min(BREACH_MINUTES[window] for window in LONG_WINDOWS) == 6
    usual = {NOON - 60 * age: Outcomes(10, {"TRANSFER": 10}) for age in range(1, 61)}
    bad = {NOON - 60 * age: Outcomes(10, {"DISCONNECT": 10}) for age in minutes}
    found = replace(
        snapshot({("main", "14.0"): usual | bad}), baselines={("main", Signal.CALLER_HANGUP): Baseline(0.1, 1.0)}
    )
    for metric in ("genesys_flow_breach_minutes", "genesys_flow_signal_acts", "genesys_flow_threshold_ratio"):
        assert bool(told(found, metric, Signal.CALLER_HANGUP, WATCHING)) == is_told, metric
    assert told(found, "genesys_flow_errors", Signal.ERROR_EXIT, WATCHING), "what acts by default is always told"


@pytest.mark.parametrize(
    ("spread", "threshold"),
    [
        pytest.param(0.01, {"": pytest.approx(0.45)}, id="hours are alike"),
        pytest.param(0.05, {"": pytest.approx(0.65)}, id="hours differ"),
        pytest.param(0.1, {}, id="hours differ so much that nobody is accused"),
    ],
)
def test_a_threshold_knows_how_much_the_flows_own_hours_differ(spread: float, threshold: dict[str, float]) -> None:
    happened = snapshot({("main", "14.0"): leaving("DISCONNECT", 8)})
    found = replace(happened, baselines={("main", Signal.CALLER_HANGUP): Baseline(0.25, 1.0, spread)})
    assert told(found, "genesys_flow_threshold_ratio", Signal.CALLER_HANGUP, WATCHING) == threshold


def test_by_default_hang_ups_page_nobody() -> None:
    assert set(CONFIG.signals) == set(Signal) - {Signal.FLOW_DISCONNECT, Signal.CALLER_HANGUP}


def test_of_flow_outcomes_the_volume_is_their_number_not_that_of_the_calls() -> None:
    ten = {NOON - 60 * age: Outcomes(30, {"TRANSFER": 30}, outcomes=10, failed_outcomes=8) for age in range(1, 11)}
    found = replace(snapshot({("main", "14.0"): ten}), baselines={("main", Signal.OUTCOME_FAILED): Baseline(0.1, 1.0)})

    assert told(found, "genesys_flow_errors", Signal.OUTCOME_FAILED) == {"15m": 80, "60m": 80}
    assert told(found, "genesys_flow_volume", Signal.OUTCOME_FAILED) == {"15m": 100, "60m": 100}
    assert told(found, "genesys_flow_breach_minutes", Signal.OUTCOME_FAILED) == {"15m": 10, "60m": 10}


SALES, CATCH_ALL = Target("ACD", "Sales"), Target("ACD", "Catch-all")
SHARES = KnownShares(
    {SALES: Baseline(0.3, 1.0), Target("ACD"): Baseline(0.3, 1.0), Target("", ""): Baseline(0.002, 1.0)}
)


def transferred(counts: dict[Target, int], volume: int = 20) -> Outcomes:
    moved = sum(counts.values())
    return Outcomes(volume, {"TRANSFER": moved, "DISCONNECT": volume - moved}, transfers=counts)


def routed(counts: dict[Target, int]) -> Snapshot:
    """Of 20 calls in each of ten minutes so many go to each target; of the flow it is known where they used to go."""
    ten = {NOON - 60 * age: transferred(counts) for age in range(1, 11)}
    known = {("main", Signal.ROUTING_SHIFT): Baseline(0.002, 1.0)}  # nothing, without looking at a target
    return replace(snapshot({("main", "14.0"): ten}), baselines=known, shares={"main": SHARES})


def test_of_transfers_the_windows_are_those_of_the_one_target_that_takes_over() -> None:
    found = routed({SALES: 4, CATCH_ALL: 12})

    assert told(found, "genesys_flow_errors", Signal.ROUTING_SHIFT) == {"15m": 120, "60m": 120}
    assert told(found, "genesys_flow_volume", Signal.ROUTING_SHIFT) == {"15m": 200, "60m": 200}
    assert told(found, "genesys_flow_breach_minutes", Signal.ROUTING_SHIFT) == {"15m": 10, "60m": 10}
    labels = ("main", Signal.ROUTING_SHIFT)
    assert series(found, "genesys_flow_baseline_ratio")[labels] == 0.002
    assert series(found, "genesys_flow_threshold_ratio")[labels] == 0.05
    assert series(found, "genesys_flow_signal_acts")[labels] == 0


def test_a_target_that_always_had_more_is_judged_by_its_own_share() -> None:
    assert series(routed({SALES: 12}), "genesys_flow_threshold_ratio")["main", Signal.ROUTING_SHIFT] == 0.5


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(routed({SALES: 7}), id="no target has more than it had"),
        pytest.param(replace(routed({CATCH_ALL: 20}), shares={}), id="nobody knows where calls used to go"),
        pytest.param(replace(routed({CATCH_ALL: 20}), shares={"main": KnownShares({})}), id="too little is known"),
    ],
)
def test_of_transfers_that_accuse_nobody_nothing_is_told(found: Snapshot) -> None:
    assert not told(found, "genesys_flow_errors", Signal.ROUTING_SHIFT)


def test_a_flow_that_is_rolled_back_for_its_transfers_has_every_window_although_nothing_takes_over() -> None:
    acting = ExporterConfig.model_validate({"flows": [{"match": "*", "act_on": ["routing_shift"]}]})
    found = series(routed({SALES: 7}), "genesys_flow_errors", acting)

    assert {labels[3]: value for labels, value in found.items() if labels[2] == Signal.ROUTING_SHIFT} == dict.fromkeys(
        WINDOWS, 0
    )


def test_no_name_of_a_target_is_a_label() -> None:
    assert "Catch-all" not in repr([labels for _, labels, _ in samples(routed({CATCH_ALL: 20}), CONFIG)])
