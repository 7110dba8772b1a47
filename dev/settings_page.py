"""Writes docs/settings.md from the models that read the configuration: each setting, its type, default and meaning.

`python dev/settings_page.py` after a change of a setting; a test compares. What a
setting means is the comment of its field, above it or behind it, so that it is said
once, where the setting is. An example is what the shipped example file has.
"""

import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic.fields import FieldInfo

from exporter.config import ExporterConfig
from genesys.organizations import Organizations
from genesys.settings import Address, Settings
from genesys.sources import mark_of
from receiver.config import ReceiverSettings

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "settings.md"

# File, its model, the example that is shipped.
FILES = (
    ("organizations.yml", Organizations, "exporter/organizations.example.yml"),
    ("exporter.yml", ExporterConfig, "exporter/exporter.example.yml"),
    ("receiver.yml", ReceiverSettings, "receiver/receiver.example.yml"),
)

HEAD = """\
# Settings

Every key of the three files; each mapping has a table under its path, in which `[]` is each entry of a list.
`--check-config` of both programs says what is wrong with a file, everything at once. This page is made by
`python dev/settings_page.py` from the models that read the files; change those.

`x_file` is the path of a file whose content is the value, relative to the configuration file; `x_env` is the name of
an environment variable. Give one of them. No file is read again while a program runs: change it, and start it anew.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One setting; `keys` are the ways to write it, `example` is what the shipped file has there, or None."""

    path: str
    keys: tuple[str, ...]
    kind: str
    default: str
    meaning: str
    example: str | None


@dataclass(frozen=True, slots=True)
class Section:
    """The settings of one mapping of a file; the path is empty for the file itself."""

    file: str
    path: str
    intro: str
    rows: tuple[Row, ...]


def sections() -> Iterator[Section]:
    """Every mapping of every file, in the order of the models."""
    for file, model, example in FILES:
        text = (ROOT / example).read_text(encoding="utf-8")
        yield from _sections(file, "", model, [yaml.safe_load(text)], text)


def _sections(file: str, path: str, model: type[Settings], shown: list[Any], text: str) -> Iterator[Section]:
    """This mapping and those below it; `shown` are the mappings that the example has in its place."""
    said = meanings(model)
    here = path + "." if path else ""
    models = {name: model_in(field.annotation) for name, field in model.model_fields.items()}
    schemas = _schemas(model)
    rows = tuple(
        _row(here, name, field, models[name], schemas[name], said.get(name, ""), shown)
        for name, field in model.model_fields.items()
    )
    yield Section(file, path, " ".join((model.__doc__ or "").split()), rows)
    for name, below in models.items():
        if below is not None:
            mappings = _mappings([each[name] for each in shown if name in each]) or _mappings(_commented(text, name))
            brackets = "[]" if _is_list(schemas[name]) else ""
            yield from _sections(file, here + name + brackets, below, mappings, text)


def meanings(model: type[Settings]) -> dict[str, str]:
    """The comment of each field, those of the model's bases included."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, Settings) and base is not Settings:
            found |= _meanings(textwrap.dedent(inspect.getsource(base)))
    return found


def _meanings(source: str) -> dict[str, str]:
    comments = {
        token.start[0]: (token.string.lstrip("# "), token.line.lstrip().startswith("#"))
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    (body,) = ast.parse(source).body
    found = {}
    for node in body.body if isinstance(body, ast.ClassDef) else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            said = [comments[node.end_lineno][0]] if node.end_lineno in comments else []
            line = node.lineno - 1
            while line in comments and comments[line][1]:
                said.insert(0, comments[line][0])
                line -= 1
            found[node.target.id] = " ".join(said)
    return found


def model_in(annotation: Any) -> type[Settings] | None:
    """The model of a mapping, or of each entry of a list of mappings; None of anything simpler."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next((below for member in get_args(annotation) if (below := model_in(member))), None)


def _mappings(values: list[Any]) -> list[dict[str, Any]]:
    flat = [entry for value in values for entry in (value if isinstance(value, list) else [value])]
    return [entry for entry in flat if isinstance(entry, dict)]


def _commented(text: str, name: str) -> list[Any]:
    """What the example file has below that key in a comment, because not everybody needs it."""
    found = re.search(rf"^ *# ( *){name}:.*(?:\n *# \1 .*)*", text, flags=re.MULTILINE)
    if found is None:
        return []
    block = "\n".join(re.sub(r"^ *# ", "", line) for line in found[0].splitlines())
    return [yaml.safe_load(textwrap.dedent(block))[name]]


def _row(
    here: str,
    name: str,
    field: FieldInfo,
    below: type[Settings] | None,
    schema: dict[str, Any],
    meaning: str,
    shown: list[Any],
) -> Row:
    sourced = mark_of(field.metadata, field.annotation)
    keys = (name,) if sourced is None or sourced.inline else ()
    keys += () if sourced is None else (f"{name}_file", f"{name}_env")
    shows = [(key, mapping[key]) for mapping in shown for key in keys if key in mapping]
    example = None
    if shows and below is None:
        key, value = shows[0]
        example = f"{key}: {_plain(value)}" if len(keys) > 1 else _plain(value)
    kind = _kind(name, schema) if below is None else f"{'list of mappings' if _is_list(schema) else 'mapping'}, below"
    return Row(here + name, keys, kind, _default(name, field), meaning, example)


def _is_list(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "array"


def _schemas(model: type[Settings]) -> dict[str, dict[str, Any]]:
    """The JSON schema of each field, without `null` and with what it refers to in its place."""
    schema = model.model_json_schema()
    return {name: _resolved(each, schema.get("$defs", {})) for name, each in schema["properties"].items()}


def _resolved(schema: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return {"type": "address"} if name == Address.__name__ else _resolved(known[name], known)
    if "anyOf" in schema:
        return next(_resolved(each, known) for each in schema["anyOf"] if each != {"type": "null"})
    if "items" in schema:
        return schema | {"items": _resolved(schema["items"], known)}
    return schema


UNITS = {"_s": "seconds", "_ratio": "ratio", "_bytes": "bytes"}
BOUNDS = {
    "exclusiveMinimum": "above {}",
    "minimum": "{} or more",
    "exclusiveMaximum": "below {}",
    "maximum": "{} at most",
}
FORMATS = {"path": "path", "ipv4network": "address with prefix length, `10.1.2.3/32`"}


def _kind(name: str, schema: dict[str, Any]) -> str:
    """Type, unit and bounds in words."""
    if "enum" in schema:
        values = [f"`{value}`" for value in schema["enum"]]
        return f"{', '.join(values[:-1])} or {values[-1]}"
    kind = schema.get("type")
    if kind == "array":
        return f"list: {_kind(name.removesuffix('s'), schema['items'])}"
    if kind in ("integer", "number"):
        unit = next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), "number")
        whole = "whole " if kind == "integer" and unit in ("seconds", "number") else ""
        return ", ".join([whole + unit, *(words.format(schema[key]) for key, words in BOUNDS.items() if key in schema)])
    if kind == "string":
        return "URL" if name.endswith("url") else FORMATS.get(schema.get("format", ""), "text")
    return {"address": "HOST:PORT", "boolean": "true or false", "object": "mapping of text to text"}[str(kind)]


def _default(name: str, field: FieldInfo) -> str:
    """As it is written in the file; empty for a required setting, `–` where it is nothing, or what stands below."""
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True)
    is_mapping = isinstance(value, Settings) or (isinstance(value, tuple) and value and isinstance(value[0], Settings))
    if value is None or is_mapping or value in ((), {}, ""):
        return "–"
    return f"`{_plain(value)}`{_in_words(value) if name.endswith('_s') else ''}"


def _in_words(seconds: float) -> str:
    for unit, length_s in (("d", 86_400), ("h", 3_600)):
        if seconds >= length_s and seconds % length_s == 0:
            return f" ({seconds / length_s:g} {unit})"
    return ""


def _plain(value: Any) -> str:
    if isinstance(value, frozenset):
        (kind,) = {type(each) for each in value}
        value = [each for each in kind if each in value]
    if isinstance(value, tuple | list):
        return f"[{', '.join(_plain(each) for each in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_plain(each)}' for key, each in value.items())}}}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, str):
        return yaml.safe_dump(value, width=1000).removesuffix("...\n").strip()  # with quotes, where it needs them
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def page() -> str:
    """The whole of docs/settings.md."""
    parts, file = [HEAD], ""
    for section in sections():
        if section.file != file:
            file = section.file
            parts.append(f"\n## {file}\n\n{section.intro}\n\n{_table(section)}")
        else:
            parts.append(f"\n### `{section.path}`\n\n{section.intro}\n\n{_table(section)}")
    return "".join(parts)


def _table(section: Section) -> str:
    lines = ["| Setting | Type | Default | Meaning |", "|---|---|---|---|"]
    for row in section.rows:
        names = ", ".join(f"`{key}`" for key in row.keys)
        default = row.default or "**required**"
        if row.example is not None and row.default in ("", "–"):
            default += f", for example `{row.example}`"
        meaning = row.meaning[:1].upper() + row.meaning[1:].replace("|", "\\|")
        lines.append(f"| {names} | {row.kind} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
