"""What is kept of a configuration object, and how two of them differ. Pure.

Secrets are replaced before anything is compared, hashed or shown: what stands under
the name of a secret or has the look of one, and of a data action's request all that
is literal but host, path and names. So a change of a secret is no difference. What
somebody writes into a name, a description or a row without any such sign is kept.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from genesys.objects import ObjectType

REDACTED = "***"
ABSENT = object()
MOST_SHOWN = 200  # characters of a value, for people
# Who wrote it last, when, how often, and how many people are in it: they differ where nothing was configured.
NOT_CONFIGURED = frozenset(
    [
        "selfUri",
        "version",
        "dateCreated",
        "dateModified",
        "createdBy",
        "modifiedBy",
        "createdByApp",
        "modifiedByApp",
        "memberCount",
        "userMemberCount",
        "joinedMemberCount",
    ]
)
_SECRET = re.compile(
    r"secret|passw|pwd|token|authori[sz]ation|credential|signature"
    r"|(?:api|private|access|subscription|encryption|shared|licen[cs]e)[-_ ]?key",
    re.I,
)
_SECRET_IN_TEXT = re.compile(rf"{_SECRET.pattern}|\b(?:bearer|basic)\b|://[^/\s]*@|-----BEGIN", re.I)
_REFERENCE = re.compile(r"(\$!?\{[A-Za-z_][\w.]*\})")  # to an input, as Velocity writes it
_FILLED_IN = re.compile(rf"{_REFERENCE.pattern}+")
_KEY_IN_PATH = re.compile(r"(?=[\w~+=-]*\d)[\w~+=-]{16,}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An object without secrets; `sha256` is of its content in canonical form: equal content, equal digest."""

    object_type: ObjectType
    object_id: str
    content: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        canonical = json.dumps(self.content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def version(self) -> str:
        """The label of this content among those of the object: short enough for people."""
        return self.sha256[:12]


@dataclass(frozen=True, slots=True)
class Difference:
    """One place in which two contents differ; ABSENT is what one of them does not have."""

    path: str
    before: object
    after: object

    def as_fact(self) -> dict[str, str]:
        """As records and notifications have it, for the accused version and the target; what is absent is left out."""
        told = {"accused": self.before, "target": self.after}
        return {"path": self.path} | {name: _shown(value) for name, value in told.items() if value is not ABSENT}


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def snapshot_of(object_type: ObjectType, object_id: str, answer: Mapping[str, Any]) -> Snapshot:
    """What is kept of an object as `genesys.objects` reads it."""
    content = {key: value for key, value in answer.items() if key not in NOT_CONFIGURED}
    if object_type is ObjectType.DATA_ACTION and isinstance(content.get("config"), Mapping):
        content["config"] = _without_secrets_of_requests(content["config"])
    return Snapshot(object_type, object_id, _without_secrets(content))


def differences(before: object, after: object, path: str = "") -> Iterator[Difference]:
    """Where two contents differ, in the order of their keys; a list whose length changed is one difference."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            below = f"{path}.{key}" if path else key
            yield from differences(before.get(key, ABSENT), after.get(key, ABSENT), below)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for position, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{path}[{position}]")
    elif type(before) is not type(after) or before != after:  # 1 is no True
        yield Difference(path, before, after)


def _without_secrets(value: Any) -> Any:
    """The value with what stands under a name of a secret replaced, and every text that has the look of one."""
    if isinstance(value, Mapping):
        return {key: _hidden(one) if _SECRET.search(key) else _without_secrets(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_secrets(one) for one in value]
    if isinstance(value, str) and _SECRET_IN_TEXT.search(value):
        return REDACTED
    return value


def _hidden(value: Any) -> Any:
    """Nothing but whether there is a value; true and false are kept, for they hide nothing."""
    return value if value is None or isinstance(value, bool) else REDACTED


def _without_secrets_of_requests(config: Mapping[str, Any]) -> dict[str, Any]:
    """A data action's headers, body and URL may have credentials under any name, or under none."""
    request = config.get("request")
    if not isinstance(request, Mapping):
        return dict(config)
    kept = dict(request)
    if isinstance(kept.get("headers"), Mapping):
        kept["headers"] = dict.fromkeys(kept["headers"], REDACTED)
    for name, redact in (
        ("requestTemplate", _references),
        ("requestUrlTemplate", _place),
        ("requestTemplateUri", _place),
    ):
        if isinstance(kept.get(name), str):
            kept[name] = redact(kept[name])
    return {**config, "request": kept}


def _references(template: str) -> str:
    """What a body is filled in with, at its place; the literal text between is replaced."""
    pieces = _REFERENCE.split(template)  # literal text and references by turns
    return "".join(
        piece if position % 2 or not piece.strip() else f"{_blank_before(piece)}{REDACTED}{_blank_after(piece)}"
        for position, piece in enumerate(pieces)
    )


def _blank_before(piece: str) -> str:
    return piece[: len(piece) - len(piece.lstrip())]


def _blank_after(piece: str) -> str:
    return piece[len(piece.rstrip()) :]


def _place(url: str) -> str:
    """Host and path, and of the query what is filled in; a user may have a password, a long word may be a key."""
    rest, hash_mark, fragment = url.partition("#")
    path, mark, query = rest.partition("?")
    if "@" in path:
        return REDACTED
    shown = "&".join(map(_parameter, query.split("&")))
    return _KEY_IN_PATH.sub(REDACTED, path) + mark + (shown if mark else "") + hash_mark + (fragment and REDACTED)


def _parameter(text: str) -> str:
    """A parameter of a query that is nothing but what an input fills in; of any other only that it is there."""
    name, is_named, value = text.partition("=")
    if is_named and _FILLED_IN.fullmatch(value) and not _SECRET.search(name):
        return text
    return text and REDACTED
