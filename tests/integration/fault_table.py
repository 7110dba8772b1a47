"""The fault table of the documentation, and what really comes of a fault; the two are compared row by row."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from receiver.store.rollbacks import Rollback, State
from tests.integration.fault_cases import CASES, SETTINGS
from tests.integration.simulated_world import SimulatedScene, simulated_scene

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
COLUMNS = ["Id", "Fault", "What is read", "End", "People are told", "Publishes (effects)"]

_QUIET_S = 300.0  # after the end: nothing more may be sent, and people hear of what follows


@dataclass(frozen=True)
class Outcome:
    """The three last columns, as they stand in the table."""

    end: str
    told: str
    publishes: str


def rows() -> dict[str, Outcome]:
    """Every row of the document's tables by its id; fails at a table of another form, or an id that is given twice."""
    found: dict[str, Outcome] = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|") or set(line) <= set("|-: "):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells == COLUMNS:
            continue
        assert len(cells) == len(COLUMNS), line
        name, *_, end, told, publishes = (cell.replace("`", "") for cell in cells)
        assert re.fullmatch(r"[a-z0-9-]+", name), line
        assert name not in found, name
        found[name] = Outcome(end, told, publishes)
    return found


def rows_of(names: Iterable[str]) -> dict[str, Outcome]:
    """Those rows; a case without a row stands for a row that nobody has written."""
    table = rows()
    return {name: table.get(name, Outcome("not in the table", "", "")) for name in names}


def see(folder: Path, name: str) -> Outcome:
    """Let the fault happen to a rollback, and tell what came of it.

    Fails, whatever the table says, if a lease is left when it has ended, if
    people hear of an event twice, or if a rollback that had started ended in silence.
    """
    with simulated_scene(folder, **SETTINGS.get(name, {})) as here:
        here.deliver()
        CASES[name](here.genesys)
        receiver = here.receiver()
        rollback = here.run_to_the_end(receiver)
        assert not here.leases()
        if rollback is None:
            end = f"no rollback ({here.verdicts()[-1]})"
        else:
            reason = f" ({rollback.reason})" if rollback.state is State.FAILED else ""
            end = f"{rollback.state.value}{reason}"
            assert rollback.started_at is None or "ROLLBACK_" in here.told()[-1]["incident_type"]
            assert all(permit.valid_until <= here.time.now or permit.answer for permit in here.permits(rollback))
        here.run(receiver, _quiet_s(here, rollback), step_s=20.0)
        return Outcome(end, told_in(here), f"{len(here.genesys.publishes())} ({len(here.genesys.effects())})")


def _quiet_s(here: SimulatedScene, rollback: Rollback | None) -> float:
    """After the lockout what failed before its write is tried again, which is another rollback."""
    if rollback is None or rollback.started_at is None:
        return _QUIET_S
    lockout_left_s = rollback.started_at + here.settings.timing.lockout_s - here.time.now
    return min(_QUIET_S, lockout_left_s) if lockout_left_s > 0 else _QUIET_S


def told_in(here: SimulatedScene) -> str:
    """What people have been told, as the table writes it."""
    events = [(event["incident_type"], event["verdict"], event.get("overwrote_newer")) for event in here.told()]
    types = [kind for kind, *_ in events if kind != "ROLLBACK_SUPPRESSED"]
    assert len(types) == len(set(types)), types
    return ", ".join(map(_shown, *zip(*events, strict=True))) if events else "nothing"


def _shown(kind: str, verdict: str, overwrote: list[str] | None) -> str:
    if kind == "ROLLBACK_SUPPRESSED":
        return f"{kind} ({verdict})"
    return f"{kind} with overwrote_newer {' '.join(overwrote)}" if overwrote else kind
