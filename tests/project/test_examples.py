"""The example files are accepted by the programs that they are for, and what is wrong is said all at once."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.config import ExporterConfig
from exporter.config import FlowPolicy as ExporterPolicy
from genesys.organizations import Organizations
from genesys.settings import Settings, load
from receiver.config import FlowPolicy as ReceiverPolicy
from receiver.config import ReceiverSettings, Timing
from receiver.feeds import settings as feeds
from receiver.notify.settings import Chat, Grafana, Notifications, PagerDuty, ServiceNow, Webhook
from tests.project import examples

EXPORTER = "from exporter.cli import main; main()"
RECEIVER = "from receiver.cli import main; main(['serve', *__import__('sys').argv[1:]])"


def run(program: str, *arguments: str | Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=examples.ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


SINKS = (Notifications, Webhook, PagerDuty, ServiceNow, Grafana, Chat)
FEEDS = (feeds.Feeds, feeds.Cover, feeds.Calendar, feeds.ServiceNow, feeds.PagerDuty, feeds.StatusPage)


@pytest.mark.parametrize(
    ("example", "model"),
    [
        (examples.ORGANIZATIONS, Organizations),
        (examples.EXPORTER, ExporterConfig),
        (examples.RECEIVER, ReceiverSettings),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_an_example_is_read_by_its_model(example: Path, model: type[Settings], tmp_path: Path) -> None:
    file, environ = examples.put(example, tmp_path)
    assert load(file, model, environ=environ)


@pytest.mark.parametrize(
    ("program", "example"),
    [
        pytest.param(EXPORTER, examples.EXPORTER, id="exporter"),
        pytest.param(RECEIVER, examples.RECEIVER, id="receiver"),
    ],
)
def test_a_program_accepts_its_examples(program: str, example: Path, tmp_path: Path) -> None:
    organizations, environ = examples.put(examples.ORGANIZATIONS, tmp_path)
    config, more = examples.put(example, tmp_path)
    done = run(program, "--organizations", organizations, "--config", config, "--check-config", environ=environ | more)
    assert (done.returncode, done.stderr) == (0, "")
    assert "fine" in done.stdout


@pytest.mark.parametrize(
    ("example", "models"),
    [
        pytest.param(examples.EXPORTER, (ExporterConfig, ExporterPolicy), id="exporter"),
        pytest.param(
            examples.RECEIVER,
            (ReceiverSettings, Timing, ReceiverPolicy, *SINKS, *FEEDS),
            id="receiver",
        ),
    ],
)
def test_an_example_names_every_key(example: Path, models: tuple[type[Settings], ...]) -> None:
    """In a comment at least: the example is where people look for what there is."""
    words = set(re.findall(r"\w+", example.read_text(encoding="utf-8")))
    assert {key for model in models for key in model.model_fields} <= words


def test_what_the_receivers_example_shows_is_the_default_unless_it_is_called_an_example(tmp_path: Path) -> None:
    file, environ = examples.put(examples.RECEIVER, tmp_path)
    shown = load(file, ReceiverSettings, environ=environ)
    changed = {name for name, field in ReceiverSettings.model_fields.items() if getattr(shown, name) != field.default}
    assert changed == {"external_url", "alertmanagers", "tokens", "webhooks", "notifications", "flows"}


def test_the_feeds_of_the_receivers_example_are_read_when_they_are_no_comment_any_more(tmp_path: Path) -> None:
    file, environ = examples.put(examples.RECEIVER, tmp_path)
    before, begin, rest = file.read_text(encoding="utf-8").partition("# feeds:\n")
    block, _, after = rest.partition("\n\n")
    assert begin
    feeds_block = "feeds:\n" + "\n".join(line.removeprefix("#").removeprefix(" ") for line in block.splitlines())
    file.write_text(f"{before}{feeds_block}\n\n{after}", encoding="utf-8")
    secrets = {name: f"https://example.org/{name}" for name in re.findall(r"_env: (\w+)", feeds_block)}
    found = load(file, ReceiverSettings, environ=secrets | environ)
    assert [feed.name for feed in found.feeds.all] == ["changes", "change-requests", "outages", "genesys-status"]


@pytest.mark.parametrize(
    ("program", "config", "wrong"),
    [
        pytest.param(
            EXPORTER,
            'poll_intervall_s: 60\nlisten: 9742\nflows: [{match: "*", threshold_ratio: 2}]\n',
            ("poll_intervall_s", "listen", "flows[0].threshold_ratio"),
            id="exporter",
        ),
        pytest.param(
            RECEIVER,
            'tick_s: 2\ntokens: []\ntiming: {lockout_s: never}\nflows: [{match: "*"}]\n',
            ("tick_s", "tokens", "timing.lockout_s", "flows[0].mode"),
            id="receiver",
        ),
    ],
)
def test_everything_that_is_wrong_is_said_at_once_with_its_path(
    program: str, config: str, wrong: tuple[str, ...], tmp_path: Path
) -> None:
    files = {"organizations": tmp_path / "organizations.yml", "config": tmp_path / "config.yml"}
    files["config"].write_text(config)
    files["organizations"].write_text(
        "organizations:\n"
        "  - {name: a/b, region: nowhere, timeout: 3, credentials: {client_id: x, client_secret_env: NO}}\n"
    )
    done = run(program, "--organizations", files["organizations"], "--config", files["config"], environ={})
    assert done.returncode == 2
    assert done.stdout == ""
    expected = {f"{files['config']}: {path}" for path in wrong} | {
        f"{files['organizations']}: organizations[0].{path}"
        for path in ("name", "region", "timeout", "credentials.client_secret")
    }
    found = {": ".join(line.split(": ")[:2]) for line in done.stderr.splitlines()}
    assert {line.removesuffix("_env") for line in found} == expected
