"""`exporter.yml`: what is accepted, and what every mistake is answered with."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from exporter.cli import main
from exporter.config import ExporterConfig
from genesys.organizations import Organization, Organizations
from genesys.settings import load
from tests.unit.exporter_world import MAIN

EXAMPLES = Path(__file__).resolve().parents[2] / "exporter"

ORGANIZATIONS = """
organizations:
  - name: retail
    region: mypurecloud.ie
    credentials: {client_id: "an-id", client_secret_env: SECRET_OF_RETAIL}
"""


def run(directory: Path, config: str, organizations: str = ORGANIZATIONS) -> Result:
    (directory / "organizations.yml").write_text(organizations, encoding="utf-8")
    (directory / "exporter.yml").write_text(config, encoding="utf-8")
    arguments = ["--organizations", directory / "organizations.yml", "--config", directory / "exporter.yml"]
    return CliRunner(env={"SECRET_OF_RETAIL": "s3cret"}).invoke(main, [*map(str, arguments), "--check-config"])


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    result = run(tmp_path, "")

    assert result.exit_code == 0
    assert result.output == (
        "configuration is fine: organizations retail; 1 flow selectors; polls every 60 s; listens on 127.0.0.1:9742\n"
    )


def test_the_examples_show_the_defaults() -> None:
    example, defaults = load(EXAMPLES / "exporter.example.yml", ExporterConfig), ExporterConfig()

    assert example.model_dump(exclude={"flows"}) == defaults.model_dump(exclude={"flows"})
    other = replace(MAIN, name="Holidays")
    assert example.policy_for(other) == defaults.policy_for(other)
    assert example.policy_for(MAIN).owner == "team-voice"
    environ = {"GENESYS_RETAIL_SECRET": "s3cret"}
    (organization,) = load(EXAMPLES / "organizations.example.yml", Organizations, environ=environ).organizations
    given = {"name", "region", "credentials"}
    minimal = Organization.model_validate({name: getattr(organization, name) for name in given})
    assert organization == minimal


@pytest.mark.parametrize(
    ("config", "says"),
    [
        pytest.param("poll_intervall_s: 60", "poll_intervall_s: unknown key; did you mean poll_interval_s?", id="typo"),
        pytest.param("poll_interval_s: 0", "poll_interval_s: ", id="no interval"),
        pytest.param("stale_after_s: 60", "stale_after_s (60) must be longer than poll_interval_s (60)", id="stale"),
        pytest.param("listen: 9742", 'listen: must be "HOST:PORT"', id="no host"),
        pytest.param("flows: []", 'flows: the last entry must have match: "*"', id="no selectors"),
        pytest.param(
            'flows: [{match: "*", threshold_ratio: 5}]',
            "flows[0].threshold_ratio: must be less than or equal to 0.9",
            id="a threshold in per cent",
        ),
        pytest.param(
            'flows: [{match: "*", threshold_ratio: 0}]', "flows[0].threshold_ratio: must be greater than 0", id="zero"
        ),
        pytest.param(
            'flows: [{match: "*", act_on: [errors]}]', "flows[0].act_on[0]: must be 'error_exit'", id="unknown signal"
        ),
        pytest.param(
            'flows: [{match: "*", act_on: [outcome_failed]}]',
            "flows[0].act_on: outcome_failed is never told: no organization has analytics.outcomes: true",
            id="a signal that nobody asks for",
        ),
        *(
            pytest.param(
                f'flows: [{{match: "*", act_on: [{signal}]}}]',
                f"flows[0].act_on: {signal} is never told: no organization has analytics.data_actions; set it in",
                id=f"{signal} without data actions",
            )
            for signal in ("action_failure", "action_slow")
        ),
        pytest.param(
            "poll_interval_s: 120\nstale_after_s: 400",
            "poll_interval_s: 120 is longer than analytics.bucket_s (60) of organization retail",
            id="polls too seldom for the rules",
        ),
    ],
)
def test_a_mistake_is_named_with_its_path_and_cure(tmp_path: Path, config: str, says: str) -> None:
    result = run(tmp_path, config)

    assert result.exit_code == 2
    assert says in result.output


def test_the_problems_of_both_files_come_at_once(tmp_path: Path) -> None:
    result = run(tmp_path, "listen: nowhere\nflowz: []", ORGANIZATIONS.replace("mypurecloud.ie", "atlantis"))

    assert result.exit_code == 2
    for problem in (
        "organizations.yml: organizations[0].region: unknown region",
        "exporter.yml: listen: must be",
        "exporter.yml: flowz: unknown key; did you mean flows?",
    ):
        assert result.output.count(problem) == 1


def test_help_shows_an_example() -> None:
    result = CliRunner().invoke(main, ["--help"])

    assert result.exit_code == 0
    assert "genesys-exporter --organizations organizations.yml --config exporter.yml" in result.output
