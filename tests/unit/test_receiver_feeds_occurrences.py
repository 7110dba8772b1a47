"""When the events of a calendar take place: series and their exceptions, days, zones, both changes of the clocks."""

from datetime import UTC, datetime, timedelta

import pytest

from receiver.feeds.occurrences import Nonsense, Question, answer, occurrences

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def calendar(*events: str, head: str = "") -> str:
    """A document with these events; one event is its properties, separated by `|`."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//example//test//EN", *head.split("|")]
    for event in events:
        lines += ["BEGIN:VEVENT", "DTSTAMP:20260101T000000Z", *event.split("|"), "END:VEVENT"]
    return "\r\n".join([*filter(None, lines), "END:VCALENDAR", ""])


def asked(text: str, since: str, *, days: float = 7, zone: str = "UTC", titles: tuple[str, ...] = ()) -> Question:
    begin = datetime.fromisoformat(since).replace(tzinfo=UTC).timestamp()
    return Question(text, zone, begin, begin + days * 86400, titles, 10)


def windows(text: str, since: str, *, days: float = 7, zone: str = "UTC") -> list[str]:
    """Each occurrence as `begin/end` in UTC, sorted."""
    found, problems = occurrences(asked(text, since, days=days, zone=zone))
    assert problems == []
    return sorted(f"{moment(one.starts_at)}/{moment(one.ends_at)}" for one in found)


def moment(at: float | None) -> str:
    assert at is not None
    return f"{datetime.fromtimestamp(at, UTC):%m-%dT%H:%M}"


NIGHTLY = "UID:n|SUMMARY:backup|DTSTART;TZID={0}:{1}T013000|DTEND;TZID={0}:{1}T043000|RRULE:FREQ=DAILY"


@pytest.mark.parametrize(
    ("zone", "first", "since", "expected"),
    [
        pytest.param(
            BERLIN,
            "20260301",
            "2026-03-28",
            ["03-28T00:30/03-28T03:30", "03-29T00:30/03-29T02:30", "03-30T23:30/03-31T02:30"],
            id="Berlin, an hour is missing",
        ),
        pytest.param(
            BERLIN,
            "20261001",
            "2026-10-24",
            ["10-23T23:30/10-24T02:30", "10-24T23:30/10-25T03:30", "10-26T00:30/10-26T03:30"],
            id="Berlin, an hour comes twice",
        ),
        pytest.param(
            NEW_YORK,
            "20260301",
            "2026-03-07",
            ["03-07T06:30/03-07T09:30", "03-08T06:30/03-08T08:30", "03-09T05:30/03-09T08:30"],
            id="New York, an hour is missing",
        ),
        pytest.param(
            NEW_YORK,
            "20261001",
            "2026-10-31",
            ["10-31T05:30/10-31T08:30", "11-01T05:30/11-01T09:30", "11-02T06:30/11-02T09:30"],
            id="New York, an hour comes twice",
        ),
    ],
)
def test_a_nightly_series_keeps_its_hours_on_the_clock_of_its_zone(
    zone: str, first: str, since: str, expected: list[str]
) -> None:
    assert set(expected) <= set(windows(calendar(NIGHTLY.format(zone, first)), since, days=4))


def test_a_series_leaves_out_what_is_excepted_and_an_occurrence_that_was_moved_is_still_itself() -> None:
    series = (
        "UID:s|SUMMARY:patches|DTSTART;TZID=Europe/Berlin:20260601T200000|DURATION:PT2H|RRULE:FREQ=DAILY;COUNT=4"
        "|EXDATE;TZID=Europe/Berlin:20260602T200000"
    )
    moved = (
        "UID:s|SUMMARY:patches, later|RECURRENCE-ID;TZID=Europe/Berlin:20260603T200000"
        "|DTSTART;TZID=Europe/Berlin:20260603T220000|DTEND;TZID=Europe/Berlin:20260603T233000"
    )
    cancelled = (
        "UID:s|SUMMARY:patches|STATUS:CANCELLED|RECURRENCE-ID;TZID=Europe/Berlin:20260604T200000"
        "|DTSTART;TZID=Europe/Berlin:20260604T200000|DURATION:PT2H"
    )
    before, _ = occurrences(asked(calendar(series), "2026-06-01"))
    after, _ = occurrences(asked(calendar(series, moved, cancelled), "2026-06-01"))

    assert windows(calendar(series, moved, cancelled), "2026-06-01") == [
        "06-01T18:00/06-01T20:00",
        "06-03T20:00/06-03T21:30",
    ]
    assert {one.uid for one in after} < {one.uid for one in before}
    assert len({one.uid for one in before}) == 3


def test_occurrences_that_were_moved_together_are_each_itself() -> None:
    series = "UID:s|SUMMARY:patches|DTSTART:20260601T200000Z|DURATION:PT1H|RRULE:FREQ=DAILY;COUNT=4"
    moved = "UID:s|RECURRENCE-ID;RANGE=THISANDFUTURE:20260602T200000Z|DTSTART:20260602T220000Z|DURATION:PT1H"
    found, problems = occurrences(asked(calendar(series, moved), "2026-06-01"))
    assert problems == []
    assert [moment(one.starts_at) for one in found] == ["06-01T20:00", "06-02T22:00", "06-03T22:00", "06-04T22:00"]
    assert len({one.uid for one in found}) == 4


def test_a_single_event_keeps_its_uid_when_it_is_moved() -> None:
    event = "UID:one|SUMMARY:trunks|DTSTART:20260601T{0}0000Z|DTEND:20260601T230000Z|URL:https://example.org/c/1"
    (first,), _ = occurrences(asked(calendar(event.format(20)), "2026-06-01"))
    (moved,), _ = occurrences(asked(calendar(event.format(21)), "2026-06-01"))
    assert (first.uid, first.title, first.url) == ("one", "trunks", "https://example.org/c/1")
    assert moved.uid == first.uid
    assert moved.starts_at == first.starts_at + 3600


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        pytest.param("UTC", ["03-29T00:00/03-30T00:00"], id="UTC"),
        pytest.param(BERLIN, ["03-28T23:00/03-29T22:00"], id="Berlin, a day of 23 hours"),
        pytest.param(NEW_YORK, ["03-29T04:00/03-30T04:00"], id="New York"),
    ],
)
def test_an_all_day_event_is_a_day_of_the_configured_zone(zone: str, expected: list[str]) -> None:
    whole = calendar("UID:d|SUMMARY:freeze|DTSTART;VALUE=DATE:20260329|DTEND;VALUE=DATE:20260330")
    assert windows(whole, "2026-03-28", zone=zone) == expected
    assert windows(calendar("UID:d|SUMMARY:freeze|DTSTART;VALUE=DATE:20260329"), "2026-03-28", zone=zone) == expected


def test_a_time_without_a_zone_is_one_of_the_configured_zone() -> None:
    floating = calendar("UID:f|SUMMARY:patches|DTSTART:20260601T200000|DTEND:20260601T210000")
    assert windows(floating, "2026-06-01") == ["06-01T20:00/06-01T21:00"]
    assert windows(floating, "2026-06-01", zone=BERLIN) == ["06-01T18:00/06-01T19:00"]
    assert windows(floating, "2026-06-01", zone=NEW_YORK) == ["06-02T00:00/06-02T01:00"]


def test_a_zone_that_the_calendar_defines_itself_and_one_by_its_windows_name_are_understood() -> None:
    own = (
        "BEGIN:VTIMEZONE|TZID:Headquarters|BEGIN:STANDARD|DTSTART:19700101T000000|TZOFFSETFROM:+0300"
        "|TZOFFSETTO:+0300|END:STANDARD|END:VTIMEZONE"
    )
    text = calendar("UID:h|SUMMARY:x|DTSTART;TZID=Headquarters:20260601T120000|DURATION:PT1H", head=own)
    assert windows(text, "2026-06-01") == ["06-01T09:00/06-01T10:00"]
    outlook = calendar("UID:w|SUMMARY:x|DTSTART;TZID=W. Europe Standard Time:20260601T120000|DURATION:PT1H")
    assert windows(outlook, "2026-06-01") == ["06-01T10:00/06-01T11:00"]


def test_a_zone_that_nobody_knows_is_said_and_the_other_events_count() -> None:
    text = calendar(
        "UID:a|SUMMARY:lost|DTSTART;TZID=Atlantis:20260601T120000|DURATION:PT1H",
        "UID:b|SUMMARY:found|DTSTART:20260601T120000Z|DURATION:PT1H",
    )
    found, problems = occurrences(asked(text, "2026-06-01"))
    assert "found" in [one.title for one in found]
    assert problems == ["lost: its time zone is unknown"]


def test_what_began_before_and_still_goes_on_is_there_and_what_is_over_or_far_away_is_not() -> None:
    text = calendar(
        "UID:a|SUMMARY:long|DTSTART:20260530T000000Z|DTEND:20260602T000000Z",
        "UID:b|SUMMARY:over|DTSTART:20260531T200000Z|DTEND:20260601T000000Z",
        "UID:c|SUMMARY:far|DTSTART:20260608T000000Z|DTEND:20260608T010000Z",
        "UID:d|SUMMARY:a moment|DTSTART:20260601T100000Z",
    )
    found, _ = occurrences(asked(text, "2026-06-01"))
    assert [(one.title, (one.ends_at or 0) - one.starts_at) for one in found if one.title != "a moment"] == [
        ("long", timedelta(days=3).total_seconds())
    ]


def test_only_events_with_one_of_the_titles_count_and_none_that_is_cancelled() -> None:
    text = calendar(
        *(
            f"UID:{number}|SUMMARY:{title}|DTSTART:20260601T120000Z|DURATION:PT1H"
            for number, title in enumerate(("IVR prompts", "lunch", "New trunks"))
        ),
        "UID:c|SUMMARY:IVR flows|STATUS:CANCELLED|DTSTART:20260601T120000Z|DURATION:PT1H",
    )
    found, _ = occurrences(asked(text, "2026-06-01", titles=("IVR*", "*trunks")))
    assert sorted(one.title for one in found) == ["IVR prompts", "New trunks"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("<html><body>Sign in</body></html>", id="a page to sign in"),
        pytest.param("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\n", id="cut off"),
        pytest.param("BEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260601T120000Z\r\nEND:VEVENT\r\n", id="no calendar"),
        pytest.param("\x00\x01\x02", id="no text"),
    ],
)
def test_what_is_no_calendar_is_nonsense(text: str) -> None:
    with pytest.raises(Nonsense):
        occurrences(asked(text, "2026-06-01"))
    assert set(answer(asked(text, "2026-06-01"))) == {"nonsense"}


GOOD = "UID:good|SUMMARY:good|DTSTART:20260601T120000Z|DURATION:PT1H"


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("UID:x|SUMMARY:x|DTSTART:tomorrow|DURATION:PT1H", id="no time"),
        pytest.param("UID:x|SUMMARY:x|DURATION:PT1H", id="no start"),
        pytest.param("UID:x|SUMMARY:x|DTSTART:20260601T120000Z|RRULE:FREQ=SOMETIMES", id="no rule"),
        pytest.param("UID:x|SUMMARY:x|DTSTART:20260601T120000Z|DTEND:20260601", id="an end of another kind"),
        pytest.param("UID:x|SUMMARY:x|DTSTART:20261301T120000Z|DURATION:PT1H", id="a thirteenth month"),
        pytest.param("UID:x|SUMMARY:x|DTSTART:20260601T120000Z|DTEND:20260531T120000Z", id="an end before its start"),
    ],
)
def test_a_broken_event_is_said_and_the_others_count(broken: str) -> None:
    found, problems = occurrences(asked(calendar(broken, GOOD), "2026-06-01"))
    assert "good" in [one.title for one in found]
    assert problems


@pytest.mark.parametrize(
    ("broken", "titles"),
    [
        pytest.param("SUMMARY:x|DTSTART:20190601T120000Z|DTEND:soon", (), id="it began years ago"),
        pytest.param("SUMMARY:x|DTSTART:someday|DTEND:20260530T120000Z", (), id="it ended two days ago"),
        pytest.param("SUMMARY:x|DTSTART;TZID=Atlantis:20190601T120000|DURATION:PT1H", (), id="in a zone of old"),
        pytest.param("SUMMARY:x|DTSTART:20190601T120000Z|DTEND:20190531T120000Z", (), id="it ended before it began"),
        pytest.param(
            "SUMMARY:x|DTSTART:20190601T120000Z|DTSTART:20190602T120000Z|DTEND:20190603T120000Z", (), id="two"
        ),
        pytest.param(
            "SUMMARY:x|DTSTART:20190601T120000Z|DTEND:soon|RRULE:FREQ=DAILY;UNTIL=20190701T000000Z",
            (),
            id="a series of old",
        ),
        pytest.param("SUMMARY:lunch|DTSTART:tomorrow|DURATION:PT1H", ("good",), id="nobody asks for it"),
        pytest.param("SUMMARY:good|STATUS:CANCELLED|DTSTART:tomorrow|DURATION:PT1H", ("good",), id="it is cancelled"),
    ],
)
def test_a_broken_event_that_can_hold_nothing_back_is_no_problem(broken: str, titles: tuple[str, ...]) -> None:
    found, problems = occurrences(asked(calendar(f"UID:x|{broken}", GOOD), "2026-06-01", titles=titles))
    assert [one.title for one in found] == ["good"]
    assert problems == []


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("SUMMARY:good|DTSTART:20260525T120000Z|DTEND:soon", id="it began a week ago"),
        pytest.param("SUMMARY:good|DTSTART:20190601T120000Z|DTEND:soon|RRULE:FREQ=DAILY", id="a series without end"),
        pytest.param("SUMMARY:good|DTSTART:20190601T120000Z|RRULE:FREQ=SOMETIMES", id="a rule that says nothing"),
        pytest.param("SUMMARY:good|DTSTART:20190601T120000Z|DTEND:soon|RDATE:20260601T120000Z", id="more dates"),
        pytest.param(
            "SUMMARY:good|RECURRENCE-ID:20260603T120000Z|DTSTART:20190601T120000Z|DTEND:soon", id="moved into the past"
        ),
        pytest.param("SUMMARY;X:good|DTSTART:20260601T120000Z|DTEND:soon", id="its title cannot be read either"),
    ],
)
def test_a_broken_event_that_may_hold_something_back_is_a_problem(broken: str) -> None:
    _, problems = occurrences(asked(calendar(f"UID:x|{broken}", GOOD), "2026-06-01", titles=("good",)))
    assert problems


def test_an_empty_calendar_announces_nothing() -> None:
    assert occurrences(asked(calendar(), "2026-06-01")) == ([], [])
