"""Dialect `guide`: what is asked word for word, how often, and what is made of the answers."""

import json
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.errors import Gone, NotAllowed, Unavailable
from genesys.evidence import Outcomes, Signal, total
from genesys.flows import Flow, FlowVersion, Operation
from genesys.guide import Guide, NamedFlow, calls_per_poll
from genesys.history import baseline_of
from genesys.measures import Figures
from genesys.stints import MOST_STINTS, Stint
from tests.genesys_wire import NOON, Wire, ok, refused

MINUTE, HOUR = 60, 3600
START = 1_795_348_800  # on the edge of a minute, of an hour, and 200 s before the clock of the wire
MAIN = NamedFlow("main", "Main IVR", "INBOUNDCALL", "Home")
OTHER = NamedFlow("other", "Holidays", "inboundcall", "")

ERRORS, DURATION = "conversation.errors.total", "conversation.duration.total"


def entry(label: str, status: str, published: float | None = None, until: float | None = None) -> dict:
    dates = {"datePublished": published, "datePublishedEnd": until}
    return {"id": label, "status": status} | {key: int(at * 1000) for key, at in dates.items() if at is not None}


@dataclass
class Organization:
    """Answers as the guide has it: versions by flow, and an error and ten minutes of conversation in each minute."""

    wire: Wire = field(default_factory=Wire)
    versions: dict[str, object] = field(default_factory=lambda: {"main": [entry("13.0", "active")]})
    both: bool = False
    answers: int = 1000  # so many before it refuses

    def __post_init__(self) -> None:
        self.wire.answer_always(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        parts = request.url.path.removeprefix("/api/v2/").split("/")
        self.answers -= 1
        if self.answers < 0:
            return refused(403)
        if parts == ["analytics", "measures", "conversations"]:
            return self._figures(json.loads(request.content))
        if request.method == "PATCH":
            return ok({"status": "active"})
        known = self.versions.get(parts[2])
        return refused(404) if known is None else ok(known)

    def _figures(self, asked: dict) -> httpx.Response:
        minutes = (asked["interval"]["end"] - asked["interval"]["start"]) // 60_000
        values = {ERRORS: minutes, DURATION: 600.0 * minutes}
        told = values if self.both else {asked["metric"]: values[asked["metric"]]}
        return ok({"data": [{"values": told}]})

    def guide(self, *flows: NamedFlow) -> Guide:
        return self.wire.guide(*(flows or (MAIN,)), deadline_s=1)

    def go_to(self, at: float) -> None:
        """Move the clock to Unix time `at`."""
        self.wire.time.at = 1000 + at - NOON

    def asked(self) -> list[tuple[str, int]]:
        """Entity and start of the figures that were asked for, once for each request."""
        bodies = [json.loads(request.content) for request in self.wire.requests if request.content]
        return [(body["entity"]["id"], body["interval"]["start"] // 1000) for body in bodies]


@pytest.fixture
def organization() -> Organization:
    made = Organization()
    made.go_to(START)
    return made


def dated(organization: Organization, since: float = START - 30 * 24 * HOUR) -> Organization:
    organization.versions["main"] = [entry("13.0", "active", since)]
    return organization


def test_the_calls_are_the_guides_word_for_word(organization):
    guide = dated(organization).guide()
    organization.go_to(START + 61)
    guide.evidence(START, START + 60, bucket_s=MINUTE)
    guide.conversations(START, START + 60, bucket_s=MINUTE)
    interval = {"start": START * 1000, "end": (START + 60) * 1000}
    flow, everything = {"type": "flow", "id": "main"}, {"type": "org", "id": "all"}
    sent = [
        (request.method, request.url.raw_path.decode(), json.loads(request.content or "null"))
        for request in organization.wire.requests
    ]
    measures = ("GET", "/api/v2/analytics/measures/conversations")
    assert sent == [
        ("GET", "/api/v2/architect/flows/main/versions", None),
        (*measures, {"interval": interval, "metric": ERRORS, "entity": flow}),
        (*measures, {"interval": interval, "metric": DURATION, "entity": flow}),
        (*measures, {"interval": interval, "metric": ERRORS, "entity": everything}),
        (*measures, {"interval": interval, "metric": DURATION, "entity": everything}),
    ]


def test_an_answer_with_both_metrics_saves_the_second_call(organization):
    organization.both = True
    found = organization.guide().conversations(START, START + 120, bucket_s=MINUTE)
    assert found == {START: (1, 10), START + 60: (1, 10)}
    assert organization.asked() == [("all", START), ("all", START + 60)]


@pytest.mark.parametrize(
    ("errors", "duration_s", "figures"),
    [
        pytest.param(1, 600, (1, 10), id="duration total / 60"),
        pytest.param(0, 0, (0, 0), id="nothing"),
        pytest.param(0, 1, (0, 1), id="part of a minute is one: a smaller volume would be a larger ratio"),
        pytest.param(3.0, 60.5, (3, 3), id="never fewer conversations than errors"),
    ],
)
def test_volume_is_conversation_time(errors, duration_s, figures):
    wire = Wire([ok({"data": [{"values": {ERRORS: errors, DURATION: duration_s}}]})])
    assert wire.guide(MAIN).conversations(START, START + 60, bucket_s=MINUTE) == {START: figures}


UNKNOWN = {
    "not an object": [],
    "no data": {},
    "data is empty": {"data": []},
    "data is no list": {"data": {}},
    "no values": {"data": [{}]},
    "values is empty": {"data": [{"values": {}}]},
    "values is null": {"data": [{"values": None}]},
    "errors are null": {"data": [{"values": {ERRORS: None, DURATION: 60}}]},
    "errors are a text": {"data": [{"values": {ERRORS: "1", DURATION: 60}}]},
    "errors are a fraction": {"data": [{"values": {ERRORS: 1.5, DURATION: 60}}]},
    "errors are negative": {"data": [{"values": {ERRORS: -1, DURATION: 60}}]},
    "errors are true": {"data": [{"values": {ERRORS: True, DURATION: 60}}]},
    "no duration either time": {"data": [{"values": {ERRORS: 1}}]},
    "duration is a text": {"data": [{"values": {ERRORS: 1, DURATION: "60"}}]},
    "duration is negative": {"data": [{"values": {ERRORS: 1, DURATION: -0.5}}]},
}


@pytest.mark.parametrize("answer", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_an_answer_does_not_tell_is_unknown_and_never_zero(answer):
    wire = Wire()
    wire.answer_always(lambda _: ok(answer))
    with pytest.raises(Unavailable, match="unexpected answer"):
        wire.guide(MAIN).conversations(START, START + 60, bucket_s=MINUTE)


def test_an_infinite_duration_is_no_number():
    wire = Wire()
    wire.answer_always(
        lambda _: httpx.Response(200, text=f'{{"data": [{{"values": {{"{ERRORS}": 1, "{DURATION}": 1e999}}}}]}}')
    )
    with pytest.raises(Unavailable, match="is not a number"):
        wire.guide(MAIN).conversations(START, START + 60, bucket_s=MINUTE)


def test_errors_and_volume_become_exits_of_the_version_that_was_live(organization):
    guide = dated(organization).guide()
    organization.go_to(START + 121)
    evidence = guide.evidence(START, START + 120, bucket_s=MINUTE)
    each = Outcomes(10, {"FLOW_ERROR_DISCONNECT": 1, "UNKNOWN": 9})
    assert evidence.outcomes == {("main", "13.0"): {START: each, START + 60: each}}
    tally = total(evidence.tallies("main", "13.0", Signal.ERROR_EXIT).values())
    assert (tally.errors, tally.volume) == (2, 20)


def test_what_lies_before_the_first_look_is_not_asked_for_unless_a_date_tells_the_version(organization):
    guide = organization.guide()
    organization.go_to(START + 1)
    guide.flows()
    organization.go_to(START + 200)
    evidence = guide.evidence(START - HOUR + 180, START + 180, bucket_s=MINUTE)
    assert list(evidence.outcomes[("main", "13.0")]) == [START + 60, START + 120]
    assert {start for _, start in organization.asked()} == {START + 60, START + 120}


def test_a_change_of_version_is_seen_by_looking(organization):
    guide = organization.guide()
    for minute, live in enumerate(["13.0", "13.0", "13.0", "14.0", "14.0", "14.0"]):
        organization.go_to(START + minute * 60 - 1)
        organization.versions["main"] = [entry(live, "active")]
        guide.flow("main")
    evidence = guide.evidence(START - 60, START + 240, bucket_s=MINUTE)
    assert {version: list(found) for (_, version), found in evidence.outcomes.items()} == {
        "13.0": [START],
        "14.0": [START + 180],
    }


def test_a_minute_in_which_nothing_happened_is_absent():
    quiet = ok({"data": [{"values": {ERRORS: 0, DURATION: 0}}]})
    wire = Wire([ok([entry("13.0", "active", START - HOUR)]), quiet])
    found = wire.guide(MAIN).evidence(START, START + 60, bucket_s=MINUTE)
    assert found.outcomes == {}
    assert found.signals == {Signal.ERROR_EXIT}, "of other ends the guide tells nothing"


def test_a_look_whose_answer_came_late_does_not_take_back_a_newer_one(organization):
    guide = organization.guide()
    answers = iter([lambda: guide.flow("main"), lambda: None])

    def overtaken(_: httpx.Request) -> httpx.Response:
        organization.go_to(START + 0.5)
        next(answers)()
        return ok([entry("13.0", "active", START - HOUR)])

    organization.wire.answer_always(overtaken)
    organization.go_to(START - 0.1)
    guide.flow("main")
    organization.wire.answer_always(organization._answer)
    organization.wire.requests.clear()
    guide.evidence(START - 300, START, bucket_s=MINUTE)
    assert all(request.content for request in organization.wire.requests)  # nobody needed to look again


def test_each_settled_bucket_is_asked_for_twice_and_then_kept(organization):
    organization.both = True
    guide = dated(organization).guide()
    asked = []
    for minute in (60, 61, 62, 65):
        end = START + minute * 60
        organization.go_to(end + 60)
        before = len(organization.asked())
        evidence = guide.evidence(end - HOUR, end, bucket_s=MINUTE)
        assert len(evidence.outcomes[("main", "13.0")]) == 60
        asked.append(len(organization.asked()) - before)
    assert asked == [60, 2, 2, 4]


def test_a_minute_needs_as_many_calls_as_the_warning_says(organization):
    organization.versions["other"] = organization.versions["main"]
    guide = organization.guide(MAIN, OTHER)
    for minute in range(63):
        organization.go_to(START + minute * 60)
        before = len(organization.wire.requests)
        end = START + (minute - 1) * 60
        guide.flows()
        guide.evidence(end - HOUR, end, bucket_s=MINUTE)
        guide.conversations(end - HOUR, end, bucket_s=MINUTE)
    assert len(organization.wire.requests) - before == calls_per_poll(2) == 14


def test_what_was_read_before_a_failure_is_not_asked_for_again(organization):
    organization.both, organization.answers = True, 3
    guide = organization.guide()
    with pytest.raises(NotAllowed):
        guide.conversations(START, START + 360, bucket_s=MINUTE)
    organization.answers = 100
    organization.wire.requests.clear()
    assert len(guide.conversations(START, START + 360, bucket_s=MINUTE)) == 6
    assert [start - START for _, start in organization.asked()] == [180, 240, 300]


def test_history_is_asked_for_by_the_day_and_its_sums_are_right(organization):
    organization.both = True
    since = START - 3 * 24 * HOUR - 100
    organization.versions["main"] = [
        entry("12.0", "published", START - 9 * 24 * HOUR, since),
        entry("13.0", "active", since),
    ]
    organization.go_to(START + 100)
    history = organization.guide().evidence(START - 168 * HOUR, START, bucket_s=HOUR)
    hours = {version: len(found) for (_, version), found in history.outcomes.items()}
    assert hours == {"12.0": 168 - 72 - 1, "13.0": 72}  # none of the hour of the change
    tally = total(history.tallies("main", "13.0", Signal.ERROR_EXIT).values())
    assert (tally.errors, tally.volume) == (72 * 60, 72 * 600)
    assert len(organization.asked()) <= 10
    known = baseline_of(history, flow_id="main", live_version="13.0", live_since=since, signal=Signal.ERROR_EXIT)
    assert known.ratio == pytest.approx(0.1, abs=0.005)
    assert known.scatter is None, "whoever spreads a day's errors evenly must not take them for even"


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 50))
def test_figures_that_are_spread_keep_their_sums(errors, good, parts):
    spread = list(Figures(errors, errors + good).spread(parts))
    assert (sum(part.errors for part in spread), sum(part.volume for part in spread)) == (errors, errors + good)
    assert all(0 <= part.errors <= part.volume for part in spread)
    assert max(part.errors for part in spread) - min(part.errors for part in spread) <= 1


@pytest.mark.parametrize(("start", "end"), [(0, 0), (60, 0), (0, 90)])
def test_a_stretch_that_is_no_whole_number_of_buckets_is_a_mistake_of_the_caller(start, end):
    guide = Wire().guide(MAIN)
    for read in (guide.evidence, guide.conversations):
        with pytest.raises(ValueError, match="whole number of buckets"):
            read(start, end, bucket_s=60)


def test_evidence_of_flows_that_are_not_named_or_are_gone_is_none_and_does_not_hide_that_of_others(organization):
    guide = dated(organization).guide(MAIN, OTHER)
    organization.go_to(START + 61)
    evidence = guide.evidence(START, START + 60, bucket_s=MINUTE, flow_ids=["main", "other", "unheard-of"])
    assert set(evidence.outcomes) == {("main", "13.0")}


def test_a_flow_is_named_by_the_configuration_and_live_by_its_versions(organization):
    organization.versions["main"] = [
        entry("14.0", "ACTIVE", START - 100),
        entry("13.0", "published", START - 500, START - 100),
        entry("saved_version_1", "draft", START - 50),
    ]
    guide = organization.guide()
    flow = Flow(
        id="main",
        name="Main IVR",
        type="inboundcall",
        division_id="Home",
        division_name="Home",
        active=True,
        deleted=False,
        live_version="14.0",
        live_published_at=START - 100,
        published_by=None,
        locked_by=None,
        operation=None,
    )
    assert guide.flow("main") == flow
    assert guide.flows() == [flow]
    assert guide.flows(published_after=START - 101) == [flow]
    assert guide.flows(published_after=START - 99) == []
    assert guide.versions("main") == [
        FlowVersion("14.0", False, START - 100, None, None),
        FlowVersion("13.0", False, START - 500, START - 100, None),
        FlowVersion("saved_version_1", False, None, None, None),
    ]


def test_versions_without_dates_have_none_and_may_have_been_published_at_any_time(organization):
    organization.versions["main"] = {"entities": [entry("14.0", "active"), entry("13.0", "published")]}
    guide = organization.guide()
    assert [(version.published_at, version.published_until) for version in guide.versions("main")] == [(None, None)] * 2
    assert len(guide.flows(published_after=START)) == 1


def test_a_version_without_dates_has_those_between_which_it_was_seen_live(organization):
    guide = organization.guide()
    for minute, live in enumerate(["13.0", "13.0", "13.0", "14.0"]):
        organization.go_to(START + minute * 60)
        told = [entry(label, "active" if label == live else "published") for label in ("12.0", "13.0", "14.0")]
        organization.versions["main"] = told
        guide.flows()
    assert guide.versions("main") == [
        FlowVersion("12.0", False, None, None, None),
        FlowVersion("13.0", False, START, START + 120, None),
        FlowVersion("14.0", False, None, None, None),
    ]
    assert guide.flow("main").live_published_at is None


def test_dates_of_its_own_are_better_than_those_that_were_seen(organization):
    guide = organization.guide()
    guide.flows()
    organization.versions["main"] = [entry("13.0", "published", START - 500, START + 30), entry("14.0", "active")]
    assert guide.versions("main")[0] == FlowVersion("13.0", False, START - 500, START + 30, None)


def test_what_one_process_saw_of_a_version_without_dates_another_does_not_know_by_itself(organization):
    def record(guide: Guide) -> tuple[float, int]:
        """How long the replaced version was live, and its conversations in the history."""
        replaced = guide.versions("main")[0]
        history = guide.evidence(START, START + 4 * HOUR, bucket_s=HOUR)
        live_s = (replaced.published_until or 0) - (replaced.published_at or 0)
        return live_s, total(history.tallies("main", "13.0", Signal.ERROR_EXIT).values()).exits

    guide = organization.guide()
    for minute in range(4 * 60 + 5):
        organization.go_to(START + minute * 60)
        live = "13.0" if minute <= 200 else "14.0"
        told = [entry(label, "active" if label == live else "published") for label in ("13.0", "14.0")]
        organization.versions["main"] = told
        guide.flows()
    assert record(guide) == (200 * MINUTE, 3 * 600)
    assert record(organization.guide()) == (0, 0)


def test_a_flow_of_which_nothing_is_active_has_no_live_version(organization):
    organization.versions["main"] = [entry("13.0", "published")]
    assert organization.guide().flow("main").live_version is None


def test_versions_may_come_in_pages():
    pages = [
        {"entities": [entry(label, status)], "pageCount": 2}
        for label, status in (("13.0", "published"), ("14.0", "active"))
    ]
    wire = Wire([ok(page) for page in pages])
    assert wire.guide(MAIN).flow("main").live_version == "14.0"
    assert [dict(request.url.params) for request in wire.requests] == [{}, {"pageNumber": "2"}]


STRANGE_VERSIONS: dict[str, object] = {
    "two are active": [entry("13.0", "active"), entry("14.0", "active")],
    "not a list": {},
    "entities are no list": {"entities": {}},
    "a version is no object": ["13.0"],
    "no status": [{"id": "13.0"}],
    "no id": [{"status": "active"}],
    "a date is none": [{"id": "13.0", "status": "active", "datePublished": "yesterday"}],
    "pageCount is no count": {"entities": [], "pageCount": "2"},
    "null": [None],
}


@pytest.mark.parametrize("answer", STRANGE_VERSIONS.values(), ids=STRANGE_VERSIONS.keys())
def test_versions_that_cannot_be_understood_are_no_answer(answer):
    wire = Wire()
    wire.answer_always(lambda _: ok(answer))
    guide = wire.guide(MAIN)
    for read in (guide.flow, guide.versions):
        with pytest.raises(Unavailable, match="unexpected answer"):
            read("main")


def test_what_does_not_exist_or_is_not_named_is_gone(organization):
    organization.versions["foreign"] = [entry("1.0", "active")]
    guide = organization.guide(MAIN, OTHER)
    assert [flow.id for flow in guide.flows()] == ["main"]
    with pytest.raises(Gone):
        guide.flow("other")
    with pytest.raises(Gone, match="not named under flows"):
        guide.flow("foreign")


def test_an_organization_in_which_no_named_flow_exists_is_not_an_empty_one(organization):
    organization.versions.clear()
    with pytest.raises(Gone, match="none of the named flows exists, or these paths do not"):
        organization.guide(MAIN, OTHER).flows()


def test_one_flow_that_cannot_be_read_leaves_no_flows_at_all(organization):
    organization.versions["other"] = organization.versions["main"]
    organization.answers = 1
    guide = organization.guide(MAIN, OTHER)
    with pytest.raises(NotAllowed):
        guide.flows()


def publish(*answers: object) -> tuple[Wire, Guide]:
    wire = Wire([answer if isinstance(answer, httpx.Response) else ok(answer) for answer in answers])
    return wire, wire.guide(MAIN)


def test_a_publish_is_one_patch_word_for_word():
    wire, guide = publish({"id": "op-1", "status": "active"})
    assert guide.publish("main", "13.0") == Operation("op-1", True, status="active")
    (request,) = wire.requests
    assert (request.method, request.url.path) == ("PATCH", "/api/v2/architect/deployments/main/versions/13.0")
    description = "made live again by genesys-rollback-bridge"
    assert json.loads(request.content) == {"version": {"id": "13.0", "description": description}, "status": "active"}


@pytest.mark.parametrize(
    ("answer", "operation"),
    [
        ({}, Operation("main/13.0", False)),
        ({"complete": True}, Operation("main/13.0", True)),
        ({"id": "op", "complete": False}, Operation("op", False)),
        ({"id": "op", "status": "pending"}, Operation("op", False, status="pending")),
    ],
)
def test_a_publish_is_complete_if_the_answer_says_so(answer, operation):
    assert publish(answer)[1].publish("main", "13.0") == operation


@pytest.mark.parametrize("answer", [refused(503), [], None, {"id": 5}], ids=["503", "a list", "null", "a number"])
def test_a_publish_of_which_nobody_knows_was_sent_once(answer):
    wire, guide = publish(answer)
    with pytest.raises(Unavailable):
        guide.publish("main", "13.0")
    assert len(wire.requests) == 1


def test_ids_cannot_leave_their_place_in_the_path():
    wire, guide = publish({})
    guide.publish("../x?y", "1/0#z")
    assert wire.requests[0].url.raw_path == b"/api/v2/architect/deployments/..%2Fx%3Fy/versions/1%2F0%23z"


def test_the_endpoints_of_all_calls_are_templates(organization):
    guide = dated(organization).guide()
    organization.go_to(START + 61)
    guide.evidence(START, START + 60, bucket_s=MINUTE)
    guide.publish("main", "13.0")
    assert {call.endpoint for call in organization.wire.calls} == {
        "oauth/token",
        "analytics/measures/conversations",
        "architect/flows/{id}/versions",
        "architect/deployments/{id}/versions/{id}",
    }


def look(organization: Organization, guide: Guide, first: int, last: int, live: str) -> None:
    """A look each minute, with this version live."""
    for minute in range(first, last):
        organization.go_to(START + minute * 60)
        told = [entry(label, "active" if label == live else "published") for label in ("12.0", "13.0", "14.0")]
        organization.versions["main"] = told
        guide.flows()


def test_what_was_seen_is_told_and_counts_again_for_another_process_that_recalls_it(organization):
    guide = organization.guide()
    look(organization, guide, 0, 1, "12.0")  # one look tells of a moment only
    look(organization, guide, 1, 180, "13.0")
    seen = [Stint("13.0", START + 60, START + 179 * 60)]
    assert {flow_id: list(stints) for flow_id, stints in guide.stints().items()} == {"main": seen}

    again = organization.guide()
    again.recall({"main": [Stint("13.0", START - 60, START + 120), *seen], "not named": seen})
    look(organization, again, 181, 183, "14.0")
    assert again.versions("main")[:2] == [
        FlowVersion("12.0", False, None, None, None),
        FlowVersion("13.0", False, START - 60, START + 179 * 60, None),
    ]
    assert list(again.stints()) == ["main"]
    history = again.evidence(START, START + 3 * HOUR, bucket_s=HOUR)
    assert list(history.tallies("main", "13.0", Signal.ERROR_EXIT)) == [START, START + HOUR]
    assert organization.guide().stints() == {}


def test_a_look_after_a_restart_does_not_continue_what_was_recalled(organization):
    guide = organization.guide()
    guide.recall({"main": [Stint("13.0", START - 600, START)]})
    look(organization, guide, 1, 2, "13.0")
    look(organization, guide, 2, 4, "14.0")
    assert guide.versions("main")[1] == FlowVersion("13.0", False, START + 60, START + 60, None)


def test_of_what_is_recalled_the_newest_counts_and_the_rest_is_left(organization):
    guide = organization.guide()
    old = Stint("12.0", START - 99_999, START - 99_000)
    guide.recall({"main": [Stint("13.0", START - n * 100, START - n * 100 + 50) for n in range(MOST_STINTS)] + [old]})
    look(organization, guide, 1, 2, "14.0")
    assert guide.versions("main")[0] == FlowVersion("12.0", False, None, None, None)
