"""Only the flow itself says whether a publish worked."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.flows import Flow, Operation, Readback, read_back, read_back_anew

OURS = Operation("op-1", complete=True, action="PUBLISH", status="SUCCESS")
RUNNING = replace(OURS, complete=False, status="STARTED")
FAILED = replace(OURS, status="FAILURE", error="x.y")

FLOW = Flow(
    id="f",
    name="Main IVR",
    type="inboundcall",
    division_id="d",
    division_name="Home",
    active=True,
    deleted=False,
    live_version="13.0",
    live_published_at=0.0,
    published_by=None,
    locked_by=None,
    operation=OURS,
)

CASES = {
    "live and complete": ("13.0", OURS, Readback.DONE),
    "live, and no operation is told": ("13.0", None, Readback.DONE),
    "live, but the operation is still running": ("13.0", RUNNING, Readback.PENDING),
    "still the old one while it is running": ("14.0", RUNNING, Readback.PENDING),
    "complete, but the effect does not show yet": ("14.0", OURS, Readback.PENDING),
    "nothing is told at all": ("14.0", None, Readback.PENDING),
    "our operation failed": ("14.0", FAILED, Readback.FAILED),
    "somebody else's operation failed": ("14.0", replace(FAILED, id="op-2"), Readback.PENDING),
    "a third version is live": ("15.0", OURS, Readback.OVERTAKEN),
    "a third version is live while an operation, maybe ours, is running": ("15.0", RUNNING, Readback.PENDING),
    "a third version is live although ours failed": ("15.0", FAILED, Readback.OVERTAKEN),
    "no version is live any more": (None, OURS, Readback.OVERTAKEN),
}


@pytest.mark.parametrize(("live", "operation", "said"), CASES.values(), ids=CASES.keys())
def test_a_publish_is_judged_by_the_flow(live, operation, said):
    flow = replace(FLOW, live_version=live, operation=operation)
    assert read_back(flow, accused="14.0", target="13.0", operation_id="op-1") is said


def test_a_failure_is_not_ours_while_we_do_not_know_which_operation_is():
    flow = replace(FLOW, live_version="14.0", operation=FAILED)
    assert read_back(flow, accused="14.0", target="13.0", operation_id=None) is Readback.PENDING


operations = st.none() | st.builds(
    Operation,
    id=st.sampled_from(["op-1", "op-2"]),
    complete=st.booleans(),
    status=st.sampled_from(["STARTED", "SUCCESS", "FAILURE", None]),
)


@given(st.sampled_from(["12.0", "13.0", "14.0", None]), operations, st.sampled_from(["op-1", None]))
def test_done_is_never_said_unless_the_target_is_live_and_nothing_is_under_way(live, operation, operation_id):
    flow = replace(FLOW, live_version=live, operation=operation)
    if read_back(flow, accused="14.0", target="13.0", operation_id=operation_id) is Readback.DONE:
        assert live == "13.0"
        assert operation is None or operation.complete


THEIRS = replace(OURS, id="op-2")
SAVED = replace(THEIRS, action="SAVE")
EARLIER = replace(OURS, id="op-0")
# Live version, its date (it was 100.0), operation; what is said if the operation is known, and if the answer was lost.
ANEW_CASES = {
    "ours succeeded": ("13.0", 100.0, OURS, Readback.DONE, Readback.DONE),
    "ours runs": ("13.0", 100.0, RUNNING, Readback.PENDING, Readback.PENDING),
    "ours failed": ("13.0", 100.0, FAILED, Readback.FAILED, None),
    "nothing is new": ("13.0", 100.0, EARLIER, Readback.PENDING, Readback.PENDING),
    "no operation is told": ("13.0", 100.0, None, Readback.PENDING, Readback.PENDING),
    "no operation is told, and the date is newer": ("13.0", 101.0, None, Readback.DONE, Readback.DONE),
    "the date is newer than what hides ours": ("13.0", 101.0, SAVED, Readback.DONE, Readback.DONE),
    "somebody published it as well": ("13.0", 100.0, THEIRS, Readback.DONE, Readback.DONE),
    "somebody saved it since": ("13.0", 100.0, SAVED, None, None),
    "another version is live": ("14.0", 101.0, THEIRS, Readback.OVERTAKEN, Readback.OVERTAKEN),
    "another version is live while something runs": ("14.0", 101.0, RUNNING, Readback.PENDING, Readback.PENDING),
    "the date is told no more": ("13.0", None, EARLIER, Readback.PENDING, Readback.PENDING),
}


@pytest.mark.parametrize(("live", "dated", "operation", "known", "lost"), ANEW_CASES.values(), ids=ANEW_CASES.keys())
def test_a_publish_of_what_is_live_is_judged_by_its_operation_and_its_date(live, dated, operation, known, lost):
    flow = replace(FLOW, live_version=live, live_published_at=dated, operation=operation)
    for operation_id, said in (("op-1", known), (None, lost)):
        found = read_back_anew(
            flow, version="13.0", operation_id=operation_id, operation_before="op-0", published_before=100.0
        )
        assert found is said
