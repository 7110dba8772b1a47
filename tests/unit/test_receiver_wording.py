"""What people read at 3 a.m., word for word; and that no event, however poor, leaves them without a line."""

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.notify.kinds import STORY, IncidentType
from receiver.notify.wording import worded

BERLIN = ZoneInfo("Europe/Berlin")
EVENT: dict[str, Any] = {
    "timestamp": "2024-01-10T01:51:30Z",
    "flow_name": "Main IVR",
    "division": "Retail",
    "org": "retail",
    "accused_version_id": "14.0",
    "target_version_id": "13.0",
    "published_at": "2024-01-10T01:41:00Z",
    "published_by": "cx-as-code",
    "commit": "a1b2c3d4e5f60718",
    "signal": "error_exit",
    "errors": 41,
    "volume": 96,
    "window": "15m",
    "threshold_breach": 0.05,
    "rollback_id": "r1",
    "reason": "0 errors of 22 ended conversations",
    "undo_url": "https://rollback.example.org/api/v1/rollbacks/r1/undo",
    "explain_url": "https://rollback.example.org/api/v1/rollbacks/r1",
    "console_url": "https://rollback.example.org/console/rollbacks/r1",
    STORY: {
        "live_since": "2024-01-10T01:43:00Z",
        "data_end": "2024-01-10T01:50:00Z",
        "confirmed_at": "2024-01-10T01:51:10Z",
    },
}
ACCUSED = (
    "Main IVR (Retail) 14.0, published 02:41 by cx-as-code a1b2c3d: 41 of 96 callers ended in an error since 02:43 "
    "(allowed 5 %)."
)
ENDING = (
    "Undo: rollbackctl undo r1 --reason WHY. On the console: https://rollback.example.org/console/rollbacks/r1 "
    "(Times: Europe/Berlin)"
)


def told(kind: IncidentType, **changes: Any) -> str:
    return worded(EVENT | {"incident_type": kind.value} | changes, BERLIN).body


def test_a_rollback_that_helped_reads_as_it_should() -> None:
    said = worded(EVENT | {"incident_type": "ROLLBACK_SUCCEEDED"}, BERLIN)
    assert said.title == "Main IVR (Retail) 14.0: rolled back to 13.0"
    live = "13.0 made live 02:51, confirmed; 0 errors of 22 ended conversations since."
    assert said.body == f"{ACCUSED} {live} {ENDING}"


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("AUTO_ROLLBACK_TRIGGERED", "13.0 is being made live."),
        ("ROLLBACK_FAILED", "The rollback to 13.0 failed: no_effect. Look at the flow."),
        ("ROLLBACK_INEFFECTIVE", "13.0 made live 02:51, confirmed, but it fails too: no_effect. It is held: "),
        ("ROLLBACK_UNVERIFIED", "13.0 made live 02:51, confirmed; nobody knows whether it helps: no_effect. Look "),
        ("ROLLBACK_SUPPRESSED", "Not rolled back (maintenance): no_effect."),
        ("APPROVAL_REQUESTED", "Roll back to 13.0? You are asked because of: no_effect."),
        ("UNDO_SUCCEEDED", "13.0 made live 02:51, confirmed, by undo of ann."),
        ("UNDO_FAILED", "The undo of ann failed: no_effect. Look at the flow."),
        ("DEPENDENT_PUBLISHED", "It was published once more because another version of Hours, which it uses, was "),
        ("DEPENDENT_NOT_PUBLISHED", "It was NOT published once more because another version of Hours, which it uses, "),
        ("WOULD_HAVE_ROLLED_BACK", "Observing only: it would have been rolled back to 13.0."),
        ("KNOWN_BAD_DEPLOYED", "It is no_effect."),
    ],
)
def test_each_event_says_what_was_done_and_what_has_to_be(kind: str, sentence: str) -> None:
    body = told(IncidentType(kind), reason="no_effect", verdict="maintenance", ordered_by="ann", module_name="Hours")
    assert body.startswith(f"{ACCUSED} {sentence}")
    assert body.endswith(ENDING)


def test_the_silent_way_of_alerts_accuses_no_flow() -> None:
    said = worded({"incident_type": "ALERT_PATH_SILENT", "reason": "GenesysWatchdog last arrived: never"}, UTC)
    assert said.title == "No alerts reach the rollback receiver"
    assert said.body == "No alerts reach the rollback receiver: GenesysWatchdog last arrived: never. (Times: UTC)"


def test_an_approval_is_a_line_for_the_terminal() -> None:
    body = told(IncidentType.APPROVAL_REQUESTED, approve_url="https://x/approve", undo_url=None)
    assert "Approve: rollbackctl approve r1 (or deny)." in body
    assert "Undo" not in body


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"signal": "caller_hangup"}, "41 of 96 callers hung up since"),
        ({"signal": "routing_shift", "transfer_target": "Claims"}, "41 of 96 callers were sent to Claims since"),
        ({"signal": "something_new"}, "41 of 96 callers were hit since"),
        ({"window": "5m"}, "an error since 02:45 "),
        ({"window": "5 or so"}, "an error since 02:43 "),
        ({STORY: {}}, "an error (allowed 5 %)"),
        ({"division": None}, "Main IVR (retail) 14.0"),
        ({"deployed_by": "ann"}, "by ann a1b2c3d:"),
        ({"published_at": "2024-01-09T22:30:00Z"}, "published 2024-01-09 23:30 by"),
        ({"overwrote_newer": "14.1"}, "Somebody published 14.1 meanwhile, which is overwritten."),
        ({"members": [{}, {}, {}]}, "2 more flows of the same deployment."),
        ({"flow_name": "Main\nIVR\x1b[31m"}, "Main IVR [31m (Retail)"),
    ],
    ids=str,
)
def test_what_is_known_is_said(changes: dict[str, Any], said: str) -> None:
    assert said in told(IncidentType.ROLLBACK_SUCCEEDED, **changes)


values = (
    st.sampled_from(
        [
            None,
            True,
            "",
            "\n",
            "\ud800",
            "\x1b[2J",
            "9999-12-31T23:59:59Z",
            "0001-01-01T00:00:00Z",
            "2024-01-01T00:00:00",
        ]
    )
    | st.sampled_from([[], {}, [1], {"a": 1}, {"confirmed_at": "0001-01-01T00:00:00+14:00"}, {"live_since": 5}])
    | st.sampled_from([10**400, -1, 0, float("nan"), float("inf"), 1e300])
    | st.text(alphabet="a1:T-\u202e\x00é ", max_size=20)
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # busy machines
@given(
    kind=st.sampled_from([*IncidentType, None]),
    changes=st.dictionaries(st.sampled_from([*EVENT, "incident_type", "members", "transfer_target"]), values),
    kept=st.sets(st.sampled_from([*EVENT])),
)
def test_any_event_gives_a_title_in_one_printable_line(kind: IncidentType | None, changes: Any, kept: set[str]) -> None:
    event = {name: EVENT[name] for name in kept} | ({} if kind is None else {"incident_type": kind.value}) | changes
    said = worded(event, BERLIN)
    assert said.title.isprintable()
    assert said.title
    assert said.text.isprintable()


def test_what_else_was_changed_is_said_and_the_accused_publication_is_not_said_twice() -> None:
    accused = {"object_type": "flow", "object_id": "f1", "object_name": "Main IVR", "version": "14.0", "by": "cx"}
    queue = {
        "object_type": "queue",
        "object_id": "q1",
        "object_name": "Sales",
        "by": "Ann",
        "application": "Admin",
        "at": "2024-01-10T01:44:00Z",
    }
    others = [queue | {"object_name": name, "application": None} for name in ("A", "B", "C")]
    assert "Also changed" not in told(IncidentType.ROLLBACK_FAILED, flow_id="f1", changes=[accused])
    said = told(IncidentType.ROLLBACK_FAILED, flow_id="f1", changes=[accused, queue, *others])
    named = "queue Sales, 02:44 by Ann (Admin); queue A, 02:44 by Ann; queue B, 02:44 by Ann; 1 more"
    assert f"Also changed before: {named}. " in said
