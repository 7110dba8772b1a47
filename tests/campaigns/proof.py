"""What the simulator's log says about sending twice; the receiver's own records are not asked."""

from collections.abc import Sequence

from receiver.config import Timing
from simulator.request_log import Request


def unproved_sends(requests: Sequence[Request]) -> list[Request]:
    """Publishes that were sent although an earlier one of the flow might have had an effect.

    A refused one has none. Of any other it has to be read, in the flow as it is when the publish deadline is over.
    """
    found = []
    for later in (one for one in requests if one.publish):
        before = [one for one in requests if one.publish and one.flow_id == later.flow_id and one.seq < later.seq]
        earlier = next((one for one in reversed(before) if not _is_refused(one)), None)
        if earlier is not None and not _was_read(requests, earlier, later):
            found.append(later)
    return found


def _is_refused(publish: Request) -> bool:
    return publish.status is not None and 400 <= publish.status < 500


def _was_read(requests: Sequence[Request], earlier: Request, later: Request) -> bool:
    path = f"/api/v2/flows/{earlier.flow_id}"
    over_at = earlier.at + Timing().publish_deadline_s
    return any(
        (one.method, one.path, one.status) == ("GET", path, 200) and over_at <= one.at <= later.at for one in requests
    )
