"""`genesys-exporter backtest` against a Genesys Cloud with a past: what it finds, what it asks, how it ends."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from exporter.cli import main
from tests.conftest import SimulatorProcess, StartSimulator

HOUR = 3600
DAY = 24 * HOUR
VERSIONS = "/api/v2/flows/main/versions"

SCENARIO: dict[str, Any] = {
    "description": "a flow whose 14.0 failed two days ago, until 15.0 mended it, and one that is published often",
    "flows": [
        {
            "id": "main",
            "name": "Main IVR",
            "type": "inboundcall",
            "calls_per_min": 10,
            "versions": [
                {"version": "12.0", "published_ago": 9 * DAY, "error_ratio": 0.01},
                {"version": "13.0", "published_ago": 5 * DAY, "error_ratio": 0.01},
                {"version": "14.0", "published_ago": 2 * DAY, "error_ratio": 0.45, "by": "archy-pipeline"},
                {"version": "15.0", "published_ago": 2 * DAY - 2 * HOUR, "error_ratio": 0.01},
            ],
        },
        {
            "id": "orders",
            "name": "Orders",
            "type": "inboundcall",
            "calls_per_min": 5,
            "versions": [
                {"version": f"{number}.0", "published_ago": (9 - number) * 0.9 * DAY, "error_ratio": 0.02}
                for number in range(1, 9)
            ],
        },
        {
            "id": "old",
            "name": "Old",
            "type": "inboundcall",
            "calls_per_min": 1,
            "versions": [{"version": "1.0", "published_ago": 9 * DAY, "error_ratio": 0.5}],
        },
    ],
}


@pytest.fixture(scope="module")
def simulator(start_simulator: StartSimulator, tmp_path_factory: pytest.TempPathFactory) -> SimulatorProcess:
    scenario = tmp_path_factory.mktemp("scenario") / "past.yml"
    scenario.write_text(yaml.safe_dump(SCENARIO), encoding="utf-8")
    return start_simulator(scenario=str(scenario), time_factor=1)


@pytest.fixture(autouse=True)
def _no_faults(simulator: SimulatorProcess) -> Iterator[None]:
    yield
    simulator.control("DELETE", "faults")


def backtest(
    folder: Path, url: str, *options: str, config: str = "", secret: str = "simulator", deadline_s: float = 30.0
) -> Result:
    organization = {
        "name": "retail",
        "api_url": url,
        "login_url": url,
        "credentials": {"client_id": "simulator", "client_secret_env": "SECRET"},
        "timeout_s": min(20.0, deadline_s),
        "deadline_s": deadline_s,
    }
    (folder / "organizations.yml").write_text(yaml.safe_dump({"organizations": [organization]}), encoding="utf-8")
    (folder / "exporter.yml").write_text(config, encoding="utf-8")
    files = ["--organizations", str(folder / "organizations.yml"), "--config", str(folder / "exporter.yml")]
    return CliRunner(env={"SECRET": secret}).invoke(main, ["backtest", *files, *options])


def test_the_bad_version_of_the_past_is_reported_and_no_good_one(simulator: SimulatorProcess, tmp_path: Path) -> None:
    done = backtest(tmp_path, simulator.url, "--since", "6d", "--format", "json")

    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    outcomes = {(one["flow_id"], one["version"]): one["outcome"] for one in found["publishes"]}
    assert {which for which, outcome in outcomes.items() if outcome == "accused"} == {("main", "14.0")}
    assert {version for flow_id, version in outcomes if flow_id == "main"} == {"13.0", "14.0", "15.0"}
    assert set(outcomes.values()) == {"accused", "fine"}
    (bad,) = [one for one in found["publishes"] if one["outcome"] == "accused"]
    assert (bad["published_by"], bad["target"]) == ("archy-pipeline", "13.0")
    alert = bad["alert"]
    assert alert["errors"] > 0.3 * alert["volume"]
    assert 0.05 <= alert["threshold_ratio"] < 0.1
    assert 0.005 < alert["baseline_ratio"] < 0.02
    assert 0.5 < alert["scatter"] < 2
    assert bad["published_at"] < alert["fires_at"] < bad["replaced_at"]


def test_people_are_told_what_would_have_been_done_with_which_evidence_and_what_is_not_known(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    done = backtest(tmp_path, simulator.url, "--since", "6d")

    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "Main IVR (main) version 14.0"
    assert " by archy-pipeline" in lines[1]
    assert "target     13.0, by its dates" in done.stdout
    assert "would have asked for a rollback 1 times in" in done.stdout
    assert "not replayed: common cause" in done.stdout
    assert "at most" in done.stderr
    assert "API calls" in done.stderr, "the estimate comes before the work"


def test_only_reads_are_sent_and_few_of_them(simulator: SimulatorProcess, tmp_path: Path) -> None:
    before = len(simulator.control("GET", "requests"))
    done = backtest(tmp_path, simulator.url, "--since", "6d", "--format", "json")
    sent = simulator.control("GET", "requests")[before:]

    queries = "/api/v2/analytics/flows/aggregates/query"
    writes = [one for one in sent if one["method"] != "GET" and one["path"] not in (queries, "/oauth/token")]
    assert writes == []
    assert json.loads(done.stdout)["api_calls"] == len(sent)
    (most,) = [int(line.split("at most ")[1].split()[0]) for line in done.stderr.splitlines() if "at most " in line]
    assert len(sent) <= most + 2, "the token and the list aside"
    asked = {one["path"] for one in sent if one["path"].endswith("/versions")}
    assert asked == {VERSIONS, VERSIONS.replace("main", "orders")}, "nothing was published of the third flow"


def test_one_flow_alone_can_be_asked_about(simulator: SimulatorProcess, tmp_path: Path) -> None:
    done = backtest(tmp_path, simulator.url, "--since", "6d", "--flow", "orders", "--format", "json")

    found = json.loads(done.stdout)
    assert {one["flow_id"] for one in found["publishes"]} == {"orders"}
    assert found["accused"] == 0


def test_the_thresholds_of_the_configuration_apply(simulator: SimulatorProcess, tmp_path: Path) -> None:
    config = 'flows: [{match: {name: "Main*"}, threshold_ratio: 0.8}, {match: "*"}]'
    done = backtest(tmp_path, simulator.url, "--since", "6d", "--flow", "main", "--format", "json", config=config)

    assert json.loads(done.stdout)["accused"] == 0


def test_what_lies_further_back_than_genesys_cloud_keeps_is_named(simulator: SimulatorProcess, tmp_path: Path) -> None:
    simulator.control("PUT", "faults", [{"kind": "silent_analytics"}])
    done = backtest(tmp_path, simulator.url, "--since", "6d", "--flow", "main")

    assert done.exit_code == 0
    assert "3 could not be judged, no conversation is known" in done.stdout
    assert "would have asked for a rollback 0 times in 3 publishes" in done.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param(["--since", "yesterday"], "is neither like 30d", id="no time"),
        pytest.param(["--since", "2999-01-01T00:00:00Z"], "must lie in the last 366 days", id="future"),
        pytest.param(["--since", "2001-01-01T00:00:00Z"], "must lie in the last 366 days", id="too long ago"),
        pytest.param(["--org", "claims"], "claims is not one of retail", id="unknown organization"),
    ],
)
def test_bad_arguments_end_it_with_2(
    simulator: SimulatorProcess, tmp_path: Path, options: list[str], says: str
) -> None:
    done = backtest(tmp_path, simulator.url, *options)

    assert done.exit_code == 2
    assert says in done.stderr


def test_an_organization_that_cannot_be_read_ends_it_with_1(simulator: SimulatorProcess, tmp_path: Path) -> None:
    refused = backtest(tmp_path, simulator.url, secret="wrong")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("retail: cannot be read: ")

    simulator.control("PUT", "faults", [{"kind": "down"}])
    assert backtest(tmp_path, simulator.url, deadline_s=1.0).exit_code == 1
    assert refused.stdout == ""


def test_without_the_files_it_says_which_is_missing() -> None:
    for arguments in ([], ["backtest"]):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 2
        assert "Missing option '--organizations'" in done.stderr
