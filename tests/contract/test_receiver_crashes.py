"""A receiver dies around its publish, on PostgreSQL; on SQLite `test_crashes` has it die at every step."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from receiver.store.rollbacks import State
from tests import postgresql_server
from tests.integration.crashing import Crash, Run, crashes, run

_numbers = count()


@contextmanager
def database(server_url: str) -> Iterator[str]:
    with postgresql_server.fresh_database(server_url, f"crash{next(_numbers)}") as url:
        yield url


def test_whoever_dies_around_the_publish_another_one_finishes_with_one_effect(
    tmp_path: Path, postgresql_url: str
) -> None:
    def go(crash: Crash | None = None) -> Run:
        with database(postgresql_url) as url:
            return run(tmp_path, lambda _: None, crash, database_url=url)

    done = go().done
    around = [
        crash
        for crash in crashes(done)
        if "publish" in crash.name or crash.name.startswith(("commit of confirm", "commit of Worker._decide_open (pl"))
    ]
    assert len(around) >= 6
    for crash in around:
        after = go(crash)
        assert (after.end.state, after.publishes, after.effects) == (State.SUCCEEDED, 1, 1), str(crash)
        assert len({event for event in after.deliveries if event[0] != "ROLLBACK_SUPPRESSED"}) == 2, str(crash)
