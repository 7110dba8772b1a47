"""`rollback-receiver token`, and what the API makes of the tokens."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient

from receiver.cli import main
from receiver.metrics import ReceiverMetrics
from receiver.store import audit
from receiver.store.database import Store
from receiver.web import create_app
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, opened, settings_of

ENVIRON = {role.upper(): token for role, token in TOKENS.items()}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(settings_of(tmp_path)) as made:
        yield made


@pytest.fixture
def clients(tmp_path: Path, store: Store) -> list[FlaskClient]:
    """Two receivers on one database."""
    settings = settings_of(tmp_path)
    apps = [create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ()) for _ in range(2)]
    return [held_to_its_document(app).test_client() for app in apps]


def run(folder: Path, *arguments: str) -> Result:
    words = ["token", *arguments, "--config", str(folder / "receiver.yml")]
    return CliRunner().invoke(main, words, env=ENVIRON)


def made(folder: Path, *arguments: str) -> str:
    done = run(folder, *arguments)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def statuses(clients: list[FlaskClient], token: str, path: str = "/api/v1/alerts") -> list[int]:
    return [client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code for client in clients]


def test_a_token_works_at_once_for_what_it_is_for_until_it_is_revoked(
    store: Store, clients: list[FlaskClient], tmp_path: Path
) -> None:
    token = made(tmp_path, "create", "desk", "--role", "viewer", "--org", "bank")
    assert statuses(clients, token) == [200, 200]
    assert statuses(clients, token, "/api/v1/alerts?org=retail") == [403, 403]
    assert statuses(clients, token[:-1] + ("A" if token[-1] != "A" else "B")) == [
        401,
        401,
    ]  # the id alone proves nothing
    assert run(tmp_path, "revoke", "desk").exit_code == 0
    assert statuses(clients, token) == [401, 401]
    with store.begin() as tx:
        actors = {row.actor for row in audit.newest(tx, before=None, limit=9) if row.kind.startswith("token_")}
    assert all(actor.startswith("shell:") for actor in actors)
    assert len(actors) == 1


def test_in_a_rotation_both_work_and_the_list_says_so_without_either(
    clients: list[FlaskClient], tmp_path: Path
) -> None:
    old = made(tmp_path, "create", "desk", "--role", "viewer", "--expires-in", "90d")
    new = made(tmp_path, "rotate", "desk", "--overlap", "1h")
    assert statuses(clients, old) == statuses(clients, new) == [200, 200]
    listed = made(tmp_path, "list")
    assert [line.split()[1:4] for line in listed.splitlines()] == [["desk", "viewer", "*"]] * 2
    assert "valid until" in listed
    assert not any(token[17:] in listed for token in (old, new))
    made(tmp_path, "revoke", "desk", "--id", old.split("_")[1])
    assert (statuses(clients, old), statuses(clients, new)) == ([401, 401], [200, 200])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "the-ci", "--role", "ci"], "is the name of a token in"),
        (["create", "proxy:ann", "--role", "ci"], "must not begin with proxy:"),
        (["rotate", "nobody"], "nobody has no valid token"),
        (["revoke", "nobody"], "no valid token of nobody"),
        (["create", "x", "--role", "king"], "is not one of"),
        (["create", "x"], "Missing option '--role'"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
@pytest.mark.usefixtures("store")
def test_what_is_not_possible_is_said(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = run(tmp_path, *arguments)
    assert done.exit_code != 0
    assert said in done.stderr
    assert "grb_" not in done.output


def test_without_a_database_nothing_is_made(tmp_path: Path) -> None:
    settings_of(tmp_path)
    done = run(tmp_path, "create", "x", "--role", "ci")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "db migrate" in done.stderr


def test_tokens_of_the_file_are_known_without_the_database_and_the_others_are_503(
    store: Store, clients: list[FlaskClient], tmp_path: Path
) -> None:
    token = made(tmp_path, "create", "desk", "--role", "viewer")
    store.close()
    for file in tmp_path.glob("rollback.db*"):
        file.unlink()
    (tmp_path / "rollback.db").mkdir()
    assert statuses(clients[:1], "unknown") == [401]
    assert statuses(clients[:1], token) == [503]
