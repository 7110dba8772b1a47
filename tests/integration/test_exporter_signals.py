"""Bad versions without error exits, as the exporter sees them in the simulator: each by its own signal."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from exporter.config import ExporterConfig
from genesys.evidence import Signal
from genesys.excess import Finding, find_excess
from genesys.organizations import Analytics, open_organization
from simulator.scenario import load
from tests.integration.exporter_scene import MINUTE, Page, Time, organization_at, scene

MAIN = "ce677f29-f403-470c-adb0-8bfa6bf81d69"
MINUTES = 20  # the bad version is published after one
ANALYTICS = Analytics(history_s=2 * 86400, outcomes=True)  # a flow's own past is older than a day
CONFIG = ExporterConfig.model_validate({"flows": [{"match": "*", "watch": list(Signal)}]})
SHOWN_BY = {
    "polite-hangup": Signal.FLOW_DISCONNECT,
    "silence": Signal.CALLER_HANGUP,
    "not-recognized": Signal.RECOGNITION,
    "loop": Signal.STUCK,
    "failed-outcomes": Signal.OUTCOME_FAILED,
}


def after_a_while(scenario: str) -> tuple[Page, dict[Signal, Finding]]:
    """The exporter's page, and what the figures of Main IVR's live version say by each signal with a threshold."""
    with scene("retail", scenario=load(scenario), config=CONFIG, analytics=ANALYTICS) as (time, clouds, exporter):
        for _ in range(3):
            exporter.poll()
        page = exporter.poll(minutes_later=MINUTES)
        return page, dict(_findings(page, clouds["retail"].url, time))


def _findings(page: Page, url: str, time: Time) -> Iterator[tuple[Signal, Finding]]:
    ((live, since),) = (one for one in page["genesys_flow_live_since_timestamp_seconds"].items() if MAIN in one[0])
    version = live.split()[1]
    end = ANALYTICS.settled_end(time.now)
    with closing(open_organization(organization_at("retail", url, analytics=ANALYTICS))) as cloud:
        evidence = cloud.evidence(end - 60 * MINUTE, end, bucket_s=MINUTE, flow_ids=[MAIN])
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
                ),
            )


@pytest.mark.parametrize(("scenario", "signal"), SHOWN_BY.items())
def test_a_bad_version_is_convicted_by_its_signal_and_by_no_other(scenario: str, signal: Signal) -> None:
    page, found = after_a_while(scenario)

    assert [name for name, finding in found.items() if finding.convicted_by] == [signal]
    for window in found[signal].windows[-2:]:
        labels = f"{MAIN} 14.0 retail {signal} {window.window}"
        assert page["genesys_flow_errors"][labels] == window.errors
        assert page["genesys_flow_volume"][labels] == window.volume
        assert page["genesys_flow_breach_minutes"][labels] == window.breach_minutes


def test_calm_convicts_by_no_signal() -> None:
    page, found = after_a_while("calm")

    assert not [signal for signal, finding in found.items() if finding.convicted_by]
    assert {Signal.ERROR_EXIT, Signal.FLOW_DISCONNECT, Signal.CALLER_HANGUP} <= found.keys()
    assert not [labels for labels in page["genesys_flow_errors"] if Signal.STUCK in labels], "nobody is stuck"
