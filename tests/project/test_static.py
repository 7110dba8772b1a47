"""The tools that read the code are content, and each part keeps to its own side of the house."""

import ast
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("genesys", "exporter", "receiver", "simulator")
SCRIPTS = Path(sysconfig.get_path("scripts"))

# Who may import what; everybody else asks them.
DOORS = {
    "httpx": ("genesys/http.py", "receiver/outbound.py"),
    "tenacity": ("genesys/http.py", "receiver/store/patience.py"),
    "gunicorn": ("receiver/cli.py",),
    "flask": ("receiver/web/", "receiver/process.py", "simulator/"),
    "prometheus_client": ("exporter/", "receiver/metrics.py", "receiver/shared_state.py"),
    "sqlalchemy": ("receiver/store/",),
    "alembic": ("receiver/store/",),
    "msgspec": ("genesys/aggregates.py",),
    "psycopg": ("receiver/store/impatient.py",),
    "apprise": ("receiver/notify/chat.py",),
    "icalendar": ("receiver/feeds/occurrences.py",),  # a process of its own
    "recurring_ical_events": ("receiver/feeds/occurrences.py",),
}
# To tell at start that `database_url` is not a URL, without opening it.
EXCEPTIONS = {("receiver/config.py", "sqlalchemy.make_url"), ("receiver/config.py", "sqlalchemy.exc.ArgumentError")}

# Not required by themselves: these belong to the library that is named, at whatever version it has chosen.
BROUGHT_ALONG = {"werkzeug": "flask", "pydantic-core": "pydantic", "typing-extensions": "pydantic"}


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([sys.executable, "-m", "ruff", "check", "."], id="ruff check"),
        pytest.param([sys.executable, "-m", "ruff", "format", "--check", "."], id="ruff format"),
        pytest.param([sys.executable, "-m", "mypy"], id="mypy"),
        pytest.param([str(SCRIPTS / "lint-imports")], id="import-linter"),
    ],
)
def test_the_tools_find_nothing(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}", pytrace=False)


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Each module of the programs by its path."""
    for program in PROGRAMS:
        for path in sorted((ROOT / program).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def imports(module: ast.Module) -> Iterator[str]:
    """Full names of everything that a module imports, inside functions too; relative imports there are none."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("library", DOORS)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    found = {(path, name) for path, module in sources() for name in imports(module) if name.split(".")[0] == library}
    strangers = {(path, name) for path, name in found if not path.startswith(DOORS[library])}
    assert strangers <= EXCEPTIONS
    assert found > strangers, f"nobody imports {library}"


def test_the_exceptions_are_still_needed() -> None:
    assert {(path, name) for path, module in sources() for name in imports(module)} >= EXCEPTIONS


def test_the_programs_import_what_the_project_requires_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    required = {re.split(r"[>\[]", line)[0] for line in lines}
    distributions = packages_distributions()
    used = set()
    for _, module in sources():
        for package in {name.split(".")[0] for name in imports(module)} - sys.stdlib_module_names - {*PROGRAMS}:
            (distribution,) = set(distributions[package])
            used.add(distribution.lower().replace("_", "-"))
    assert {BROUGHT_ALONG.get(name, name) for name in used} == required
