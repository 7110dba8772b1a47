"""The verdict over a target: by what its callers met since it was read back as live."""

from dataclasses import replace

import pytest

from genesys.evidence import EVERY_SIGNAL, Evidence, Outcomes, Signal
from genesys.flows import Flow
from genesys.transfers import Target
from receiver.reader import Read, Reading, unread
from receiver.store.rollbacks import Kind, Rollback, State
from receiver.verification import Verified, verify

CONFIRMED_AT = 6000.0
DEADLINE = CONFIRMED_AT + 1800
FLOW = Flow(
    id="flow-1",
    name="Main IVR",
    type="inboundcall",
    division_id="d1",
    division_name="Home",
    active=True,
    deleted=False,
    live_version="13.0",
    live_published_at=CONFIRMED_AT,
    published_by="bridge",
    locked_by=None,
    operation=None,
)
ROLLBACK = Rollback(
    id="r1",
    alert_id=1,
    org="retail",
    object_type="flow",
    object_id="flow-1",
    accused_version="14.0",
    live_since=0.0,
    try_number=1,
    shadow=False,
    target_version="13.0",
    state=State.VERIFYING,
    reason="",
    revision=4,
    created_at=CONFIRMED_AT - 10,
    deadline=CONFIRMED_AT + 900,
    not_before=0.0,
    started_at=CONFIRMED_AT - 9,
    wrote=True,
    threshold_ratio=0.05,
    confirmed_at=CONFIRMED_AT,
    ended_at=None,
    facts={"signal": "error_exit"},
    kind=Kind.ROLLBACK,
    attempt_id="r1",
    published_by=None,
    undoes=None,
    approved_by=None,
    approved_at=None,
)


def minute(entries: int, errors: int, others: int) -> Outcomes:
    return Outcomes(entries, {"FLOW_ERROR_EXIT": errors, "FLOW_DISCONNECT": others})


def reading(*minutes: Outcomes, version: str = "13.0", first_at: int = 6000) -> Reading:
    """Consecutive minutes of one version, the first one right after the target was confirmed."""
    outcomes = {("flow-1", version): {first_at + 60 * number: told for number, told in enumerate(minutes)}}
    end = first_at + 60 * max(1, len(minutes))
    return replace(unread(""), flow=Read(FLOW), evidence=Read(Evidence(end - 3600, end, 60, outcomes)))


def judged(of: Reading, *, now: float = CONFIRMED_AT + 600, rollback: Rollback = ROLLBACK) -> Verified | None:
    return verify(of, rollback, now=now, deadline=DEADLINE, min_conversations=20)


@pytest.mark.parametrize(
    "of",
    [
        pytest.param(reading(), id="nobody has called yet"),
        pytest.param(reading(minute(19, 0, 19)), id="one conversation too few"),
        pytest.param(reading(minute(500, 0, 0)), id="many began, none has ended"),
        pytest.param(reading(minute(30, 2, 28)), id="above the threshold, but that may be chance"),
        pytest.param(reading(minute(100, 0, 100), version="14.0"), id="conversations of the accused version"),
        pytest.param(reading(minute(100, 0, 100), first_at=5940), id="conversations from before it was confirmed"),
    ],
)
def test_it_is_too_early_for_a_verdict(of: Reading) -> None:
    assert judged(of) is None


def test_enough_conversations_that_ended_well_are_success() -> None:
    verified = judged(reading(minute(12, 0, 12), minute(9, 1, 8)))

    assert verified is not None
    assert (verified.state, verified.reason) == (State.SUCCEEDED, "1 errors of 21 ended conversations")
    assert verified.facts() == {"errors": 1, "ended": 21, "threshold_ratio": 0.05}


def test_entries_without_exits_are_no_success_and_end_unverified() -> None:
    verified = judged(reading(minute(5000, 0, 3)), now=DEADLINE)

    assert verified is not None
    assert (verified.state, verified.reason) == (State.UNVERIFIED, "3 conversations have ended, 20 are asked for")


def test_a_target_that_fails_beyond_chance_is_ineffective() -> None:
    verified = judged(reading(*[minute(20, 10, 10)] * 5))

    assert verified is not None
    assert (verified.state, verified.reason) == (State.INEFFECTIVE, "50 errors of 100 ended conversations")


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        pytest.param(reading(), "0 conversations have ended, 20 are asked for", id="nobody called"),
        pytest.param(
            replace(reading(), evidence=Read(None, "no answer")), "unread: no answer", id="the evidence was not read"
        ),
        pytest.param(unread("no answer"), "unread: no answer", id="nothing was read"),
    ],
)
def test_silence_is_no_success_but_ends_unverified_at_the_deadline(of: Reading, reason: str) -> None:
    assert judged(of, now=DEADLINE - 1) is None
    verified = judged(of, now=DEADLINE)

    assert verified is not None
    assert (verified.state, verified.reason) == (State.UNVERIFIED, reason)


def test_another_version_ends_it_whatever_was_measured() -> None:
    replaced = replace(reading(minute(100, 0, 100)), flow=Read(replace(FLOW, live_version="15.0")))
    verified = judged(replaced)

    assert verified is not None
    assert verified.state is State.SUPERSEDED


def test_the_target_is_held_to_the_threshold_that_accused_its_successor() -> None:
    verified = judged(reading(minute(100, 20, 80)), rollback=replace(ROLLBACK, threshold_ratio=0.3))

    assert verified is not None
    assert verified.state is State.SUCCEEDED


def sent(target: str, calls: int) -> Outcomes:
    return Outcomes(20, {"TRANSFER": calls, "DISCONNECT": 20 - calls}, transfers={Target("ACD", target): calls})


@pytest.mark.parametrize(
    ("minutes", "state"),
    [
        pytest.param([sent("Service", 18)] * 15, State.SUCCEEDED, id="callers go elsewhere"),
        pytest.param([sent("Catch-all", 18)] * 15, State.INEFFECTIVE, id="callers go there as well"),
    ],
)
def test_of_transfers_the_same_target_is_looked_at(minutes: list[Outcomes], state: State) -> None:
    facts = {"signal": "routing_shift", "transfer_type": "ACD", "transfer_target": "Catch-all"}
    found = judged(reading(*minutes), rollback=replace(ROLLBACK, facts=facts))
    assert found is not None
    assert found.state is state


@pytest.mark.parametrize(
    ("signals", "facts"),
    [
        pytest.param(EVERY_SIGNAL - {Signal.ROUTING_SHIFT}, {"transfer_type": "ACD"}, id="transfers are not told"),
        pytest.param(EVERY_SIGNAL, {}, id="nobody knows which target"),
    ],
)
def test_what_cannot_be_counted_is_no_success(signals: frozenset[Signal], facts: dict[str, str]) -> None:
    of = reading(*[sent("Service", 18)] * 15)
    evidence = of.evidence.value
    assert evidence is not None
    of = replace(of, evidence=Read(replace(evidence, signals=signals)))
    rollback = replace(ROLLBACK, facts={"signal": "routing_shift"} | facts)
    assert judged(of, rollback=rollback) is None
    found = judged(of, rollback=rollback, now=DEADLINE)
    assert found is not None
    assert found.state is State.UNVERIFIED
