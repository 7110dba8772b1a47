"""What the simulator's log says about sending twice; the receiver's own records are not asked."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from receiver.config import Timing
from simulator.request_log import Request

UPLOADS, JOBS = "/storage/uploads/", "/api/v2/flows/jobs/"
NONE_FAILED: Mapping[int, float] = MappingProxyType({})


def unproved_sends(requests: Sequence[Request], failed: Mapping[int, float] = NONE_FAILED) -> list[Request]:
    """Publishes and files that were sent although an earlier one of the flow might have had an effect.

    A refused one has none. Of any other it has to be read, in the flow as it is when the publish deadline is over, and
    of a file in its job as well; or in what has `failed` (number of the write → when). What did not arrive as a whole
    names no flow, and may be any flow's.
    """
    found = []
    for later in (one for one in requests if one.publish):
        before = [one for one in requests if one.publish and _is_of(one, later) and one.seq < later.seq]
        earlier = next((one for one in reversed(before) if not is_refused(one)), None)
        if earlier is not None and not _was_read(requests, earlier, later, failed.get(earlier.seq)):
            found.append(later)
    return found


def is_refused(publish: Request) -> bool:
    """Was it answered that it has no effect?"""
    return publish.status is not None and 400 <= publish.status < 500


def _is_of(one: Request, other: Request) -> bool:
    return one.flow_id == other.flow_id or None in (one.flow_id, other.flow_id)


def _was_read(requests: Sequence[Request], earlier: Request, later: Request, failed_at: float | None) -> bool:
    """A job is asked for by its own id: that of another one proves nothing."""
    named = [earlier.flow_id, later.flow_id, *(one.flow_id for one in requests)]
    flow = f"/api/v2/flows/{next(flow_id for flow_id in named if flow_id is not None)}"
    job = JOBS + earlier.path.removeprefix(UPLOADS) if earlier.path.startswith(UPLOADS) else None
    over_at = earlier.at + Timing().publish_deadline_s

    def was_read(path: str, since: float) -> bool:
        return any(
            (one.method, one.path, one.status) == ("GET", path, 200) and since <= one.at <= later.at for one in requests
        )

    if failed_at is not None and was_read(job or flow, failed_at):
        return True
    return was_read(flow, over_at) and (job is None or was_read(job, earlier.at))
