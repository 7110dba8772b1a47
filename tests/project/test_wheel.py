"""The wheel has everything that the programs need, and its commands run where the checkout is not."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import examples
from tests.project.examples import ROOT

COMMANDS = ("genesys-exporter", "rollback-receiver", "rollbackctl", "genesys-simulator")
SHARED = "share/genesys-rollback-bridge"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        pytest.fail(done.stderr, pytrace=False)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


class Installed:
    """An environment of its own with the wheel in it; the libraries are those that run the tests."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False)
        self._bin = folder / "bin"
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
        pip = [sys.executable, "-m", "pip", "--python", str(self._bin / "python"), "install", *options]
        subprocess.run([*pip, str(wheel)], check=True, cwd=folder, timeout=120)
        # Afterwards, or pip would see the project as installed already. A path in a .pth file is only added to
        # sys.path: the .pth files of that folder, which link the checkout, are not read.
        (site,) = folder.glob("lib/python*/site-packages")
        libraries = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
        (site / "libraries.pth").write_text("\n".join(libraries), encoding="utf-8")

    def command(self, name: str, *arguments: str | Path) -> list[str]:
        return [str(self._bin / name), *map(str, arguments)]

    def environ(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | (extra or {})

    def run(
        self, name: str, *arguments: str | Path, environ: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(name, *arguments),
            cwd=self.folder,
            env=self.environ(environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("venv"), wheel)


def tree(*folders: str) -> Iterator[str]:
    """Files of the checkout, but what Python wrote there."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(ROOT).as_posix()


def test_it_has_the_four_packages_with_all_their_files(names: set[str]) -> None:
    expected = set(tree("genesys", "exporter", "receiver", "simulator"))
    assert {"receiver/store/migrations/env.py", "simulator/scenarios/bad-deploy.yml"} <= expected
    console = "receiver/web/console"
    assert {f"{console}/templates/console/now.html", f"{console}/static/console.css"} <= expected
    assert {name for name in names if ".dist-info/" not in name and ".data/" not in name} == expected


def test_it_has_the_rules_and_the_dashboards_as_shared_files(names: set[str]) -> None:
    shared = {name.partition(f".data/data/{SHARED}/")[2] for name in names if ".data/" in name}
    expected = set(tree("alert_rules", "grafana"))
    assert "alert_rules/rollback.rules.yml" in expected
    assert shared == expected


def test_it_has_the_license(names: set[str]) -> None:
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


def test_the_installed_packages_are_those_of_the_wheel(installed: Installed) -> None:
    for package in ("genesys", "exporter", "receiver", "simulator"):
        file = installed.run("python", "-c", f"import {package}; print({package}.__file__)").stdout.strip()
        assert Path(file).is_relative_to(installed.folder)
    assert (installed.folder / SHARED / "alert_rules" / "rollback.rules.yml").is_file()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_what_it_is_for(command: str, installed: Installed) -> None:
    done = installed.run(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: {command} ")


@pytest.mark.parametrize(
    ("command", "example"),
    [
        pytest.param(["genesys-exporter"], examples.EXPORTER, id="genesys-exporter"),
        pytest.param(["rollback-receiver", "serve"], examples.RECEIVER, id="rollback-receiver"),
    ],
)
def test_a_program_accepts_its_examples_there(
    command: list[str], example: Path, installed: Installed, tmp_path: Path
) -> None:
    organizations, environ = examples.put(examples.ORGANIZATIONS, tmp_path)
    config, more = examples.put(example, tmp_path)
    options = ("--organizations", organizations, "--config", config, "--check-config")
    done = installed.run(*command, *options, environ=environ | more)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_database_is_brought_to_this_releases_schema_there(installed: Installed, tmp_path: Path) -> None:
    """The migrations are files that nothing imports: a wheel without them builds well and cannot start."""
    code = f"from receiver.store.database import Store; s = Store('sqlite:///{tmp_path}/x.db'); s.migrate(); s.close()"
    done = installed.run("python", "-c", code)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_console_finds_its_templates_and_its_style_sheet_there(installed: Installed, tmp_path: Path) -> None:
    """Files that nothing imports, too."""
    config, environ = examples.put(examples.RECEIVER, tmp_path)
    code = f"""
from genesys.settings import load
from pathlib import Path
from receiver.config import ReceiverSettings
from receiver.metrics import ReceiverMetrics
from receiver.store.database import Store
from receiver.web import create_app
settings, store = load(Path({str(config)!r}), ReceiverSettings), Store("sqlite:///{tmp_path}/x.db")
client = create_app(store, settings, [], ReceiverMetrics(store, settings, []), lambda: ()).test_client()
for path in ("/console", "/console/static/console.css"):
    print(client.get(path).status_code)
"""
    done = installed.run("python", "-c", code, environ=environ)
    assert done.stdout.split() == ["401", "200"], done.stderr


def test_the_simulator_starts_there(installed: Installed) -> None:
    command = installed.command("genesys-simulator", "--scenario", "bad-deploy", "--listen", "127.0.0.1:0")
    with subprocess.Popen(
        command, cwd=installed.folder, env=installed.environ(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first_line = process.stdout.readline()
        process.terminate()
        assert process.wait(timeout=10) == 0
    assert first_line.startswith("listening on http://127.0.0.1:")
