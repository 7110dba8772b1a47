"""`--check-config` of both programs with the dialect `guide`: accepted, with a warning."""

from collections.abc import Iterable

import pytest
from click.testing import CliRunner

from exporter.cli import main as exporter_main
from receiver.cli import main as receiver_main

ORGANIZATIONS = """
organizations:
  - name: retail
    region: mypurecloud.ie
    dialect: guide
    credentials: {client_id: an-id, client_secret_env: SECRET}
    flows: [{id: main, name: Main IVR, type: inboundcall}]
"""
RECEIVER = 'tokens: [{name: a, roles: [alertmanager], token_env: SECRET}]\nflows: [{match: "*", mode: observe}]\n'


@pytest.mark.parametrize(
    ("command", "before", "config"),
    [
        pytest.param(exporter_main, (), "", id="exporter"),
        pytest.param(receiver_main, ("serve",), RECEIVER, id="receiver"),
    ],
)
def test_both_programs_accept_the_dialect_and_warn_of_it(command, before: Iterable[str], config, tmp_path):
    (tmp_path / "organizations.yml").write_text(ORGANIZATIONS, encoding="utf-8")
    (tmp_path / "config.yml").write_text(config, encoding="utf-8")
    files = ["--organizations", str(tmp_path / "organizations.yml"), "--config", str(tmp_path / "config.yml")]
    done = CliRunner(env={"SECRET": "s3cret"}).invoke(command, [*before, *files, "--check-config"])
    assert done.exit_code == 0, done.output
    assert "fine" in done.stdout
    assert "no Genesys Cloud organization is known to answer the paths of dialect guide" in done.stderr
    assert done.stderr.startswith(f"warning: {tmp_path / 'organizations.yml'}: organizations[0].dialect: ")
