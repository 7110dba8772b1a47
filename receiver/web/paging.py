"""Pages of what is listed: `next` of one page is `after` of the following one.

A page begins after a row, not at a number of rows: what is added meanwhile moves nothing from one page to another, and
what is removed is on none. The text of a cursor means something to nobody but us.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from receiver.payload import storable

T = TypeVar("T")

_MAX_NUMBER = 2**63 - 1  # what a database can compare with
_MAX_CHARS = 1000


def _decoded(text: object) -> object:
    try:
        found = json.loads(urlsafe_b64decode(str(text)[:_MAX_CHARS].encode("ascii") + b"=="))
    except (ValueError, RecursionError):
        raise ValueError("is not the `next` of an earlier page") from None
    return tuple(found) if isinstance(found, list) else found


_Opaque = (BeforeValidator(_decoded), WithJsonSchema({"type": "string", "maxLength": _MAX_CHARS}))
_Text = Annotated[str, Field(strict=True), AfterValidator(storable)]

AfterNumber = Annotated[int, Field(strict=True, ge=0, le=_MAX_NUMBER), *_Opaque]
"""The row with this number was the last."""

AfterMoment = Annotated[tuple[float, _Text], *_Opaque]
"""The row of this moment (Unix seconds) with this id was the last."""

AfterNames = Annotated[tuple[_Text, _Text, _Text], *_Opaque]
"""The row with these names was the last."""


def page(found: Sequence[T], limit: int, key: Callable[[T], object]) -> tuple[Sequence[T], str | None]:
    """The first `limit` of what was found, and the cursor of the page after them; None if there was no more."""
    shown = found[:limit]
    if len(found) <= limit:
        return shown, None
    return shown, urlsafe_b64encode(json.dumps(key(shown[-1])).encode()).rstrip(b"=").decode()
