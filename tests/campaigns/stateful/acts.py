"""What may happen: each a function of the world. What people order is told to the observer once it is committed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Lock
from typing import Any

from genesys.errors import Unavailable
from receiver import orders
from receiver.desk import Desk, NotKnown, NotReadable, Order, Plan
from receiver.orders import NotPossible
from receiver.payload import Alert
from receiver.store import alerts, controls, quarantines, rollbacks
from receiver.store.database import Transaction
from receiver.store.rollbacks import Rollback
from tests.campaigns.stateful.rows import Attempt
from tests.campaigns.stateful.seams import ANY, CRASH, Act, Interruption
from tests.campaigns.stateful.stops import EVERY, Window
from tests.campaigns.stateful.world import World
from tests.integration.receiver_world import FlowInGenesys, alert_of, fingerprint

WHO = "ann"
BAD_RATIO = 0.5
LEASE_S = 30.0


def do(world: World, act: Act) -> None:
    """Let it happen."""
    ACTS[act.name](world, *act.args)


def wait(world: World, seconds: float) -> None:
    world.time.pass_(seconds)


def tick(world: World, number: int, org: str) -> None:
    world.tick(number, org)


def overtake(world: World, number: int, org: str, dies_at: int) -> None:
    """Whoever runs stands still for longer than its lease, and another one takes over; it may die in its round."""
    world.time.pass_(LEASE_S + 1)
    world.tick(number, org, [Interruption(ANY, dies_at, CRASH)] if dies_at else [])


def deliver(world: World, org: str, flow_id: str, back: int, begun_s: float, listed: bool) -> None:
    """Alertmanager tells of a version, the live one or one that was live before; lists it, or has forgotten it."""
    alert = _alert(world, org, flow_id, back, begun_s)
    if listed:
        world.alertmanager.firing = world.alertmanager.firing | {alert.fingerprint: alert}
    _record(world, alert)


def resolve(world: World, org: str, flow_id: str, back: int, begun_s: float, listed: bool) -> None:
    """It is over, says the webhook; the list may say otherwise for a while."""
    alert = _alert(world, org, flow_id, back, begun_s)
    if not listed:
        _forget(world, org, flow_id, alert.labels["flow_version"])
    _record(world, replace(alert, firing=False, ends_at=world.time.now))


def end_what_is_over(world: World, told: bool) -> None:
    """Alerts of versions that are not live any more end; a webhook tells of it, or only the list does."""
    over = [
        alert
        for alert in world.alertmanager.firing.values()
        if world.clouds[alert.labels["org"]].of(alert.labels["flow_id"]).live != alert.labels["flow_version"]
    ]
    for alert in over:
        _forget(world, alert.labels["org"], alert.labels["flow_id"], alert.labels["flow_version"])
        if told:
            _record(world, replace(alert, firing=False, ends_at=world.time.now))


def mute(world: World, org: str, flow_id: str, back: int, kind: str) -> None:
    """A silence or an inhibition of what Alertmanager lists."""
    version = _version(world.clouds[org].of(flow_id), back)
    name = fingerprint(flow_id, org, version)
    if name in world.alertmanager.firing:
        (world.alertmanager.silenced if kind == "silence" else world.alertmanager.inhibited)[name] = ["s-1"]
        world.past.stops.mute(org, flow_id, version, world.time.now)


def unmute(world: World) -> None:
    world.alertmanager.silenced.clear()
    world.alertmanager.inhibited.clear()
    world.past.stops.muted.clear()


def alertmanager_answers(world: World, answers: bool) -> None:
    world.alertmanager.down = not answers


def pause(world: World, org: str) -> None:
    _order(world, controls.pause, org, by=WHO, reason="wait")
    world.past.stops.paused.add(org)


def resume(world: World) -> None:
    for org in sorted(world.past.stops.paused):
        _order(world, controls.resume, org, by=WHO)
        world.past.stops.paused.discard(org)


def hold(world: World, org: str, flow_id: str) -> None:
    _order(world, controls.hold, org, [flow_id], owner=WHO, reason="a hot fix", by=WHO)
    world.past.stops.held.add((org, flow_id, WHO))


def release(world: World) -> None:
    """Every hold, those of the bridge too."""
    for org, flow_id in sorted({one[:2] for one in world.past.stops.held}):
        _order(world, controls.release, org, flow_id, by=WHO)
        world.past.stops.release(org, flow_id)


def open_window(world: World, org: str, flow_id: str, begins_s: float, lasts_s: float) -> None:
    starts_at = world.time.now + begins_s
    made = _order(
        world,
        controls.open_window,
        org=org,
        flow_ids=[] if flow_id == EVERY else [flow_id],
        kind="maintenance",
        starts_at=starts_at,
        ends_at=starts_at + lasts_s,
        reason="planned",
        owner="",
        created_by=WHO,
    )
    world.past.stops.windows[made.id] = Window(made.id, org, flow_id, starts_at, starts_at + lasts_s)


def close_windows(world: World) -> None:
    for window_id in sorted(world.past.stops.windows):
        _order(world, controls.close_window, window_id, by=WHO)
    world.past.stops.windows.clear()


def lift(world: World) -> None:
    """Every quarantine that is in force."""
    with world.store.begin() as tx:
        found = quarantines.newest(tx, org=None, limit=100)
    for one in found:
        if _order(world, quarantines.lift, one.id, by=WHO):
            world.past.lifted.add(one.rollback_id)


def approve(world: World, org: str, flow_id: str) -> None:
    """Somebody agrees to what waits for it, if anything does."""

    def order(tx: Transaction, waiting: Rollback, now: float) -> Rollback:
        return orders.approve(tx, waiting, world.settings, by=WHO, reason="", now=now)

    for one in _waiting(world, org, flow_id):
        approved = _order_about(world, one, order)
        if approved is not None:
            world.past.approved[approved.id] = approved.target_version


def deny(world: World, org: str, flow_id: str) -> None:
    """Somebody refuses what waits for approval, if anything does."""

    def order(tx: Transaction, waiting: Rollback, now: float) -> Rollback:
        return orders.deny(tx, waiting, world.processes[0].metrics, by=WHO, reason="", now=now)

    for one in _waiting(world, org, flow_id):
        _order_about(world, one, order)


def undo(world: World, org: str, flow_id: str) -> None:
    """Somebody wants the version back that the newest rollback of a flow took away."""

    def order(tx: Transaction, first: Rollback, now: float) -> Rollback:
        return orders.undo(tx, first, world.settings, by=WHO, reason="", now=now)

    of_flow = [one for one in world.past.rows.attempts.values() if (one.org, one.flow_id) == (org, flow_id)]
    begun = [one for one in of_flow if one.id in world.past.first_permits and not one.is_undo]
    if begun:
        newest = max(begun, key=lambda one: world.past.first_permits[one.id])
        ordered = _order_about(world, newest, order)
        if ordered is not None:
            world.past.undos[ordered.id] = newest.id


def order_by_hand(world: World, org: str, flow_id: str) -> None:
    """Somebody wants the live version rolled back, and names no guard to be passed; asked is the first process."""
    desk = Desk(world.processes[0].tools[org], Lock())

    def keep(tx: Transaction, plan: Plan) -> Rollback:
        planned = plan(tx)
        world.past.asked.add(planned.id)
        world.past.approved[planned.id] = planned.target_version
        return planned

    try:
        desk.roll_back(org, flow_id, Order("callers hear silence"), keep, by=WHO)
    except (NotKnown, NotPossible, NotReadable):
        world.tally.counts["not possible"] += 1
    else:
        world.tally.counts["by hand"] += 1


def publish(world: World, org: str, flow_id: str, what: str) -> None:
    """Somebody else publishes: a new version, good or bad, the one before, or the live one anew."""
    cloud = world.clouds[org]
    flow = cloud.of(flow_id)
    version = {"live": flow.live, "before": _version(flow, 1)}.get(what) or cloud.new_version(flow_id)
    flow.error_ratio[version] = BAD_RATIO if what == "bad" else flow.error_ratio.get(version, 0.0)
    cloud.make_live(version, flow_id)


def ratios(world: World, org: str, flow_id: str, live: float, others: float) -> None:
    """Figures arrive late, or are corrected: the live version's, and those of all others."""
    flow = world.clouds[org].of(flow_id)
    flow.error_ratio = {version: others for _, version in flow.timeline} | {flow.live: live}


def outcome(world: World, org: str, name: str) -> None:
    """What becomes of the next publish."""
    world.clouds[org].outcomes.append(name)


def genesys_answers(world: World, org: str, answers: bool) -> None:
    world.clouds[org].down = None if answers else Unavailable("no usable answer")


def flow_is(world: World, org: str, flow_id: str, state: str) -> None:
    """Locked in Architect, deactivated, or neither."""
    flow = world.clouds[org].of(flow_id)
    flow.locked_by = WHO if state == "locked" else None
    flow.active = state != "inactive"


def end_operations(world: World, org: str) -> None:
    world.clouds[org].end_operations()


def _alert(world: World, org: str, flow_id: str, back: int, begun_s: float) -> Alert:
    """One that began so long ago; 0: when it was first noticed."""
    version = _version(world.clouds[org].of(flow_id), back)
    alert = alert_of(flow_id, org, version)
    return replace(alert, starts_at=world.time.now - begun_s) if begun_s else alert


def _version(flow: FlowInGenesys, back: int) -> str:
    return flow.timeline[max(-len(flow.timeline), -1 - back)][1]


def _record(world: World, alert: Alert) -> None:
    world.store.transact(alerts.record, [alert], world.time.now)


def _forget(world: World, org: str, flow_id: str, version: str) -> None:
    """What Alertmanager does not list any more, nothing mutes."""
    name = fingerprint(flow_id, org, version)
    for table in (world.alertmanager.firing, world.alertmanager.silenced, world.alertmanager.inhibited):
        table.pop(name, None)
    world.past.stops.muted.pop((org, flow_id, version), None)


def _waiting(world: World, org: str, flow_id: str) -> list[Attempt]:
    return [
        one
        for one in world.past.rows.attempts.values()
        if (one.org, one.flow_id, one.state) == (org, flow_id, "awaiting_approval")
    ]


def _order_about(
    world: World, attempt: Attempt, order: Callable[[Transaction, Rollback, float], Rollback]
) -> Rollback | None:
    """What came of it; None if it was not possible."""

    def write(tx: Transaction) -> Rollback:
        found = rollbacks.get(tx, attempt.id)
        assert found is not None
        return order(tx, found, world.time.now)

    try:
        return world.store.transact(write)
    except NotPossible:
        world.tally.counts["not possible"] += 1
        return None


def _order(world: World, order: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    def write(tx: Transaction) -> Any:
        return order(tx, *args, **kwargs, now=world.time.now)

    return world.store.transact(write)


ACTS: Mapping[str, Callable[..., None]] = {
    act.__name__: act
    for act in (
        wait,
        tick,
        overtake,
        deliver,
        resolve,
        end_what_is_over,
        mute,
        unmute,
        alertmanager_answers,
        pause,
        resume,
        hold,
        release,
        open_window,
        close_windows,
        lift,
        approve,
        deny,
        undo,
        order_by_hand,
        publish,
        ratios,
        outcome,
        genesys_answers,
        flow_is,
        end_operations,
    )
}
