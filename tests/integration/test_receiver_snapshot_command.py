"""`rollback-receiver snapshot` in front of the real simulator, in good and in faulty worlds."""

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from receiver.cli import main
from simulator.app import create_app
from simulator.scenario import parse
from simulator.server import listen
from simulator.simulation import Simulation
from simulator.vocabulary import EVENT, FAULTS, ChangeObject

NOW = 1_795_356_000.0
PLANTED = "hunter2-of-the-crm"
CREDENTIALS = {"client_id": "simulator", "client_secret_env": "SECRET"}
SCENARIO = f"""
description: a flow, and what else is configured
flows:
  - {{id: f, name: Main, type: inboundcall, calls_per_min: 0, versions: [{{version: "1.0", published_ago: 99}}]}}
objects:
  - type: data_table
    id: holidays
    name: Holidays
    fields: {{schema: {{type: object}}}}
    rows: [{", ".join(f'{{key: "day-{number:03}", closed: true, apiKey: {PLANTED}}}' for number in range(250))}]
  - type: data_action
    id: look-up
    name: Look up
    fields:
      config:
        request:
          requestType: POST
          requestUrlTemplate: https://crm.example/v1/customers?key={PLANTED}
          requestTemplate: '{{"id": "${{input.id}}", "k": "{PLANTED}"}}'
          headers: {{X-Partner: {PLANTED}}}
  - {{type: ivr, id: main, name: Main, fields: {{dnis: ["+1"], openHoursFlow: {{id: f}}}}}}
"""


class Office:
    """One organization, and somebody with a shell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.simulation = Simulation(parse(SCENARIO), factor=1, seed=1, clock=lambda: NOW)
        self.app = create_app(self.simulation, scenario_name="objects")

    def at(self, port: int) -> None:
        url = f"http://127.0.0.1:{port}"
        retail = {"name": "retail", "api_url": url, "login_url": url, "deadline_s": 2, "timeout_s": 1}
        guide = {"name": "old", "dialect": "guide", "flows": [{"id": "f", "name": "F", "type": "inboundcall"}]}
        both = [retail | {"credentials": CREDENTIALS}, retail | guide | {"credentials": CREDENTIALS}]
        (self.folder / "organizations.yml").write_text(yaml.safe_dump({"organizations": both}))

    def happen(self, **event: Any) -> None:
        with self.simulation.present() as now:
            self.simulation.apply(EVENT.validate_json(json.dumps(event)), now)

    def fault(self, **fault: Any) -> None:
        with self.simulation.present() as now:
            self.simulation.faults.replace(FAULTS.validate_json(json.dumps([fault])), now)

    def snapshot(self, object_type: str, object_id: str, *more: str, org: str = "retail") -> Result:
        named = ["--organizations", str(self.folder / "organizations.yml"), "--org", org]
        command = ["snapshot", *named, "--type", object_type, "--id", object_id, *more]
        done = CliRunner().invoke(main, command, env={"SECRET": "simulator"})
        assert PLANTED not in done.output + done.stderr
        return done

    def keep(self, object_type: str, object_id: str) -> str:
        done = self.snapshot(object_type, object_id)
        assert done.exit_code == 0, done.output
        (self.folder / "kept.json").write_text(done.stdout)
        return str(self.folder / "kept.json")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    server = listen("127.0.0.1", 0, office.app)  # the simulator's own, which can drop a connection
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    office.at(server.server_address[1])
    yield office
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_data_table_is_told_with_all_its_rows_and_without_secrets(office: Office) -> None:
    told = json.loads(Path(office.keep("data_table", "holidays")).read_text())
    assert (told["org"], told["object_type"], told["object_id"]) == ("retail", "data_table", "holidays")
    assert told["content"]["rows"]["day-249"] == {"key": "day-249", "closed": True, "apiKey": "***"}
    assert len(told["content"]["rows"]) == 250
    assert told["content"]["schema"] == {"type": "object"}
    with office.simulation.present():
        assert {one.method for one in office.simulation.requests.newest() if "oauth" not in one.path} == {"GET"}


def test_nothing_changed_is_no_difference(office: Office) -> None:
    for named in (("data_table", "holidays"), ("data_action", "look-up"), ("ivr", "main")):
        same = office.snapshot(*named, "--against", office.keep(*named))
        assert (same.exit_code, same.stdout) == (0, "no difference\n")


def test_what_somebody_changed_is_shown_with_before_and_after(office: Office) -> None:
    kept = office.keep("data_table", "holidays")
    office.happen(event="change_object", type="data_table", id="holidays", rows=[{"key": "day-007", "closed": False}])
    found = office.snapshot("data_table", "holidays", "--against", kept)
    assert found.exit_code == 3
    assert [line.split() for line in found.stdout.splitlines()] == [
        ["PATH", "KEPT", "NOW"],
        ["rows.day-007.apiKey", '"***"', "-"],
        ["rows.day-007.closed", "true", "false"],
    ]


def test_a_change_and_the_way_back_is_no_difference_though_the_version_went_on(office: Office) -> None:
    kept = office.keep("ivr", "main")
    office.happen(event="change_object", type="ivr", id="main", fields={"openHoursFlow": {"id": "g"}})
    assert '"f"' in office.snapshot("ivr", "main", "--against", kept).stdout
    office.happen(event="change_object", type="ivr", id="main", fields={"openHoursFlow": {"id": "f"}})
    assert office.snapshot("ivr", "main", "--against", kept).exit_code == 0


def test_what_a_terminal_would_obey_or_cannot_show_is_shown_harmlessly(office: Office) -> None:
    kept = office.keep("ivr", "main")
    with office.simulation.present() as now:
        fields = {"description": "\u202e\ud83d"}
        event = ChangeObject.model_construct(event="change_object", type="ivr", id="main", fields=fields, by="Ann")
        office.simulation.apply(event, now)
    done = office.snapshot("ivr", "main", "--against", kept)
    assert done.exit_code == 3, done.output
    assert "\u202e" not in done.stdout
    assert "description" in done.stdout


def test_what_was_deleted_is_gone_and_not_empty(office: Office) -> None:
    kept = office.keep("data_table", "holidays")
    office.happen(event="delete_object", type="data_table", id="holidays")
    done = office.snapshot("data_table", "holidays", "--against", kept)
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "gone: there is no data_table holidays\n")


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "status", "status": 403}, id="a permission is missing"),
        pytest.param({"kind": "status", "status": 503}, id="down"),
        pytest.param({"kind": "throttle", "retry_after": 60}, id="limited for longer than there is time"),
        pytest.param({"kind": "truncated"}, id="half an answer"),
        pytest.param({"kind": "drop_after"}, id="no answer"),
    ],
)
@pytest.mark.parametrize("of", ["/api/v2/flows/datatables/holidays", "/api/v2/flows/datatables/holidays/rows"])
def test_what_cannot_be_read_as_a_whole_is_unknown(office: Office, fault: dict[str, Any], of: str) -> None:
    kept = office.keep("data_table", "holidays")
    office.fault(match={"path_prefix": of}, **fault)
    for more in ([], ["--against", kept]):
        done = office.snapshot("data_table", "holidays", *more)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith("unknown: data_table holidays was not read: ")


def test_a_limit_that_passes_is_waited_for(office: Office) -> None:
    office.fault(kind="throttle", retry_after=1, times=1, match={"path_prefix": "/api/v2/flows/datatables"})
    assert office.snapshot("data_table", "holidays").exit_code == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"object_id": "other"}, "is of ivr other of retail", id="another object"),
        pytest.param({"org": "bank"}, "is of ivr main of bank", id="another organization"),
        pytest.param({"content": {"id": "main"}}, "was changed since it was written", id="changed by hand"),
        pytest.param({"more": 1}, "is no snapshot", id="something else"),
    ],
)
def test_a_file_that_is_no_snapshot_of_the_object_is_not_compared(
    office: Office, change: dict[str, Any], why: str
) -> None:
    kept = Path(office.keep("ivr", "main"))
    kept.write_text(json.dumps(json.loads(kept.read_text()) | change))
    done = office.snapshot("ivr", "main", "--against", str(kept))
    assert (done.exit_code, done.stdout) == (2, "")
    assert why in done.stderr


def test_wrong_usage_ends_with_2(office: Office) -> None:
    for done in (
        office.snapshot("ivr", "main", "--against", str(office.folder / "nowhere.json")),
        office.snapshot("ivr", "main", org="bank"),
        office.snapshot("ivr", "main", org="old"),
    ):
        assert (done.exit_code, done.stdout) == (2, "")
