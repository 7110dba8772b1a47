"""Which version is made live again."""

from dataclasses import replace

import pytest

from genesys.evidence import Tally
from genesys.flows import FlowVersion
from genesys.stints import Stint
from receiver.service import NO_SERVICE, Record, Service
from receiver.target import MIN_HISTORY_VOLUME, Candidate, TargetChoice, choose_target, undo_target

DAY_S = 86_400.0
V12 = FlowVersion("12.0", debug=False, published_at=0.0, published_until=10 * DAY_S, published_by="ann")
V13 = FlowVersion("13.0", debug=False, published_at=10 * DAY_S, published_until=20 * DAY_S, published_by="ann")
V14 = FlowVersion("14.0", debug=False, published_at=20 * DAY_S, published_until=None, published_by="ann")
GOOD = Service(Tally(errors=5, entries=1000, exits=1000), served_s=DAY_S)
HISTORY = {"12.0": GOOD, "13.0": GOOD, "14.0": Service(Tally(500, 1000, 1000), 900.0)}


def choose(
    *versions: FlowVersion,
    history: dict[str, Service] | None = None,
    ledger: dict[str, Record] | None = None,
    rolled_back: frozenset[str] = frozenset(),
    against: dict[str, str] | None = None,
    good: frozenset[str] = frozenset(),
) -> tuple[str | None, tuple[Candidate, ...], str]:
    choice = choice_of(*versions, history=history, ledger=ledger, rolled_back=rolled_back, against=against, good=good)
    return choice.version, choice.considered, choice.describe()


def choice_of(
    *versions: FlowVersion,
    history: dict[str, Service] | None = None,
    ledger: dict[str, Record] | None = None,
    rolled_back: frozenset[str] = frozenset(),
    against: dict[str, str] | None = None,
    good: frozenset[str] = frozenset(),
) -> TargetChoice:
    return choose_target(
        versions,
        HISTORY if history is None else history,
        ledger or {},
        accused="14.0",
        rolled_back=rolled_back,
        threshold_ratio=0.05,
        min_live_s=DAY_S,
        against=against,
        good=good,
    )


def test_the_newest_earlier_version_that_earned_it_is_chosen_whatever_the_order_of_the_answer() -> None:
    assert choose(V12, V13, V14) == ("13.0", (Candidate("13.0", ""),), "13.0")
    assert choose(V14, V13, V12)[0] == "13.0"


@pytest.mark.parametrize(
    ("version", "service", "reason"),
    [
        pytest.param(replace(V13, debug=True), GOOD, "a debug version", id="debug"),
        pytest.param(
            replace(V13, published_at=None),
            GOOD,
            "never live, or Genesys Cloud gives no dates for it",
            id="never published",
        ),
        pytest.param(
            replace(V13, published_at=20 * DAY_S - 600),
            replace(GOOD, served_s=3600.0),
            "live for 3600 s only, 86400 s are asked for",
            id="live for too short a time",
        ),
        pytest.param(
            V13,
            Service(Tally(0, 1000, MIN_HISTORY_VOLUME - 1), DAY_S),
            "49 ended conversations in the history, 50 are asked for",
            id="too few ended conversations, however many began",
        ),
        pytest.param(V13, None, "0 ended conversations in the history, 50 are asked for", id="no history"),
        pytest.param(
            V13,
            Service(Tally(51, 1000, 1000), DAY_S),
            "51 errors of 1000 in the history, above 5.0%",
            id="it failed as well",
        ),
    ],
)
def test_a_version_that_did_not_earn_it_is_passed_over_with_the_reason(
    version: FlowVersion, service: Service | None, reason: str
) -> None:
    history = {name: one for name, one in (HISTORY | {"13.0": service}).items() if one is not None}
    chosen, considered, described = choose(V12, version, V14, history=history)

    assert chosen == "12.0"
    assert considered == (Candidate("13.0", reason), Candidate("12.0", ""))
    assert described == f"12.0 (not 13.0: {reason})"


@pytest.mark.parametrize(
    ("version", "service"),
    [
        pytest.param(V13, Service(Tally(50, 1000, 1000), DAY_S), id="exactly at the threshold"),
        pytest.param(V13, Service(Tally(0, 0, MIN_HISTORY_VOLUME), 0.0), id="just enough conversations"),
        pytest.param(
            replace(V13, published_at=20 * DAY_S - 600), GOOD, id="published again lately, but it served for a day"
        ),
    ],
)
def test_a_version_at_its_limits_earned_it(version: FlowVersion, service: Service) -> None:
    assert choose(V12, version, V14, history=HISTORY | {"13.0": service})[0] == "13.0"


def test_a_version_that_the_bridge_rolled_back_is_no_target() -> None:
    chosen, considered, _ = choose(V12, V13, V14, rolled_back=frozenset({"13.0"}))

    assert chosen == "12.0"
    assert considered[0] == Candidate("13.0", "the bridge rolled it back before")


def test_the_accused_version_is_never_its_own_target() -> None:
    republished = replace(V14, published_until=20 * DAY_S)
    assert choose(republished, history={"14.0": GOOD}) == (None, (), "none: the flow has no earlier version")


def test_the_accused_version_does_not_end_the_search_wherever_it_stands() -> None:
    ended_last = replace(V14, published_until=30 * DAY_S)
    assert choose(V12, V13, ended_last)[0] == "13.0"


def test_without_a_version_that_earned_it_there_is_no_target_and_the_reasons_are_told() -> None:
    chosen, considered, described = choose(V12, V13, V14, history={})

    assert chosen is None
    assert [candidate.version for candidate in considered] == ["13.0", "12.0"]
    reason = "0 ended conversations in the history, 50 are asked for"
    assert described == f"none: 13.0: {reason}; 12.0: {reason}; 13.0 with approval only"


# With the ledger

UNDATED = replace(V13, published_at=None, published_until=None)
SEEN = (Stint("13.0", 10 * DAY_S, 10.5 * DAY_S), Stint("13.0", 19 * DAY_S, 19.5 * DAY_S))
ON_RECORD = Record(SEEN, Service(Tally(5, 1000, 1000), DAY_S))


@pytest.mark.parametrize(
    ("version", "service", "record"),
    [
        pytest.param(V13, None, Record((), GOOD), id="its conversations lie beyond the history"),
        pytest.param(
            V13, Service(Tally(0, 49, 49), 600.0), Record((), GOOD), id="only a few of them lie in the history"
        ),
        pytest.param(
            V13,
            Service(Tally(2, 5, 5), 600.0),
            Record((), GOOD),
            id="of a few in the history as many failed as may of fifty",
        ),
        pytest.param(
            replace(V13, published_at=20 * DAY_S - 600),
            replace(GOOD, served_s=600.0),
            Record(SEEN),
            id="its dates and the history tell of its last stretch only, the ledger of both",
        ),
        pytest.param(
            replace(V13, published_at=20 * DAY_S - 600),
            replace(GOOD, served_s=600.0),
            Record((), Service(Tally(), DAY_S)),
            id="it had conversations for long enough, by the ledger",
        ),
        pytest.param(UNDATED, None, ON_RECORD, id="it has no dates and was seen live"),
        pytest.param(
            V13,
            GOOD,
            Record(SEEN, Service(Tally(900, 2000, 2000), 2 * DAY_S)),
            id="it failed earlier, but served well in the history",
        ),
        pytest.param(V13, None, Record((), Service(Tally(0, 50, 50), 0.0)), id="just enough conversations on record"),
    ],
)
def test_what_the_ledger_knows_counts_where_the_history_tells_too_little(
    version: FlowVersion, service: Service | None, record: Record
) -> None:
    history = {} if service is None else {"13.0": service}
    assert choose(version, V14, history=history, ledger={"13.0": record})[0] == "13.0"
    assert ledgerless(version, history) is (service == GOOD and version == V13)


def ledgerless(version: FlowVersion, history: dict[str, Service]) -> bool:
    """Whether it were eligible without the ledger."""
    return choose(version, V14, history=history)[0] is not None


@pytest.mark.parametrize(
    ("version", "service", "record", "reason"),
    [
        pytest.param(
            V13,
            Service(Tally(3, 10, 10), 600.0),
            ON_RECORD,
            "3 errors of 10 in the history, above 5.0%",
            id="what is newest fails, however well it served long ago",
        ),
        pytest.param(
            V13,
            Service(Tally(51, 1000, 1000), DAY_S),
            Record(SEEN, Service(Tally(51, 9000, 9000), DAY_S)),
            "51 errors of 1000 in the history, above 5.0%",
            id="the history tells enough",
        ),
        pytest.param(
            V13,
            None,
            Record((), Service(Tally(51, 1000, 1000), DAY_S)),
            "51 errors of 1000 in the ledger, above 5.0%",
            id="it failed as far as anybody knows",
        ),
        pytest.param(
            V13,
            Service(Tally(0, 40, 40), DAY_S),
            Record((), Service(Tally(0, 49, 49), DAY_S)),
            "49 ended conversations in the ledger, 50 are asked for",
            id="the ledger knows more, and not enough",
        ),
        pytest.param(
            V13,
            Service(Tally(0, 40, 40), DAY_S),
            Record((), Service(Tally(0, 40, 40), DAY_S)),
            "40 ended conversations in the history, 50 are asked for",
            id="the ledger knows the same",
        ),
        pytest.param(replace(UNDATED, debug=True), None, ON_RECORD, "a debug version", id="a debug version stays one"),
        pytest.param(
            UNDATED,
            GOOD,
            Record((), GOOD),
            "never live, or Genesys Cloud gives no dates for it",
            id="without dates, and nobody saw it live",
        ),
        pytest.param(
            replace(V13, published_until=None),
            GOOD,
            ON_RECORD,
            "never live, or Genesys Cloud gives no dates for it",
            id="its service has no end",
        ),
        pytest.param(
            replace(V13, published_at=None),
            GOOD,
            ON_RECORD,
            "never live, or Genesys Cloud gives no dates for it",
            id="its service has no beginning",
        ),
        pytest.param(
            UNDATED,
            GOOD,
            Record((Stint("13.0", 0.0, DAY_S),), Service(Tally(), 7.0)),
            "live for 86400 s only, 86401 s are asked for",
            id="seen for too short a time",
        ),
    ],
)
def test_what_the_ledger_knows_does_not_excuse_a_version(
    version: FlowVersion, service: Service | None, record: Record, reason: str
) -> None:
    asked = DAY_S + 1 if "86401" in reason else DAY_S
    choice = choose_target(
        [version, V14],
        {} if service is None else {"13.0": service},
        {"13.0": record},
        accused="14.0",
        rolled_back=frozenset(),
        threshold_ratio=0.05,
        min_live_s=asked,
    )
    assert choice.considered == (Candidate("13.0", reason),)


def test_versions_without_dates_are_considered_by_when_they_were_last_seen() -> None:
    older = replace(UNDATED, id="12.0")
    stints = {"12.0": (Stint("12.0", 0.0, 10 * DAY_S),), "13.0": SEEN}
    ledger = {version: Record(some, GOOD) for version, some in stints.items()}
    assert choose(older, UNDATED, V14, history={}, ledger=ledger)[0] == "13.0"


def test_a_date_of_genesys_cloud_is_better_than_what_was_seen() -> None:
    seen_late = {"12.0": Record((Stint("12.0", 0.0, 30 * DAY_S),), GOOD)}
    assert choose(V12, V13, V14, ledger=seen_late)[0] == "13.0"


def test_a_version_that_was_seen_for_a_moment_has_no_service() -> None:
    choice = choose_target(
        [UNDATED, V14],
        {},
        {"13.0": Record((Stint("13.0", DAY_S, DAY_S),), Service(Tally(0, 90, 90), 0.0))},
        accused="14.0",
        rolled_back=frozenset(),
        threshold_ratio=0.05,
        min_live_s=1.0,
    )
    assert choice.considered == (Candidate("13.0", "live for 0 s only, 1 s are asked for"),)


# The same thing under another label, and what people call good


def test_what_is_known_against_a_version_makes_it_no_target_and_is_its_reason() -> None:
    against = {"13.0": "the same content as the accused version", "12.0": ""}
    chosen, considered, described = choose(V12, V13, V14, against=against, good=frozenset({"13.0"}))
    assert chosen == "12.0"
    assert considered[0] == Candidate("13.0", against["13.0"])
    assert described == "12.0 (not 13.0: the same content as the accused version)"


def test_a_target_whose_content_nobody_could_compare_says_so() -> None:
    considered = (Candidate("14.1", "a debug version"), Candidate("13.0", ""))
    assert TargetChoice("13.0", considered, compared=False).describe() == (
        "13.0, content not compared (not 14.1: a debug version)"
    )
    assert TargetChoice(None, (), compared=False).describe() == "none: the flow has no earlier version"


def test_a_good_version_needs_neither_time_nor_conversations() -> None:
    short = replace(V13, published_at=20 * DAY_S - 60)
    assert choose(V12, short, V14, history={"12.0": GOOD}, good=frozenset({"13.0"}))[0] == "13.0"
    assert choose(V12, short, V14, history={"12.0": GOOD})[0] == "12.0"


@pytest.mark.parametrize(
    ("version", "history", "ledger", "reason"),
    [
        pytest.param(replace(V13, debug=True), {}, {}, "a debug version", id="debug"),
        pytest.param(
            replace(V13, published_at=None),
            {},
            {},
            "never live, or Genesys Cloud gives no dates for it",
            id="unpublished",
        ),
        pytest.param(
            V13,
            {"13.0": Service(Tally(3, 10, 10), 60.0)},
            {},
            "3 errors of 10 in the history, above 5.0%",
            id="it failed lately",
        ),
        pytest.param(
            V13,
            {"13.0": GOOD},
            {"13.0": Record((), Service(Tally(51, 1000, 1000), DAY_S))},
            "51 errors of 1000 in the ledger, above 5.0%",
            id="it failed long ago",
        ),
    ],
)
def test_a_good_version_is_no_target_if_it_is_none_at_all_or_failed(
    version: FlowVersion, history: dict[str, Service], ledger: dict[str, Record], reason: str
) -> None:
    chosen, considered, _ = choose(version, V14, history=history, ledger=ledger, good=frozenset({"13.0"}))
    assert (chosen, considered) == (None, (Candidate("13.0", reason),))


def test_a_good_version_at_the_threshold_is_a_target() -> None:
    few = {"13.0": Service(Tally(2, 10, 10), 60.0)}
    assert choose(V13, V14, history=few, good=frozenset({"13.0"}))[0] == "13.0"


# What people may approve


def test_where_none_earned_it_the_newest_one_that_nothing_speaks_against_may_be_approved() -> None:
    choice = choice_of(V12, V13, V14, history={})

    assert (choice.version, choice.unearned) == (None, "13.0")


def test_where_one_earned_it_there_is_nothing_else_to_approve() -> None:
    choice = choice_of(V12, V13, V14, history={"12.0": GOOD})

    assert (choice.version, choice.unearned) == ("12.0", None)


@pytest.mark.parametrize(
    ("version", "service"),
    [
        pytest.param(replace(V13, debug=True), NO_SERVICE, id="a debug version"),
        pytest.param(replace(V13, published_at=None), NO_SERVICE, id="it was never live"),
        pytest.param(V13, Service(Tally(6, 100, 100), 600.0), id="it failed in what little it did"),
        pytest.param(V13, Service(Tally(3, 20, 20), 600.0), id="it failed too often for as few as it had"),
    ],
)
def test_what_something_speaks_against_is_nothing_to_approve(version: FlowVersion, service: Service) -> None:
    short = replace(V12, published_at=10 * DAY_S - 600)
    history = {"13.0": service}

    assert choice_of(short, version, V14, history=history).unearned == "12.0"
    assert choice_of(version, V14, history=history).unearned is None


def test_what_failed_by_the_ledger_or_was_rolled_back_is_nothing_to_approve() -> None:
    failed = Record((Stint("13.0", 10 * DAY_S, 20 * DAY_S),), Service(Tally(60, 100, 100), 600.0))

    assert choice_of(V13, V14, history={}, ledger={"13.0": failed}).unearned is None
    assert choice_of(V13, V14, history={}, rolled_back=frozenset({"13.0"})).unearned is None


# What an undo makes live again


def test_an_undo_wants_its_version_whatever_that_did() -> None:
    assert undo_target([V12, V13, V14], "14.0") == TargetChoice("14.0", (Candidate("14.0", ""),))


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        pytest.param([V12, V13], "it does not exist any more", id="deleted"),
        pytest.param([V13, replace(V14, debug=True)], "a debug version", id="debug"),
    ],
)
def test_an_undo_has_no_other_version_to_choose(versions: list[FlowVersion], reason: str) -> None:
    choice = undo_target(versions, "14.0")

    assert (choice.version, choice.unearned) == (None, None)
    assert choice.describe() == f"none: 14.0: {reason}"


def test_what_is_the_same_as_the_accused_version_is_not_even_asked_for() -> None:
    choice = choice_of(V12, V13, V14, history={}, against={"13.0": "the same content as the accused version"})
    assert (choice.version, choice.unearned) == (None, "12.0")
