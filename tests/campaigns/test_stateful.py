"""The real store and the real worker, driven at random: whatever happens in whatever order, every promise is kept.

Two organizations, three processes on one database that die, stand still and race, people who stop and publish, and
a Genesys Cloud that does with a publish whatever it can. `stateful/promises.py` has what is asked after every step.
"""

import itertools
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from receiver import publishing, redeploy, republish
from receiver.config import ReceiverSettings
from receiver.policy import Decision, Limits, Verdict
from receiver.situation import Situation
from receiver.store import leases
from receiver.store.database import Transaction
from receiver.store.leases import Lease
from receiver.store.schema import leases as leases_table
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.stateful import choices
from tests.campaigns.stateful.cloud import ASKED
from tests.campaigns.stateful.databases import Databases, PostgresqlDatabases, SqliteFiles
from tests.campaigns.stateful.machine import Aim, Aimed, Campaign, Core, Setting
from tests.campaigns.stateful.promises import BUDGET_PER_FLOW, BUDGET_PER_ORG
from tests.campaigns.stateful.seams import ANY, CRASH, PERMITTED, Act, Interruption
from tests.campaigns.stateful.world import FLOWS, Process, Tally
from tests.receiver_world import settings_of

SEED = int(os.environ.get("SEED", "4107"))
STEPS_OF_AN_EXAMPLE = 100
EXAMPLES_OF_A_BATCH = 25


@contextmanager
def sqlite_files() -> Iterator[Databases]:
    """In memory where the machine has such a folder: fsyncs would take most of the time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield SqliteFiles(Path(folder))


def settings_in(folder: Path, *ways_back: str) -> ReceiverSettings:
    back = {"ways_back": list(ways_back or ("republish",))}
    return settings_of(
        folder,
        flows=[
            {"match": {"id": "shadow"}, "mode": "observe", **back},
            {"match": {"id": ASKED}, "mode": "approve", **back},
            {"match": "*", "mode": "auto", **back},
        ],
        alertmanagers=["http://alertmanager:9093"],
        webhooks=[{"name": "pager", "url": "http://127.0.0.1:9/"}],
        budget_per_flow=BUDGET_PER_FLOW,
        budget_per_org=BUDGET_PER_ORG,
        common_cause_min_flows=99,  # every flow fails
        # So that many versions would do as a target, and that no job takes longer than a publish.
        timing={"target_min_live_s": 600.0, "redeploy_deadline_s": 180.0},
    )


def drive(
    machine: type[Core], tally: Tally, *, steps: int, phases: Sequence[Phase] = (Phase.generate, Phase.shrink)
) -> None:
    """Run batches of examples until so many steps are done; each batch has a seed of its own."""
    for number in itertools.count():
        left = steps - tally.steps
        if left <= 0:
            return
        run_state_machine_as_test(
            seed(SEED + number)(machine),
            settings=settings(
                max_examples=min(EXAMPLES_OF_A_BATCH, math.ceil(left / STEPS_OF_AN_EXAMPLE)),
                stateful_step_count=STEPS_OF_AN_EXAMPLE,
                deadline=None,
                database=None,
                phases=phases,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )


def line_of(tally: Tally, name: str, seconds: float) -> str:
    counts = tally.counts
    return (
        f"{name} {tally.steps:,} steps in {tally.examples:,} examples, {counts['rounds']:,} rounds of "
        f"{counts['processes']:,} processes, {counts['crashes']:,} crashes, {counts['interruptions']:,} interruptions, "
        f"{counts['publishes']:,} publishes ({counts['files']:,} by a file) with {counts['effects']:,} effects, "
        f"{counts['sent again']:,} of them after a proven non-effect, {counts['approved']:,} approvals, "
        f"{counts['undone']:,} undos and {counts['by hand']:,} orders by hand, {seconds:.0f} s"
    )


SHORT = {"SQLite": 1_200, "PostgreSQL": 400}
FULL = {"SQLite": 80_000, "PostgreSQL": 20_000}
SHORT_OF_OTHERS = {"SQLite": 600, "PostgreSQL": 200}
FULL_OF_OTHERS = {"SQLite": 20_000, "PostgreSQL": 5_000}


@pytest.mark.parametrize(
    ("ways_back", "short", "full"),
    [
        (("republish",), SHORT, FULL),
        (("redeploy",), SHORT_OF_OTHERS, FULL_OF_OTHERS),
        (("republish", "redeploy"), SHORT_OF_OTHERS, FULL_OF_OTHERS),
    ],
    ids=["republish", "redeploy", "republish then redeploy"],
)
def test_whatever_happens_in_whatever_order_every_promise_is_kept(
    size: Size,
    figures: Figures,
    tmp_path: Path,
    postgresql_url: str,
    ways_back: tuple[str, ...],
    short: Mapping[str, int],
    full: Mapping[str, int],
) -> None:
    steps = size.of(short=short, full=full)
    tallies = {name: Tally() for name in steps}
    lines = []
    with sqlite_files() as files:
        try:
            for databases in (files, PostgresqlDatabases(postgresql_url)):
                begun, tally = time.monotonic(), tallies[databases.name]
                setting = Setting(databases, settings_in(tmp_path, *ways_back), tally)
                machine = type("Machine", (Campaign,), {"setting": setting})
                try:
                    drive(machine, tally, steps=steps[databases.name])
                finally:
                    lines.append(line_of(tally, databases.name, time.monotonic() - begun))
        finally:
            figures(f"stateful, {' then '.join(ways_back)}: {'; '.join(lines)} (seed {SEED})")
    for name, tally in tallies.items():
        assert tally.steps >= steps[name]
        assert tally.counts["effects"], f"{name}: no publish had an effect"
    files = sum(tally.counts["files"] for tally in tallies.values())
    assert ("redeploy" in ways_back) == bool(files), f"{files} files were sent"
    if size is Size.FULL:  # in a few examples chance may leave any of them out
        for what in ("crashes", "interruptions", "approved", "undone", "by hand"):
            assert all(tally.counts[what] for tally in tallies.values()), f"not tried: {what}"


def test_what_may_happen_includes_crashes_approvals_undos_and_orders_by_hand(tmp_path: Path) -> None:
    with sqlite_files() as files:
        setting = Setting(files, settings_in(tmp_path), Tally())
        machine = type("Machine", (Campaign,), {"setting": setting})()
        try:
            machine.agree(2.0, 0)
            machine.wish(Act("order_by_hand", ("bank", FLOWS["bank"][0])))
            machine.crash(2.0, 1, "bank", Interruption(ANY, 3, CRASH))
            machine.tick(31.0, 1, "bank")
            for number in (0, 1, 2):
                machine.tick(31.0, number, "retail")
            machine.regret(("retail", FLOWS["retail"][0]), 2.0, 2)
            machine.every_promise_is_kept()
        finally:
            machine.teardown()
    counts = setting.tally.counts
    assert (counts["approved"], counts["undone"], counts["by hand"], counts["crashes"]) == (2, 1, 1, 1)


def never_fenced(_tx: Transaction, _lease: Lease, *, now: float) -> None:
    """`leases.hold` that neither asks nor locks."""
    assert now


def taken_from_anybody(tx: Transaction, name: str, owner: str, *, now: float, lease_s: float) -> Lease | None:
    """`leases.take` that does not ask who holds it."""
    fence = itertools.count(2)
    made = Lease(name, owner, next(fence), lease_s)
    leases.lock(tx, name)
    changed = sa.update(leases_table).where(leases_table.c.name == name)
    tx.execute(changed.values(owner=owner, fence=made.fence, expires_at=now + lease_s))
    return made


def decided_before(_facts: Situation, _limits: Limits, _overridden: frozenset[Verdict]) -> Decision:
    """What was decided when the rollback was planned still holds, says whoever does not look again."""
    return Decision(Verdict.ROLL_BACK, ())


@dataclass(frozen=True)
class Bug:
    """What is put in whose place, where rounds are interrupted to find it, and which promises it breaks."""

    module: ModuleType | type[Any]
    name: str
    planted: Callable[..., Any] | property
    aim: Aim
    breaks: frozenset[str]
    otherwise: str = "effective"
    ways_back: tuple[str, ...] = ("republish",)


def _once(seam: str, nth: st.SearchStrategy[int], act: choices.Acts) -> st.SearchStrategy[list[Interruption]]:
    return st.builds(Interruption, st.just(seam), nth, act).map(lambda one: [one])


def _overtaken(number: int, org: str) -> st.SearchStrategy[list[Interruption]]:
    """Right before it decides: another process takes the lease, and dies with it."""
    return _once(ANY, st.integers(8, 34), choices.overtaking(number, org, st.sampled_from([5, 6, 7])))


def _raced(number: int, org: str) -> st.SearchStrategy[list[Interruption]]:
    return _once(ANY, st.integers(4, 36), choices.rivals(number, org))


def _overtaken_twice(number: int, org: str) -> st.SearchStrategy[list[Interruption]]:
    """While it waits for the answer to its publish others take over, one after the other."""
    takeover = st.builds(
        Interruption, st.just("after the publish"), st.just(1), choices.overtaking(number, org, st.just(0))
    )
    return st.lists(takeover, min_size=2, max_size=3)


def _stopped(_number: int, _org: str) -> st.SearchStrategy[list[Interruption]]:
    """A pause between the decision and the permit."""
    return _once(ANY, st.integers(16, 34), choices.pauses)


def _stalled(_number: int, _org: str) -> st.SearchStrategy[list[Interruption]]:
    return _once(PERMITTED, st.just(1), choices.stalls)


PLANTED = {
    "a lease that does not fence": Bug(
        leases, "hold", never_fenced, _overtaken, frozenset({"written_under_the_lease"})
    ),
    "a lease that anybody takes": Bug(leases, "take", taken_from_anybody, _raced, frozenset({"one_holder_of_a_lease"})),
    "a takeover that does not wait for the permit": Bug(
        republish,
        "settled_at",
        lambda *_: 0.0,
        _overtaken_twice,
        frozenset({"one_effect_of_a_rollback", "never_two_publishes_under_way"}),
        otherwise="lost before",
    ),
    "a file that is given up before its time": Bug(
        redeploy._After,
        "settled",
        property(lambda _: True),
        _raced,
        frozenset({"one_effect_of_a_rollback", "never_two_publishes_under_way"}),
        otherwise="lost before",
        ways_back=("redeploy",),
    ),
    "a sender that ignores its permit": Bug(
        Process, "_monotonic", lambda _: 0.0, _stalled, frozenset({"with_a_permit_in_force"})
    ),
    "a decision that is not repeated": Bug(
        publishing, "decide", decided_before, _stopped, frozenset({"obeyed_every_stop"})
    ),
}


@pytest.mark.parametrize("bug", PLANTED.values(), ids=list(PLANTED))
def test_a_planted_bug_is_found(bug: Bug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bug.module, bug.name, bug.planted)
    with sqlite_files() as files:
        setting = Setting(files, settings_in(tmp_path, *bug.ways_back), Tally(), bug.otherwise)
        machine = type("Machine", (Aimed,), {"setting": setting, "aim": staticmethod(bug.aim)})
        with pytest.raises(AssertionError) as found:
            drive(machine, setting.tally, steps=6_000, phases=[Phase.generate])
    broken = {line.split(":")[0] for line in str(found.value).splitlines()}
    assert broken & bug.breaks, f"it was found otherwise: {found.value}"
