"""`rollbackctl report` against a real receiver, and with a real Prometheus that remembers a week."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from werkzeug.wrappers import Response

from genesys.stints import Stint
from receiver.ctl.cli import main
from receiver.metrics import ReceiverMetrics
from receiver.policy import Decision, Guard, Verdict
from receiver.store import decisions, ledger, rollbacks
from receiver.store.database import Store, Transaction
from receiver.store.rollbacks import Kind, State
from receiver.web import create_app
from tests.openapi_document import held_to_its_document
from tests.receiver_world import (
    ORGS,
    TOKENS,
    list_live,
    listening,
    opened,
    put_alert,
    put_decision,
    put_rollback,
    settings_of,
)

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3600.0
DAY = 24 * HOUR
EVIDENCE = {
    "flow_name": "Main IVR",
    "signal": "error_exit",
    "errors": 41,
    "volume": 96,
    "window": "5m",
    "error_ratio": 41 / 96,
    "threshold_ratio": 0.05,
}
OBSERVED = {"shadow": True, "state": State.OBSERVED, "reason": "mode observe", "facts": EVIDENCE}


@dataclass(frozen=True)
class Desk:
    url: str
    store: Store

    def run(self, *arguments: str, output: str = "table") -> Result:
        environ = {"ROLLBACKCTL_URL": self.url, "ROLLBACKCTL_TOKEN": TOKENS["viewer"], "ROLLBACKCTL_TOKEN_FILE": None}
        return CliRunner().invoke(main, ["--output", output, "report", *arguments], env=environ)

    def table(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert (done.exit_code, done.stderr) == (0, ""), done.output
        return done.stdout

    def document(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, output="json").stdout)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    settings = settings_of(tmp_path, flows=[{"match": "*", "mode": "observe"}])
    with opened(settings) as store:
        app = held_to_its_document(create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), list))
        with listening(app) as port:
            yield Desk(f"http://127.0.0.1:{port}", store)


def observe(tx: Transaction, flow_id: str, name: str, *, ago_s: float, org: str = "retail", asks: str = "") -> None:
    """A rollback that mode `observe` has recorded, with its decision."""
    at = time.time() - ago_s
    alert = put_alert(tx, org=org, flow_id=flow_id, now=at)
    put_rollback(tx, alert, name, now=at, ended_at=at, **OBSERVED)
    guards = (
        Guard(Verdict.OBSERVING, True, "mode observe", "mode approve or auto"),
        Guard(Verdict.AWAITING_APPROVAL, bool(asks), asks or "not needed", "no approval needed, or given"),
    )
    decided = Decision(Verdict.OBSERVING, guards)
    decisions.add(tx, alert, decided, at=at, facts={}, receiver="r1", rollback_id=name)


@pytest.fixture
def fortnight(desk: Desk) -> Desk:
    """Of retail: one that people replaced, one that is live still, one that nobody knows, one that began; one of bank
    that would have asked; and one of a month ago.
    """
    now = time.time()
    with desk.store.begin() as tx:
        list_live(tx, "15.0", "14.0", "13.0", now=now)
        observe(tx, "flow-0", "replaced", ago_s=5 * HOUR)
        observe(tx, "flow-1", "live", ago_s=4 * HOUR)
        observe(tx, "flow-9", "gone", ago_s=3 * HOUR)
        observe(tx, "flow-1", "old", ago_s=30 * DAY, org="bank")
        observe(tx, "flow-2", "asks", ago_s=2 * HOUR, org="bank", asks="no version earned it, 13.0 may be approved")
        began = put_alert(tx, flow_id="flow-2", now=now - HOUR)
        times = {"confirmed_at": now - HOUR + 60, "ended_at": now - 1800}
        put_rollback(tx, began, "began", now=now - HOUR, state=State.SUCCEEDED, facts=EVIDENCE, **times)
        put_decision(tx, began, Verdict.ROLL_BACK, now=now - HOUR, rollback_id="began")
        back = {"accused_version": "13.0", "target_version": "14.0", "kind": Kind.UNDO, "undoes": "began"}
        done = {"state": State.SUCCEEDED, "confirmed_at": now - 600, "facts": {"ordered_by": "ann"}}
        put_rollback(tx, began, "undo", now=now - 900, **back, **done)
        put_decision(tx, began, Verdict.LOCKOUT, now=now - 500)
        stints = {
            "flow-0": [Stint("14.0", now - 6 * HOUR, now - 2 * HOUR), Stint("15.0", now - 2 * HOUR, now)],
            "flow-1": [Stint("14.0", now - 6 * HOUR, now - 60)],
        }
        ledger.put_stints(tx, "retail", stints)
    return desk


def test_each_rollback_is_there_with_its_evidence_and_how_it_went_on(fortnight: Desk) -> None:
    document = fortnight.document()
    rows = {row["id"]: row for row in document["rollbacks"]}

    assert list(rows) == ["undo", "began", "asks", "gone", "live", "replaced"]
    assert {name: row["auto"] for name, row in rows.items()} == {
        "undo": "undo",
        "began": "began",
        "asks": "would_ask",
        "gone": "would_begin",
        "live": "would_begin",
        "replaced": "would_begin",
    }
    assert {name: row["went_on"]["outcome"] for name, row in rows.items() if name != "undo"} == {
        "began": "rolled_back",
        "asks": "not_known",
        "gone": "not_known",
        "live": "still_live",
        "replaced": "replaced",
    }
    assert rows["replaced"]["evidence"]["errors"] == 41
    assert rows["replaced"]["went_on"]["by"] == "15.0, published by pipeline"
    assert rows["replaced"]["went_on"]["after_s"] == pytest.approx(3 * HOUR, abs=1)
    assert rows["began"]["went_on"]["undone_by"] == "ann"
    assert document["armed"] is None


def test_the_numbers_by_which_people_decide(fortnight: Desk) -> None:
    document = fortnight.document()
    assert document["summary"] == {
        "rollbacks": {"began": 1, "undo": 1, "would_ask": 1, "would_begin": 3},
        "ends": {"succeeded": 1},
        "undone": 1,
        "not_begun_went_on": {"not_known": 2, "replaced": 1, "still_live": 1},
        "verdicts": {"lockout": 1, "observing": 4, "roll_back": 1},
    }
    flow = next(row for row in document["flows"] if row["flow_id"] == "flow-2" and row["org"] == "retail")
    assert (flow["mode"], flow["rollbacks"], flow["verdicts"]) == (
        "observe",
        {"began": 1, "undo": 1},
        {"lockout": 1, "roll_back": 1},
    )


def test_how_far_back_and_for_which_organization(fortnight: Desk) -> None:
    assert [row["id"] for row in fortnight.document("--org", "bank")["rollbacks"]] == ["asks"]
    assert [row["id"] for row in fortnight.document("--org", "bank", "--since", "31d")["rollbacks"]] == ["asks", "old"]
    short = fortnight.document("--since", "20m")
    assert [row["id"] for row in short["rollbacks"]] == ["undo"]
    assert short["summary"]["verdicts"] == {"lockout": 1}


def test_the_report_is_whole_however_small_the_pages_are(fortnight: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fortnight.document()
    monkeypatch.setattr("receiver.ctl.api._PAGE", "1")
    paged = fortnight.document()
    for name in ("rollbacks", "flows", "summary"):
        assert paged[name] == whole[name]


def test_people_read_it_as_sentences_and_tables(fortnight: Desk) -> None:
    shown = fortnight.table()
    assert "would have begun 3 rollback(s) that were not begun, and asked for 1 more." in shown
    assert "1 were replaced by people, 0 were rolled back later by the bridge itself, 1 are live still" in shown
    assert "1 were begun: 1 succeeded. 1 were undone." in shown
    (replaced,) = [line for line in shown.splitlines() if line.endswith("  replaced")]
    assert "error_exit: 41 of 96 in 5m (42.7%), allowed 5.0%" in replaced
    assert "replaced after 3 h by 15.0, published by pipeline" in replaced
    assert "rolled back after 1 min, undone by ann" in shown
    assert "1 lockout, 1 roll_back" in shown
    assert "ARMED" not in shown


def test_of_a_quiet_time_it_says_so(desk: Desk) -> None:
    shown = desk.table()
    assert "no rollbacks, and none would have been begun" in shown
    assert "nothing was decided" in shown
    assert "0 were begun. 0 were undone." in shown


def test_the_end_of_the_alert_is_told_if_there_is_one(fortnight: Desk) -> None:
    with fortnight.store.begin() as tx:
        rollback = rollbacks.get(tx, "live")
        assert rollback is not None
        tx.exec_driver_sql(
            f"UPDATE alerts SET is_open = 0, closed_at = {time.time() - 3 * HOUR} WHERE id = {rollback.alert_id}"
        )
    rows = {row["id"]: row["alert_ended_at"] for row in fortnight.document()["rollbacks"]}
    assert rows["live"] is not None
    assert rows["gone"] is None


@pytest.mark.parametrize("since", ["two weeks", "14", "9999999d"])
def test_a_length_that_is_none_ends_with_2(desk: Desk, since: str) -> None:
    assert desk.run("--since", since).exit_code == 2


# Armed, as Prometheus remembers it


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=str(ROOT / ".tools" / "bin"))
    if found is None:
        reason = f"{name} is neither in PATH nor in .tools/bin"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus with eight days of `armed`.

    Of retail flow-0 was always armed, by both receivers; flow-1 in the last quarter of the seven days only; of bank
    flow-2 was first seen half a day ago.
    """
    folder = tmp_path_factory.mktemp("week")
    end = time.time() // 60 * 60 - 60
    lines = ["# TYPE genesys_rollback_armed gauge"]
    for labels, since_s, is_armed in (
        ('org="retail",flow_id="flow-0",instance="a"', 8 * DAY, lambda _: 1),
        ('org="retail",flow_id="flow-0",instance="b"', 8 * DAY, lambda _: 1),
        ('org="retail",flow_id="flow-1",instance="a"', 8 * DAY, lambda ago_s: int(ago_s < 7 * DAY / 4)),
        ('org="bank",flow_id="flow-2",instance="a"', DAY / 2, lambda _: 1),
    ):
        moments = range(int(end - since_s), int(end) + 1, 60)
        lines += [f"genesys_rollback_armed{{{labels}}} {is_armed(end - at)} {at}" for at in moments]
    (folder / "armed.txt").write_text("\n".join([*lines, "# EOF", ""]))
    make = [tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", "armed.txt", "data"]
    subprocess.run(make, cwd=folder, check=True, capture_output=True, timeout=120)
    (folder / "prometheus.yml").write_text("{}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    options = ["--storage.tsdb.path=data", "--storage.tsdb.retention.time=30d", f"--web.listen-address={address}"]
    with (folder / "log").open("wb") as log:
        command = [tool("prometheus"), "--config.file=prometheus.yml", *options]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        _await_ready(f"http://{address}", folder / "log")
        yield f"http://{address}/"
    finally:
        process.kill()
        process.wait()


def _await_ready(url: str, log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if httpx.get(f"{url}/-/ready", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"Prometheus does not answer: {log.read_text()}")


def test_the_share_in_which_each_flow_was_armed_the_least_armed_first(fortnight: Desk, week: str) -> None:
    found = fortnight.document("--prometheus", week)["armed"]
    assert [(row["org"], row["flow_id"]) for row in found] == [
        ("retail", "flow-1"),
        ("bank", "flow-2"),
        ("retail", "flow-0"),
    ]
    assert [row["share"] for row in found] == [pytest.approx(0.25, abs=0.01), 1.0, 1.0]
    assert [row["seen"] for row in found] == [1.0, pytest.approx(0.5 / 7, abs=0.01), 1.0]
    assert [row["flow_id"] for row in fortnight.document("--prometheus", week, "--org", "bank")["armed"]] == ["flow-2"]


def test_people_see_the_share_and_of_how_much_of_the_week_it_is(fortnight: Desk, week: str) -> None:
    armed = fortnight.table("--prometheus", week).split("ARMED IN THE LAST 7 DAYS\n")[1].splitlines()
    assert armed[0].split() == ["ORG", "FLOW", "ARMED", "SEEN"]
    assert armed[1].split()[:2] == ["retail", "flow-1"]
    assert armed[3].split() == ["retail", "flow-0", "100.0%", "100.0%", "of", "it"]


@pytest.mark.parametrize("answer", ['{"status": "success"}', "welcome", '{"data": {"result": [{"metric": {}}]}}'])
def test_somebody_else_in_place_of_prometheus_ends_with_3(desk: Desk, answer: str) -> None:
    with listening(Response(answer, content_type="application/json")) as port:
        done = desk.run("--prometheus", f"http://127.0.0.1:{port}")
    assert done.exit_code == 3
    assert "--prometheus" in done.stderr
    assert "Traceback" not in done.output


def test_of_thousands_of_flows_people_see_the_fifty_least_armed(desk: Desk) -> None:
    rows = [
        {"metric": {"org": "retail", "flow_id": f"flow-{number}"}, "value": [time.time(), str(number / 60)]}
        for number in range(60)
    ]
    answer = json.dumps({"status": "success", "data": {"result": rows}})
    with listening(Response(answer, content_type="application/json")) as port:
        armed = desk.table("--prometheus", f"http://127.0.0.1:{port}").split("ARMED IN THE LAST 7 DAYS\n")[1]
    lines = armed.splitlines()
    assert len(lines) == 52
    assert lines[-1] == "and 10 more, each at least 83.3%"
