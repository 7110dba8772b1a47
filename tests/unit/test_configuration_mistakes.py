"""Every file that the programs read, with mistakes in it: problems with path and cure, and exit 2; no traceback."""

import copy
import datetime
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from exporter.cli import main as exporter
from exporter.config import ExporterConfig
from genesys.organizations import Organizations
from genesys.settings import Settings, SettingsError, load
from receiver.cli import main as receiver
from receiver.config import ReceiverSettings
from tests.project import examples

MISTAKES_OF_EACH = 150
SECRET = "the-value-of-"  # as `examples.put` writes them
DEEP: Any = "bottom"
for _ in range(60):
    DEEP = [DEEP]

BAD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 0.5, 10**400, 1e308, float("nan"), float("inf"), datetime.date(2024, 1, 1)),
    *("", " ", "x", "\x00", "*", "5", "yes", "http://", "http://[", "http://a:b", "https://x:99999", "sqlite:///"),
    *("postgresql+psycopg://", "postgresql+psycopg://u@h:x/d", "sqlite:///\x00", "127.0.0.1:99999", "\U0001f4de"),
    *([], {}, [[]], [None], ["x"], [{}], {"x": "y"}, {1: 2}, {"": None}, DEEP, b"bytes", {"x", "y"}),
)
FILES = [
    pytest.param(examples.ORGANIZATIONS, Organizations, id="organizations"),
    pytest.param(examples.EXPORTER, ExporterConfig, id="exporter"),
    pytest.param(examples.RECEIVER, ReceiverSettings, id="receiver"),
]


def holders(node: Any, top: str | None = None) -> Iterator[tuple[Any, Any, str]]:
    """Each key as its mapping or list, its name or position, and the key at the top of the file that it belongs to."""
    for key, below in list(node.items()) if isinstance(node, dict) else list(enumerate(node)):
        root = str(key) if top is None else top
        yield node, key, root
        if isinstance(below, dict | list):
            yield from holders(below, root)


@pytest.mark.parametrize(("example", "model"), FILES)
def test_one_mistake_anywhere_is_a_problem_at_its_place_or_nothing(
    example: Path, model: type[Settings], tmp_path: Path
) -> None:
    file, environ = examples.put(example, tmp_path)
    good = yaml.safe_load(file.read_text(encoding="utf-8"))
    count, chance, refused = len(list(holders(good))), random.Random(1), 0
    for _ in range(MISTAKES_OF_EACH):
        content = copy.deepcopy(good)
        holder, key, top = list(holders(content))[chance.randrange(count)]
        holder[key] = copy.deepcopy(chance.choice(BAD))
        file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        try:
            load(file, model, environ=environ)
        except SettingsError as error:
            refused += 1
            for problem in error.problems:
                place = problem.path or problem.message  # what concerns several keys names them in its words
                assert re.findall(r"\w+", place)[0] == top, (str(problem), top)
                assert problem.message
                assert SECRET not in problem.message
    assert refused > MISTAKES_OF_EACH / 2


@pytest.mark.parametrize(("example", "model"), FILES)
def test_every_key_that_is_given_twice_is_named_with_its_line(
    example: Path, model: type[Settings], tmp_path: Path
) -> None:
    file, environ = examples.put(example, tmp_path)
    text = file.read_text(encoding="utf-8").rstrip()
    keys = list(yaml.safe_load(text))
    again = yaml.safe_dump({key: yaml.safe_load(text)[key] for key in keys}, sort_keys=False)
    file.write_text(f"{text}\n{again}", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(file, model, environ=environ)
    twice = {problem.path: problem.message for problem in caught.value.problems}
    assert list(twice) == keys
    assert all("is given twice, the second time in line " in message for message in twice.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("owner: 2024-13-45", "line 1, column 8: looks like a number or a date", id="nearly a date"),
        pytest.param(f"owner: {'1' * 5000}", "write it in quotes", id="a number of five thousand digits"),
        pytest.param("a: !!bool x", "line 1, column 4: looks like", id="a tag that does not fit"),
        pytest.param("[" * 3000, "nested too deeply", id="three thousand levels"),
        pytest.param("tokens: &x [*x]", "must be a mapping", id="a list within itself"),
        pytest.param("<<: [a]", "is not YAML: line 1", id="a merge of nothing"),
        pytest.param("{[1, 2]: 3}", "is not YAML: line 1", id="a list as a key"),
    ],
)
@pytest.mark.parametrize("model", [Organizations, ExporterConfig, ReceiverSettings])
def test_yaml_that_cannot_be_meant_is_a_problem(model: type[Settings], text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.yml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file, model, environ={})
    if model is ReceiverSettings or "tokens" not in text:
        assert said in str(caught.value)
    assert all(line.startswith(f"{file}: ") for line in str(caught.value).splitlines())


# The programs

PROGRAMS = [
    pytest.param(exporter, (), examples.EXPORTER, id="genesys-exporter"),
    pytest.param(receiver, ("serve",), examples.RECEIVER, id="rollback-receiver serve"),
]


def run(
    program: click.Command, command: tuple[str, ...], example: Path, folder: Path, *options: str, twice: bool
) -> Result:
    """The program with its example files; with `twice`, each of them has one key twice and one that is unknown."""
    organizations, environ = examples.put(examples.ORGANIZATIONS, folder)
    config, more = examples.put(example, folder)
    if twice:
        for file, key in ((organizations, "organizations: []"), (config, "listen: 127.0.0.1:1")):
            file.write_text(f"{file.read_text(encoding='utf-8')}\n{key}\nunheard_of: 1\n", encoding="utf-8")
    files = ("--organizations", str(organizations), "--config", str(config))
    return CliRunner(env=environ | more).invoke(program, [*command, *files, *options])


@pytest.mark.parametrize(("program", "command", "example"), PROGRAMS)
@pytest.mark.parametrize("options", [(), ("--check-config",)], ids=["run", "--check-config"])
def test_a_program_says_everything_that_is_wrong_in_both_files_and_ends_with_2(
    program: click.Command, command: tuple[str, ...], example: Path, options: tuple[str, ...], tmp_path: Path
) -> None:
    done = run(program, command, example, tmp_path, *options, twice=True)
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    lines = done.stderr.splitlines()
    for file, key in ((examples.ORGANIZATIONS, "organizations"), (example, "listen")):
        place = tmp_path / file.name
        assert any(line.startswith(f"{place}: {key}: is given twice, the second time in line ") for line in lines)
        assert any(line.startswith(f"{place}: unheard_of: unknown key; known here: ") for line in lines)
    assert done.stdout == ""


@pytest.mark.parametrize(("program", "command", "example"), PROGRAMS)
def test_the_control_of_the_last_one_without_the_mistakes_both_files_are_fine(
    program: click.Command, command: tuple[str, ...], example: Path, tmp_path: Path
) -> None:
    done = run(program, command, example, tmp_path, "--check-config", twice=False)
    assert (done.exit_code, done.stderr) == (0, "")


@pytest.mark.parametrize(("program", "command", "example"), PROGRAMS)
def test_a_file_that_is_missing_is_a_problem_and_not_a_usage_error(
    program: click.Command, command: tuple[str, ...], example: Path, tmp_path: Path
) -> None:
    missing = [str(tmp_path / name) for name in ("organizations.yml", "config.yml")]
    done = CliRunner().invoke(program, [*command, "--organizations", missing[0], "--config", missing[1]])
    assert done.exit_code == 2
    assert sorted(done.stderr.splitlines()) == sorted(
        f"{path}: cannot be read (No such file or directory); create it or correct the path" for path in missing
    )
