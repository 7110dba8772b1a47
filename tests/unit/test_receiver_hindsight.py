"""What `auto` would have done, and what became of a version that was accused: only what the records tell."""

from typing import Any

import pytest

from receiver.ctl.hindsight import Auto, Course, Outcome, auto, course

SEEN = "2026-03-01T12:00:00.000Z"  # when the version was accused


def a_rollback(**changes: Any) -> dict[str, Any]:
    """Observed at noon: 14.0, live since eleven."""
    values = {
        "id": "r1",
        "kind": "rollback",
        "accused_version": "14.0",
        "target_version": "13.0",
        "live_since": "2026-03-01T11:00:00.000Z",
        "created_at": SEEN,
        "started_at": SEEN,
        "confirmed_at": None,
        "shadow": True,
        "overrides": None,
        "undoes": None,
        "approved_by": None,
        "facts": {},
    }
    return values | changes


def a_flow(*stints: tuple[str, str, str], live: str = "14.0", **changes: Any) -> dict[str, Any]:
    """Stints of that day: version, from, to."""
    versions: dict[str, list[dict[str, str]]] = {}
    for version, start, end in stints:
        stint = {"from": f"2026-03-01T{start}:00.000Z", "to": f"2026-03-01T{end}:00.000Z"}
        versions.setdefault(version, []).append(stint)
    ledger = {"versions": [{"version": version, "live": live_at} for version, live_at in versions.items()]}
    return {"live_version": live, "live_since": None, "published_by": None, "ledger": ledger} | changes


LISTED = "2026-03-01T15:00:00.000Z"
ONE_O_CLOCK = "2026-03-01T13:00:00.000Z"
BY_HAND = a_rollback(
    id="r2", shadow=False, overrides=[], confirmed_at="2026-03-01T12:59:00.000Z", facts={"ordered_by": "ann"}
)


@pytest.mark.parametrize(
    ("flow", "others", "expected"),
    [
        pytest.param(
            a_flow(("14.0", "11:00", "14:50")), [], Course(Outcome.STILL_LIVE, LISTED, 3 * 3600, None), id="live still"
        ),
        pytest.param(
            a_flow(("14.0", "11:00", "13:00"), ("15.0", "13:00", "14:50"), live="15.0", published_by="cx-as-code"),
            [],
            Course(Outcome.REPLACED, ONE_O_CLOCK, 3600, "15.0, published by cx-as-code"),
            id="replaced by what is live",
        ),
        pytest.param(
            a_flow(("14.0", "11:00", "13:00"), ("15.0", "13:00", "14:00"), ("16.0", "14:00", "14:50"), live="16.0"),
            [],
            Course(Outcome.REPLACED, ONE_O_CLOCK, 3600, "15.0"),
            id="replaced by what is live no more",
        ),
        pytest.param(
            a_flow(("14.0", "11:00", "13:00"), ("15.0", "13:00", "14:00"), ("14.0", "14:00", "14:50")),
            [],
            Course(Outcome.REPLACED, ONE_O_CLOCK, 3600, "15.0"),
            id="replaced and live again",
        ),
        pytest.param(
            a_flow(("13.0", "09:00", "11:00"), ("14.0", "11:00", "14:50")),
            [],
            Course(Outcome.STILL_LIVE, LISTED, 3 * 3600, None),
            id="what was before it is nothing that came after",
        ),
        pytest.param(
            a_flow(("13.0", "11:10", "11:20"), ("14.0", "11:20", "14:50")),
            [],
            Course(Outcome.STILL_LIVE, LISTED, 3 * 3600, None),
            id="live again with its old date",
        ),
        pytest.param(
            a_flow(("14.0", "11:00", "13:00"), ("13.0", "13:00", "14:50"), live="13.0", published_by="bridge"),
            [BY_HAND],
            Course(Outcome.REPLACED, ONE_O_CLOCK, 3600, "13.0, by rollback r2 of ann"),
            id="a person has ordered it",
        ),
        pytest.param(
            a_flow(("14.0", "11:00", "13:00"), ("13.0", "13:00", "14:50"), live="13.0", published_by="bridge"),
            [BY_HAND | {"facts": {}, "approved_by": None}],
            Course(Outcome.ROLLED_BACK_LATER, ONE_O_CLOCK, 3600, "13.0, by rollback r2"),
            id="the bridge itself took it back later: nobody has agreed",
        ),
        pytest.param(
            a_flow(("14.0", "11:00", "12:10"), live="15.0", live_since=ONE_O_CLOCK, published_by="ann"),
            [],
            Course(Outcome.REPLACED, ONE_O_CLOCK, 3600, "15.0, published by ann"),
            id="the ledger does not know yet",
        ),
        pytest.param(
            a_flow(("14.0", "11:00", "12:10"), live="15.0"),
            [],
            Course(Outcome.NOT_KNOWN, None, None, None),
            id="replaced nobody knows when",
        ),
        pytest.param(None, [], Course(Outcome.NOT_KNOWN, None, None, None), id="not listed any more"),
    ],
)
def test_what_became_of_a_version(flow: dict[str, Any] | None, others: list[dict[str, Any]], expected: Course) -> None:
    assert course(a_rollback(), flow, LISTED, others) == expected


@pytest.mark.parametrize("listed_at", [None, "2026-03-01T11:59:00.000Z"])
def test_a_listing_from_before_says_nothing_of_what_came_after(listed_at: str | None) -> None:
    assert course(a_rollback(), a_flow(("14.0", "11:00", "11:59")), listed_at, []).outcome is Outcome.NOT_KNOWN


def test_a_version_without_a_date_was_live_when_it_was_accused() -> None:
    undated = a_rollback(live_since="1970-01-01T00:00:00.000Z")
    flow = a_flow(("13.0", "09:00", "11:00"), ("14.0", "11:00", "13:00"), ("15.0", "13:00", "14:50"), live="15.0")
    assert course(undated, flow, LISTED, []) == Course(Outcome.REPLACED, ONE_O_CLOCK, 3600, "15.0")


def test_what_was_rolled_back_and_who_has_undone_it() -> None:
    done = a_rollback(shadow=False, confirmed_at="2026-03-01T12:00:30.000Z")
    undo = a_rollback(id="r2", kind="undo", undoes="r1", confirmed_at=ONE_O_CLOCK, facts={"ordered_by": "bob"})
    failed = undo | {"confirmed_at": None}
    assert course(done, None, None, [done]) == Course(Outcome.ROLLED_BACK, done["confirmed_at"], 30, "13.0")
    assert course(done, None, None, [done, failed]).undone_by is None
    assert course(done, None, None, [done, undo]).undone_by == "bob"


def decision(*values: str) -> dict[str, Any]:
    guards = [{"guard": "awaiting_approval", "holds_back": bool(value), "value": value} for value in values]
    return {"guards": [{"guard": "observing", "holds_back": True, "value": "mode observe"}, *guards]}


NOT_BEGUN = {"shadow": False, "started_at": None, "ended_at": SEEN}


@pytest.mark.parametrize(
    ("changes", "decided", "expected"),
    [
        pytest.param({}, decision(""), Auto.WOULD_BEGIN, id="observed"),
        pytest.param({}, None, Auto.WOULD_BEGIN, id="observed, and its decision is gone"),
        pytest.param({}, decision("no version earned it, 13.0 may be approved"), Auto.WOULD_ASK, id="no earned target"),
        pytest.param(
            NOT_BEGUN | {"facts": {"approval_because": "mode approve"}},
            decision("mode approve"),
            Auto.WOULD_BEGIN,
            id="asked for its mode only",
        ),
        pytest.param(
            NOT_BEGUN | {"facts": {"approval_because": "mode approve; deployment d1 asks for it"}},
            None,
            Auto.WOULD_ASK,
            id="asked for its deployment too",
        ),
        pytest.param(
            NOT_BEGUN | {"facts": {"approval_because": "x"}},
            decision("mode approve (flows of type bot are not rolled back automatically)"),
            Auto.WOULD_ASK,
            id="no higher mode for such flows",
        ),
        pytest.param(
            {"shadow": False, "facts": {"approval_because": "mode approve"}}, None, Auto.BEGAN, id="approved and begun"
        ),
        pytest.param({"shadow": False}, None, Auto.BEGAN, id="begun by itself"),
        pytest.param(NOT_BEGUN, None, Auto.WOULD_NOT, id="held back before its write"),
        pytest.param(NOT_BEGUN | {"ended_at": None}, None, Auto.WAITS, id="waits for its turn"),
        pytest.param({"shadow": False, "overrides": []}, None, Auto.BY_HAND, id="ordered by a person"),
        pytest.param({"shadow": False, "kind": "undo"}, None, Auto.UNDO, id="an undo"),
    ],
)
def test_what_mode_auto_would_have_done(
    changes: dict[str, Any], decided: dict[str, Any] | None, expected: Auto
) -> None:
    assert auto(a_rollback(**changes), decided) is expected
