"""Never a write while something holds it back, and one rollback however often an alert is told: whole sequences.

Two receivers on one database, the simulated Genesys Cloud over HTTP, every publish counted there.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from receiver.store.rollbacks import State
from tests.integration.receiver_world import Scene
from tests.integration.simulated_scene import FLOW_ID, REPLICAS, STOPS, SimulatedScene, simulated_scene
from tests.receiver_world import put_alert, put_rollback

Step = tuple[str, object]
GOOD = "13.0"
LOCKOUT_S = 900.0
TWO_TICKS: list[Step] = [("tick", 0), ("tick", 1)]

few_long_examples = settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])

replicas = st.sampled_from(REPLICAS)
deliveries = st.tuples(st.just("deliver"), st.tuples(replicas, st.sampled_from([-7200.0, 0.0, 1.5, 90.0, 7200.0])))
ends = st.tuples(st.just("resolve"), replicas)
ticks = st.tuples(st.just("tick"), st.integers(0, 1))
waits = st.tuples(st.just("wait"), st.sampled_from([2.0, 15.0, 61.0, 130.0]))
restarts = st.tuples(st.just("restart"), st.integers(0, 1))
orders = st.tuples(st.sampled_from(["stop", "let go"]), st.sampled_from(STOPS))
lockouts = st.just(("lock out", None))


class Story:
    """Does steps, and keeps what holds the bridge back."""

    def __init__(self, here: SimulatedScene) -> None:
        self.here = here
        self.stops: set[str] = set()
        self.locked_out_until = 0.0

    @property
    def is_stopped(self) -> bool:
        return bool(self.stops) or self.here.time.now < self.locked_out_until

    def do(self, step: Step) -> None:
        name, value = step
        actions: dict[str, Callable[..., None]] = {
            "deliver": lambda told: self.deliver(*told),
            "resolve": self._resolve,
            "tick": lambda position: self.here.receivers[position].tick(),
            "wait": self.here.time.pass_,
            "restart": self.here.restart,
            "stop": lambda stop: self.set_stop(stop, True),
            "let go": lambda stop: self.set_stop(stop, False),
            "lock out": lambda _: self._lock_out(),
        }
        actions[name](value)

    def deliver(self, replica: str, shift_s: float) -> None:
        """Alertmanager tells of the alert, and lists it; its start is whatever its clock says."""
        alert = self.here.accusation(replica=replica, starts_at=self.here.time.now - 180 + shift_s)
        alertmanager = self.here.scene.alertmanager
        alertmanager.firing = {**alertmanager.firing, alert.fingerprint: alert}
        self.here.scene.deliver(alert)

    def set_stop(self, name: str, active: bool) -> None:
        self.here.set_stop(name, active)
        self.stops = self.stops | {name} if active else self.stops - {name}

    def _resolve(self, replica: str) -> None:
        self.here.scene.deliver(self.here.accusation(replica=replica, starts_at=self.here.time.now, firing=False))

    def _lock_out(self) -> None:
        """A rollback of another flow has just started."""
        if self.locked_out_until:
            return
        now = self.here.time.now
        with self.here.scene.store.begin() as tx:
            other = put_alert(tx, org="retail", flow_id="elsewhere", now=now)
            put_rollback(tx, other, "r0", now=now, state=State.SUCCEEDED, ended_at=now)
        self.locked_out_until = now + LOCKOUT_S


def must_end_with_one_rollback(story: Story) -> None:
    """The control: with nothing in the way the version is taken back, once, and nothing follows."""
    here = story.here
    for name in STOPS:
        story.set_stop(name, False)
    here.time.pass_(max(0.0, story.locked_out_until - here.time.now))
    story.deliver("", 0.25)  # a start of its own: one that is known to be over would stay so
    for _ in range(5):
        for receiver in here.receivers:
            receiver.tick()
        here.time.pass_(20)
    assert here.publishes() == [GOOD]
    assert here.live_version() == GOOD


@few_long_examples
@given(
    begin=st.sets(st.sampled_from(STOPS), min_size=1),
    steps=st.lists(ticks | deliveries | orders | waits | ticks | ends | restarts | lockouts, min_size=6, max_size=16),
)
@example(begin={"paused"}, steps=TWO_TICKS)
@example(begin={"held"}, steps=TWO_TICKS)
@example(begin={"window"}, steps=TWO_TICKS)
@example(begin={"silenced"}, steps=TWO_TICKS)
@example(begin={"paused"}, steps=[("lock out", None), ("let go", "paused"), *TWO_TICKS])
def test_whatever_happens_in_whatever_order_nothing_is_written_while_it_is_held_back(
    begin: set[str], steps: list[Step]
) -> None:
    with TemporaryDirectory() as folder, simulated_scene(Path(folder)) as here:
        story = Story(here)
        for name in sorted(begin):
            story.set_stop(name, True)
        story.deliver("", 0.0)
        for step in steps:
            before, stopped = len(here.publishes()), story.is_stopped
            story.do(step)
            assert len(here.publishes()) == before or (step[0] == "tick" and not stopped), step
        must_end_with_one_rollback(story)


@few_long_examples
@given(steps=st.lists(deliveries | deliveries | ticks | ticks | ends | waits | restarts, min_size=8, max_size=20))
def test_the_same_alert_any_number_of_times_is_one_rollback(steps: list[Step]) -> None:
    """Under other fingerprints, with other starts, over and firing again, told to two receivers, across restarts."""
    with TemporaryDirectory() as folder, simulated_scene(Path(folder)) as here:
        story = Story(here)
        for step in steps:
            story.do(step)
            assert len(here.publishes()) <= 1, step
        must_end_with_one_rollback(story)
        must_stay_at_one_rollback(story)


def must_stay_at_one_rollback(story: Story) -> None:
    """After the lockout too, while the alert is still told."""
    for shift_s in (0.0, 3600.0):
        story.here.time.pass_(LOCKOUT_S + 60)
        for replica in REPLICAS:
            story.deliver(replica, shift_s)
        for receiver in story.here.receivers:
            receiver.tick()
    assert story.here.publishes() == [GOOD]
    assert len(_of_the_flow(story.here.scene)) == 1


def _of_the_flow(scene: Scene) -> list[str]:
    return [one.id for one in scene.rollbacks() if one.object_id == FLOW_ID]
