"""Strict configuration files, shared by both programs: YAML in, a frozen model or every problem at once out.

Owns reading the file and the wording of problems. What the keys are is the
models' business: subclass `Settings`, and read the file with `load`.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails

from genesys.sources import Places, Secret, Text, TextOrSource, mark_of, resolve

__all__ = [
    "Address",
    "Count",
    "Listen",
    "Problem",
    "Ratio",
    "Seconds",
    "Secret",
    "Settings",
    "SettingsError",
    "Text",
    "TextOrSource",
    "WholeSeconds",
    "load",
]

# Strict, because a lax float takes `yes` for 1.
Seconds = Annotated[float, Field(strict=True, gt=0)]
WholeSeconds = Annotated[int, Field(strict=True, gt=0)]
Count = Annotated[int, Field(strict=True, ge=0)]
Ratio = Annotated[float, Field(strict=True, gt=0, lt=1)]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a configuration file; `message` says what, and how to cure it."""

    file: Path
    path: str  # `organizations[0].credentials.client_id`; empty for the file itself
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.file), self.path, self.message) if part)


class SettingsError(Exception):
    """The configuration cannot be used; `problems` names everything that has to change, one problem per line."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Settings(BaseModel):
    """Base of every configuration model: frozen, no unknown keys, secrets from files or variables.

    `*_file` paths are relative to the configuration file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _read_sources(cls, data: object, info: ValidationInfo) -> object:
        if not isinstance(data, Mapping):
            return data
        places = info.context if isinstance(info.context, Places) else Places(Path(), os.environ)
        values = dict(data)
        for name, field in cls.model_fields.items():
            sourced = mark_of(field.metadata, field.annotation)
            if sourced is not None:
                resolve(values, name, sourced, required=field.is_required(), places=places)
        return values


@dataclass(frozen=True, slots=True)
class Address:
    """Where a program listens; port 0 takes a free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, value: object) -> "Address":
        """Read `HOST:PORT`; an IPv6 host stands in brackets. Raises `ValueError`."""
        if isinstance(value, Address):
            return value
        found = (
            re.fullmatch(r"(\[[0-9A-Fa-f:.%\w]+\]|[^:\s\[\]/]+):([0-9]{1,5})", value)
            if isinstance(value, str)
            else None
        )
        if found is None or int(found[2]) > 65535:
            raise ValueError('must be "HOST:PORT", for example 127.0.0.1:9742')
        return cls(found[1].strip("[]"), int(found[2]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Listen = Annotated[Address, BeforeValidator(Address.parse)]
"""Type of a field like `listen: Listen = Address("127.0.0.1", 9742)`, written `HOST:PORT`."""

SettingsT = TypeVar("SettingsT", bound=Settings)


def load(path: Path, model: type[SettingsT], *, environ: Mapping[str, str] | None = None) -> SettingsT:
    """Read a configuration file. Raises `SettingsError` with every problem of the file."""
    text = _text(path)
    data, problems = _parse(path, text)
    try:
        settings = model.model_validate(
            {} if data is None else data,
            context=Places(path.parent, os.environ if environ is None else environ),
        )
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        problems += [
            Problem(path, _dotted(detail["loc"]), _message(model, detail["type"], detail["msg"], detail["loc"]))
            for detail in found
            if not _follows_from_another(detail, found)
        ]
    if problems:
        raise SettingsError(tuple(problems))
    return settings


def _follows_from_another(detail: ErrorDetails, found: list[ErrorDetails]) -> bool:
    """True of a list that is "too short" only because pydantic does not count its faulty entries."""
    here = detail["loc"]
    return detail["type"] == "too_short" and any(
        other["loc"][: len(here)] == here and len(other["loc"]) > len(here) for other in found
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        why = f"cannot be read ({error.strerror}); create it or correct the path"
        raise SettingsError((Problem(path, "", why),)) from error
    except UnicodeDecodeError as error:
        raise SettingsError((Problem(path, "", "is not a text file in UTF-8; save it as one"),)) from error


def _parse(path: Path, text: str) -> tuple[object, list[Problem]]:
    """The file's content and its duplicate keys; a file that is not YAML cannot be looked at any further."""
    try:
        loader = _Loader(text)
        tree = loader.get_single_node()
        if tree is None:
            return None, []
        return loader.construct_document(tree), list(_duplicates(path, tree, "", set()))
    except yaml.YAMLError as error:
        raise SettingsError((Problem(path, "", _not_yaml(error)),)) from error
    except RecursionError as error:
        raise SettingsError((Problem(path, "", "is nested too deeply to be a configuration"),)) from error


class _Loader(yaml.SafeLoader):
    """The safe one, which says where it does not understand a value."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:  # from PyYAML: 2024-13-45 is nearly a date
            said = "looks like a number or a date, but is none; write it in quotes"
            raise yaml.constructor.ConstructorError(None, None, said, node.start_mark) from error


def _not_yaml(error: yaml.YAMLError) -> str:
    """What is wrong, without the line's text: it might hold what should not be repeated in a log."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "is not YAML; it contains characters that YAML does not allow"
    mark = error.problem_mark
    # The likeliest slip: `match: *` without quotes is a reference in YAML.
    cure = '; write "*" in quotes' if error.context == "while scanning an alias" else ""
    return f"is not YAML: line {mark.line + 1}, column {mark.column + 1}: {error.problem}{cure}"


def _duplicates(path: Path, node: yaml.Node, where: str, seen: set[int]) -> Iterator[Problem]:
    if id(node) in seen:  # an alias: its anchor has been looked at
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            yield from _duplicates(path, item, f"{where}[{position}]", seen)
    elif isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            below = f"{where}.{name}" if where else name
            if name in keys:
                line = key.start_mark.line + 1
                yield Problem(path, below, f"is given twice, the second time in line {line}; keep one of them")
            keys.add(name)
            yield from _duplicates(path, value, below, seen)


def _dotted(location: tuple[int | str, ...]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


def _message(model: type[BaseModel], kind: str, text: str, location: tuple[int | str, ...]) -> str:
    if kind == "extra_forbidden":
        return _unknown_key(str(location[-1]), _keys_at(model, location[:-1]))
    if kind == "missing":
        return "is missing; add it"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "must be a mapping (key: value)"
    if kind in ("list_type", "tuple_type", "frozen_set_type", "set_type"):
        return "must be a list"
    if kind == "string_type":
        return "must be text; put it in quotes if it looks like a number or yes/no"
    said = text.removeprefix("Value error, ").removeprefix("Input should ")
    return f"must {said}" if text.startswith("Input should ") else said


def _unknown_key(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    cure = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
    return f"unknown key; {cure}"


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys that may stand at a place of the file; parts that are no field (list positions, tags) lead nowhere else."""
    models = [model]
    for part in location:
        fields = [here.model_fields[part] for here in models if isinstance(part, str) and part in here.model_fields]
        models = [below for field in fields for below in _models_in(field.annotation)] or models
    return sorted({key for here in models for key in _keys_of(here)})


def _keys_of(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        sourced = mark_of(field.metadata, field.annotation)
        if sourced is None or sourced.inline:
            yield name
        if sourced is not None:
            yield from (f"{name}_file", f"{name}_env")


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for member in get_args(annotation):
        yield from _models_in(member)
