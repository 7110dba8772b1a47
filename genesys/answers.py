"""Reading the objects of an answer field by field; what is not as documented is `Unavailable`, with its place."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeGuard

from genesys.errors import Unavailable


class Answer:
    """One JSON object of an answer; `null` counts as missing."""

    def __init__(self, endpoint: str, value: object) -> None:
        self._endpoint = endpoint
        if not isinstance(value, dict):
            raise unexpected(endpoint, "not an object")
        self._fields: Mapping[str, object] = value

    def text(self, key: str) -> str:
        value = self.optional_text(key)
        if not value:
            raise unexpected(self._endpoint, f"{key} is missing or empty")
        return value

    def optional_text(self, key: str) -> str | None:
        value = self._fields.get(key)
        if value is not None and not isinstance(value, str):
            raise unexpected(self._endpoint, f"{key} is not a text")
        return value

    def texts(self) -> Mapping[str, str]:
        """Every field that is a text."""
        return {key: value for key, value in self._fields.items() if isinstance(value, str)}

    def flag(self, key: str) -> bool:
        value = self._fields.get(key)
        if not isinstance(value, bool):
            raise unexpected(self._endpoint, f"{key} is not true or false")
        return value

    def optional_flag(self, key: str) -> bool:
        """False if it is missing."""
        return self._fields.get(key) is not None and self.flag(key)

    def count(self, key: str) -> int:
        value = self._fields.get(key)
        if not is_count(value):
            raise unexpected(self._endpoint, f"{key} is not a count")
        return value

    def number(self, key: str) -> float:
        """A number that is not negative."""
        value = self.optional_number(key)
        if value is None:
            raise unexpected(self._endpoint, f"{key} is missing")
        return value

    def optional_number(self, key: str) -> float | None:
        value = self._fields.get(key)
        if value is None:
            return None
        if is_count(value):
            return float(value)
        if not isinstance(value, float) or not 0 <= value < 2**53:  # 1e999 is JSON, and infinite
            raise unexpected(self._endpoint, f"{key} is not a number")
        return value

    def optional_object(self, key: str) -> "Answer | None":
        value = self._fields.get(key)
        return None if value is None else Answer(self._endpoint, value)

    def items(self, key: str) -> Iterator["Answer"]:
        """The objects of a list; none if it is missing."""
        value = self._fields.get(key)
        if value is not None and not isinstance(value, list):
            raise unexpected(self._endpoint, f"{key} is not a list")
        return (Answer(self._endpoint, item) for item in value or ())

    def moment(self, key: str) -> float:
        """As `optional_moment`."""
        value = self.optional_moment(key)
        if value is None:
            raise unexpected(self._endpoint, f"{key} is missing")
        return value

    def optional_moment(self, key: str) -> float | None:
        """Unix seconds of a date, which Genesys Cloud writes as ISO-8601 or as epoch milliseconds."""
        value = self._fields.get(key)
        try:
            return None if value is None else moment(value)
        except ValueError as error:
            raise unexpected(self._endpoint, f"{key} is not a date") from error


def is_count(value: object) -> TypeGuard[int]:
    """A whole number that is not negative and that a float can hold; `True` is none."""
    return type(value) is int and 0 <= value < 2**53


def moment(value: object) -> float:
    """Unix seconds; a text without offset is UTC. Raises `ValueError`."""
    if isinstance(value, str):
        read = datetime.fromisoformat(value)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    if is_count(value):
        return value / 1000
    raise ValueError(f"{type(value).__name__} is not a date")


def unexpected(endpoint: str, what: str) -> Unavailable:
    return Unavailable(f"{endpoint}: unexpected answer: {what}")
