"""When the events of an iCalendar document take place: a program of its own, for `receiver.feeds.calendars`.

A short document may describe events without end and number. Whoever unfolds it is
a process that may take only so much time and memory, at the lowest priority, so
that no calendar can keep the receiver from its work.

Standard input: a `Question` as JSON. Standard output: `{"announced": [[uid, starts_at, ends_at, title, url], …],
"problems": […]}`, or `{"nonsense": "…"}` if it is no calendar. Source: RFC 5545, as icalendar and
recurring_ical_events read it.
"""

import json
import os
import resource
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from fnmatch import fnmatchcase
from typing import Any

import icalendar
import recurring_ical_events
from icalendar import Component

from receiver.feeds.announcement import LONGEST_S, Announcement, occurrence_uid
from receiver.notify.settings import zone_of

# A calendar of 4 MB with 13,000 events takes 165 MB. Below a container's limit, which ends the whole receiver.
MAX_MEMORY_BYTES = 300 * 1024**2
_A_DAY = timedelta(days=1)  # no time zone is further away from the one in which the libraries compare
_MAX_TITLE_CHARS = 200
_LOWEST_PRIORITY = 19
# What the libraries raise for documents that are not as they should be, wherever they notice it.
_BROKEN = (ValueError, LookupError, TypeError, AttributeError, OverflowError)


class Nonsense(Exception):
    """It is no calendar."""


@dataclass(frozen=True, slots=True)
class Question:
    """What takes place between the two (Unix seconds), of the events with one of the titles (globs; none: all)."""

    text: str
    time_zone: str
    since: float
    until: float
    titles: tuple[str, ...]
    cpu_s: int


def occurrences(asked: Question) -> tuple[list[Announcement], list[str]]:
    """Each occurrence, and what of the calendar could not be understood. Raises Nonsense if it is none."""
    calendar = _parsed(asked.text)
    zone = zone_of(asked.time_zone)
    between = (datetime.fromtimestamp(asked.since, UTC) - _A_DAY, datetime.fromtimestamp(asked.until, UTC) + _A_DAY)
    events, problems = _events(calendar, between, lambda event: _matters(event, asked, zone))
    recurring = {str(event.get("UID", "")) for event in calendar.walk("VEVENT") if _recurs(event)}
    for event in calendar.walk("VEVENT"):
        if _matters(event, asked, zone):
            problems += [f"{_named(event)}: {mistake}" for mistake in _mistakes(event, zone)]
    found = [_announced(event, zone, recurring) for event in events if _is_wanted(event, asked.titles)]
    current = [one for one in found if one.starts_at < asked.until and (one.ends_at or 0.0) > asked.since]
    return _each_by_its_own_uid(current), problems


def _parsed(text: str) -> Component:
    try:
        calendar = icalendar.Calendar.from_ical(text)
    except _BROKEN as problem:
        raise Nonsense(str(problem)) from problem
    if calendar.name != "VCALENDAR":
        raise Nonsense("it does not begin with VCALENDAR")
    return calendar


def _events(
    calendar: Component, between: tuple[datetime, datetime], matters: Callable[[Component], bool]
) -> tuple[list[Component], list[str]]:
    """What takes place of every series; or, where one cannot be unfolded, of all others, and what is wrong with it."""
    try:
        return recurring_ical_events.of(calendar).between(*between), []
    except _BROKEN:
        pass  # whichever it is: one by one
    found: list[Component] = []
    problems = []
    series: dict[str, list[Component]] = {}
    for number, event in enumerate(calendar.walk("VEVENT")):
        series.setdefault(str(event.get("UID", number)), []).append(event)
    for events in series.values():
        part = calendar.copy()
        part.subcomponents = events
        try:
            found += recurring_ical_events.of(part).between(*between)
        except _BROKEN as problem:
            if any(matters(event) for event in events):
                problems.append(f"{_named(events[0])} cannot be unfolded ({type(problem).__name__}: {problem})")
    return found, problems


def _matters(event: Component, asked: Question, zone: tzinfo) -> bool:
    """Could it hold something back? One that is over or not asked for must not, by a mistake, keep windows open."""
    is_unnamed = "SUMMARY" not in event and bool(event.errors)
    return (is_unnamed or _is_wanted(event, asked.titles)) and not _is_over(event, asked.since, zone)


def _is_over(event: Component, since: float, zone: tzinfo) -> bool:
    """Only if that is certain: what began before the longest window is over, whatever its end."""
    broken = _broken(event)
    if "RDATE" in event or broken & {"a line", "RRULE", "RDATE", "RECURRENCE-ID"}:
        return False
    begin = since - LONGEST_S - _A_DAY.total_seconds()
    moved: Any = event.get("RECURRENCE-ID")  # the occurrence that it stands for must be over too
    if moved is not None and ("RANGE" in moved.params or _instant(moved.dt, zone) >= begin):
        return False
    if "RRULE" in event:
        rules: Any = event["RRULE"]
        untils = [] if isinstance(rules, list) else rules.get("UNTIL", [])
        return len(untils) == 1 and _instant(untils[0], zone) < begin
    times = {name: _instant(_time(event[name]), zone) for name in ("DTSTART", "DTEND") if _can_read(event, name)}
    if times.get("DTSTART", since) < begin:
        return True
    return "DTEND" in times and max(times.values()) < since - _A_DAY.total_seconds()


def _broken(event: Component) -> set[str]:
    """What cannot be read, and what is given twice where only one can be."""
    once = ("DTSTART", "DTEND", "DURATION", "RECURRENCE-ID")
    return {name or "a line" for name, _ in event.errors} | {name for name in once if isinstance(event.get(name), list)}


def _can_read(event: Component, name: str) -> bool:
    return name in event and name not in _broken(event)


def _mistakes(event: Component, zone: tzinfo) -> Iterator[str]:
    """What the libraries pass over, or make something else of."""
    broken = _broken(event)
    for name in sorted(broken):
        yield f"{name} cannot be read"
    times: list[Any] = [event[name] for name in ("DTSTART", "DTEND") if _can_read(event, name)]
    # They read a time whose zone nobody knows as one without a zone.
    if any("TZID" in one.params and getattr(one.dt, "tzinfo", UTC) is None for one in times):
        yield "its time zone is unknown"
    # They exchange the two.
    if len(times) == 2 and _instant(times[1].dt, zone) < _instant(times[0].dt, zone):
        yield "it ends before it begins"


def _each_by_its_own_uid(found: list[Announcement]) -> list[Announcement]:
    """Occurrences that were moved together (RANGE=THISANDFUTURE) may have one RECURRENCE-ID."""
    seen: set[str] = set()
    told = []
    for one in sorted(found, key=lambda one: one.starts_at):
        uid = one.uid if one.uid not in seen else occurrence_uid(one.uid, one.starts_at)
        seen.add(uid)
        told.append(replace(one, uid=uid))
    return told


def _is_wanted(event: Component, titles: Iterable[str]) -> bool:
    title = str(event.get("SUMMARY", ""))
    called = not titles or any(fnmatchcase(title, glob) for glob in titles)
    return called and str(event.get("STATUS", "")).upper() != "CANCELLED"


def _announced(event: Component, zone: tzinfo, recurring: Collection[str]) -> Announcement:
    """An occurrence that was moved is still the one that it was: RECURRENCE-ID says which."""
    uid = str(event.get("UID", ""))
    part = _time(event.get("RECURRENCE-ID", event["DTSTART"]))
    return Announcement(
        uid=uid if uid and uid not in recurring else occurrence_uid(uid or _named(event), _instant(part, zone)),
        starts_at=_instant(_time(event["DTSTART"]), zone),
        ends_at=_instant(_time(event["DTEND"]), zone),
        title=_named(event),
        url=str(event.get("URL", "")),
    )


def _recurs(event: Component) -> bool:
    return any(name in event for name in ("RRULE", "RDATE", "RECURRENCE-ID"))


def _time(value: Any) -> date:
    moment: date = value.dt
    return moment


def _instant(moment: date, zone: tzinfo) -> float:
    """Unix seconds; a day begins at midnight of the zone, in which a time without one is too."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).timestamp()


def _named(event: Component) -> str:
    return " ".join(str(event.get("SUMMARY", "")).split())[:_MAX_TITLE_CHARS] or "an event without a title"


def answer(asked: Question) -> dict[str, Any]:
    """What goes to standard output."""
    try:
        announced, problems = occurrences(asked)
    except Nonsense as nonsense:
        return {"nonsense": " ".join(str(nonsense).split())[:_MAX_TITLE_CHARS]}
    return {"announced": [list(asdict(one).values()) for one in announced], "problems": problems}


def _limit(what: int, most: int) -> None:
    """Never above what is allowed already. Raises OSError or ValueError where nothing may be limited."""
    _, hard = resource.getrlimit(what)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (least, least))


def _main() -> None:
    asked = Question(**json.load(sys.stdin))
    # A sandbox may forbid it (systemd's @resources): then it competes with the receiver, but within its limits.
    with suppress(OSError):
        os.nice(_LOWEST_PRIORITY)
    try:
        _limit(resource.RLIMIT_CPU, asked.cpu_s)
        _limit(resource.RLIMIT_AS, MAX_MEMORY_BYTES)
    except (OSError, ValueError) as problem:
        sys.exit(f"time and memory cannot be limited here: {problem}")
    json.dump(answer(asked), sys.stdout)


if __name__ == "__main__":
    _main()
