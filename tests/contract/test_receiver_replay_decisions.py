"""A replay decides as the loop does, and changes nothing of the original; the same on both databases."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from receiver.payload import Alert, Delivery
from receiver.recordings import Recording
from receiver.replay import Replayed, replay
from receiver.store import controls, flows
from receiver.store.copying import LEFT_OUT, copy_state
from receiver.store.database import Store, Transaction
from receiver.store.schema import metadata
from tests.integration.receiver_world import ALERTMANAGER, DAY_S, Receiver, Scene, alert_of, fingerprint, scene

OTHER_FLOW = "flow-2"


@pytest.fixture
def here(tmp_path: Path, database_url: str) -> Iterator[Scene]:
    with scene(tmp_path, database_url=database_url, alertmanagers=[ALERTMANAGER]) as made:
        yield made


@contextmanager
def copied(here: Scene, folder: Path) -> Iterator[Store]:
    with (
        closing(Store(here.settings.database_url, read_only=True)) as source,
        closing(Store(f"sqlite:///{folder / 'copy.db'}")) as copy,
    ):
        copy.migrate()
        copy_state(source, copy)
        yield copy


def replayed(here: Scene, folder: Path, *deliveries: tuple[Alert, ...], offline: bool = False) -> list[Replayed]:
    """What would be decided about these deliveries now, on a copy of the scene's database."""
    recordings = [Recording(f"delivery {number}", Delivery(alerts, 0)) for number, alerts in enumerate(deliveries)]
    with copied(here, folder) as copy:
        tools = Receiver(here.settings, copy, here.time, here.clouds, here.alertmanager, "replay").tools
        return list(replay(recordings, copy, tools, now=here.time.now, offline=offline))


def contents(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, the receivers' own as the database's."""
    with store.begin() as tx:
        return {
            table.name: sorted((tuple(map(repr, row)) for row in tx.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
        }


def pause(here: Scene, tx: Transaction) -> None:
    controls.pause(tx, "retail", by="ann", reason="storm", now=here.time.now)


def hold(here: Scene, tx: Transaction) -> None:
    controls.hold(tx, "retail", ["flow-1"], owner="team", reason="debugging", by="ann", now=here.time.now)


def silence(here: Scene, _: Transaction) -> None:
    here.alertmanager.silenced[fingerprint()] = ["s1"]


def nothing(_: Scene, __: Transaction) -> None:
    """A failing version, and nothing against rolling it back."""


@pytest.mark.parametrize(
    ("arrange", "verdict"),
    [
        pytest.param(nothing, "roll_back", id="nothing holds back"),
        pytest.param(pause, "paused", id="paused"),
        pytest.param(hold, "held", id="held"),
        pytest.param(silence, "silenced", id="silenced"),
    ],
)
def test_it_decides_as_the_loop_does_guard_by_guard(
    here: Scene, tmp_path: Path, arrange: Callable[[Scene, Transaction], None], verdict: str
) -> None:
    with here.store.begin() as tx:
        arrange(here, tx)
    (one,) = replayed(here, tmp_path, (alert_of(),))
    here.deliver()
    here.receiver.tick()
    decided = here.decisions()[0]

    assert one.decision.verdict.value == decided.verdict == verdict
    assert [guard.as_json() for guard in one.decision.guards] == decided.guards


def test_it_changes_no_row_of_the_original_publishes_nothing_and_tells_nobody(here: Scene, tmp_path: Path) -> None:
    here.deliver(alert_of(OTHER_FLOW))
    before = contents(here.store)
    (one,) = replayed(here, tmp_path, (alert_of(),))
    assert one.decision.verdict.value == "roll_back"
    assert contents(here.store) == before
    assert here.published() == []
    assert here.told() == []


def test_the_copy_has_every_row_that_something_is_decided_by(here: Scene, tmp_path: Path) -> None:
    here.deliver()
    here.run_to_the_end()
    with here.store.begin() as tx:
        pause(here, tx)
        hold(here, tx)
        flows.claim(tx, "retail", now=here.time.now, next_at=here.time.now + DAY_S)
        flows.replace(tx, "retail", here.genesys.flows(), now=here.time.now)
    with copied(here, tmp_path) as copy:
        found, original = contents(copy), contents(here.store)
    for name in set(original) - LEFT_OUT:
        assert found[name] == original[name], name
    assert found["outbox"] == []


def test_what_was_rolled_back_is_not_rolled_back_again(here: Scene, tmp_path: Path) -> None:
    here.deliver()
    here.run_to_the_end()
    here.deliver(alert_of(firing=False))
    (one,) = replayed(here, tmp_path, (alert_of(),))
    assert "already_rolled_back" in [verdict.value for verdict in one.decision.holding_back]
    assert "resolved" not in [verdict.value for verdict in one.decision.holding_back]


def test_an_alert_that_was_over_when_it_was_recorded_is_over(here: Scene, tmp_path: Path) -> None:
    (one,) = replayed(here, tmp_path, (alert_of(firing=False),))
    assert one.decision.verdict.value == "resolved"


def test_what_an_earlier_delivery_has_planned_counts_for_the_later_ones(here: Scene, tmp_path: Path) -> None:
    first, second = replayed(here, tmp_path, (alert_of(),), (alert_of(),))
    assert [one.decision.verdict.value for one in (first, second)] == ["roll_back", "in_progress"]


def test_an_organization_that_nobody_configured_is_refused(here: Scene, tmp_path: Path) -> None:
    (one,) = replayed(here, tmp_path, (alert_of(org="elsewhere"),))
    assert one.decision.verdict.value == "unknown_contract"


def test_offline_nobody_is_asked_and_what_rests_on_an_answer_refuses(here: Scene, tmp_path: Path) -> None:
    def nobody() -> None:
        raise AssertionError("somebody was asked")

    here.genesys.before_read = nobody
    here.alertmanager.before_answer = nobody
    (one,) = replayed(here, tmp_path, (alert_of(),), offline=True)
    unknown = {guard.name.value for guard in one.decision.guards if guard.unknown}
    assert unknown == {
        "ignored",
        "silenced",
        "inhibited",
        "inactive",
        "superseded",
        "stale_evidence",
        "not_confirmed",
        "established",
        "common_cause",
        "locked_in_architect",
        "no_eligible_target",
        "observing",
        "awaiting_approval",
    }
    assert one.decision.rests_on_ignorance
    assert all("--offline" in guard.value for guard in one.decision.guards if guard.name.value == "stale_evidence")


def test_offline_what_is_known_without_asking_still_holds_back(here: Scene, tmp_path: Path) -> None:
    with here.store.begin() as tx:
        pause(here, tx)
    (one,) = replayed(here, tmp_path, (alert_of(),), offline=True)
    assert one.decision.verdict.value == "paused"


def test_the_original_is_not_locked_while_it_is_decided(here: Scene, tmp_path: Path) -> None:
    """Reading Genesys Cloud may take as long as it wants."""

    def write() -> None:
        with here.store.begin() as tx:
            pause(here, tx)

    here.genesys.before_read = write
    (one,) = replayed(here, tmp_path, (alert_of(),))
    assert one.decision.verdict.value == "roll_back", "decided on the moment of the copy"
