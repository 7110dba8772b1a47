"""Clocks that jump by an hour in the middle of an incident: the receiver's own, and the one that it goes by."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count, pairwise
from typing import Any

from receiver.config import Timing
from receiver.store.rollbacks import ENDS
from tests import postgresql_server
from tests.campaigns.clocks import Database, Jump, Moment, Story, story
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.memory import in_memory
from tests.campaigns.proof import unproved_sends
from tests.integration.fault_cases import UNSENT
from tests.integration.simulated_world import PUBLISH

HOUR_S = 3600.0
THROTTLED = {"kind": "throttle", "retry_after": 20.0, "times": 2, "match": PUBLISH}
LATE = {"kind": "publish_late", "delay_s": 60.0, "times": 1, "match": PUBLISH}
LOST = {**UNSENT, "match": PUBLISH}

Case = tuple[Moment, Mapping[str, Any] | None]
CASES: list[Case] = [  # the first two are the short form
    (Moment.CONFIRMING, LATE),
    (Moment.LOCKOUT, None),
    (Moment.SENDING, LOST),
    (Moment.ALERTED, None),
    (Moment.PLANNED, THROTTLED),
    (Moment.SENDING, None),
    (Moment.SENDING, LATE),
    (Moment.CONFIRMING, None),
    (Moment.CONFIRMING, LOST),
    (Moment.VERIFYING, None),
]
_numbers = count()


def inside_the_lockout(told: Story, jump: Jump) -> list[str]:
    """Rollbacks that began earlier after the one before than lockout and jump together explain, in true time."""
    starts = sorted({one.flow_id: one.at for one in reversed(told.publishes)}.values())
    found = []
    for earlier, later in pairwise(starts):
        jumped_s = jump.by_s if told.jumped_at is not None and earlier <= told.jumped_at <= later else 0.0
        if later - earlier + jumped_s < Timing().lockout_s - 1.0:
            found.append(f"{later - earlier:.0f} s after the one before")
    return found


def second_effects(told: Story) -> int:
    flows = [one.flow_id for one in told.effects]
    return len(flows) - len(set(flows))


def untold(told: Story) -> list[str]:
    """Rollbacks whose start and end people did not hear of once each."""
    heard = {one.id: sorted(kind for named, kind in told.told if named == one.id) for one in told.rollbacks}
    return [name for name, kinds in heard.items() if len(kinds) != 2 or kinds[0] != "AUTO_ROLLBACK_TRIGGERED"]


def test_the_clock_of_the_database_jumps(size: Size, figures: Figures) -> None:
    """On SQLite it is the host's: what is timed by it happens too early or too late, and nothing happens twice."""
    jumps = [
        (Jump(moment, by_s), fault)
        for moment, fault in CASES[: size.of(short=2, full=len(CASES))]
        for by_s in (HOUR_S, -HOUR_S)
    ]
    stories = []
    for jump, fault in jumps:
        with in_memory() as folder:
            stories.append((jump, story(folder, fault, jump)))
    early = [told for jump, told in stories if inside_the_lockout(told, jump)]
    figures(
        f"the host's clock jumps by ±1 h (SQLite): {len(stories)} jumps, "
        f"{sum(len(told.publishes) for _, told in stories)} publishes, "
        f"{sum(len(told.effects) for _, told in stories)} effects, "
        f"{sum(second_effects(told) for _, told in stories)} second ones, "
        f"{sum(len(unproved_sends(told.requests)) for _, told in stories)} sent without proof, {len(early)} inside a "
        "lockout without its jump"
    )
    for jump, told in stories:
        assert told.jumped_at is not None, jump
        assert second_effects(told) == 0, jump
        assert not unproved_sends(told.requests), jump
        assert not inside_the_lockout(told, jump), jump
        assert all(one.state in ENDS for one in told.rollbacks), jump
        assert not untold(told), jump
        assert not told.leases, jump


@contextmanager
def database(server_url: str) -> Iterator[Database]:
    with postgresql_server.fresh_database(server_url, f"jumps{next(_numbers)}") as url:
        made = Database(url)
        try:
            yield made
        finally:
            made.close()


def test_a_receivers_own_clock_jumps(size: Size, figures: Figures, postgresql_url: str) -> None:
    """On PostgreSQL: wall and monotonic clock jump, the database's does not; the story is the same to the second.

    While a publish is on its way the monotonic clock says how long to wait for the answer: after a jump it may be taken
    for lost, and the flow is read.
    """
    cases = CASES[: size.of(short=1, full=len(CASES))]
    right: dict[str, Story] = {}
    differ = []
    for moment, fault in cases:
        for by_s in (HOUR_S, -HOUR_S):
            jump = Jump(moment, by_s, monotonic=True)
            if repr(fault) not in right:
                right[repr(fault)] = _on_postgresql(postgresql_url, fault, None)
            told, expected = _on_postgresql(postgresql_url, fault, jump), right[repr(fault)]
            assert told.jumped_at is not None, jump
            if told.short() != expected.short():
                differ.append(f"{jump}: {told.short()} instead of {expected.short()}")
            assert not untold(told), jump
            assert not told.leases, jump
    figures(
        f"a receiver's own clocks jump by ±1 h (PostgreSQL): {2 * len(cases)} jumps, {len(differ)} of which changed "
        "when or what was sent, decided or ended"
    )
    assert not differ


def _on_postgresql(server_url: str, fault: Mapping[str, Any] | None, jump: Jump | None) -> Story:
    with in_memory() as folder, database(server_url) as made:
        return story(folder, fault, jump, made)
