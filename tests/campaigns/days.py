"""What happens on every day of the month, and at which hour: two rollbacks, and whatever else an alert can meet."""

from collections.abc import Callable, Iterator

from genesys.errors import Unavailable
from tests.campaigns.month import ACTING, FLOWS, HOUR_S, OBSERVED, Month, shown
from tests.integration.receiver_world import Reaction, alert_of

Deed = tuple[float, Callable[[], object]]

ALERTED_AFTER_H = 1 / 3  # enough settled minutes for the alert, and for the receiver's own look
FLAPS = 6
ROLLBACKS_A_DAY = 2


def deeds(month: Month, day: int) -> Iterator[Deed]:
    """By hour of the day. The same every day, but for which flow it meets."""
    acting = [ACTING[(day + shift) % len(ACTING)] for shift in range(len(ACTING))]
    yield 1, lambda: _trust_again(month)
    yield from _bad_version(month, 2, "retail", acting[0])
    yield 3, lambda: _lose_the_answer(month, "bank")
    yield from _bad_version(month, 3, "bank", FLOWS["bank"][day % 3])
    yield from _flapping(month, 6, acting[1])
    yield from _observed(month, 8, OBSERVED[day % len(OBSERVED)])
    yield from _stopped(month, 10, acting)
    yield from _astray(month, 17)
    yield from _silence_on_the_way(month, 22)


def _bad_version(month: Month, hour: float, org: str, flow_id: str) -> Iterator[Deed]:
    """It is rolled back; in the evening the pipeline brings a good one."""
    accused = []

    def accuse() -> None:
        accused.append(month.accusation(org, flow_id))
        month.fire(accused[0])

    yield hour, lambda: month.publish(org, flow_id, error_ratio=0.5)
    yield hour + ALERTED_AFTER_H, accuse
    yield hour + 1, lambda: month.end(*accused)
    yield 20, lambda: month.publish(org, flow_id)


def _flapping(month: Month, hour: float, flow_id: str) -> Iterator[Deed]:
    for flap in range(FLAPS):
        yield hour + flap / FLAPS, lambda: month.fire(month.accusation("retail", flow_id))
        yield hour + (flap + 0.5) / FLAPS, lambda: month.end(month.accusation("retail", flow_id))


def _observed(month: Month, hour: float, flow_id: str) -> Iterator[Deed]:
    """Nothing is published: it fails until the pipeline mends it."""
    yield hour, lambda: month.publish("retail", flow_id, error_ratio=0.5)
    yield hour + ALERTED_AFTER_H, lambda: month.fire(month.accusation("retail", flow_id))
    yield hour + 1, lambda: month.end(month.accusation("retail", flow_id))
    yield hour + 1, lambda: month.publish("retail", flow_id)


def _stopped(month: Month, hour: float, flow_ids: list[str]) -> Iterator[Deed]:
    """An alert under a window, a silence, a pause, and a hold."""
    windowed, silenced, held = flow_ids[2:5]
    paused = FLOWS["bank"][0]

    def window() -> None:
        ends_at = shown(month.time.now + HOUR_S)
        month.order("POST", "maintenance", org="retail", flow_ids=[windowed], ends_at=ends_at, reason="tests")

    def silence() -> None:
        alert = month.accusation("retail", silenced)
        month.alertmanager.silenced = {alert.fingerprint: [f"silence-{month.time.now:.0f}"]}
        month.fire(alert)

    def fire(org: str, flow_id: str) -> Callable[[], None]:
        return lambda: month.fire(month.accusation(org, flow_id))

    def end(org: str, flow_id: str) -> Callable[[], None]:
        return lambda: month.end(month.accusation(org, flow_id))

    yield hour, window
    yield hour + 0.25, fire("retail", windowed)
    yield hour + 0.75, end("retail", windowed)
    yield hour + 1, silence
    yield hour + 1.5, end("retail", silenced)
    yield hour + 2, lambda: month.order("PUT", "pause", org="bank", reason="storm")
    yield hour + 2, fire("bank", paused)
    yield hour + 2.5, end("bank", paused)
    yield hour + 2.5, lambda: month.order("DELETE", "pause?org=bank")
    yield hour + 3, lambda: month.order("PUT", "holds", org="retail", flow_ids=[held], reason="a change")
    yield hour + 3, fire("retail", held)
    yield hour + 3.5, end("retail", held)
    yield hour + 3.5, lambda: month.order("DELETE", f"holds?org=retail&flow_id={held}")


def _astray(month: Month, hour: float) -> Iterator[Deed]:
    """An alert of an organization that nobody has configured."""
    stranger = alert_of("flow-1", "elsewhere", "1.0")
    yield hour, lambda: month.fire(stranger)
    yield hour + 1, lambda: month.end(stranger)


def _silence_on_the_way(month: Month, hour: float) -> Iterator[Deed]:
    def let_it_arrive(arrives: bool) -> Callable[[], None]:
        return lambda: setattr(month, "watchdog_arrives", arrives)

    yield hour, let_it_arrive(False)
    yield hour + 0.5, let_it_arrive(True)


def _lose_the_answer(month: Month, org: str) -> None:
    """Of the next publish. By an exception of its own: one that is raised again and again keeps every frame it saw."""
    month.clouds[org].reactions.append(Reaction(raises=Unavailable("no usable answer")))


def _trust_again(month: Month) -> None:
    """What was rolled back yesterday is out of quarantine."""
    for found in month.order("GET", "quarantines")["quarantines"]:
        month.order("DELETE", f"quarantines/{found['id']}")
