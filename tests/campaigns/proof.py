"""What the simulator's log says about sending twice; the receiver's own records are not asked."""

from collections.abc import Sequence

from receiver.config import Timing
from simulator.request_log import Request

UPLOADS, JOBS = "/storage/uploads/", "/api/v2/flows/jobs/"


def unproved_sends(requests: Sequence[Request]) -> list[Request]:
    """Publishes and files that were sent although an earlier one of the flow might have had an effect.

    A refused one has none. Of any other it has to be read, in the flow as it is when the publish deadline is over; or,
    of a file, in what has become of its job. What did not arrive as a whole names no flow, and may be any flow's.
    """
    found = []
    for later in (one for one in requests if one.publish):
        before = [one for one in requests if one.publish and _is_of(one, later) and one.seq < later.seq]
        earlier = next((one for one in reversed(before) if not _is_refused(one)), None)
        if earlier is not None and not _was_read(requests, earlier, later):
            found.append(later)
    return found


def _is_refused(publish: Request) -> bool:
    return publish.status is not None and 400 <= publish.status < 500


def _is_of(one: Request, other: Request) -> bool:
    return one.flow_id == other.flow_id or None in (one.flow_id, other.flow_id)


def _was_read(requests: Sequence[Request], earlier: Request, later: Request) -> bool:
    path = f"/api/v2/flows/{earlier.flow_id or later.flow_id}"
    job_was_read = any(
        one.method == "GET" and one.path.startswith(JOBS) and one.status == 200 and earlier.at <= one.at <= later.at
        for one in requests
    )
    if earlier.path.startswith(UPLOADS) and job_was_read:
        return True
    over_at = earlier.at + Timing().publish_deadline_s
    return any(
        (one.method, one.path, one.status) == ("GET", path, 200) and over_at <= one.at <= later.at for one in requests
    )
