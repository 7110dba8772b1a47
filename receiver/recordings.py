"""Recorded deliveries of Alertmanager, read from files: one JSON document each, or one in every line."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

import click
from pydantic_core import from_json

from receiver.payload import Delivery, PayloadError, parse


class RecordingError(Exception):
    """Files that are no recordings; every problem, a line each."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One delivery, and where it stands."""

    where: str
    delivery: Delivery


def read_recordings(names: Iterable[str]) -> list[Recording]:
    """Every delivery of every file, in their order; `-` is standard input. Raises RecordingError."""
    found: list[Recording] = []
    problems: list[str] = []
    for name in names:
        try:
            with click.open_file(name, "rb") as file:
                found += _recordings(name, file)
        except OSError as problem:
            problems.append(f"{name}: {problem.strerror}")
        except (PayloadError, ValueError) as problem:
            problems.append(str(problem))
    if problems:
        raise RecordingError("\n".join(problems))
    return found


def _recordings(name: str, file: IO[bytes]) -> Iterator[Recording]:
    data = file.read()
    lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    if len(lines) > 1 and _is_json(lines[0][1]):
        for number, line in lines:
            yield _recording(f"{name}:{number}", line)
    else:
        yield _recording(name, data)


def _recording(where: str, data: bytes) -> Recording:
    try:
        document = from_json(data, allow_inf_nan=False)
    except ValueError as problem:
        raise ValueError(f"{where}: not JSON: {problem}") from None
    try:
        return Recording(where, parse(document))
    except PayloadError as problem:
        raise PayloadError(f"{where}: {problem}") from None


def _is_json(data: bytes) -> bool:
    try:
        from_json(data)
    except ValueError:
        return False
    return True
