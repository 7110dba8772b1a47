"""A drill from its first look to its last: an older version is made live, and the one that was live is again.

Whatever happens in between, and whenever somebody wants to stop, the flow is put
back; where that fails, the report says what is live.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from genesys.aggregates import Query
from genesys.errors import GenesysError
from genesys.flows import Flow
from genesys.platform import ENDED, STARTED
from receiver.doctor.cloud import Cloud
from receiver.doctor.examination import Found, State, failed, not_proved, proved, skipped
from receiver.drill.fence import Fence, NotNow
from receiver.drill.ground import Ground, ground_of
from receiver.drill.publish import End, Published, publish
from receiver.store.database import StoreUnavailable
from receiver.store.leases import LeaseLost

TRIES = 5  # to put the flow back, at least; for as long as a publish may take
MINUTE_S = 60
LOOK_S = 10.0  # between two looks at the figures
STOP_S = 1.0  # after so long whoever wants to stop is heard

REPUBLISH, PUT_BACK = "an older version is made live", "the version is put back"
_CANNOT_START = "this release knows no documented call that starts an execution"


@dataclass
class Report:
    """What was found, by step; `live` is what a last read showed, None if nothing could be read."""

    ground: Ground
    found: dict[str, Found] = field(default_factory=dict)
    live: str | None = None
    is_settled: bool = True  # else what was sent may take effect yet

    @property
    def is_as_before(self) -> bool:
        return self.is_settled and self.live == self.ground.live

    @property
    def has_failed(self) -> bool:
        return any(one.state is State.FAILED for one in self.found.values())


@dataclass(frozen=True, slots=True)
class Means:
    """What a drill works with; `stopped` tells whether somebody wants it to end, `tell` is for people who watch."""

    cloud: Cloud
    fence: Fence
    deadline_s: float  # of one publish
    retry_s: float
    executions_s: float  # for how long executions are waited for
    stopped: Callable[[], bool]
    tell: Callable[[str], None]


def exercise(means: Means, ground: Ground) -> Report:
    """Publish, measure, put back. Raises NotNow, with nothing written, if the flow is not as it was looked at."""
    report = Report(ground)
    _unchanged(means, ground)
    means.fence.renew({"flow_id": ground.flow_id, "step": "begun", "live": ground.live, "target": ground.older})
    if means.stopped():
        raise NotNow("stopped")
    unsettled, done = True, None
    try:
        _tell(means, f"publishing {ground.older} over {ground.live}")
        done = _publish(means, ground, ground.older, ground.live)
        unsettled = done.end in (End.UNKNOWN, End.NO_EFFECT)
        report.found |= _told(done, ground)
        if done.end is End.LIVE:
            report.found["date of publication"] = _apart(lambda: _date(means, ground))
            report.found["executions"] = _apart(lambda: _executions(means, ground))
    finally:
        _tell(means, f"making sure that {ground.live} is live")
        report.found[PUT_BACK] = _put_back(means, ground, unsettled=unsettled)
        lost = unsettled and (done is None or done.end is End.UNKNOWN)
        report.is_settled = report.found[PUT_BACK].state is not State.FAILED and not (
            lost and report.found[PUT_BACK].state is not State.PROVED
        )
        report.live = _live(means, ground)
        _tell(means, report.found[PUT_BACK].seen)
    return report


def _tell(means: Means, text: str) -> None:
    """Nobody who has stopped listening keeps the flow from being put back."""
    with suppress(OSError):
        means.tell(text)


def look(cloud: Cloud, flow_id: str, quarantined: frozenset[str]) -> Ground:
    """Raises NotAWorkflow, NotNow, GenesysError."""
    return ground_of(cloud.genesys.flow(flow_id), cloud.genesys.versions(flow_id), quarantined)


def _unchanged(means: Means, ground: Ground) -> None:
    now = look(means.cloud, ground.flow_id, frozenset())
    if now.live != ground.live:
        raise NotNow(f"version {now.live} was published meanwhile")


def _publish(means: Means, ground: Ground, target: str, over: str) -> Published:
    return publish(
        means.cloud.genesys,
        ground.flow_id,
        target,
        over,
        clock=means.cloud.clock,
        deadline_s=means.deadline_s,
        renew=lambda: _keep(means),
    )


def _keep(means: Means) -> None:
    """The leases, if possible: what was sent is read back in any case."""
    with suppress(LeaseLost, StoreUnavailable):
        means.fence.renew()


def _told(done: Published, ground: Ground) -> dict[str, Found]:
    permission = "architect:flow:publish"
    version = f"version {ground.older}"
    if done.end is End.REFUSED:
        cure = "give the OAuth client's role this permission, or rollbacks cannot work here: tell its makers the code"
        return {REPUBLISH: failed(f"refused: {done.detail}", cure)}
    allowed = {permission: proved("a publish is answered")} if done.answered_s is not None else {}
    if done.end is End.LIVE:
        seen = f"{version} is live after {done.live_s:.1f} s, the answer came after {done.answered_s:.1f} s"
        return allowed | {REPUBLISH: proved(seen)}
    if done.end is End.UNKNOWN:
        return allowed | {REPUBLISH: not_proved(f"nobody knows: {done.detail}", "look at the flow, and run it again")}
    if done.end is End.OVERTAKEN:
        return allowed | {REPUBLISH: not_proved(f"somebody else has published: {done.detail}", "run it again")}
    cure = "leave every flow in mode observe: rollbacks would end as failed (no_effect); roll back by hand"
    return allowed | {REPUBLISH: failed(f"{done.end.value}: {done.detail}", cure)}


def _date(means: Means, ground: Ground) -> Found:
    versions = means.cloud.genesys.versions(ground.flow_id)
    now = next((version.published_at for version in versions if version.id == ground.older), None)
    if now is None:
        return not_proved(f"version {ground.older} has no datePublished while it is live", "nothing")
    return proved("datePublished moves" if now != ground.dated else "datePublished stays what it was the first time")


def _executions(means: Means, ground: Ground) -> Found:
    """Wait for executions that somebody else starts, and see when their minute is told, and how they ended."""
    if means.executions_s <= 0:
        cure = "--executions 600, and start the workflow meanwhile by what usually starts it"
        return skipped(f"{_CANNOT_START}, so neither delay nor error exits were measured", cure)
    clock = means.cloud.clock
    begun, end = clock.now(), clock.monotonic() + means.executions_s
    _tell(means, f"start executions of {ground.name} now; they are waited for up to {means.executions_s:.0f} s")
    first_s: float | None = None
    while not means.stopped() and clock.monotonic() < end:
        if first_s is None and _count(means, ground, begun, STARTED):
            first_s = clock.now() - begun
        exits = _count(means, ground, begun, ENDED) if first_s is not None else {}
        if exits:
            told = ", ".join(f"{reason} {count}" for reason, count in sorted(exits.items()))
            seen = f"told {first_s:.0f} s after {ground.older} was live, and ended after {clock.now() - begun:.0f} s"
            return proved(f"{seen}: {told}; {_CANNOT_START}")
        _wait(means, LOOK_S)
    if first_s is not None:
        return not_proved(f"told {first_s:.0f} s after {ground.older} was live; no end was seen", "wait for longer")
    return not_proved("none was told", "start the workflow while it is waited for; wait for longer")


def _count(means: Means, ground: Ground, since: float, metric: str) -> dict[str, int]:
    """Executions of the older version since then, by exit reason."""
    start = int(since // MINUTE_S) * MINUTE_S
    end = int(means.cloud.clock.now() // MINUTE_S + 1) * MINUTE_S
    by = ["flowId", "flowVersion", *(["exitReason"] if metric == ENDED else [])]
    found: dict[str, int] = {}
    with suppress(GenesysError):  # the next look will tell
        for one in means.cloud.probe.counted(Query(start, end, MINUTE_S, [metric], by, [ground.flow_id])):
            if one.group.get("flowVersion") == ground.older and one.count:
                reason = one.group.get("exitReason", "")
                found[reason] = found.get(reason, 0) + one.count
    return found


def _put_back(means: Means, ground: Ground, *, unsettled: bool) -> Found:
    """Nobody's wish to stop is heard before this has ended. `unsettled`: what was sent may take effect yet."""
    problem = ""
    clock = means.cloud.clock
    until = clock.monotonic() + means.deadline_s  # whatever was under way has ended by then
    for number in count():
        if number >= TRIES and clock.monotonic() >= until:
            break
        if number:
            clock.sleep(means.retry_s)
        try:
            flow = means.cloud.genesys.flow(ground.flow_id)
            if flow.live_version == ground.live and not _is_busy(flow):
                return _still_live(ground, unsettled=unsettled)
            if flow.live_version not in (ground.live, ground.older):
                cure = "nothing, if that was meant: it is left as it is"
                return failed(f"somebody else has published version {flow.live_version}", cure)
            if _is_busy(flow):
                problem = "an operation is under way"
                continue
            means.fence.renew({"flow_id": ground.flow_id, "step": "put_back", "target": ground.live})
        except LeaseLost:
            problem = "a receiver is at work in this organization"
            continue
        except (GenesysError, StoreUnavailable) as error:
            problem = str(error)
            continue
        done = _publish(means, ground, ground.live, ground.older)
        if done.end is End.LIVE:
            return proved(f"version {ground.live} is live again after {done.live_s:.1f} s")
        problem = f"{done.end.value}: {done.detail}"
    return failed(f"version {ground.live} is not known to be live: {problem}", _by_hand(ground))


def _still_live(ground: Ground, *, unsettled: bool) -> Found:
    if unsettled:
        seen = f"version {ground.live} is live, but the publish of {ground.older} may take effect yet"
        return not_proved(seen, f"look at the flow in some minutes, and if need be {_by_hand(ground)}")
    return proved(f"version {ground.live} is live")


def _by_hand(ground: Ground) -> str:
    return f"publish version {ground.live} of {ground.name} ({ground.flow_id}) in Architect"


def _is_busy(flow: Flow) -> bool:
    return flow.operation is not None and not flow.operation.complete


def _live(means: Means, ground: Ground) -> str | None:
    try:
        return means.cloud.genesys.flow(ground.flow_id).live_version
    except GenesysError:
        return None


def _apart(measure: Callable[[], Found]) -> Found:
    """What cannot be measured does not end the drill."""
    try:
        return measure()
    except GenesysError as problem:
        return not_proved(f"cannot be read: {problem}", "run it again")


def _wait(means: Means, seconds: float) -> None:
    end = means.cloud.clock.monotonic() + seconds
    while not means.stopped() and means.cloud.clock.monotonic() < end:
        means.cloud.clock.sleep(STOP_S)
    _keep(means)
