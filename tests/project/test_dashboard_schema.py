"""The dashboards are what Grafana's published TypeScript types say, and a dashboard that is not is found."""

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.project.dashboard import NAMES, Json, dashboard

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / ".tools" / "grafana-schema" / "node_modules"
COMPILER = MODULES / "typescript" / "lib" / "tsc.js"
TYPES = ROOT / "dev" / "grafana-schema" / "shipped.ts"
OPTIONS = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext"]

Compile = Callable[[dict[str, Json]], str]


@pytest.fixture
def faults(tmp_path: Path) -> Compile:
    """Gives a function that returns what the compiler says of dashboards, by name; nothing if they have no fault."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on PATH: the dashboards are not compared with Grafana's schema")
    if not COMPILER.exists():
        reason = "Grafana's schema is not in .tools; dev/install-tools puts it there"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    def compile_(contents: dict[str, Json]) -> str:
        (tmp_path / "node_modules").symlink_to(MODULES)
        shutil.copy(TYPES, tmp_path)
        for name, content in contents.items():
            text = f"import type {{ Shipped }} from './shipped';\nexport const it: Shipped = {json.dumps(content)};\n"
            (tmp_path / f"{name}.ts").write_text(text, encoding="utf-8")
        command = [node, str(COMPILER), *OPTIONS, *(f"{name}.ts" for name in contents)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
        assert (done.returncode == 0) == (not done.stdout), done.stderr
        return done.stdout

    return compile_


def test_the_compiler_finds_no_fault(faults: Compile) -> None:
    assert faults({name: dashboard(name) for name in NAMES}) == ""


def planted(change: Callable[[Json], object]) -> Json:
    content = copy.deepcopy(dashboard("overview"))
    change(content)
    return content


def the(content: Json, type_: str) -> Json:
    """The first panel of a type."""
    panel: Json = next(panel for panel in content["panels"] if panel["type"] == type_)
    return panel


FAULTS: dict[str, Callable[[Json], object]] = {
    "a_key_that_is_not_there": lambda it: it.update(refreshing="30s"),
    "a_text_for_a_number": lambda it: it.update(schemaVersion="42"),
    "a_panel_of_another_plugin": lambda it: the(it, "table").update(type="tabel"),
    "an_option_of_no_panel": lambda it: the(it, "stat")["options"].update(colourMode="none"),
    "a_value_that_an_enum_has_not": lambda it: the(it, "timeseries")["options"]["legend"].update(placement="left"),
    "a_style_that_is_not_there": lambda it: the(it, "timeseries")["fieldConfig"]["defaults"]["custom"].update(width=1),
    "a_link_without_its_target": lambda it: it["links"][0].pop("targetBlank"),
    "a_variable_of_no_type": lambda it: it["templating"]["list"][1].update(type="question"),
    "an_annotation_without_colour": lambda it: it["annotations"]["list"][1].pop("iconColor"),
}


def test_the_compiler_finds_each_planted_fault(faults: Compile) -> None:
    """All in one run of the compiler, which takes seconds."""
    said = faults({name: planted(change) for name, change in FAULTS.items()})
    assert {line.partition(".ts(")[0] for line in said.splitlines() if ".ts(" in line} == FAULTS.keys()
