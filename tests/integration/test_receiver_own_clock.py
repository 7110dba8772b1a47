"""A receiver whose own clock is wrong does and records the same as one whose clock is right."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from receiver.catalogue import WORKER_LAST_TICK
from receiver.store import leases
from receiver.store.database import Transaction
from receiver.store.rollbacks import State
from receiver.store.schema import metadata
from tests.integration.receiver_world import Scene, scene

OFF_S = [30.0, -30.0, 3600.0, -3600.0]
# Ids, and the hashes that cover them.
_RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{64}")


@contextmanager
def own_clock(off_s: float) -> Iterator[None]:
    """The process's clock, off by so many seconds; the database's is another one."""
    right = time.time
    with pytest.MonkeyPatch.context() as world:
        world.setattr(time, "time", lambda: right() + off_s)
        yield


def story(folder: Path, off_s: float) -> tuple[dict[str, Any], list[Any], list[float]]:
    """A rollback from the alert to its end: every row of the database, what was sent when, and the last round."""
    folder.mkdir()
    with own_clock(off_s), scene(folder) as here:
        here.deliver()
        assert here.run_to_the_end().state is State.SUCCEEDED
        families = here.receiver.metrics.collect()
        rounds = [one.samples[0].value for one in families if one.name == WORKER_LAST_TICK.name]
        return here.store.transact(rows), here.genesys.published, rounds


def rows(tx: Transaction) -> dict[str, Any]:
    """Every table, without the row that tells when the database was made; random ids are all alike."""
    found = {table.name: [tuple(row) for row in tx.execute(sa.select(table))] for table in metadata.sorted_tables}
    found["audit"].pop(0)
    return {name: _RANDOM.sub("id", repr(content)) for name, content in found.items()}


@pytest.mark.parametrize("off_s", OFF_S)
def test_what_is_done_and_recorded_does_not_depend_on_the_processs_own_clock(tmp_path: Path, off_s: float) -> None:
    """Lease, permit, lockout, deadlines, notifications and the metric of the last round among it."""
    assert story(tmp_path / "off", off_s) == story(tmp_path / "right", 0.0)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        made.deliver()
        yield made


@pytest.mark.parametrize("off_s", OFF_S)
def test_a_receiver_whose_clock_is_wrong_does_not_take_a_lease_that_is_held(here: Scene, off_s: float) -> None:
    lease_s = here.settings.timing.lease_s
    here.store.transact(leases.take, "org:retail", "somebody-else", now=here.time.now, lease_s=lease_s)
    with own_clock(off_s):
        here.time.pass_(lease_s - 1)
        here.receiver.tick()
        assert here.verdicts() == []
        here.time.pass_(1)
        here.receiver.tick()
        assert here.published() == ["13.0"]
