"""Bad versions without error exits, as the exporter sees them in the simulator: each by its own signal."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from exporter.config import ExporterConfig
from genesys.evidence import Signal
from genesys.excess import Finding, find_excess
from genesys.organizations import Analytics, WatchedAction, open_organization
from genesys.routing import turned
from genesys.transfers import Target
from simulator.scenario import load
from tests.integration.exporter_scene import MINUTE, Page, Time, organization_at, scene

MAIN = "ce677f29-f403-470c-adb0-8bfa6bf81d69"
MINUTES = 20  # the bad version is published after one
LOOK_UP = WatchedAction(action_id="custom_-_3b0d5a41-6f5e-4d0c-9a53-52c8c1a7e101", flow_id=MAIN)
# A flow's own past is older than a day.
ANALYTICS = Analytics(history_s=2 * 86400, outcomes=True, transfers=True, data_actions=(LOOK_UP,))
CONFIG = ExporterConfig.model_validate({"flows": [{"match": "*", "watch": list(Signal)}]})
ALL_TOLD = ExporterConfig.model_validate({"flows": [{"match": "*", "act_on": list(Signal)}]})
SHOWN_BY = {
    "polite-hangup": Signal.FLOW_DISCONNECT,
    "silence": Signal.CALLER_HANGUP,
    "not-recognized": Signal.RECOGNITION,
    "loop": Signal.STUCK,
    "failed-outcomes": Signal.OUTCOME_FAILED,
    "catch-all-queue": Signal.ROUTING_SHIFT,
    "wrong-queue": Signal.ROUTING_SHIFT,
    "failing-action": Signal.ACTION_FAILURE,
    "slow-action": Signal.ACTION_SLOW,
}
TAKES_OVER = {"catch-all-queue": Target("ACD", "Catch-all"), "wrong-queue": Target("ACD", "Sales")}

ALSO = {"loop": {Signal.OUTCOME_FAILED}}  # who finds no way out achieves nothing either


def after_a_while(scenario: str, config: ExporterConfig = CONFIG) -> tuple[Page, dict[Signal, Finding]]:
    """The exporter's page, and what the figures of Main IVR's live version say by each signal with a threshold."""
    with scene("retail", scenario=load(scenario), config=config, analytics=ANALYTICS) as (time, clouds, exporter):
        for _ in range(3):
            exporter.poll()
        page = exporter.poll(minutes_later=MINUTES)
        return page, dict(_findings(page, clouds["retail"].url, time, TAKES_OVER.get(scenario)))


def _findings(page: Page, url: str, time: Time, target: Target | None) -> Iterator[tuple[Signal, Finding]]:
    ((live, since),) = (one for one in page["genesys_flow_live_since_timestamp_seconds"].items() if MAIN in one[0])
    version = live.split()[1]
    end = ANALYTICS.settled_end(time.now)
    with closing(open_organization(organization_at("retail", url, analytics=ANALYTICS))) as cloud:
        evidence = turned(cloud.evidence(end - 60 * MINUTE, end, bucket_s=MINUTE, flow_ids=[MAIN]), target)
    for signal in Signal:
        threshold = page["genesys_flow_threshold_ratio"].get(f"{MAIN} retail {signal}")
        if threshold is not None:
            yield (
                signal,
                find_excess(
                    evidence.tallies(MAIN, version, signal, since),
                    end=end,
                    bucket_s=MINUTE,
                    threshold_ratio=threshold,
                    baseline_ratio=page["genesys_flow_baseline_ratio"].get(f"{MAIN} retail {signal}"),
                    scatter=page["genesys_flow_scatter_ratio"].get(f"{MAIN} retail {signal}"),
                ),
            )


@pytest.mark.parametrize(("scenario", "signal"), SHOWN_BY.items())
def test_a_bad_version_is_convicted_by_its_signal_and_by_no_other(scenario: str, signal: Signal) -> None:
    page, found = after_a_while(scenario)

    assert {name for name, finding in found.items() if finding.convicted_by} == {signal} | ALSO.get(scenario, set())
    for window in found[signal].windows[-2:]:
        labels = f"{MAIN} 14.0 retail {signal} {window.window}"
        assert page["genesys_flow_errors"][labels] == window.errors
        assert page["genesys_flow_volume"][labels] == window.volume
        assert page["genesys_flow_breach_minutes"][labels] == window.breach_minutes


def test_calm_convicts_by_no_signal() -> None:
    _, found = after_a_while("calm", ALL_TOLD)

    assert not [signal for signal, finding in found.items() if finding.convicted_by]
    assert {Signal.ERROR_EXIT, Signal.FLOW_DISCONNECT, Signal.CALLER_HANGUP, Signal.STUCK} <= found.keys()


def test_calm_is_told_by_what_acts_only() -> None:
    page, found = after_a_while("calm")

    assert found.keys() == {Signal.ERROR_EXIT}
    assert not [labels for labels in page["genesys_flow_errors"] if Signal.ERROR_EXIT not in labels]


TO_A_TYPE_THAT_IS_NEW = {"transfer_type": "FLOW", "transfer_target": "Closed"}
TO_MORE_OF_A_TYPE = {"transfer_type": "ACD", "transfer_target": "Catch-all"}


@pytest.mark.parametrize(
    ("position", "takes_over", "is_seen"),
    [
        pytest.param("named", TO_MORE_OF_A_TYPE, True, id="names"),
        pytest.param("address", TO_MORE_OF_A_TYPE, False, id="nothing but addresses, which are not looked at"),
        pytest.param("absent", TO_MORE_OF_A_TYPE, False, id="no names"),
        pytest.param("absent", TO_A_TYPE_THAT_IS_NEW, True, id="no names, but another type"),
    ],
)
def test_without_names_only_a_type_that_takes_over_is_seen(
    position: str, takes_over: dict[str, str], is_seen: bool
) -> None:
    exits = [{"reason": "TRANSFER", "share": 0.6, **takes_over}, {"reason": "DISCONNECT", "share": 0.4}]
    with scene("retail", scenario=load("calm"), config=CONFIG, analytics=ANALYTICS) as (_, clouds, exporter):
        clouds["retail"].switch(transfer_target=position)
        exporter.poll()
        clouds["retail"].happen(event="publish", flow=MAIN, version="14.0", error_ratio=0.01, exits=exits)
        exporter.poll()
        page = exporter.poll(minutes_later=MINUTES)
    assert (f"{MAIN} 14.0 retail {Signal.ROUTING_SHIFT} 15m" in page["genesys_flow_errors"]) == is_seen
