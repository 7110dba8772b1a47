"""What a feed says: pieces of work and outages, each with its time. What becomes of them is `receiver.feeds.plan`'s."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from receiver.notify.sink import shortened
from receiver.outbound import Params

MAX_ANNOUNCED = 200  # by one feed at once; whoever has more has forgotten to narrow it
LONGEST_S = 7 * 86400.0  # no window is longer, whatever the settings allow
MAX_PROBLEM_CHARS = 300
_OCCURRENCE = re.compile(r"(/@-?\d+)+$")
MAX_ANSWER_BYTES = 4 * 1024 * 1024  # some ten thousand events or rows


@dataclass(frozen=True, slots=True)
class Announcement:
    """One piece of work or outage. Times are Unix seconds; no end: until the source says that it is over.

    `uid` stays the same in every reading; two occurrences of a series have their own.
    """

    uid: str
    starts_at: float
    ends_at: float | None
    title: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a feed says now. With a `problem` it is not all of it: nothing may be concluded from what is missing."""

    announced: tuple[Announcement, ...]
    problem: str = ""


class Http(Protocol):
    """What is needed of `receiver.outbound.Outbound`."""

    def get_json(
        self,
        url: str,
        params: Params | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
    ) -> Any: ...

    def get_content(self, url: str, *, headers: Mapping[str, str], max_bytes: int) -> bytes: ...


class Source(Protocol):
    """Somebody who announces."""

    def read(self, since: float, until: float) -> Reading:
        """What is announced between the two (Unix seconds), and perhaps more; only looks.

        Raises OutboundError if the source cannot be reached, or answers nonsense.
        """


def oldest_open(since: float) -> float:
    """From when on it is asked for what has no end: such that what is known stays until its window is over."""
    return since - 2 * LONGEST_S - 86400.0


def reading(announced: list[Announcement], problems: list[str]) -> Reading:
    """MAX_ANNOUNCED of them: the earliest, of those without end the newest; what is wrong in one sentence."""
    if len(announced) > MAX_ANNOUNCED:
        problems = [
            *problems,
            f"{len(announced)} windows are announced, and {MAX_ANNOUNCED} are the most: narrow the feed",
        ]
    kept = sorted(announced, key=_rank)[:MAX_ANNOUNCED]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return Reading(tuple(kept), f"{shortened(printable(problems[0]), MAX_PROBLEM_CHARS)}{more}" if problems else "")


def _rank(one: Announcement) -> tuple[float, str]:
    return (-one.starts_at if one.ends_at is None else one.starts_at), one.uid


def occurrence_uid(uid: str, at: float) -> str:
    """Of the occurrence of a series that was to begin at `at`."""
    return f"{uid}/@{at:.0f}"


def split_uid(uid: str) -> tuple[str, str]:
    """The uid of the series, and what tells the occurrence (empty for what is no occurrence)."""
    of_series = _OCCURRENCE.sub("", uid)
    return of_series, uid[len(of_series) :]


def printable(text: str) -> str:
    """Without what a database cannot keep and a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def instant(value: str) -> float:
    """Unix seconds of a time with an offset (RFC 3339). Raises ValueError for one without, or for none."""
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    return moment.timestamp()
