"""The example files in use: copied into a folder, with the secrets that they point to."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
ORGANIZATIONS = ROOT / "exporter" / "organizations.example.yml"
EXPORTER = ROOT / "exporter" / "exporter.example.yml"
RECEIVER = ROOT / "receiver" / "receiver.example.yml"


def put(example: Path, folder: Path) -> tuple[Path, dict[str, str]]:
    """Copy an example and write its secret files beside it; the copy, and the environment that it asks for."""
    copy = Path(shutil.copy(example, folder))
    environ = {}
    for key, value in _entries(yaml.safe_load(copy.read_text(encoding="utf-8"))):
        if key.endswith("_env"):
            environ[value] = f"the-value-of-{value}"
        elif key.endswith("_file"):
            assert not Path(value).is_absolute(), f"{example.name}: {key} should be beside the example"
            (folder / value).parent.mkdir(parents=True, exist_ok=True)
            (folder / value).write_text(f"the-content-of-{value}\n", encoding="utf-8")
    return copy, environ


def _entries(node: Any) -> Iterator[tuple[str, str]]:
    """Every key of a file, however deep, whose value is text."""
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str):
                yield key, value
            yield from _entries(value)
    elif isinstance(node, list):
        for item in node:
            yield from _entries(item)
