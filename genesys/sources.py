"""Values that stand outside the configuration file: in a file of their own or in an environment variable.

A field of type `Secret` or `TextOrSource` in a `genesys.settings.Settings` is
written `x_file` or `x_env`, and read when the configuration is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, SecretStr, StringConstraints

Text = Annotated[str, StringConstraints(min_length=1)]


@dataclass(frozen=True, slots=True)
class Sourced:
    """Marks a field `x` that may also be given as `x_file` (a path) or `x_env` (the name of a variable)."""

    inline: bool


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """Stands in for a value that could not be read, so that the field itself reports why."""

    why: str


def _reveal(value: object) -> object:
    if isinstance(value, _Unreadable):
        raise ValueError(value.why)  # noqa: TRY004 - pydantic turns a ValueError into a problem of the field
    return value


Secret = Annotated[SecretStr, BeforeValidator(_reveal), Sourced(inline=False)]
"""Prints `***`. Field `token: Secret` is written `token_file` or `token_env`, never as `token`."""

TextOrSource = Annotated[Text, BeforeValidator(_reveal), Sourced(inline=True)]
"""Field `client_id: TextOrSource` is written `client_id`, `client_id_file` or `client_id_env`."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where `*_file` and `*_env` are looked up."""

    directory: Path
    environ: Mapping[str, str]


def mark_of(metadata: list[Any], annotation: Any) -> Sourced | None:
    """The mark of a field, also when it is optional: `Secret | None` hides it in the union's members."""
    for mark in metadata:
        if isinstance(mark, Sourced):
            return mark
    members = (mark_of(list(getattr(member, "__metadata__", ())), None) for member in get_args(annotation))
    return next((mark for mark in members if mark is not None), None)


def resolve(values: dict[Any, Any], name: str, sourced: Sourced, *, required: bool, places: Places) -> None:
    """Put the value of field `name` in the place of `name_file` or `name_env`, or a problem that the field reports."""
    file_key, env_key = f"{name}_file", f"{name}_env"
    file, env = values.pop(file_key, None), values.pop(env_key, None)
    inline = values.get(name)
    given = [key for key, value in ((name, inline), (file_key, file), (env_key, env)) if value is not None]
    choice = f"{name}, {file_key} or {env_key}" if sourced.inline else f"{file_key} or {env_key}"
    if not sourced.inline and not isinstance(inline, SecretStr | None):
        values[name] = _Unreadable(f"a secret must not stand in this file; give {choice} instead")
    elif len(given) > 1:
        values[name] = _Unreadable(f"{' and '.join(given)} are given; keep one of them")
    elif file is not None:
        values[name] = _from_file(file_key, file, places)
    elif env is not None:
        values[name] = _from_environment(env_key, env, places)
    elif not given and required:
        values[name] = _Unreadable(f"is missing; give {choice}")


def _from_file(key: str, file: object, places: Places) -> object:
    if not isinstance(file, str) or not file:
        return _Unreadable(f"{key} must be the path of a file")
    path = places.directory / file
    try:
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        return _Unreadable(f"{key}: {path} cannot be read ({error.strerror}); create it or correct the path")
    except ValueError:  # not UTF-8, or a path with a null byte
        return _Unreadable(f"{key}: {path} is not a text file in UTF-8")
    return value or _Unreadable(f"{key}: {path} is empty; write the value into it")


def _from_environment(key: str, variable: object, places: Places) -> object:
    if not isinstance(variable, str) or not variable:
        return _Unreadable(f"{key} must be the name of an environment variable")
    value = places.environ.get(variable, "").strip()
    return value or _Unreadable(f"{key}: environment variable {variable} is not set, or empty; set it")
