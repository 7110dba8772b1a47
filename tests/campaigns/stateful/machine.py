"""The state machine: what may happen next, in any order; after every step every promise must have been kept."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from receiver.config import ReceiverSettings
from tests.campaigns.stateful import acts, choices
from tests.campaigns.stateful.choices import anywhere, before_a_round, flows, orgs, processes, waits
from tests.campaigns.stateful.cloud import ASKED, OUTCOMES
from tests.campaigns.stateful.databases import Databases
from tests.campaigns.stateful.seams import CRASH, Act, Interruption
from tests.campaigns.stateful.world import FLOWS, Tally, World, faults_into

LAST_ROUNDS = 60  # until nothing is under way any more, once nothing stands in the way

Aim = Callable[[int, str], st.SearchStrategy[list[Interruption]]]
"""What is to interrupt a round of a process in an organization."""


@dataclass(frozen=True)
class Setting:
    """What all examples of one campaign have in common."""

    databases: Databases
    settings: ReceiverSettings
    tally: Tally
    otherwise: str = "effective"  # what becomes of publishes of which the machine says nothing


class Core(RuleBasedStateMachine):
    """What a rollback needs to come about, in two organizations with three processes; a subclass has its `setting`."""

    setting: ClassVar[Setting]

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        setting = self.setting
        database = self._stack.enter_context(setting.databases.fresh())
        self.tally = setting.tally
        self.tally.examples += 1
        settings = setting.settings.model_copy(update={"database_url": database.url})
        self.world = World(settings, database, self.tally, acts.do)
        self._stack.callback(self.world.close)
        for cloud in self.world.clouds.values():
            cloud.otherwise = setting.otherwise
        self._stack.enter_context(faults_into(self.world.broken))

    @initialize(
        accused=st.sets(flows, min_size=1),
        outcomes=st.lists(st.tuples(orgs, st.sampled_from(sorted(OUTCOMES))), max_size=8),
    )
    def begin(self, accused: set[tuple[str, str]], outcomes: list[tuple[str, str]]) -> None:
        """Flows fail already; and what becomes of the first publishes."""
        for flow in sorted(accused):
            self.world.do(Act("deliver", (*flow, 0, 0.0, True)))
        for outcome in outcomes:
            self.world.do(Act("outcome", outcome))

    @rule(seconds=before_a_round, number=processes, org=orgs)
    def tick(self, seconds: float, number: int, org: str) -> None:
        self.round(seconds, number, org)

    @rule(seconds=waits, told=st.sampled_from([True, True, False]))
    def wait(self, seconds: float, told: bool) -> None:
        """Time passes; meanwhile what is over has ended in Prometheus, and a webhook may say so."""
        self.step(Act("wait", (seconds,)), Act("end_what_is_over", (told,)))

    @rule(flow=flows, seconds=st.sampled_from([300.0, 1000.0]))
    def deploy_badly(self, flow: tuple[str, str], seconds: float) -> None:
        """A new version fails, and is noticed."""
        noticed = Act("deliver", (*flow, 0, 180.0, True))
        self.step(Act("publish", (*flow, "bad")), Act("wait", (seconds,)), Act("end_what_is_over", (True,)), noticed)

    @rule(org=orgs, name=st.sampled_from(sorted(OUTCOMES)))
    def outcome(self, org: str, name: str) -> None:
        self.step(Act("outcome", (org, name)))

    @rule()
    def take_everything_back(self) -> None:
        self.step(*_LET_GO)

    @invariant()
    def every_promise_is_kept(self) -> None:
        assert not self.world.broken, "\n".join(self.world.broken)

    def teardown(self) -> None:
        """Once nothing stands in the way, everything that has begun comes to an end."""
        try:
            if not self.world.broken:
                self._must_come_to_an_end()
        finally:
            self._stack.close()

    def step(self, *what: Act) -> None:
        """One step of the campaign."""
        self.tally.steps += 1
        for act in what:
            self.world.do(act)

    def round(self, seconds: float, number: int, org: str, *interrupted_by: Interruption) -> None:
        """A step that is one round of one process, some seconds after the step before."""
        self.tally.steps += 1
        self.world.time.pass_(seconds)
        self.world.tick(number, org, interrupted_by)

    def _must_come_to_an_end(self) -> None:
        world = self.world
        for act in _LET_GO:
            world.do(act)
        for _ in range(LAST_ROUNDS):
            going_on = {one.org for one in world.past.rows.under_way}
            if not going_on:
                break
            world.do(Act("wait", (61.0,)))
            for org in sorted(going_on):
                world.tick(0, org)
        self.every_promise_is_kept()
        assert not world.past.rows.under_way, f"under way for ever: {world.past.rows.under_way}"


_LET_GO = (
    *(Act(name) for name in ("resume", "release", "close_windows", "unmute")),
    Act("alertmanager_answers", (True,)),
    *(
        Act(name, args)
        for org in FLOWS
        for name, args in (("genesys_answers", (org, True)), ("end_operations", (org,)))
    ),
    *(Act("flow_is", (org, flow_id, "free")) for org, ids in FLOWS.items() for flow_id in ids),
)


class Campaign(Core):
    """Everything that may happen."""

    @rule(act=choices.orders)
    def order(self, act: Act) -> None:
        self.step(act)

    @rule(act=choices.wishes)
    def wish(self, act: Act) -> None:
        """Somebody approves, denies or undoes a rollback, if there is one, or orders one."""
        self.step(act)

    @rule(seconds=before_a_round, number=processes)
    def agree(self, seconds: float, number: int) -> None:
        """What people are asked about fails, and somebody agrees."""
        org, flow_id = "retail", ASKED
        self.step(Act("deliver", (org, flow_id, 0, 180.0, True)))
        self.round(2.0, number, org)
        self.step(Act("approve", (org, flow_id)))
        self.round(seconds, number, org)

    @rule(flow=flows, seconds=before_a_round, number=processes)
    def regret(self, flow: tuple[str, str], seconds: float, number: int) -> None:
        """A version that fails is rolled back, and somebody wants that undone."""
        org, _ = flow
        self.deploy_badly(flow, 1000.0)
        self.round(2.0, number, org)
        self.round(31.0, number, org)
        self.step(Act("undo", flow))
        self.round(seconds, number, org)

    @rule(seconds=before_a_round, number=processes, org=orgs, one=anywhere(st.just(CRASH)))
    def crash(self, seconds: float, number: int, org: str, one: Interruption) -> None:
        """It dies before or after any commit or request."""
        self.round(seconds, number, org, one)

    @rule(seconds=before_a_round, number=processes, org=orgs, one=anywhere(choices.stalls))
    def stall(self, seconds: float, number: int, org: str, one: Interruption) -> None:
        """It stands still in the middle of a round."""
        self.round(seconds, number, org, one)

    @rule(data=st.data(), seconds=before_a_round, number=processes, org=orgs)
    def race(self, data: st.DataObject, seconds: float, number: int, org: str) -> None:
        """Another process has its turn meanwhile, perhaps after a stall, or somebody orders or publishes something."""
        rivals = choices.rivals(number, org)
        overtaking = choices.overtaking(number, org, st.sampled_from([0, 0, 4, 5, 6, 12]))
        people = st.one_of(choices.orders, choices.wishes, choices.publishes, choices.locks, choices.told)
        meanwhile = anywhere(st.one_of(rivals, overtaking, choices.stalls, people))
        self.round(seconds, number, org, *data.draw(st.lists(meanwhile, min_size=1, max_size=3)))

    @rule(act=choices.told)
    def tell(self, act: Act) -> None:
        self.step(act)

    @rule(name=st.sampled_from(["resume", "release", "close_windows", "unmute", "lift", "lift", "lift"]))
    def take_back(self, name: str) -> None:
        self.step(Act(name))

    @rule(act=choices.publishes)
    def publish(self, act: Act) -> None:
        self.step(act)

    @rule(act=choices.troubles)
    def trouble(self, act: Act) -> None:
        """Figures are corrected, something does not answer, a flow is locked or deactivated; or no longer."""
        self.step(act)


class Aimed(Core):
    """Less happens, and most rounds are interrupted where the `aim` says: it finds one kind of fault soon."""

    aim: ClassVar[Aim]

    @rule(
        data=st.data(), seconds=before_a_round, number=processes, org=orgs, spared=st.sampled_from([False, False, True])
    )
    def tick(self, data: st.DataObject, seconds: float, number: int, org: str, spared: bool) -> None:
        self.round(seconds, number, org, *([] if spared else data.draw(type(self).aim(number, org))))
