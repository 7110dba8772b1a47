"""What has to be written so that an object is again as a snapshot has it. Pure.

A snapshot has no secrets. Where it hides one, the object keeps what it has now, if it is otherwise
the same there; where it is not, nobody knows what to write, and it cannot be restored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genesys.objects import WRITTEN_WITH, ObjectType
from receiver.objects.snapshot import NOT_CONFIGURED, REDACTED, differences, snapshot_of

# An emergency group is switched on and off by people on purpose.
RESTORABLE = frozenset({*WRITTEN_WITH, ObjectType.DATA_TABLE}) - {ObjectType.EMERGENCY_GROUP}
MOST_ROWS = 100  # a call each: more of them take too long for one write
# All that the update of a data action takes, by the SDK's UpdateActionInput.
_WRITTEN_OF_ACTION = ("category", "name", "config")


class CannotRestore(Exception):
    """Nobody knows what to write, or the API has no way to write it; the text says why. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Restoration:
    """The writes: one of the object as a whole, or of rows of a data table; without any it is as it should be."""

    body: Mapping[str, Any] | None = None
    rows: tuple[tuple[Mapping[str, Any], bool], ...] = ()  # each with whether it is new
    deleted: tuple[str, ...] = ()


def restoration(object_type: ObjectType, kept: Mapping[str, Any], now: Mapping[str, Any]) -> Restoration:
    """How an object that was read `now` (as Genesys Cloud tells it) becomes what was `kept` of it.

    Raises CannotRestore.
    """
    if object_type not in RESTORABLE:
        raise CannotRestore(f"objects of type {object_type} are not written")
    shown = snapshot_of(object_type, "", now).content
    if object_type is ObjectType.DATA_TABLE:
        return _rows(kept, shown, now)
    configured = {key: value for key, value in now.items() if key not in NOT_CONFIGURED}
    body = _merged(kept, shown, configured, "")
    if object_type is ObjectType.DATA_ACTION:
        _refuse_others(kept, shown, _WRITTEN_OF_ACTION)
        body = {name: body[name] for name in _WRITTEN_OF_ACTION if name in body}
    if "version" in now:
        body["version"] = now["version"]
    return Restoration(body=body)


def is_between(accused: Mapping[str, Any], target: Mapping[str, Any], shown: Mapping[str, Any]) -> bool:
    """Has a data table some rows as they were and others as they shall be, so that its restoration was cut off?"""
    if _others(accused, shown, ("rows",)):
        return False
    before, after, found = (_rows_of(content) for content in (accused, target, shown))
    return all(found.get(key) in (before.get(key), after.get(key)) for key in {*before, *after, *found})


def _rows(kept: Mapping[str, Any], shown: Mapping[str, Any], now: Mapping[str, Any]) -> Restoration:
    """Row by row: there is no call for several of them."""
    _refuse_others(kept, shown, ("rows",))
    wanted, found, raw = _rows_of(kept), _rows_of(shown), _rows_of(now)
    changed = [key for key in sorted(wanted) if list(differences(wanted[key], found.get(key)))]
    deleted = sorted(found.keys() - wanted.keys())
    if len(changed) + len(deleted) > MOST_ROWS:
        raise CannotRestore(f"{len(changed) + len(deleted)} rows differ, and at most {MOST_ROWS} are written")
    return Restoration(
        rows=tuple(
            (_merged(wanted[key], found.get(key, {}), raw.get(key, {}), f"rows.{key}"), key not in found)
            for key in changed
        ),
        deleted=tuple(deleted),
    )


def _rows_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    rows: Mapping[str, Any] = content.get("rows", {})
    return rows


def _refuse_others(kept: Mapping[str, Any], shown: Mapping[str, Any], written: tuple[str, ...]) -> None:
    others = _others(kept, shown, written)
    if others:
        raise CannotRestore(f"{', '.join(others)}: changed too, and not among what can be written")


def _others(kept: Mapping[str, Any], shown: Mapping[str, Any], written: tuple[str, ...]) -> list[str]:
    """Fields that differ besides those that are written."""
    names = sorted({*kept, *shown} - set(written))
    return [name for name in names if list(differences(kept.get(name), shown.get(name)))]


def _merged(kept: Any, shown: Any, raw: Any, path: str) -> Any:
    """What was kept, with what `raw` has where a secret is hidden that `shown` hides too."""
    if not list(differences(kept, shown)):
        return raw
    if isinstance(kept, Mapping) and isinstance(shown, Mapping):
        return {
            key: _merged(value, shown[key], raw[key], f"{path}.{key}".removeprefix("."))
            if key in shown
            else _without_hidden(value, f"{path}.{key}".removeprefix("."))
            for key, value in kept.items()
        }
    if isinstance(kept, list) and isinstance(shown, list) and len(kept) == len(shown):
        return [
            _merged(*trio, f"{path}[{position}]") for position, trio in enumerate(zip(kept, shown, raw, strict=True))
        ]
    return _without_hidden(kept, path)


def _without_hidden(kept: Any, path: str) -> Any:
    if isinstance(kept, Mapping):
        return {key: _without_hidden(value, f"{path}.{key}") for key, value in kept.items()}
    if isinstance(kept, list):
        return [_without_hidden(value, path) for value in kept]
    if isinstance(kept, str) and REDACTED in kept:
        raise CannotRestore(f"{path}: has a secret, which no snapshot keeps, and is not as it was")
    return kept
