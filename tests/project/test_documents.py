"""The documents hang together: links lead somewhere, what they quote of shipped files stands there, commands exist."""

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from exporter.cli import main as exporter
from receiver.cli import main as receiver
from receiver.ctl.cli import main as ctl
from simulator.cli import main as simulator
from tests.project.shipped import ROOT

DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "deploy" / "README.md",
    ROOT / "alert_rules" / "RUNBOOK.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
EACH = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
QUOTED = re.compile(r"<!-- part of ([\w./]+) -->\n```yaml\n(.*?)```", flags=re.DOTALL)


def prose(document: Path) -> str:
    """The document without its blocks of commands and files."""
    return re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def links(document: Path) -> Iterator[str]:
    """Where the links lead that stay within the project."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if "://" not in target:
            yield target


def anchors(document: Path) -> set[str]:
    """What GitHub calls the headings: lower case, words joined by hyphens, everything else left out."""
    headings = re.findall(r"^#+ (.+)$", prose(document), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@EACH
def test_every_link_leads_to_a_file_and_a_heading_that_exist(document: Path) -> None:
    lost = []
    for link in links(document):
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert not lost


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached, ahead = set[Path](), [ROOT / "README.md"]
    while ahead:
        document = ahead.pop()
        if document not in reached and document.suffix == ".md":
            reached.add(document)
            ahead += [(document.parent / link.partition("#")[0]).resolve() for link in links(document)]
    assert set(DOCUMENTS) <= reached


def is_part(part: Any, whole: Any) -> bool:
    """Every key and every entry of a list is there, with a value of which the same holds."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and is_part(part[key], whole[key]) for key in part)
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(is_part(each, other) for other in whole) for each in part)
    return bool(part == whole)


def quotations() -> list[tuple[str, str]]:
    return [found for document in DOCUMENTS for found in QUOTED.findall(document.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("file", "quoted"), quotations(), ids=[file for file, _ in quotations()])
def test_what_is_quoted_of_a_shipped_file_stands_in_it(file: str, quoted: str) -> None:
    assert is_part(yaml.safe_load(quoted), yaml.safe_load((ROOT / file).read_text(encoding="utf-8")))


def test_prometheus_and_alertmanager_are_quoted() -> None:
    assert {file for file, _ in quotations()} == {"alert_rules/prometheus.yml", "alert_rules/alertmanager.yml"}


@pytest.mark.parametrize(
    ("part", "holds"),
    [({"a": [1]}, True), ({"a": [3]}, False), ({"b": 1}, False), ({"a": [1, 2]}, True), ({"a": 1}, False)],
)
def test_what_a_part_is(part: Any, holds: bool) -> None:
    assert is_part(part, {"a": [1, 2]}) is holds


# Commands ------------------------------------------------------------------------------------------------------------

PROGRAMS: dict[str, click.Command] = {
    "genesys-exporter": exporter,
    "genesys-simulator": simulator,
    "rollback-receiver": receiver,
    "rollbackctl": ctl,
}


def commands(document: Path) -> Iterator[list[str]]:
    """The words of every command of ours in a block of commands, up to where a shell would do something with it."""
    for block in re.findall(r"```(?:sh)?\n(.*?)```", document.read_text(encoding="utf-8"), flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.split(" ")[0] in PROGRAMS:
                words = shlex.split(line, comments=True)
                yield list(itertools.takewhile(lambda word: word not in ("&", "<", ">", "|", "2>&1"), words))


def problem(words: list[str]) -> str | None:
    """What of a command the program does not know: a subcommand or an option."""
    command, takes_value = PROGRAMS[words[0]], False
    for word in words[1:]:
        if takes_value:
            takes_value = False
        elif word.startswith("--"):
            options = {name: each for each in command.params for name in (*each.opts, *each.secondary_opts)}
            option = options.get(word.partition("=")[0])
            if not isinstance(option, click.Option):
                return f"{command.name} has no {word}"
            takes_value = not option.is_flag and "=" not in word
        elif isinstance(command, click.Group):
            if word not in command.commands:
                return f"{command.name} has no {word}"
            command = command.commands[word]
    return None


@EACH
def test_every_command_and_every_option_exists(document: Path) -> None:
    assert not [found for words in commands(document) if (found := problem(words))]


def test_there_are_commands_of_every_program_for_people() -> None:
    found = {words[0] for document in DOCUMENTS for words in commands(document)}
    assert found == PROGRAMS.keys() - {"genesys-simulator"}


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("rollbackctl pause --reason x", None),
        ("rollbackctl stop", "main has no stop"),
        ("rollbackctl decisions --guard", "decisions has no --guard"),
        ("rollback-receiver doctor --prometheus http://prometheus:9090 --organizations a --config b", None),
    ],
)
def test_what_a_program_does_not_know_is_found(command: str, wrong: str | None) -> None:
    assert problem(command.split()) == wrong
