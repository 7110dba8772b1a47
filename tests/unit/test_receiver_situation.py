"""What is made of a reading: since when a version has been live, whether its evidence confirms, how it is told."""

from dataclasses import replace

import pytest

from genesys.evidence import Evidence, Outcomes, Signal, Tally
from genesys.excess import Finding, WindowFinding
from genesys.flows import Flow, FlowVersion
from receiver.findings import evidence_problem, live_since, services
from receiver.reader import Read, Reading
from receiver.situation import VersionEvidence
from receiver.store.alerts import StoredAlert
from receiver.target import Service

END = 7200
FLOW = Flow(
    id="flow-1",
    name="Main IVR",
    type="inboundcall",
    division_id="d1",
    division_name="Home",
    active=True,
    deleted=False,
    live_version="14.0",
    live_published_at=None,
    published_by=None,
    locked_by=None,
    operation=None,
)
ALERT = StoredAlert(
    id=1,
    fingerprint="f1",
    org="retail",
    object_type="flow",
    object_id="flow-1",
    version="14.0",
    signal="error_exit",
    starts_at=0.0,
    is_open=True,
    labels={},
    annotations={},
    received_at=0.0,
    refreshed_at=0.0,
    closed_at=None,
    verdict=None,
    holding_back=None,
)
NOTHING = Reading(Read(FLOW), Read([]), Read(Evidence(END - 3600, END, 60, {})), Read(None), Read([]))


def evidence_of(**starts: list[int]) -> Evidence:
    """One conversation in each of the buckets, by version (`v13` is 13.0)."""
    outcomes = {
        ("flow-1", f"{version[1:]}.0"): {start: Outcomes(1, {"FLOW_DISCONNECT": 1}) for start in buckets}
        for version, buckets in starts.items()
    }
    return Evidence(END - 3600, END, 60, outcomes)


@pytest.mark.parametrize(
    ("reading", "annotation", "since"),
    [
        pytest.param(NOTHING, "", 0.0, id="nothing is known"),
        pytest.param(replace(NOTHING, flow=Read(replace(FLOW, live_published_at=5000.0))), "", 5000.0, id="its date"),
        pytest.param(NOTHING, "5400.5", 5400.5, id="the exporter saw the change"),
        pytest.param(
            replace(
                NOTHING,
                versions=Read(
                    [FlowVersion("13.0", False, 0.0, 6000.0, None), FlowVersion("14.0", False, 0, 9e9, None)]
                ),
            ),
            "",
            6000.0,
            id="its predecessor's end",
        ),
        pytest.param(
            replace(NOTHING, evidence=Read(evidence_of(v13=[6000, 6060], v14=[6120, 6900]))),
            "",
            6120.0,
            id="the newest conversation that began on another version",
        ),
        pytest.param(
            replace(
                NOTHING,
                flow=Read(replace(FLOW, live_published_at=1.0)),
                evidence=Read(evidence_of(v13=[6000])),
            ),
            "6500",
            6500.0,
            id="the latest of all",
        ),
    ],
)
def test_a_version_counts_as_live_since_the_latest_of_what_is_known(
    reading: Reading, annotation: str, since: float
) -> None:
    assert live_since(reading, replace(ALERT, annotations={"live_since": annotation})) == since


@pytest.mark.parametrize("annotation", ["nan", "inf", "-5", "1e300", "soon", ""])
def test_an_annotation_that_is_no_time_is_left_out(annotation: str) -> None:
    assert live_since(NOTHING, replace(ALERT, annotations={"live_since": annotation})) == 0.0


def test_a_version_served_in_the_buckets_in_which_it_had_conversations() -> None:
    history = Evidence(
        0,
        3 * 3600,
        3600,
        {
            ("flow-1", "13.0"): {0: Outcomes(100, {"FLOW_ERROR_EXIT": 2, "TRANSFER": 98}), 3600: Outcomes()},
            ("flow-2", "13.0"): {7200: Outcomes(5, {})},
        },
    )
    assert services(history, "flow-1", Signal.ERROR_EXIT) == {"13.0": Service(Tally(2, 100, 100), 3600.0)}


TOLD = Read(Evidence(END - 3600, END, 60, {}))
TOLD_ERRORS = Read(Evidence(END - 3600, END, 60, {}, frozenset({Signal.ERROR_EXIT})))


@pytest.mark.parametrize(
    ("signal", "reading", "says"),
    [
        pytest.param("error_exit", replace(NOTHING, evidence=Read(None, "HTTP 503")), "HTTP 503", id="not read"),
        pytest.param("error_exit", replace(NOTHING, history=Read(None, "HTTP 500")), "HTTP 500", id="no history"),
        pytest.param("mood", replace(NOTHING, history=TOLD), "the signal is unknown", id="another signal"),
        pytest.param(
            "stuck", replace(NOTHING, evidence=TOLD_ERRORS), "in this dialect", id="the guide knows errors only"
        ),
        pytest.param(
            "outcome_failed", replace(NOTHING, evidence=TOLD_ERRORS), "or analytics.outcomes is not in", id="outcomes"
        ),
        pytest.param(
            "action_slow", replace(NOTHING, evidence=TOLD_ERRORS), "or analytics.data_actions is not in", id="actions"
        ),
        pytest.param("action_slow", replace(NOTHING, history=TOLD), "or they are not in", id="actions of others"),
        pytest.param("stuck", replace(NOTHING, history=TOLD), "nobody knows the flow's own earlier ratio", id="new"),
    ],
)
def test_why_there_is_no_evidence_is_told_with_what_to_change(signal: str, reading: Reading, says: str) -> None:
    assert says in evidence_problem(replace(ALERT, signal=signal), reading)


FOUND = WindowFinding("15m", errors=9, volume=96, breach_minutes=4, strength=1.5, accuses=True, acquits=False)
ACQUITTING = WindowFinding("2m", errors=0, volume=20, breach_minutes=0, strength=-4.0, accuses=False, acquits=True)
EVIDENCE = VersionEvidence(
    end=7200.0,
    live_since=5000.0,
    threshold_ratio=0.05,
    baseline_ratio=0.0123,
    scatter=1.66,
    finding=Finding((ACQUITTING, FOUND), FOUND, None),
    newest=Tally(2, 9, 9),
    recovered=False,
)


def test_evidence_that_confirms_is_told_with_counts_window_and_threshold() -> None:
    assert EVIDENCE.confirms
    assert EVIDENCE.describe() == (
        "9 errors of 96 in 15m (9.4%; threshold 5.0%, earlier ratio 1.23%, scatter 1.7; strength 1.5, "
        "4 breached minutes)"
    )


def test_what_is_not_known_of_the_past_is_told_as_unknown() -> None:
    nothing = replace(EVIDENCE, baseline_ratio=None, scatter=None)
    assert "earlier ratio unknown, scatter unknown;" in nothing.describe()


def test_evidence_that_is_made_up_of_parts_names_them() -> None:
    told = replace(EVIDENCE, parts=("9 of 50 of data action look-up", "0 of 46 of data action order")).describe()
    assert told.endswith("4 breached minutes); 9 of 50 of data action look-up, 0 of 46 of data action order")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        pytest.param(
            replace(EVIDENCE, recovered=True, newest=Tally(0, 9, 8)), "healthy again: 0 of the newest 8", id="healed"
        ),
        pytest.param(
            replace(EVIDENCE, finding=Finding((ACQUITTING, FOUND), None, ACQUITTING)),
            "acquitted by the newest 2m",
            id="acquitted",
        ),
        pytest.param(
            replace(EVIDENCE, finding=Finding((replace(FOUND, errors=0, volume=0),), None, None)),
            "0 errors of 0 in 15m (no volume;",
            id="no volume",
        ),
    ],
)
def test_evidence_that_does_not_confirm_says_why(changed: VersionEvidence, words: str) -> None:
    assert not changed.confirms
    assert words in changed.describe()
