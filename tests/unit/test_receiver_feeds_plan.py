"""What becomes of announcements: which windows are opened, changed and closed, and which never again."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.flows import Flow
from genesys.selectors import Match
from receiver.feeds.announcement import (
    LONGEST_S,
    MAX_ANNOUNCED,
    Announcement,
    Reading,
    occurrence_uid,
    reading,
    split_uid,
)
from receiver.feeds.plan import HORIZON_S, MAX_FLOWS, Plan, Wanted, plan
from receiver.feeds.settings import Cover, PagerDuty, ServiceNow
from receiver.store.controls import Window, WindowKind

NOW = 1_795_349_000.0
HOUR_S, DAY_S = 3600.0, 86400.0
EVERYTHING = Cover(org="retail")
CHANGES = ServiceNow.model_construct(
    name="changes", covers=(EVERYTHING,), poll_s=120.0, max_window_s=None, table="change_request"
)
INCIDENTS = PagerDuty.model_construct(name="outages", covers=(EVERYTHING,), poll_s=120.0, max_window_s=None)
WORK = Announcement("CHG1", NOW + HOUR_S, NOW + 2 * HOUR_S, "CHG1 new trunks", "https://instance.example.org/CHG1")
OUTAGE = Announcement("P1", NOW - 600, None, "#1 trunks down")
FLOWS = [
    Flow(
        id=f"flow-{number}",
        name=name,
        type="inboundcall",
        division_id="d",
        division_name="Home",
        active=True,
        deleted=False,
        live_version="1.0",
        live_published_at=NOW,
        published_by=None,
        locked_by=None,
        operation=None,
    )
    for number, name in enumerate(("Main IVR", "Support", "Main IVR 2"))
]


def window(**changes: Any) -> Window:
    """The one that WORK has become."""
    values: dict[str, Any] = {
        "id": "w1",
        "org": "retail",
        "flow_ids": (),
        "kind": "maintenance",
        "starts_at": WORK.starts_at,
        "ends_at": WORK.ends_at,
        "reason": WORK.title,
        "owner": "",
        "created_by": "feed:changes",
        "created_at": NOW - 60,
        "closed_at": None,
        "feed": "changes",
        "feed_uid": WORK.uid,
        "url": WORK.url,
    }
    return Window(**(values | changes))


def planned(
    *announced: Announcement, known: tuple[Window, ...] = (), problem: str = "", now: float = NOW, feed: Any = CHANGES
) -> Plan:
    return plan(feed, Reading(announced, problem), known, {}, now=now)


NOTHING = Plan((), (), ())


def test_what_is_announced_becomes_a_window_with_its_times_its_words_and_its_link() -> None:
    (opened,) = planned(WORK).opened
    assert opened == Wanted("CHG1", "retail", (), WORK.starts_at, WORK.ends_at or 0, "CHG1 new trunks", WORK.url)


def test_what_is_as_it_was_changes_nothing() -> None:
    assert planned(WORK, known=(window(),)) == NOTHING


def test_what_was_moved_is_the_same_window_at_another_time() -> None:
    later = replace(WORK, starts_at=WORK.starts_at + 60, ends_at=NOW + 3 * HOUR_S)
    made = planned(later, known=(window(),))
    assert made == Plan((), (window(starts_at=later.starts_at, ends_at=later.ends_at),), ())


def test_what_is_not_announced_any_more_is_closed_unless_not_all_could_be_read() -> None:
    assert planned(known=(window(),)).closed == (window(),)
    assert planned(known=(window(),), problem="did not answer") == NOTHING


def test_of_a_feed_that_is_understood_in_part_what_is_new_counts_and_what_is_missing_does_not() -> None:
    other = replace(WORK, uid="CHG2")
    made = planned(other, known=(window(),), problem="one event cannot be read")
    assert [one.uid for one in made.opened] == ["CHG2"]
    assert made.closed == ()


@pytest.mark.parametrize(
    ("over", "announced", "opened"),
    [
        pytest.param({"closed_at": NOW - 5, "closed_by": "ann"}, {}, False, id="a person has closed it"),
        pytest.param({"closed_at": NOW - 5, "closed_by": None}, {}, False, id="somebody has closed it, who is unknown"),
        pytest.param(
            {"closed_at": NOW - 5, "closed_by": "ann"},
            {"ends_at": NOW + 9 * HOUR_S},
            False,
            id="a person has closed it, and it lasts longer now",
        ),
        pytest.param(
            {"closed_at": NOW - 5, "closed_by": "ann"},
            {"starts_at": NOW + 2 * HOUR_S, "ends_at": NOW + 3 * HOUR_S},
            True,
            id="a person has closed it, and it was moved behind its old end",
        ),
        pytest.param({"closed_at": NOW - 5, "closed_by": "feed:changes"}, {}, True, id="the feed had taken it back"),
        pytest.param(
            {"starts_at": NOW - HOUR_S, "ends_at": NOW - 1},
            {"starts_at": NOW - HOUR_S, "ends_at": NOW - 1},
            False,
            id="it has ended by itself",
        ),
        pytest.param(
            {"starts_at": NOW - HOUR_S, "ends_at": NOW - 1},
            {"starts_at": NOW - HOUR_S, "ends_at": NOW + HOUR_S},
            True,
            id="it has ended by itself, and the work goes on",
        ),
    ],
)
def test_what_is_over_is_opened_again_only_if_it_is_something_else_now(
    over: dict[str, Any], announced: dict[str, Any], opened: bool
) -> None:
    made = planned(replace(WORK, **announced), known=(window(**over),))
    assert bool(made.opened) is opened
    assert (made.changed, made.closed) == ((), ())


def test_of_several_windows_of_the_same_work_the_newest_counts() -> None:
    closed = window(closed_at=NOW - 30, closed_by="feed:changes")
    assert planned(WORK, known=(closed, window(id="w2"))) == NOTHING


@pytest.mark.parametrize(
    ("starts_at", "ends_at"),
    [
        pytest.param(NOW - DAY_S, NOW, id="over"),
        pytest.param(NOW + HOUR_S, NOW + HOUR_S, id="without length"),
        pytest.param(NOW + HOUR_S, NOW, id="ends before it begins"),
        pytest.param(NOW + HORIZON_S + 1, NOW + HORIZON_S + HOUR_S, id="beyond the horizon"),
    ],
)
def test_what_is_no_window_now_or_soon_opens_none(starts_at: float, ends_at: float) -> None:
    assert planned(replace(WORK, starts_at=starts_at, ends_at=ends_at)) == NOTHING


def test_no_window_is_longer_than_the_settings_allow_and_it_says_that_it_was_cut() -> None:
    endless = replace(WORK, ends_at=WORK.starts_at + 30 * DAY_S)
    (cut,) = planned(endless).opened
    assert cut.ends_at == WORK.starts_at + DAY_S
    assert cut.reason == "CHG1 new trunks (longer in the feed: cut)"
    over = window(starts_at=NOW - 25 * HOUR_S, ends_at=NOW - HOUR_S)
    still = replace(endless, starts_at=NOW - 25 * HOUR_S)
    assert planned(still, known=(over,)) == NOTHING, "the rest of it opens no window either"


def outage(**changes: Any) -> Window:
    """The window that OUTAGE has become, a minute ago."""
    of_it = {"kind": "incident", "starts_at": OUTAGE.starts_at, "ends_at": NOW - 60 + 4 * HOUR_S, "url": ""}
    named = {"reason": OUTAGE.title, "created_by": "feed:outages", "feed": "outages", "feed_uid": "P1"}
    return window(**(of_it | named | changes))


def test_an_incident_is_a_window_until_it_is_over_and_for_four_hours_at_most_after_it_was_first_told() -> None:
    assert INCIDENTS.kind is WindowKind.INCIDENT
    (opened,) = planned(OUTAGE, feed=INCIDENTS).opened
    assert (opened.starts_at, opened.ends_at) == (NOW - 600, NOW + 4 * HOUR_S)
    assert planned(OUTAGE, known=(outage(),), feed=INCIDENTS) == NOTHING, "it counts from its first reading"
    assert planned(known=(outage(),), feed=INCIDENTS).closed == (outage(),)


def test_an_incident_that_was_raised_or_configured_hours_after_it_began_holds_back_too() -> None:
    """A page may call it minor for a day, and critical then."""
    (opened,) = planned(replace(OUTAGE, starts_at=NOW - 30 * HOUR_S), feed=INCIDENTS).opened
    assert opened.ends_at == NOW + 4 * HOUR_S


@pytest.mark.parametrize(
    ("over", "starts_at"),
    [
        pytest.param(
            outage(created_at=NOW - 5 * HOUR_S, ends_at=NOW - HOUR_S), NOW - 6 * HOUR_S, id="its window has ended"
        ),
        pytest.param(outage(closed_at=NOW - 5, closed_by="ann"), NOW - 600, id="a person has closed its window"),
        pytest.param(None, NOW - LONGEST_S - 1, id="it was a week old when it was first told"),
    ],
)
def test_what_is_open_in_the_source_and_holds_nothing_back_is_counted(over: Window | None, starts_at: float) -> None:
    known = () if over is None else (over,)
    made = planned(replace(OUTAGE, starts_at=starts_at), known=known, feed=INCIDENTS)
    assert made == Plan((), (), (), lapsed=1)


def test_an_incident_that_is_told_for_a_week_keeps_its_window() -> None:
    feed = INCIDENTS.model_copy(update={"max_window_s": LONGEST_S})
    told_at = NOW - 6 * DAY_S
    known = outage(starts_at=NOW - LONGEST_S - DAY_S, created_at=told_at, ends_at=told_at + LONGEST_S)
    assert planned(replace(OUTAGE, starts_at=known.starts_at), known=(known,), feed=feed) == NOTHING


def test_more_flows_than_a_window_can_name_are_every_flow() -> None:
    feed = CHANGES.model_copy(update={"covers": (Cover(org="retail", flows=(Match(name="*"),)),)})
    many = [replace(FLOWS[0], id=f"flow-{number}") for number in range(MAX_FLOWS + 1)]
    for listed, named in ((many[1:], MAX_FLOWS), (many, 0)):
        (opened,) = plan(feed, Reading((WORK,)), (), {"retail": listed}, now=NOW).opened
        assert len(opened.flow_ids) == named


@pytest.mark.parametrize(
    ("uid", "begin_s", "opened"),
    [
        pytest.param("s/@200", 900, False, id="the series was moved by a quarter of an hour"),
        pytest.param("s", 0, False, id="the series has become a single event"),
        pytest.param("s/@200", HOUR_S, True, id="the next one of the series"),
        pytest.param("t/@100", 900, True, id="another series"),
        pytest.param("s/1", 900, True, id="another one that is called alike"),
    ],
)
def test_what_somebody_has_closed_is_not_opened_under_another_uid(uid: str, begin_s: float, opened: bool) -> None:
    closed = window(feed_uid="s/@100", closed_at=NOW - 5, closed_by="ann")
    begin = closed.starts_at + begin_s
    made = planned(replace(WORK, uid=uid, starts_at=begin, ends_at=begin + HOUR_S), known=(closed,))
    assert bool(made.opened) is opened


def test_what_the_feed_itself_has_closed_is_opened_under_another_uid() -> None:
    closed = window(feed_uid="s/@100", closed_at=NOW - 5, closed_by="feed:changes")
    assert planned(replace(WORK, uid="s/@200"), known=(closed,)).opened


def test_an_occurrence_with_a_long_uid_is_still_one_of_its_series() -> None:
    (opened,) = planned(replace(WORK, uid=occurrence_uid("u" * 5000, NOW))).opened
    (next_one,) = planned(replace(WORK, uid=occurrence_uid("u" * 5000, NOW + 1))).opened
    assert opened.uid != next_one.uid
    assert split_uid(opened.uid)[0] == split_uid(next_one.uid)[0]
    assert len(opened.uid) < 100


def test_flows_are_covered_by_any_of_the_selectors() -> None:
    covers = (Cover(org="retail", flows=(Match(name="Main*"), Match(id="flow-1"))),)
    feed = CHANGES.model_copy(update={"covers": covers})
    (opened,) = plan(feed, Reading((WORK,)), (), {"retail": FLOWS}, now=NOW).opened
    assert opened.flow_ids == ("flow-0", "flow-1", "flow-2")


def test_where_no_flow_matches_there_is_no_window_and_while_nobody_knows_the_flows_it_is_for_all() -> None:
    covers = (Cover(org="retail", flows=(Match(name="Nobody"),)), Cover(org="bank"))
    feed = CHANGES.model_copy(update={"covers": covers})
    opened = plan(feed, Reading((WORK,)), (), {"retail": FLOWS}, now=NOW).opened
    assert [(one.org, one.flow_ids) for one in opened] == [("bank", ())]
    opened = plan(feed, Reading((WORK,)), (), {"retail": None}, now=NOW).opened
    assert [(one.org, one.flow_ids) for one in opened] == [("retail", ()), ("bank", ())]


def test_a_person_who_closes_it_for_one_organization_does_so_for_no_other() -> None:
    feed = CHANGES.model_copy(update={"covers": (EVERYTHING, Cover(org="bank"))})
    closed = window(closed_at=NOW - 1, closed_by="ann")
    made = planned(WORK, known=(closed, window(id="w2", org="bank")), feed=feed)
    assert made == NOTHING


def test_texts_are_such_that_a_database_keeps_them_a_terminal_obeys_none_and_a_browser_follows_only_links() -> None:
    odd = replace(WORK, uid="u" * 5000, title="a\x00b\x1b[31m\ud800" + "x" * 900, url="javascript:alert(1)")
    (opened,) = planned(odd).opened
    assert len(opened.uid) == 64
    assert opened.reason.startswith("a b [31m x")
    assert len(opened.reason) == 500
    assert opened.url == ""
    assert planned(replace(odd, uid="v" * 5000)).opened[0].uid != opened.uid


def test_a_feed_with_too_many_windows_gives_the_earliest_and_says_so() -> None:
    announced = [replace(WORK, uid=f"CHG{number}", starts_at=NOW + 999 - number) for number in range(MAX_ANNOUNCED + 9)]
    found = reading(announced, [])
    assert [one.starts_at for one in found.announced] == sorted(one.starts_at for one in announced)[:MAX_ANNOUNCED]
    assert found.problem == "209 windows are announced, and 200 are the most: narrow the feed"
    assert reading([], ["one\n", "two"]).problem == "one  (and 1 more)"


moments = st.floats(NOW - 3 * DAY_S, NOW + 9 * DAY_S)


@given(starts_at=moments, ends_at=st.none() | moments, ticks=st.lists(st.floats(0, 3 * DAY_S), max_size=12))
def test_whatever_a_feed_says_its_windows_never_last_longer_than_allowed_and_one_that_was_closed_stays_closed(
    starts_at: float, ends_at: float | None, ticks: list[float]
) -> None:
    now, known = NOW, None
    one = replace(WORK, starts_at=starts_at, ends_at=ends_at)
    for tick in ticks:
        now += tick
        remembered = () if known is None or known.ends_at <= now - HORIZON_S else (known,)
        made = planned(one, known=remembered, now=now)
        if made.opened:
            assert known is None, "it was opened twice"
            wanted = made.opened[0]
            assert 0 < wanted.ends_at - max(wanted.starts_at, now) <= DAY_S
            times = {"starts_at": wanted.starts_at, "ends_at": wanted.ends_at, "created_at": now}
            known = window(**times, closed_at=now, closed_by="ann")
