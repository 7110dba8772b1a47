"""What a backtest asks Genesys Cloud, how often, and how it leaves room for others."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from exporter.config import ExporterConfig
from exporter.past import MAX_WAITS, PastReader, Patient, Span
from genesys.dialect import RateLimit
from genesys.errors import Refused, Throttled
from genesys.evidence import Evidence
from genesys.flows import FlowVersion
from genesys.organizations import Analytics
from tests.unit.exporter_world import MAIN, NOON, World, good

DAY = 86400
MIDNIGHT = NOON - DAY // 2


class Listener:
    """Takes what is said, and how long was slept."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.slept: list[float] = []


def patient(world: World, listener: Listener) -> Patient:
    return Patient(world, sleep=listener.slept.append, say=listener.said.append)


@pytest.mark.parametrize(("used", "waits"), [(150, []), (151, [20.0])])
def test_half_of_the_rate_limit_is_left_to_others(used: int, waits: list[float]) -> None:
    world, listener = World(rate_limit=RateLimit(allowed=300, used=used, reset_s=20.0, read_at=NOON)), Listener()

    assert patient(world, listener).ask(lambda: "answer") == "answer"
    assert listener.slept == waits


def throttled(times: int) -> Callable[[], str]:
    left = [times]

    def call() -> str:
        if left[0] > 0:
            left[0] -= 1
            raise Throttled("rate limit exceeded", 429, retry_after_s=42.0)
        return "answer"

    return call


def test_a_limit_that_others_have_used_up_is_waited_for_and_not_for_ever() -> None:
    listener = Listener()
    assert patient(World(), listener).ask(throttled(3)) == "answer"
    assert listener.slept == [42.0] * 3

    with pytest.raises(Throttled):
        patient(World(), listener).ask(throttled(MAX_WAITS + 1))


@pytest.fixture
def world() -> World:
    """Main IVR, published three days before midnight, with traffic in each hour; and a flow that nobody has touched."""
    world = World()
    published = MIDNIGHT - 3.0 * DAY
    world.listed = {
        "main": replace(MAIN, live_version="14.0", live_published_at=published),
        "old": replace(MAIN, id="old", live_published_at=MIDNIGHT - 90.0 * DAY),
    }
    world.known_versions["main"] = [
        FlowVersion("13.0", False, MIDNIGHT - 60.0 * DAY, published, None),
        FlowVersion("14.0", False, published, None, "archy"),
    ]
    for hour in range(MIDNIGHT - 10 * DAY, MIDNIGHT, 3600):
        world.happen(hour, "14.0" if hour >= published else "13.0", good(400))
    return world


def test_only_what_was_published_in_the_span_is_asked_for_and_minutes_only_while_on_probation(world: World) -> None:
    listener, span = Listener(), Span(MIDNIGHT - 6.0 * DAY, MIDNIGHT)
    reader = PastReader(world, Analytics(), ExporterConfig(), sleep=listener.slept.append, say=listener.said.append)

    found = reader.find(span)
    pasts = reader.read(found.publishes, span)

    assert [(one.flow.id, one.version.id, one.target) for one in found.publishes] == [("main", "14.0", "13.0")]
    assert found.flows == 2
    # A list, one flow's versions; thirteen days of hours in two questions; one day of minutes: it was busy.
    assert world.calls == ["flows", "versions", "history", "history", "evidence"]
    assert pasts["main"].hours.end - pasts["main"].hours.start == 13 * DAY
    assert "2 flows, 1 of them published in the span: at most" in listener.said[0]


class Small(World):
    """Refuses questions about several flows by the minute."""

    def evidence(self, start: int, end: int, *, bucket_s: int, flow_ids: Sequence[str] = ()) -> Evidence:
        if bucket_s == 60 and len(flow_ids) > 1:
            self.calls.append(f"refused {len(flow_ids)}")
            raise Refused("too many results", 413)
        return super().evidence(start, end, bucket_s=bucket_s, flow_ids=flow_ids)


def test_a_question_whose_answer_would_be_too_large_is_asked_in_halves(world: World) -> None:
    listener, span = Listener(), Span(MIDNIGHT - 6.0 * DAY, MIDNIGHT)
    names = ("main", "second", "third")
    small = Small(listed={name: replace(world.listed["main"], id=name) for name in names})
    small.known_versions = dict.fromkeys(names, world.known_versions["main"])
    small.outcomes = {(name, key[1]): done for name in names for key, done in world.outcomes.items()}
    reader = PastReader(small, Analytics(), ExporterConfig(), sleep=listener.slept.append, say=listener.said.append)

    pasts = reader.read(reader.find(span).publishes, span)

    assert small.calls[-5:] == ["refused 3", "evidence", "refused 2", "evidence", "evidence"]
    assert all(pasts[name].minutes.outcomes[name, "14.0"] for name in names)


def test_without_a_publish_nothing_is_asked_for_but_the_list(world: World) -> None:
    listener, span = Listener(), Span(MIDNIGHT - 1.0 * DAY, MIDNIGHT)
    reader = PastReader(world, Analytics(), ExporterConfig(), sleep=listener.slept.append, say=listener.said.append)

    found = reader.find(span)

    assert found.publishes == ()
    assert reader.read(found.publishes, span) == {}
    assert world.calls == ["flows"]


def test_flows_that_are_named_are_read_one_by_one(world: World) -> None:
    listener, span = Listener(), Span(MIDNIGHT - 6.0 * DAY, MIDNIGHT)
    reader = PastReader(world, Analytics(), ExporterConfig(), sleep=listener.slept.append, say=listener.said.append)

    assert reader.find(span, ("main", "main")).flows == 1
    assert world.calls == ["flow", "versions"]


@pytest.mark.parametrize(
    ("asked", "calls"),
    [({}, 19), ({"outcomes": True}, 28), ({"data_actions": [{"action_id": "a", "flow_id": "main"}]}, 28)],
)
def test_what_is_asked_for_besides_the_usual_is_part_of_the_estimate(
    world: World, asked: dict[str, object], calls: int
) -> None:
    listener, analytics = Listener(), Analytics.model_validate(asked)
    reader = PastReader(world, analytics, ExporterConfig(), sleep=listener.slept.append, say=listener.said.append)

    reader.find(Span(MIDNIGHT - 6.0 * DAY, MIDNIGHT))

    # The versions of one flow, and for two weeks of hours and seven days of minutes two questions each, or three.
    assert f"at most {calls} more API calls" in listener.said[0]
