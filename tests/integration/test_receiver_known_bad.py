"""Versions that are the same thing under two labels: no target, and known bad; and versions that people call good."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genesys.errors import GenesysError, Gone, NotAllowed, Refused, Unavailable
from genesys.flows import Operation
from receiver.contents import MOST_CALLS, SPAN_S, Contents
from receiver.gate import refusals
from receiver.known_bad import Watch
from receiver.roster import UNRESOLVED_S, Roster
from receiver.standing import standings
from receiver.store import contents, deployments, flows, quarantines
from receiver.store.decisions import StoredDecision
from receiver.store.deployments import Deployment, Member, Registration
from receiver.store.rollbacks import State
from tests.integration.receiver_world import BAD_PUBLISH_AT, DAY_S, FLOW_ID, FlowInGenesys, Scene, alert_of, scene

DIGEST, OTHER = "a" * 64, "b" * 64
RECENT = [(BAD_PUBLISH_AT - 5 * DAY_S, "12.0"), (BAD_PUBLISH_AT - 2 * DAY_S, "13.0"), (BAD_PUBLISH_AT, "14.0")]


class Story:
    """A scene with a roster that watches what is live, and a pipeline."""

    def __init__(self, here: Scene) -> None:
        self.here = here
        self.flow: FlowInGenesys = here.genesys.of()
        self.flow.timeline = [*RECENT]
        telling = here.receiver.tools["retail"].telling
        self.timing = here.settings.timing
        compared = Contents("retail", here.store, here.genesys, clock=lambda _: here.time.now)
        watch = Watch("retail", here.store, compared, telling, clock=lambda _: here.time.now)
        self.roster = Roster(
            "retail",
            here.store,
            here.genesys,
            self.timing,
            credentials=lambda _: None,
            look=watch.look,
            clock=lambda _: here.time.now,
        )

    def register(self, digest: str = DIGEST, version: str | None = None, **changes: Any) -> Deployment:
        told = Registration(org="retail", flows=(Member(FLOW_ID, digest, version),), commit="c0ffee", **changes)
        with self.here.store.begin() as tx:
            made, _ = deployments.register(
                tx,
                told,
                by="pipeline",
                now=self.here.time.now,
                repeat_s=self.timing.deployment_s,
                resolve_s=self.timing.resolve_s,
            )
            flows.list_by(tx, "retail", at=self.here.time.now)
        return made

    def deploy(self, version: str, digest: str = DIGEST, *, error_ratio: float = 0.0, content: str = "") -> None:
        """A pipeline publishes and registers; the roster has its round."""
        self.flow.error_ratio[version] = error_ratio
        self.flow.content[version] = content or f"content of {version}"
        self.here.genesys.make_live(version)
        self.register(digest)
        self.roster.list_if_due()

    def roll_back_the_first(self) -> None:
        self.here.deliver()
        assert self.here.run_to_the_end().state is State.SUCCEEDED
        self.here.deliver(alert_of(firing=False))
        self.here.run(self.timing.lockout_s + 10, step_s=30)

    def accuse(self, version: str) -> None:
        self.here.deliver(alert_of(version=version))

    def version_of(self, made: Deployment) -> str | None:
        with self.here.store.begin() as tx:
            found = deployments.get(tx, made.id)
        assert found is not None
        return found.flows[0].version

    def known_bad(self) -> str:
        with self.here.store.begin() as tx:
            (one,) = standings(tx, self.here.settings, ["retail"], now=self.here.time.now)
        return "" if one.known_bad is None else one.known_bad.describe()

    def gate(self, digest: str = DIGEST) -> list[str]:
        with self.here.store.begin() as tx:
            return [one.reason.value for one in refusals(tx, "retail", [(FLOW_ID, digest)])]

    def lift(self) -> None:
        with self.here.store.begin() as tx:
            for one in quarantines.in_force(tx, "retail"):
                quarantines.lift(tx, one.id, by="ann", now=self.here.time.now)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


@pytest.fixture
def story(here: Scene) -> Story:
    return Story(here)


# The loop of GitOps tools


def test_what_was_rolled_back_and_is_deployed_again_is_told_at_once_and_rolled_back_when_callers_fail(
    here: Scene, story: Story
) -> None:
    first = story.register()
    story.roster.list_if_due()
    assert story.version_of(first) == "14.0"
    story.roll_back_the_first()
    assert story.gate() == ["quarantined"]

    story.deploy("15.0", error_ratio=0.5)
    told = [event for event in here.told() if event["incident_type"] == "KNOWN_BAD_DEPLOYED"]
    assert [(event["flow_id"], event["accused_version_id"], event["flow_name"]) for event in told] == [
        (FLOW_ID, "15.0", "Main IVR")
    ]
    assert "source digest of 14.0" in told[0]["reason"]
    assert "source digest of 14.0" in story.known_bad()
    assert here.published() == ["13.0"], "known bad alone writes nothing"

    here.time.pass_(961)
    story.accuse("15.0")
    second = here.run_to_the_end()
    assert (second.state, second.accused_version, second.target_version) == (State.SUCCEEDED, "15.0", "13.0")
    assert "source digest of 14.0" in second.facts["known_bad"]
    assert here.published() == ["13.0", "13.0"]
    story.roster.list_if_due()
    assert here.told_types().count("KNOWN_BAD_DEPLOYED") == 1


def test_a_known_bad_version_whose_callers_do_not_fail_stays(here: Scene, story: Story) -> None:
    story.register()
    story.roster.list_if_due()
    story.roll_back_the_first()
    story.deploy("15.0")
    here.time.pass_(961)
    story.accuse("15.0")
    here.run(60)
    assert here.verdicts()[-1] == "not_confirmed"
    assert here.published() == ["13.0"]


def test_the_same_content_under_another_label_is_known_bad_without_any_registration(here: Scene, story: Story) -> None:
    story.roll_back_the_first()
    story.flow.content["15.0"] = "content of 14.0"
    here.genesys.make_live("15.0")
    here.time.pass_(story.timing.flows_s)
    story.roster.list_if_due()
    assert here.told_types()[-1] == "KNOWN_BAD_DEPLOYED"
    assert "the same content as 14.0" in story.known_bad()

    story.lift()
    assert story.known_bad() == ""


def test_another_content_of_another_source_is_not_known_bad(here: Scene, story: Story) -> None:
    story.register()
    story.roster.list_if_due()
    story.roll_back_the_first()
    story.deploy("15.0", OTHER)
    assert story.known_bad() == ""
    assert "KNOWN_BAD_DEPLOYED" not in here.told_types()


def test_what_is_known_bad_is_told_by_the_decision_if_nothing_was_listed_since(here: Scene, story: Story) -> None:
    story.roll_back_the_first()
    story.flow.content["15.0"] = "content of 14.0"
    story.flow.error_ratio["15.0"] = 0.5
    here.genesys.make_live("15.0")
    here.time.pass_(961)
    story.accuse("15.0")
    assert here.run_to_the_end().target_version == "13.0"
    assert here.told_types().count("KNOWN_BAD_DEPLOYED") == 1


@pytest.mark.parametrize("digest", [DIGEST, OTHER], ids=["known bad", "unknown"])
def test_only_what_is_not_known_bad_leaves_probation(here: Scene, story: Story, digest: str) -> None:
    story.register()
    story.roster.list_if_due()
    story.roll_back_the_first()
    here.time.pass_(DAY_S)  # another day, another budget
    story.deploy("15.0", digest)
    here.time.pass_(DAY_S)
    story.flow.fails_from = here.time.now - 900
    story.accuse("15.0")
    here.run(30)
    (established,) = [guard for guard in here.decisions()[-1].guards if guard["guard"] == "established"]
    assert established["holds_back"] == (digest == OTHER)
    assert established["value"].startswith("known bad: ") == (digest == DIGEST)


# The target


def rolled_back_by(here: Scene) -> StoredDecision:
    """The newest decision to roll back."""
    return [one for one in here.decisions() if one.verdict == "roll_back"][-1]


def considered(here: Scene) -> dict[str, str]:
    return {one["version"]: one["reason"] for one in rolled_back_by(here).facts["considered"]}


def test_a_version_with_the_content_of_the_accused_one_is_no_target(here: Scene, story: Story) -> None:
    story.flow.content["14.0"] = "content of 13.0"
    here.deliver()
    ended = here.run_to_the_end()
    assert ended.target_version == "12.0"
    assert considered(here) == {"13.0": "the same content as the accused version", "12.0": ""}
    assert ended.facts["content_compared"] is True


def test_a_version_registered_with_the_digest_of_the_accused_one_is_no_target(here: Scene, story: Story) -> None:
    here.genesys.content_fails = NotAllowed("no permission", 403)
    story.register(version="13.0")
    story.register(version="14.0")
    here.deliver()
    assert here.run_to_the_end().target_version == "12.0"
    assert considered(here)["13.0"] == "registered with the source digest of the accused version"


def test_a_version_that_is_the_same_as_one_in_quarantine_is_no_target(here: Scene, story: Story) -> None:
    story.flow.timeline = [(BAD_PUBLISH_AT - 5 * DAY_S, "12.0"), (BAD_PUBLISH_AT, "14.0")]
    story.register(version="14.0")
    story.roll_back_the_first()
    story.register(version="15.0")  # two days of it, of which nobody complained
    here.genesys.make_live("15.0")
    here.time.pass_(2 * DAY_S)
    story.deploy("16.0", OTHER, error_ratio=0.5)
    here.time.pass_(961)
    story.accuse("16.0")
    assert here.run_to_the_end().target_version == "12.0"
    assert considered(here)["15.0"].startswith("known bad: registered with the source digest of 14.0")


@pytest.mark.parametrize(
    ("problem", "calls"),
    [
        pytest.param(NotAllowed("no permission", 403), 1, id="refused"),
        pytest.param(Gone("no such configuration", 404), 1, id="absent"),
        pytest.param(Refused("no such call", 400), 1, id="not understood"),
        pytest.param(Unavailable("not an object"), 2, id="unreadable: asked again after a minute"),
    ],
)
def test_a_content_that_is_not_given_keeps_nobody_from_anything(
    here: Scene, story: Story, problem: GenesysError, calls: int
) -> None:
    story.flow.content["14.0"] = "content of 13.0"
    here.genesys.content_fails = problem
    here.deliver()
    ended = here.run_to_the_end()
    assert (ended.state, ended.target_version) == (State.SUCCEEDED, "13.0")
    assert ended.facts["content_compared"] is False
    guards = {guard["guard"]: guard["value"] for guard in rolled_back_by(here).guards}
    assert guards["no_eligible_target"] == "13.0, content not compared"
    assert 1 <= len(here.genesys.contents_read) <= calls


def test_contents_are_read_once_by_whichever_receiver(here: Scene, story: Story) -> None:
    here.deliver()
    here.run_to_the_end()
    assert here.genesys.contents_read == ["14.0", "13.0", "12.0"]
    here.receiver = here.another_receiver("receiver-2")
    story.roster.list_if_due()
    here.run(120, step_s=10)
    assert here.genesys.contents_read == ["14.0", "13.0", "12.0"]


def test_contents_take_ten_calls_in_ten_minutes_at_most(here: Scene) -> None:
    reads = Contents("retail", here.store, here.genesys, clock=lambda _: here.time.now)
    many = [f"{number}.0" for number in range(2 * MOST_CALLS)]
    reads.read(FLOW_ID, many, now=here.time.now)
    reads.read(FLOW_ID, many, now=here.time.now + SPAN_S - 1)
    assert len(here.genesys.contents_read) == MOST_CALLS
    reads.read(FLOW_ID, many, now=here.time.now + SPAN_S)
    assert here.genesys.contents_read == many
    with here.store.begin() as tx:
        assert contents.of(tx, "retail", FLOW_ID) == {version: f"content of {version}" for version in many}


def test_a_version_that_people_call_good_need_not_have_served_for_long(here: Scene, story: Story) -> None:
    story.flow.timeline = [*RECENT[:2], (BAD_PUBLISH_AT - 3600, "13.1"), RECENT[2]]
    here.deliver()
    here.run(4)
    assert here.the_rollback().target_version == "13.0"
    assert considered(here)["13.1"].startswith("live for 3600 s only")


def test_a_version_that_people_call_good_is_the_target(here: Scene, story: Story) -> None:
    story.flow.timeline = [*RECENT[:2], (BAD_PUBLISH_AT - 3600, "13.1"), RECENT[2]]
    made = story.register(OTHER, "13.1")
    with here.store.begin() as tx:
        deployments.mark_good(tx, made.id, by="ann", now=here.time.now)
    here.deliver()
    assert here.run_to_the_end().target_version == "13.1"


# The versions of deployments


def test_a_version_that_cannot_be_read_is_asked_for_again(here: Scene, story: Story) -> None:
    here.genesys.down = Unavailable("down")
    made = story.register()
    assert not story.roster.list_if_due()
    here.time.pass_(story.timing.flows_s / 10)
    assert not story.roster.list_if_due()
    assert story.version_of(made) is None
    here.genesys.down = None
    here.time.pass_(story.timing.flows_s / 10)
    assert story.roster.list_if_due()
    assert story.version_of(made) == "14.0"


def test_while_a_publish_is_under_way_nobody_knows_what_was_deployed(here: Scene, story: Story) -> None:
    story.flow.operation = Operation("op-1", complete=False, action="PUBLISH", status="STARTED")
    made = story.register()
    story.roster.list_if_due()
    assert story.version_of(made) is None
    story.flow.operation = None
    here.time.pass_(UNRESOLVED_S)
    story.roster.list_if_due()
    assert story.version_of(made) == "14.0"


def test_what_nobody_could_tell_for_an_hour_is_asked_for_no_more(here: Scene, story: Story) -> None:
    story.flow.operation = Operation("op-1", complete=False, action="PUBLISH", status="STARTED")
    made = story.register()
    here.time.pass_(story.timing.resolve_s + 1)
    story.flow.operation = None
    assert story.roster.list_if_due()
    assert story.version_of(made) is None
    here.time.pass_(UNRESOLVED_S)
    assert not story.roster.list_if_due(), "nothing is awaited: the usual time is kept"


def test_as_long_as_a_version_is_not_known_the_flows_are_listed_every_minute(here: Scene, story: Story) -> None:
    story.register(OTHER, "14.0")
    made = story.register()
    story.roster.list_if_due()
    assert story.version_of(made) is None, "14.0 is of another source: an old view"
    assert not story.roster.list_if_due()
    here.time.pass_(UNRESOLVED_S)
    here.genesys.make_live("15.0")
    assert story.roster.list_if_due()
    assert story.version_of(made) == "15.0"
    here.time.pass_(UNRESOLVED_S)
    assert not story.roster.list_if_due()
