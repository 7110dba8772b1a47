"""Only the flow itself says whether a publish worked."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.flows import Flow, Operation, Readback, read_back

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
