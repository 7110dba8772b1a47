"""What has to change so that the windows are as a feed has it. Pure.

Announcements become windows: cut to the longest that the settings allow, one for each organization. A window is known
again by the announcement's uid. What a person has closed is not opened again; what is missing closes its window only
if all was read.

What has no end counts from when the feed first told it: a page may raise an incident hours after it began, and a feed
may be configured while one lasts. One that began longer than LONGEST_S ago and was never told before holds nothing
back: nobody has closed it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from genesys.flows import Flow
from receiver.feeds.announcement import LONGEST_S, Announcement, Reading, printable, split_uid
from receiver.feeds.settings import Cover, FeedSettings
from receiver.notify.sink import shortened
from receiver.store.controls import Window

# What begins later is asked for again before it does. For as long are windows that are over remembered: at least
# LONGEST_S, or what has no end would be taken for new.
HORIZON_S = LONGEST_S
MAX_FLOWS = 1000  # by one window; what matches more is for every flow
MAX_REASON_CHARS = 500
MAX_UID_CHARS = 300
MAX_URL_CHARS = 1000

Listed = Mapping[str, Sequence[Flow] | None]
"""The live flows of each organization; None while nobody has listed them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A window as the feed has it."""

    uid: str
    org: str
    flow_ids: tuple[str, ...]
    starts_at: float
    ends_at: float
    reason: str
    url: str

    def is_as(self, window: Window) -> bool:
        return self == Wanted(
            self.uid, window.org, window.flow_ids, window.starts_at, window.ends_at, window.reason, window.url or ""
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Windows to open, to change (as they are to be) and to close.

    `lapsed`: how many are open in the source, and hold nothing back any more.
    """

    opened: tuple[Wanted, ...]
    changed: tuple[Window, ...]
    closed: tuple[Window, ...]
    lapsed: int = 0


def author(feed: FeedSettings) -> str:
    """Who has opened a feed's windows; no token may have such a name."""
    return f"feed:{feed.name}"


def plan(feed: FeedSettings, reading: Reading, known: Sequence[Window], listed: Listed, *, now: float) -> Plan:
    """`known` are the feed's windows, the newest last; those that were over longer than HORIZON_S may be left out."""
    newest = {(window.feed_uid, window.org): window for window in known}
    first_told = {window.feed_uid: window.created_at for window in reversed(known)}
    ends = {_uid(one.uid): _end(one, feed.longest_s, first_told.get(_uid(one.uid)), now) for one in reading.announced}
    wanted = {(one.uid, one.org): one for one in _wanted(feed, reading, listed, ends, now)}
    opened, changed, held = [], [], set()
    for key, one in wanted.items():
        window = newest.get(key)
        if window is not None and not window.is_over(now):
            held.add(one.uid)
            if not one.is_as(window):
                changed.append(_as_wanted(window, one))
        elif _is_new(one, window, known, author(feed)):
            held.add(one.uid)
            opened.append(one)
    gone = [window for key, window in newest.items() if key not in wanted and not window.is_over(now)]
    without_end = {_uid(one.uid) for one in reading.announced if one.ends_at is None} - held
    lapsed = sum(ends[uid] <= now or uid in first_told for uid in without_end)
    return Plan(tuple(opened), tuple(changed), () if reading.problem else tuple(gone), lapsed)


def _end(one: Announcement, longest_s: float, told_at: float | None, now: float) -> float:
    if one.ends_at is not None:
        return min(one.ends_at, one.starts_at + longest_s)
    if told_at is None and one.starts_at < now - LONGEST_S:
        return one.starts_at
    return max(one.starts_at, now if told_at is None else told_at) + longest_s


def _wanted(
    feed: FeedSettings, reading: Reading, listed: Listed, ends: Mapping[str, float], now: float
) -> Iterator[Wanted]:
    for one in reading.announced:
        uid = _uid(one.uid)
        ends_at = ends[uid]
        if not max(one.starts_at, now) < ends_at or one.starts_at > now + HORIZON_S:
            continue
        for cover in feed.covers:
            flow_ids = _flow_ids(cover, listed.get(cover.org))
            if flow_ids is not None:
                reason = _reason(one, is_cut=one.ends_at is not None and ends_at < one.ends_at)
                yield Wanted(uid, cover.org, flow_ids, one.starts_at, ends_at, reason, _link(one.url))


def _flow_ids(cover: Cover, listed: Sequence[Flow] | None) -> tuple[str, ...] | None:
    """Nothing for every flow: also while nobody knows which match, or too many do. None if no flow does."""
    if not cover.flows or listed is None:
        return ()
    found = sorted(flow.id for flow in listed if any(match.matches(flow) for match in cover.flows))
    return () if len(found) > MAX_FLOWS else tuple(found) or None


def _reason(one: Announcement, *, is_cut: bool) -> str:
    return shortened(printable(one.title), MAX_REASON_CHARS) + (" (longer in the feed: cut)" if is_cut else "")


def _uid(uid: str) -> str:
    if len(uid) <= MAX_UID_CHARS:
        return printable(uid)
    of_series, occurrence = split_uid(uid)
    return sha256(of_series.encode(errors="replace")).hexdigest() + occurrence


def _link(url: str) -> str:
    """Only what a browser may follow."""
    usable = url.startswith(("https://", "http://")) and len(url) <= MAX_URL_CHARS and url.isprintable()
    return url if usable else ""


def _is_new(one: Wanted, newest: Window | None, known: Sequence[Window], by: str) -> bool:
    """Neither what is over under its uid, nor what somebody has closed: a series that is moved has other uids."""
    if newest is not None and not _is_another(one, newest, by):
        return False
    return not any(_has_closed(one, window) for window in known if window.closed_by != by)


def _has_closed(one: Wanted, window: Window) -> bool:
    same = window.org == one.org and split_uid(window.feed_uid or "")[0] == split_uid(one.uid)[0]
    overlaps = window.starts_at < one.ends_at and one.starts_at < window.ends_at
    return window.closed_at is not None and same and overlaps


def _is_another(one: Wanted, over: Window, by: str) -> bool:
    """Does the feed announce something else than what is over?

    What it had taken back itself is. What somebody has closed is only if it begins after that would have ended; what
    ended by itself, if it is longer now.
    """
    if over.closed_at is None:
        return one.ends_at > over.ends_at
    return over.closed_by == by or one.starts_at >= over.ends_at


def _as_wanted(window: Window, one: Wanted) -> Window:
    return replace(
        window,
        flow_ids=one.flow_ids,
        starts_at=one.starts_at,
        ends_at=one.ends_at,
        reason=one.reason,
        url=one.url,
    )
