"""A page with samples of every metric, for tests of what is served."""

from dataclasses import replace

from exporter.config import ExporterConfig
from exporter.exposition import render
from exporter.live import LiveVersion
from exporter.metrics import Sample
from exporter.page import Board, Published, prepared
from exporter.process import ProcessMetrics
from exporter.snapshot import Snapshot, samples
from genesys.dialect import Call, RateLimit
from genesys.evidence import Evidence, Signal
from genesys.history import Baseline
from tests.unit.exporter_world import MAIN, MINUTE, NOON, bad


def poll_of(name: str) -> list[Sample]:
    """What a poll finds in an organization with one flow of this name."""
    found = Snapshot(
        org="retail",
        flows={"main": replace(MAIN, name=name)},
        live={"main": LiveVersion("13.0", NOON - 1800.5, NOON - 1800.5)},
        evidence=Evidence(NOON - 3600, NOON, MINUTE, {("main", "13.0"): {NOON - 60: bad(3)}}),
        conversations={},
        baselines={("main", Signal.ERROR_EXIT): Baseline(0.0123, 1.7)},
        asked=frozenset({Signal.OUTCOME_FAILED}),
    )
    return list(samples(found, ExporterConfig()))


def full_board(name: str = "Main IVR") -> Board:
    """After a poll, some calls and some corrections: every metric of the catalogue has samples."""
    process = ProcessMetrics()
    process.observer("retail")(Call("flows", "200", 0.07))
    process.add_revisions("retail", [75.0])
    board = Board(["retail"], process, stale_after_s=180.0, clock=lambda: float(NOON))
    pieces = prepared(render(poll_of(name)))
    board.publish(Published("retail", True, True, NOON, pieces, RateLimit(300, 5, 60.0, NOON)))
    return board
