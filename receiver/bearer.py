"""Bearer tokens that this program makes: their text, of which the database keeps only a digest. Pure but for chance."""

import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256

_TEXT = re.compile(r"grb_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made; whoever does not keep its text has lost it."""

    id: str
    digest: str
    text: str = field(repr=False)


def make() -> NewToken:
    """256 bits of chance, so that a plain digest cannot be guessed back; the id in it is no secret."""
    token_id = secrets.token_hex(6)
    text = f"grb_{token_id}_{secrets.token_urlsafe(32)}"
    return NewToken(token_id, digest_of(text), text)


def id_of(text: str) -> str | None:
    """The id in a token's text; None if it is none of ours."""
    found = _TEXT.fullmatch(text)
    return found[1] if found else None


def digest_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()
