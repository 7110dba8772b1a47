"""A drill against the simulator: what it proves in each position of the switches, and that the flow is put back."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.doctor.cloud import opened_to_publish
from receiver.doctor.examination import State
from receiver.drill.exercise import PUT_BACK, REPUBLISH, Means, Report, exercise, look
from receiver.drill.fence import Fence, NotNow
from receiver.store import audit, controls, leases
from receiver.store.database import Store, clock
from tests.integration.drill_world import IVR, WORKFLOW, DrillWorld, drill_world
from tests.receiver_world import opened, settings_of

PUBLISH = {"method": "POST", "path_prefix": "/api/v2/flows/actions/publish"}
DATE = "date of publication"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[DrillWorld]:
    with drill_world(tmp_path) as made:
        yield made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(settings_of(tmp_path)) as made:
        yield made


@contextmanager
def means_of(
    world: DrillWorld,
    store: Store,
    folder: Path,
    stopped: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = lambda _: None,
    **changes: Any,
) -> Iterator[Means]:
    executions_s = changes.pop("executions_s", 0.0)
    fence = Fence(store, settings_of(folder), org="retail", orgs=["retail"], owner="drill-1", lease_s=30.0)
    with opened_to_publish(world.organization(**changes), clock=world.clock) as cloud:
        yield Means(cloud, fence, 60.0, 10.0, executions_s, stopped, tell)


def drilled(world: DrillWorld, store: Store, folder: Path, **changes: Any) -> Report:
    with means_of(world, store, folder, **changes) as means:
        ground = look(means.cloud, WORKFLOW, frozenset())
        assert (ground.live, ground.older) == ("2.0", "1.0")
        means.fence.take(WORKFLOW)
        report = exercise(means, ground)
        means.fence.give_back({"step": "ended"})
        return report


def states(report: Report) -> dict[str, State]:
    return {step: one.state for step, one in report.found.items()}


@pytest.mark.parametrize(("position", "seen"), [("moves", "moves"), ("stays", "stays")])
def test_an_older_version_becomes_live_and_the_flow_is_put_back(
    world: DrillWorld, store: Store, tmp_path: Path, position: str, seen: str
) -> None:
    world.switch(date_published=position)
    report = drilled(world, store, tmp_path)
    assert report.found[REPUBLISH].state is State.PROVED
    assert f"datePublished {seen}" in report.found[DATE].seen
    assert report.found["executions"].state is State.SKIPPED
    assert (report.is_as_before, report.has_failed) == (True, False)
    assert (world.publishes(), world.live()) == (["1.0", "2.0"], "2.0")


def test_each_publish_is_in_the_audit_and_the_lease_is_free_afterwards(
    world: DrillWorld, store: Store, tmp_path: Path
) -> None:
    drilled(world, store, tmp_path)
    with store.begin() as tx:
        rows = [row.facts for row in audit.newest(tx, before=None, limit=9) if row.kind == "drill"]
        assert not leases.held(tx, now=clock(tx))
    assert [part for row in rows[::-1] for part in ("begun", "put_back", "ended") if f'"{part}"' in row] == [
        "begun",
        "put_back",
        "ended",
    ]


@pytest.mark.parametrize(
    ("switches", "why", "publishes"),
    [({"republish": "nothing"}, "no effect", ["1.0"]), ({"republish": "refused"}, "already.published", ["1.0"])],
)
def test_where_an_older_version_does_not_become_live_that_is_said_and_the_flow_is_as_before(
    world: DrillWorld, store: Store, tmp_path: Path, switches: dict[str, Any], why: str, publishes: list[str]
) -> None:
    world.switch(**switches)
    report = drilled(world, store, tmp_path)
    assert report.found[REPUBLISH].state is State.FAILED
    assert why in report.found[REPUBLISH].seen
    assert report.is_as_before
    assert world.publishes() == publishes


def test_a_client_that_may_not_publish_is_told_so(world: DrillWorld, store: Store, tmp_path: Path) -> None:
    report = drilled(world, store, tmp_path, credentials={"client_id": "reader", "client_secret_env": "SECRET"})
    assert "architect:flow:publish" in report.found[REPUBLISH].seen
    assert report.is_as_before


@pytest.mark.parametrize(
    ("fault", "first"),
    [
        pytest.param({"kind": "drop_after"}, State.PROVED, id="the answer is lost, the effect comes"),
        pytest.param({"kind": "drop_before"}, State.FAILED, id="it never arrived"),
        pytest.param({"kind": "status_after", "status": 503}, State.PROVED, id="answered 503, done all the same"),
        pytest.param({"kind": "publish_fails"}, State.FAILED, id="the operation fails"),
        pytest.param({"kind": "publish_nothing"}, State.FAILED, id="answered 200, and nothing happens"),
    ],
)
def test_whatever_becomes_of_the_first_publish_the_flow_is_put_back(
    world: DrillWorld, store: Store, tmp_path: Path, fault: dict[str, Any], first: State
) -> None:
    world.fault(fault | {"match": PUBLISH, "times": 1})
    report = drilled(world, store, tmp_path)
    assert report.found[REPUBLISH].state is first
    assert (report.live, world.live()) == ("2.0", "2.0")
    assert report.found[PUT_BACK].state is not State.FAILED


def test_an_operation_that_hangs_leaves_open_what_will_be(world: DrillWorld, store: Store, tmp_path: Path) -> None:
    world.fault({"kind": "publish_hangs", "match": PUBLISH, "times": 1})
    report = drilled(world, store, tmp_path)
    assert report.found[REPUBLISH].state is State.NOT_PROVED
    assert report.found[PUT_BACK].state is State.FAILED
    assert "publish version 2.0 of Drill me" in report.found[PUT_BACK].cure
    assert (report.live, report.is_as_before) == ("2.0", False), "it may change yet"


def test_nobody_who_has_stopped_listening_keeps_the_flow_from_being_put_back(
    world: DrillWorld, store: Store, tmp_path: Path
) -> None:
    def gone(_text: str) -> None:
        raise BrokenPipeError

    report = drilled(world, store, tmp_path, tell=gone)
    assert (report.is_as_before, world.live(), world.publishes()) == (True, "2.0", ["1.0", "2.0"])


def test_a_publish_that_comes_late_is_warned_of(world: DrillWorld, store: Store, tmp_path: Path) -> None:
    world.fault({"kind": "publish_late", "delay_s": 300, "match": PUBLISH, "times": 1})
    report = drilled(world, store, tmp_path)
    assert "may take effect yet" in report.found[PUT_BACK].seen


def test_it_is_tried_again_to_put_the_flow_back(world: DrillWorld, store: Store, tmp_path: Path) -> None:
    refuse = {"event": "faults", "faults": [{"kind": "status", "status": 503, "match": PUBLISH, "times": 2}]}
    world.cue({"match": PUBLISH, "when": "after", "do": refuse})
    report = drilled(world, store, tmp_path)
    assert report.found[PUT_BACK].state is State.PROVED
    assert world.publishes() == ["1.0", "2.0", "2.0", "2.0"]
    assert world.live() == "2.0"


def test_a_flow_that_cannot_be_put_back_is_told_with_what_is_live(
    world: DrillWorld, store: Store, tmp_path: Path
) -> None:
    world.cue({"match": PUBLISH, "when": "after", "do": {"event": "lock", "flow": WORKFLOW}, "delay_s": 8})
    report = drilled(world, store, tmp_path, executions_s=30.0)
    assert (report.is_as_before, report.live) == (False, "1.0")
    assert "publish version 2.0 of Drill me" in report.found[PUT_BACK].cure


def test_what_somebody_else_publishes_meanwhile_stays(world: DrillWorld, store: Store, tmp_path: Path) -> None:
    other = {"event": "publish", "flow": WORKFLOW, "version": "3.0", "error_ratio": 0.0}
    world.cue({"match": PUBLISH, "when": "after", "do": other, "delay_s": 20})
    report = drilled(world, store, tmp_path, executions_s=60.0)
    assert (report.live, world.live(), world.publishes()) == ("3.0", "3.0", ["1.0"])
    assert report.found[PUT_BACK].state is State.FAILED


def test_whoever_stops_it_waits_until_the_flow_is_put_back(world: DrillWorld, store: Store, tmp_path: Path) -> None:
    began_at = world.time.now
    report = drilled(world, store, tmp_path, stopped=lambda: bool(world.publishes()), executions_s=600.0)
    assert world.time.now - began_at < 60
    assert (report.is_as_before, world.publishes()) == (True, ["1.0", "2.0"])


def test_a_defect_in_the_midst_puts_the_flow_back_too(world: DrillWorld, store: Store, tmp_path: Path) -> None:
    def defect() -> bool:
        if world.publishes():
            raise ZeroDivisionError
        return False

    with pytest.raises(ZeroDivisionError):
        drilled(world, store, tmp_path, stopped=defect, executions_s=60.0)
    assert world.live() == "2.0"


def test_executions_that_somebody_starts_are_measured(world: DrillWorld, store: Store, tmp_path: Path) -> None:
    for fails in (True, False):
        call = {"event": "call", "flow": WORKFLOW, "fails": fails}
        world.cue({"match": PUBLISH, "when": "after", "do": call, "delay_s": 15})
        report = drilled(world, store, tmp_path, executions_s=900.0)
        assert report.found["executions"].state is State.PROVED
        assert ("FLOW_ERROR" in report.found["executions"].seen) is fails
        world.time.pass_(600.0)


def test_nothing_is_written_while_a_receiver_is_at_work(world: DrillWorld, store: Store, tmp_path: Path) -> None:
    with store.begin() as tx:
        assert leases.take(tx, "org:retail", "receiver-1", now=clock(tx), lease_s=30)
    with pytest.raises(NotNow, match="a receiver is at work"):
        drilled(world, store, tmp_path)
    assert not world.publishes()


def test_no_receiver_takes_the_lease_while_it_runs(world: DrillWorld, store: Store, tmp_path: Path) -> None:
    taken = []

    def stopped() -> bool:
        with store.begin() as tx:
            taken.append(leases.take(tx, "org:retail", "receiver-1", now=clock(tx), lease_s=30))
        return False

    drilled(world, store, tmp_path, stopped=stopped, executions_s=30.0)
    assert taken
    assert set(taken) == {None}


@pytest.mark.parametrize("order", ["pause", "hold"])
def test_what_people_have_forbidden_it_does_not_do(world: DrillWorld, store: Store, tmp_path: Path, order: str) -> None:
    with store.begin() as tx:
        if order == "pause":
            controls.pause(tx, "retail", by="ann", reason="storm", now=clock(tx))
        else:
            controls.hold(tx, "retail", [WORKFLOW], owner="ann", reason="storm", by="ann", now=clock(tx))
    with pytest.raises(NotNow, match="storm"):
        drilled(world, store, tmp_path)
    with store.begin() as tx:
        assert not leases.held(tx, now=clock(tx))


# The command ---------------------------------------------------------------------------------------------------------


def run(world: DrillWorld, folder: Path, command: str, *options: str, stdin: str = "") -> Result:
    settings_of(folder, timing={"publish_deadline_s": 30, "retry_s": 0.1})
    world.organization()
    files = ("--organizations", str(folder / "organizations.yml"), "--config", str(folder / "receiver.yml"))
    environ = {"SECRET": "simulator", **{role: role for role in ("ALERTMANAGER", "VIEWER", "OPERATOR", "CI")}}
    return CliRunner().invoke(main, [command, *files, *options], input=stdin, env=environ)


def test_a_flow_that_callers_meet_is_refused_with_2(world: DrillWorld, store: Store, tmp_path: Path) -> None:
    done = run(world, tmp_path, "drill", "--org", "retail", "--flow", IVR, "--yes")
    assert done.exit_code == 2
    assert "of type inboundcall" in done.stderr
    assert not world.publishes()


def test_nothing_is_done_without_a_yes(world: DrillWorld, store: Store, tmp_path: Path) -> None:
    done = run(world, tmp_path, "drill", "--org", "retail", "--flow", WORKFLOW, stdin="n\n")
    assert done.exit_code == 1
    assert "version 1.0 will be published over 2.0" in done.stderr
    assert not world.publishes()


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ({"event": "lock", "flow": WORKFLOW, "by": "ann"}, "ann has Drill me locked"),
        ({"event": "delete_flow", "flow": WORKFLOW}, "deleted"),
        ({"event": "delete_version", "flow": WORKFLOW, "version": "1.0"}, "no earlier published version"),
    ],
)
def test_a_flow_that_cannot_be_drilled_ends_it_with_1(
    world: DrillWorld, store: Store, tmp_path: Path, event: dict[str, Any], why: str
) -> None:
    world.happen(**event)
    done = run(world, tmp_path, "drill", "--org", "retail", "--flow", WORKFLOW, "--yes")
    assert (done.exit_code, why in done.stderr, world.publishes()) == (1, True, [])


def test_an_interrupt_ends_the_command_with_the_flow_put_back(world: DrillWorld, store: Store, tmp_path: Path) -> None:
    """A real SIGINT while executions are waited for; meanwhile the time of the simulator passes by itself."""
    over, before = Event(), signal.getsignal(signal.SIGINT)

    def interrupt_once_published() -> None:
        interrupted = False
        while not over.wait(0.05):
            world.time.pass_(1.0)
            if not interrupted and world.publishes():
                interrupted = True
                os.kill(os.getpid(), signal.SIGINT)

    meanwhile = Thread(target=interrupt_once_published)
    meanwhile.start()
    try:
        done = run(world, tmp_path, "drill", "--org", "retail", "--flow", WORKFLOW, "--yes", "--executions", "600")
    finally:
        over.set()
        meanwhile.join()
    assert done.exit_code == 0, done.output
    assert (world.publishes(), world.live()) == (["1.0", "2.0"], "2.0")
    assert signal.getsignal(signal.SIGINT) is before


def test_an_unknown_organization_is_wrong_usage(world: DrillWorld, store: Store, tmp_path: Path) -> None:
    for command, more in (("drill", ("--flow", WORKFLOW)), ("doctor", ())):
        done = run(world, tmp_path, command, "--org", "bank", *more)
        assert (done.exit_code, "is not in organizations.yml" in done.stderr) == (2, True)


def test_the_doctor_ends_with_1_and_says_what_to_do_where_the_receiver_does_not_run(
    world: DrillWorld, store: Store, tmp_path: Path
) -> None:
    done = run(world, tmp_path, "doctor", "--output", "json")
    assert done.exit_code == 1
    assert "retail: credentials … proved" in done.stderr
    assert '"state": "failed"' in done.stdout
    assert not world.publishes()
