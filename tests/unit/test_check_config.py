"""`--check-config` of both programs: what exporter and receiver must agree on can be compared."""

from collections.abc import Iterable

import pytest
from click.testing import CliRunner

from exporter.cli import main as exporter_main
from receiver.cli import main as receiver_main

ORGANIZATIONS = """
organizations:
  - name: retail
    region: mypurecloud.ie
    credentials: {client_id: an-id, client_secret_env: SECRET}
    analytics: {outcomes: true, data_actions: [{action_id: look-up, flow_id: main}]}
  - name: bank
    region: mypurecloud.ie
    credentials: {client_id: an-id, client_secret_env: SECRET}
"""
RECEIVER = 'tokens: [{name: a, roles: [alertmanager], token_env: SECRET}]\nflows: [{match: "*", mode: observe}]\n'


@pytest.mark.parametrize(
    ("command", "before", "config"),
    [
        pytest.param(exporter_main, (), "", id="exporter"),
        pytest.param(receiver_main, ("serve",), RECEIVER, id="receiver"),
    ],
)
def test_both_programs_say_in_the_same_words_what_they_ask_for_besides_the_usual(
    command, before: Iterable[str], config, tmp_path
):
    (tmp_path / "organizations.yml").write_text(ORGANIZATIONS, encoding="utf-8")
    (tmp_path / "config.yml").write_text(config, encoding="utf-8")
    files = ["--organizations", str(tmp_path / "organizations.yml"), "--config", str(tmp_path / "config.yml")]
    done = CliRunner(env={"SECRET": "s3cret"}).invoke(command, [*before, *files, "--check-config"])
    assert done.exit_code == 0, done.output
    assert "retail (asks for flow outcomes and 1 data action(s) of 1 flow(s)), bank" in done.stdout
