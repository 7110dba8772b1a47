"""What the receiver asks Genesys Cloud for, and how often."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from genesys.dialect import RateLimit
from genesys.errors import GenesysError, NotAllowed, Unavailable
from genesys.evidence import Evidence
from genesys.flows import Flow, FlowVersion, Operation
from genesys.organizations import Analytics
from receiver.common_cause import Neighbour
from receiver.reader import Reader, Reading

START = 1_795_348_830.0  # half a minute after a full one
FLOW = Flow(
    id="f0",
    name="Main IVR",
    type="inboundcall",
    division_id="d",
    division_name="Home",
    active=True,
    deleted=False,
    live_version="14.0",
    live_published_at=1000.0,
    published_by="archy",
    locked_by=None,
    operation=None,
)


class Cloud:
    """Answers everything, and notes what it was asked for."""

    rate_limit: RateLimit | None = None
    jobs = None
    dependencies = None

    def __init__(self, flows: int = 3) -> None:
        self.known = {f"f{number}": replace(FLOW, id=f"f{number}") for number in range(flows)}
        self.asked: list[str] = []
        self.fails: dict[str, GenesysError] = {}

    def evidence(self, start: int, end: int, *, bucket_s: int, flow_ids: Sequence[str] = ()) -> Evidence:
        self._note(f"{'history' if bucket_s == 3600 else 'evidence'} of {', '.join(flow_ids) or 'all'}")
        return Evidence(start, end, bucket_s, {})

    def conversations(self, start: int, end: int, *, bucket_s: int) -> dict[int, tuple[int, int]]:
        raise AssertionError("the receiver has no use for them")

    def flows(self, *, published_after: float | None = None) -> list[Flow]:
        self._note("list")
        return list(self.known.values())

    def flow(self, flow_id: str) -> Flow:
        self._note(f"flow {flow_id}")
        return self.known[flow_id]

    def versions(self, flow_id: str) -> list[FlowVersion]:
        self._note(f"versions of {flow_id}")
        return []

    def publish(self, flow_id: str, version: str) -> Operation:
        raise AssertionError("reading publishes nothing")

    def close(self) -> None:
        """Nothing is open."""

    def _note(self, what: str) -> None:
        self.asked.append(what)
        for part, problem in self.fails.items():
            if part in what:
                raise problem


class Desk:
    """A reader, its cloud and its clock; what the survey was given is kept."""

    def __init__(self, flows: int = 3) -> None:
        self.cloud = Cloud(flows)
        self.surveyed: list[list[Flow]] = []
        self.ready: list[bool] = []
        self.now = START
        self.reader = Reader(self.cloud, Analytics(), retry_s=10.0, survey=self._survey, credentials=self.ready.append)

    def _survey(self, evidence: Evidence, history: Evidence, flows: Sequence[Flow]) -> list[Neighbour]:
        self.surveyed.append(list(flows))
        return []

    def read(self, *flow_ids: str) -> dict[str, Reading]:
        return self.reader.read(flow_ids or ["f0"], now=self.now)

    def asked(self) -> list[str]:
        """Since the last time."""
        asked, self.cloud.asked = self.cloud.asked, []
        return asked


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_first_look_reads_the_flow_and_the_whole_organization_once(desk: Desk) -> None:
    reading = desk.read()["f0"]

    assert desk.asked() == ["flow f0", "evidence of all", "history of all", "list", "versions of f0"]
    assert reading.flow.value == FLOW
    assert reading.neighbours.value == []
    assert len(desk.surveyed) == 1


def test_within_a_settled_minute_nothing_is_asked_twice_whatever_is_accused(desk: Desk) -> None:
    desk.read()
    desk.asked()
    desk.now += 20
    desk.read("f0", "f1")

    assert desk.asked() == ["flow f1", "versions of f1"]
    assert len(desk.surveyed) == 1


def test_nothing_is_asked_of_the_organization_while_no_flow_can_be_read(desk: Desk) -> None:
    desk.cloud.fails["flow f0"] = NotAllowed("no", 403)
    reading = desk.read()["f0"]

    assert desk.asked() == ["flow f0"]
    assert desk.ready == [False]
    assert reading.neighbours.problem == reading.flow.problem == "no (HTTP 403)"


@pytest.mark.parametrize("accused", [1, 2, 10, 40])
def test_in_ten_minutes_with_open_alerts_there_are_at_most_six_calls_a_minute(accused: int) -> None:
    """In the dialect `platform`: evidence is two calls. The first look at every flow comes once, and is left out."""
    desk = Desk(flows=accused)
    desk.read(*desk.cloud.known)
    desk.asked()
    for _ in range(300):
        desk.now += 2
        desk.read(*desk.cloud.known)

    calls = Counter(one.split(" ")[0] for one in desk.asked())
    assert calls["evidence"] == 10
    assert calls["list"] == 1
    assert calls["history"] <= 1
    assert calls["flow"] <= 20
    reads_of_versions = calls["versions"] / accused  # each flow's own, not of all at once for ever
    assert reads_of_versions <= 1
    assert 2 * calls["evidence"] + calls["list"] + 2 * calls["history"] + calls["flow"] <= 60


def test_an_accused_flow_is_judged_as_it_was_read_on_its_own_and_not_as_an_older_list_has_it(desk: Desk) -> None:
    desk.read()
    desk.cloud.known["f0"] = replace(FLOW, live_version="15.0")
    desk.now += 60
    desk.read()

    assert "list" not in desk.cloud.asked[5:]
    assert [flow.live_version for flow in desk.surveyed[-1]] == ["15.0", "14.0", "14.0"]


@pytest.mark.parametrize("part", ["list", "evidence", "history"])
def test_without_the_organization_the_neighbours_are_unknown_and_say_why(desk: Desk, part: str) -> None:
    desk.cloud.fails[part] = Unavailable("no answer", 503)
    reading = desk.read()["f0"]

    assert reading.neighbours.value is None
    assert reading.neighbours.problem == "no answer (HTTP 503)"
    assert desk.surveyed == []

    desk.cloud.fails.clear()
    desk.now += 11
    assert desk.read()["f0"].neighbours.value == []


def test_before_a_write_the_flow_its_versions_and_its_evidence_are_read_anew_the_flow_last(desk: Desk) -> None:
    desk.read()
    desk.asked()
    reading = desk.reader.read_afresh("f0", now=desk.now)

    assert desk.asked() == ["evidence of f0", "versions of f0", "flow f0"]
    assert reading.neighbours.value == []


def test_a_target_is_watched_with_its_own_evidence_and_nothing_else(desk: Desk) -> None:
    reading = desk.reader.watch("f0", now=desk.now)
    desk.reader.watch("f0", now=desk.now + 20)

    assert desk.asked() == ["evidence of f0", "flow f0"]
    assert reading.evidence.value is not None
    assert (reading.history.value, reading.neighbours.value) == (None, None)


def test_a_target_is_watched_with_the_evidence_of_all_flows_where_that_is_there(desk: Desk) -> None:
    desk.read()
    desk.asked()
    assert desk.reader.watch("f0", now=desk.now).evidence.value is not None

    assert desk.asked() == []


def test_a_second_look_at_a_flow_is_its_own_and_is_kept_for_a_bucket(desk: Desk) -> None:
    desk.reader.watch("f0", now=desk.now)
    desk.asked()
    desk.reader.look_again("f0", now=desk.now)
    desk.reader.look_again("f0", now=desk.now + 59)
    assert desk.asked() == ["flow f0"]

    desk.reader.look_again("f0", now=desk.now + 60)
    assert desk.asked() == ["flow f0"]


def test_after_a_publish_the_flow_and_its_versions_are_asked_for_each_time(desk: Desk) -> None:
    desk.read()
    desk.asked()
    for _ in range(2):
        desk.reader.flow("f0")
        desk.reader.versions("f0")

    assert desk.asked() == ["flow f0", "versions of f0"] * 2


def test_once_the_clock_has_been_set_back_everything_is_read_anew(desk: Desk) -> None:
    desk.read()
    first = desk.asked()
    desk.now -= 3600.0
    desk.read()
    assert desk.asked() == first

    desk.now += 10.0
    desk.read()
    assert desk.asked() == []
