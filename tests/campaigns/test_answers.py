"""Genesys Cloud at its worst: a third of its answers are 429, a tenth 5xx, some connections break after the effect.

What may come of a rollback follows from what the simulator has done with its publishes (`allowed_ends`), as the fault
table of the documentation says; the receiver is asked nothing about it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from receiver.store.rollbacks import ENDS, LEASED, Rollback, State
from simulator.request_log import Request
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.memory import in_memory
from tests.campaigns.proof import is_refused, unproved_sends
from tests.integration.fault_cases import ways
from tests.integration.receiver_world import Receiver
from tests.integration.simulated_world import PUBLISH, TARGET, SimulatedScene, simulated_scene

SEED = 20_260
LIMIT_S = 4 * 3600.0  # three tries with their lockouts and verifications
QUIET_S = 300.0  # after the last end: nothing more may be sent

# The first that matches meets a request: each probability is that of what the earlier ones have let pass.
THROTTLED = [
    {"kind": "throttle", "retry_after": 2.0, "probability": 0.19},
    {"kind": "throttle", "retry_after": 15.0, "as_date": True, "probability": 0.06 / 0.81},
    {"kind": "throttle", "retry_after": 120.0, "probability": 0.03 / 0.75},
    {"kind": "throttle", "retry_after": 600.0, "as_date": True, "probability": 0.02 / 0.72},
]
LOST = [
    {"kind": "status", "status": 503, "probability": 0.05 / 0.70},
    {"kind": "status_after", "status": 502, "probability": 0.05 / 0.65},
    {"kind": "drop_after", "probability": 0.05 / 0.60},
]
AT_ITS_WORST = [*THROTTLED, *LOST]


class Fate(StrEnum):
    """What the simulator has done with a publish, or a file: those are the writes."""

    REFUSED = "refused"  # 4xx: without effect, and the receiver knows it
    LOST = "lost"  # without effect, and the receiver does not know it from the answer
    EFFECTIVE = "effective"  # whatever was answered


@dataclass(frozen=True)
class Attempt:
    """One rollback as recorded, and its publishes as the simulator has them."""

    rollback: Rollback
    publishes: list[Request]
    fates: list[Fate]

    @property
    def end(self) -> str:
        reason = f" ({self.rollback.reason})" if self.rollback.state is State.FAILED else ""
        return f"{self.rollback.state.value}{reason}"


@dataclass(frozen=True)
class Incident:
    """All that came of one bad version."""

    attempts: list[Attempt]
    requests: list[Request]
    told: list[dict[str, Any]]
    leases: set[str]
    content: str  # what callers meet in the end
    changes: int  # how often another version has become live since the bad one, whatever has done it
    unproved: list[Request]

    @property
    def fates(self) -> list[Fate]:
        return [fate for attempt in self.attempts for fate in attempt.fates]

    @property
    def publishes(self) -> list[Request]:
        return [publish for attempt in self.attempts for publish in attempt.publishes]


def allowed_ends(fates: Sequence[Fate]) -> set[str]:
    """How an attempt with these publishes may end, by the fault table."""
    if Fate.EFFECTIVE in fates:
        return {"succeeded"}
    if not fates:
        return {"failed (unread)"}
    if fates[-1] is Fate.REFUSED:
        return {"failed (rate_limited)", "failed (unread)"}
    if fates.count(Fate.LOST) > 1:
        return {"failed (no_effect)"}
    return {"failed (no_effect)", "failed (unread)"}  # without effect, and no time is left for a second one


def live_through(here: SimulatedScene, receiver: Receiver) -> Incident:
    """From the alert until nothing more can come of it."""
    until, quiet_since = here.time.now + LIMIT_S, None
    while here.time.now < until:
        receiver.tick()
        found = here.rollbacks()
        over = bool(found) and found[-1].state in ENDS and (found[-1].wrote or len(found) == 3)
        quiet_since = (here.time.now if quiet_since is None else quiet_since) if over else None
        if quiet_since is not None and here.time.now - quiet_since >= QUIET_S:
            return what_came(here)
        here.time.pass_(2.0 if found and found[-1].state in LEASED else 15.0)
    raise AssertionError(f"not at an end after {LIMIT_S} s: {here.rollbacks()}")


def what_came(here: SimulatedScene) -> Incident:
    effects = {request.seq for request in here.genesys.effects()}
    attempts = []
    for rollback in here.rollbacks():
        given = here.permits(rollback)
        own = [
            one
            for one in here.genesys.publishes()
            if any(permit.issued_at <= one.at <= permit.valid_until for permit in given)
        ]
        fates = [
            Fate.EFFECTIVE if one.seq in effects else Fate.REFUSED if is_refused(one) else Fate.LOST for one in own
        ]
        attempts.append(Attempt(rollback, own, fates))
    assert [one.seq for attempt in attempts for one in attempt.publishes] == [
        one.seq for one in here.genesys.publishes()
    ]
    requests = here.genesys.requests()
    return Incident(
        attempts,
        requests,
        here.told(),
        here.leases(),
        here.genesys.content(),
        changes=len(here.genesys.history()) - 1,
        unproved=unproved_sends(requests, here.genesys.failures()),
    )


def incident(seed: int, *strategies: str) -> Incident:
    with in_memory() as folder, simulated_scene(folder, seed=seed, **ways(*strategies)) as here:
        here.deliver()
        if len(strategies) > 1:  # else the second one hardly ever has its turn
            here.genesys.switch(republish=("nothing", "refused", "works")[seed % 3])
        here.genesys.fault(*AT_ITS_WORST)
        return live_through(here, here.receiver())


def untold(incident: Incident) -> list[str]:
    """Attempts of which people were not told as they must be: start and end once each; of a refusal before a write.

    It is told to have begun with its first write; an export that comes to nothing, or too late, only ends.
    """
    found = []
    for attempt in incident.attempts:
        rollback = attempt.rollback
        told = [one["incident_type"] for one in incident.told if one["rollback_id"] == rollback.id]
        end = "ROLLBACK_SUCCEEDED" if rollback.state is State.SUCCEEDED else "ROLLBACK_FAILED"
        begin = ["AUTO_ROLLBACK_TRIGGERED"] if attempt.publishes else []
        has_begun = rollback.started_at is not None or rollback.reason == "deadline"
        if told != ([*begin, end] if has_begun else []):
            found.append(f"{rollback.id}: {told}")
    return found if incident.told else [*found, "nobody was told anything"]


def share(incidents: Sequence[Incident], *statuses: int | None) -> float:
    answers = [request.status for one in incidents for request in one.requests]
    return 100.0 * sum(status in statuses for status in answers) / len(answers)


def line_of(incidents: Sequence[Incident], *strategies: str) -> str:
    attempts = [attempt for one in incidents for attempt in one.attempts]
    fates = Counter(fate for one in incidents for fate in one.fates)
    ends = Counter(attempt.end for attempt in attempts)
    after_loss = sum(
        earlier is Fate.LOST for one in incidents for earlier, _ in zip(one.fates, one.fates[1:], strict=False)
    )
    return (
        f"answers at their worst, {' then '.join(strategies)}: {len(incidents)} incidents, "
        f"{sum(len(one.requests) for one in incidents):,} requests "
        f"({share(incidents, 429):.0f} % 429, {share(incidents, 502, 503):.0f} % 5xx, {share(incidents, None):.0f} % "
        f"dropped after the effect); {len(attempts)} attempts: "
        f"{', '.join(f'{count} {end}' for end, count in ends.most_common())}; {fates.total()} publishes "
        f"({', '.join(f'{count} {fate.value}' for fate, count in fates.most_common())}), {after_loss} after a proven "
        f"non-effect, {sum(len(one.unproved) for one in incidents)} without proof, "
        f"{sum(one.fates.count(Fate.EFFECTIVE) > 1 for one in incidents)} second effects (seed {SEED})"
    )


def test_every_attempt_ends_as_the_fault_table_says(size: Size, figures: Figures) -> None:
    incidents = [incident(SEED + number, "republish") for number in range(size.of(short=8, full=120))]
    figures(line_of(incidents, "republish"))

    for one in incidents:
        check(one)
        for attempt in one.attempts:
            assert attempt.end in allowed_ends(attempt.fates), attempt


@pytest.mark.parametrize("strategies", [("redeploy",), ("republish", "redeploy")], ids=" then ".join)
def test_by_every_way_back_there_is_one_effect(size: Size, figures: Figures, strategies: tuple[str, ...]) -> None:
    """One way after the other too: the next has its turn only when the one before is proved to have had none."""
    incidents = [incident(SEED + number, *strategies) for number in range(size.of(short=6, full=120))]
    figures(line_of(incidents, *strategies))

    for one in incidents:
        check(one)
        for attempt in one.attempts:
            has_failed = attempt.rollback.state is State.FAILED
            assert has_failed != (Fate.EFFECTIVE in attempt.fates), attempt
            assert attempt.rollback.state in (State.FAILED, State.SUCCEEDED), attempt


def check(one: Incident) -> None:
    """What holds by every way back."""
    assert one.fates.count(Fate.EFFECTIVE) <= 1, one.publishes
    assert Fate.EFFECTIVE not in one.fates[:-1], one.publishes
    assert one.changes == one.fates.count(Fate.EFFECTIVE), one.publishes
    assert not one.unproved
    assert (one.content == TARGET) == (Fate.EFFECTIVE in one.fates)
    assert not one.leases
    assert not (found := untold(one)), found


@pytest.mark.parametrize("as_date", [False, True], ids=["in seconds", "as a date"])
@pytest.mark.parametrize("before", [[], LOST, AT_ITS_WORST], ids=["alone", "after losses", "after everything"])
def test_to_be_sent_away_for_an_hour_ends_within_the_deadline(
    tmp_path: Path, before: list[dict[str, Any]], as_date: bool
) -> None:
    """People are told at once, and the lease is free for others; whatever the other answers are like."""
    for_an_hour = {"kind": "throttle", "match": PUBLISH, "retry_after": 3600.0, "as_date": as_date}
    with simulated_scene(tmp_path, seed=SEED) as here:
        here.deliver()
        here.genesys.fault(for_an_hour, *before)
        rollback = here.run_to_the_end(here.receiver())

        assert rollback is not None
        assert (rollback.state, rollback.reason) == (State.FAILED, "rate_limited")
        assert (rollback.ended_at or 0.0) <= rollback.deadline
        (publish,) = here.genesys.publishes()
        assert (rollback.ended_at or 0.0) - publish.at < 1.0
        told = [one["incident_type"] for one in here.told() if one["rollback_id"] == rollback.id]
        assert told == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_FAILED"]
        assert here.leases() == set()
