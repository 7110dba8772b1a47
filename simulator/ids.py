"""Ids as Genesys Cloud has them, of things that have only a name here."""

import uuid
from functools import cache

_NAMESPACE = uuid.UUID("7d9c2a58-6a0c-4a5e-9a58-0d2f7f7d5b11")


@cache
def id_of(name: str) -> str:
    """The same name, the same id."""
    return str(uuid.uuid5(_NAMESPACE, name))
