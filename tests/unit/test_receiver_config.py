"""`receiver.yml`: what it must say, what it may not, and the words of each problem."""

from pathlib import Path
from typing import Any

import pytest

from genesys.settings import SettingsError
from receiver.config import ReceiverSettings, Scope, Timing
from receiver.situation import Mode
from tests.receiver_world import TOKENS, settings_of


def problem(folder: Path, **changes: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        settings_of(folder, **changes)
    return str(caught.value)


def test_what_is_left_out_has_the_defaults_of_the_design(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)

    assert (str(settings.listen), settings.lease_scope, settings.lockout_scope) == (
        "127.0.0.1:9743",
        Scope.ORG,
        Scope.ORG,
    )
    timing = settings.timing
    assert (timing.lockout_s, timing.target_min_live_s, timing.publish_deadline_s) == (900, 86400, 180)
    assert timing.alertmanager_max_age_s == 60


def test_every_duration_can_be_set_to_a_fraction(tmp_path: Path) -> None:
    tenth = {name: value / 10 for name, value in Timing().model_dump().items()}

    assert settings_of(tmp_path, timing=tenth).timing.model_dump() == tenth


@pytest.mark.parametrize("name", Timing.model_fields)
@pytest.mark.parametrize("value", [0, -1, "5", True, float("nan"), float("inf")])
def test_a_duration_is_a_positive_number(tmp_path: Path, name: str, value: object) -> None:
    assert f"timing.{name}" in problem(tmp_path, timing={name: value})


def test_the_mode_of_a_flow_has_no_default(tmp_path: Path) -> None:
    assert "flows[0].mode: is missing" in problem(tmp_path, flows=[{"match": "*"}])


def test_the_first_selector_that_matches_gives_the_mode(tmp_path: Path) -> None:
    flows = [{"match": {"name": "Main*"}, "mode": "auto", "owner": "team-voice"}, {"match": "*", "mode": "ignore"}]
    assert [policy.mode for policy in settings_of(tmp_path, flows=flows).flows] == [Mode.AUTO, Mode.IGNORE]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"flows": [{"match": {"name": "A"}, "mode": "auto"}]}, 'must have match: "*"', id="no last entry"),
        pytest.param({"lease_scope": "flow"}, "lease_scope: must be org or all", id="a lease per flow"),
        pytest.param({"lock_scope": "org"}, "lock_scope: unknown key; did you mean lockout_scope?", id="a slip"),
        pytest.param({"alertmanagers": ["am:9093"]}, "alertmanagers[0]: must be", id="no scheme"),
        pytest.param({"verify_min_conversations": 0}, "verify_min_conversations", id="success without conversations"),
        pytest.param(
            {"tokens": [{"name": "v", "roles": ["viewer"], "token_env": "VIEWER"}]},
            "none has the role alertmanager",
            id="nobody may deliver",
        ),
        pytest.param(
            {"tokens": [{"name": "a", "roles": ["alertmanager"], "token": "in the file"}]},
            "a secret must not stand in this file",
            id="a secret in the file",
        ),
        pytest.param(
            {"tokens": [{"name": name, "roles": ["alertmanager"], "token_env": "VIEWER"} for name in "ab"]},
            "two of them have the same secret",
            id="one secret twice",
        ),
        pytest.param(
            {"webhooks": [{"name": "pager", "url": "http://127.0.0.1/"}] * 2},
            "webhooks: the name pager is given twice",
            id="one name twice",
        ),
    ],
)
def test_a_problem_is_named_with_its_cure(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    assert words in problem(tmp_path, **changes)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("not a url", id="no URL"),
        pytest.param("mysql://user@host/name", id="another database"),
        pytest.param("postgresql://user@host/name", id="PostgreSQL through a driver that is not installed"),
        pytest.param("sqlite://", id="a database in memory"),
        pytest.param("sqlite:///:memory:", id="a database in memory, said outright"),
        pytest.param("postgresql+psycopg://user:hunter2@host:hunter2/name", id="a port that is none"),
    ],
)
def test_a_database_that_cannot_be_used_is_refused_and_no_secret_is_shown(tmp_path: Path, url: str) -> None:
    said = problem(tmp_path, database_url=url)

    assert "database_url: " in said
    assert "sqlite:///" in said
    assert "hunter2" not in said


def test_the_problems_of_the_whole_file_are_told_at_once(tmp_path: Path) -> None:
    said = problem(tmp_path, database_url="nothing", flows=[{"match": "*"}], timing={"tick_s": 0})

    assert all(path in said for path in ("database_url", "flows[0].mode", "timing.tick_s"))


def test_no_secret_shows_when_the_settings_are_printed(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, webhooks=[{"name": "p", "url": "http://127.0.0.1/", "token_env": "SINK_TOKEN"}])
    assert isinstance(settings, ReceiverSettings)

    assert not any(secret in repr(settings) for secret in (*TOKENS.values(), "token-of-the-sink"))
