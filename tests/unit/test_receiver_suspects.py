"""What was changed before an alert: its order, and what may be to blame in the place of the accused version."""

from dataclasses import replace
from typing import Any

import pytest

from receiver.store.changes import Changed
from receiver.suspects import LISTED, Suspects, suspects

ALERT_AT = 1_795_349_000.0
LIVE_SINCE = ALERT_AT - 600
FAILING_SINCE = LIVE_SINCE + 540
PUBLISHED = Changed(
    *("retail", "e1", LIVE_SINCE, LIVE_SINCE, "Architect", "Publish", "flow", "flow-1", "Main IVR"),
    *("14.0", "cx-as-code", None, False),
)
QUEUE = replace(
    PUBLISHED, id="e2", at=LIVE_SINCE + 60, object_type="queue", object_id="q-1", object_name="Sales", version=None
)
SKILL = replace(QUEUE, id="e3", object_type="skill", object_id="s-1", at=FAILING_SINCE - 10)


def found(*changed: Changed, **facts: Any) -> Suspects:
    about = {"flow_id": "flow-1", "version": "14.0", "live_since": LIVE_SINCE, "failing_since": FAILING_SINCE}
    return suspects(changed, **(about | {"alert_at": ALERT_AT, "together_s": 600.0} | facts))


def test_the_flow_comes_first_then_what_calls_pass_through_then_what_is_nearer_to_the_alert() -> None:
    earlier = replace(QUEUE, id="e0", at=LIVE_SINCE - 60)
    listed = found(SKILL, earlier, QUEUE, PUBLISHED).listed
    assert [(one.change.id, one.why) for one in listed] == [
        ("e1", "the flow itself"),
        ("e2", "calls pass through it"),
        ("e0", "calls pass through it"),
        ("e3", "something else"),
    ]


def test_what_came_after_the_alert_is_not_listed() -> None:
    assert found(replace(QUEUE, at=ALERT_AT + 1)).listed == ()


OTHER_FLOW = replace(PUBLISHED, id="e4", object_id="flow-2", at=LIVE_SINCE + 60)


@pytest.mark.parametrize(
    ("change", "is_other"),
    [
        pytest.param(QUEUE, True, id="another object after the publication"),
        pytest.param(SKILL, True, id="whatever it is"),
        pytest.param(replace(QUEUE, at=LIVE_SINCE - 1), False, id="before the publication"),
        pytest.param(replace(QUEUE, at=FAILING_SINCE), True, id="in the first bad minute"),
        pytest.param(replace(QUEUE, at=FAILING_SINCE + 1), False, id="when it failed already"),
        pytest.param(replace(PUBLISHED, id="e5", version="15.0", at=ALERT_AT - 5), False, id="the flow itself"),
        pytest.param(OTHER_FLOW, False, id="a flow of the same deployment"),
        pytest.param(replace(OTHER_FLOW, changed_by="Ann"), True, id="a flow by somebody else"),
        pytest.param(replace(OTHER_FLOW, action="Delete"), True, id="a flow that was not published"),
    ],
)
def test_what_may_be_to_blame_instead(change: Changed, is_other: bool) -> None:
    assert bool(found(PUBLISHED, change).others) is is_other


def test_a_flow_that_was_published_much_later_is_no_part_of_the_deployment() -> None:
    late = replace(OTHER_FLOW, at=LIVE_SINCE + 500)
    assert not found(PUBLISHED, late).others
    assert found(PUBLISHED, late, together_s=499.0).others


TABLE = replace(QUEUE, id="e6", object_type="datatable", object_id="t-1", object_name="Hours")


@pytest.mark.parametrize(
    ("change", "is_coupled"),
    [
        pytest.param(TABLE, True, id="a data table after the publication"),
        pytest.param(replace(TABLE, at=LIVE_SINCE - 500), True, id="and before it"),
        pytest.param(replace(TABLE, object_type="action"), True, id="a data action"),
        pytest.param(replace(TABLE, at=LIVE_SINCE - 601), False, id="too long before"),
        pytest.param(replace(TABLE, changed_by="Ann"), False, id="by somebody else"),
        pytest.param(QUEUE, False, id="a queue"),
    ],
)
def test_what_the_flow_needs_and_its_author_changed_with_it_is_coupled(change: Changed, is_coupled: bool) -> None:
    both = found(PUBLISHED, change)
    assert bool(both.coupled) is is_coupled
    assert not set(both.coupled) & set(both.others), "it is one or the other"
    assert not found(replace(PUBLISHED, version="13.0"), change).coupled, "the accused version is of nobody known"


def test_the_reason_of_what_is_coupled_names_it() -> None:
    assert found(PUBLISHED, TABLE).describe_coupled() == (
        "datatable Hours was changed by cx-as-code together with the version, and an earlier one may not fit"
    )


def test_where_nobody_knows_since_when_the_version_is_live_nothing_else_is_blamed() -> None:
    assert found(PUBLISHED, QUEUE, live_since=None).others == ()


def test_where_nobody_knows_since_when_it_fails_all_until_the_alert_may_be_to_blame() -> None:
    assert found(PUBLISHED, replace(QUEUE, at=ALERT_AT), failing_since=None).others
    assert not found(PUBLISHED, replace(QUEUE, at=ALERT_AT + 1), failing_since=None).others


def test_the_reason_names_the_first_and_counts_the_rest() -> None:
    told = found(PUBLISHED, QUEUE, SKILL).describe()
    one = "queue Sales was changed by cx-as-code after the version went live and before it failed"
    assert told == f"{one}, and 1 more"
    assert found(PUBLISHED, QUEUE).describe() == one


def test_a_record_has_the_first_of_many() -> None:
    many = found(PUBLISHED, *(replace(SKILL, id=f"x{number}") for number in range(100))).facts()
    assert len(many) == LISTED
    assert many[0] == {
        "at": "2026-11-22T11:53:20Z",
        "action": "Publish",
        "object_type": "flow",
        "object_id": "flow-1",
        "object_name": "Main IVR",
        "version": "14.0",
        "by": "cx-as-code",
        "application": None,
        "why": "the flow itself",
    }
