"""Ways back in turn: one at a time, the next one only after the proof, and what is remembered of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.store import contents, rollbacks, ways_in_vain
from receiver.store.rollbacks import ENDS, Kind, Rollback, State
from receiver.strategy import Strategy
from tests.integration.fault_cases import CASES, ways
from tests.integration.ordering import in_quarantine, undo
from tests.integration.receiver_world import FLOW_ID
from tests.integration.simulated_world import ACCUSED, TARGET, SimulatedScene, simulated_scene

COPY = "15.0"


@pytest.fixture
def redeploying(tmp_path: Path) -> Iterator[SimulatedScene]:
    with simulated_scene(tmp_path, **ways("redeploy")) as here:
        here.deliver()
        yield here


@pytest.fixture
def both(tmp_path: Path) -> Iterator[SimulatedScene]:
    with simulated_scene(tmp_path, **ways("republish", "redeploy")) as here:
        here.deliver()
        yield here


def rolled_back(here: SimulatedScene) -> Rollback:
    found = here.run_to_the_end(here.receiver())
    assert found is not None
    return found


def known_in_vain(here: SimulatedScene) -> set[str]:
    with here.store.begin() as tx:
        return set(ways_in_vain.of(tx, "retail"))


def test_a_redeployment_makes_a_new_version_with_the_content_of_the_target(redeploying: SimulatedScene) -> None:
    done = rolled_back(redeploying)

    assert (done.state, done.strategy, done.target_version) == (State.SUCCEEDED, Strategy.REDEPLOY, COPY)
    assert done.facts["copy_of"] == TARGET
    assert redeploying.genesys.history() == [ACCUSED, COPY]
    with redeploying.store.begin() as tx:
        digests = contents.of(tx, "retail", FLOW_ID)
    assert digests[COPY] == digests[TARGET] != digests[ACCUSED]
    (told,) = [one for one in redeploying.told() if one["incident_type"] == "ROLLBACK_SUCCEEDED"]
    assert (told["way_back"], told["target_version_id"], told["copy_of"]) == ("redeploy", COPY, TARGET)


def test_the_job_is_known_before_its_file_is_sent(redeploying: SimulatedScene) -> None:
    done = rolled_back(redeploying)

    (permit,) = redeploying.permits(done)
    (upload,) = redeploying.genesys.publishes()
    assert upload.path == f"/storage/uploads/{permit.operation_id}"
    assert (permit.strategy, permit.target_version) == ("redeploy", TARGET)
    assert permit.issued_at <= upload.at <= permit.valid_until
    assert permit.operation_id not in str([step.detail for step in redeploying.steps(done) if step.event == "permit"])


def test_the_new_version_is_neither_accused_nor_in_quarantine(redeploying: SimulatedScene) -> None:
    rolled_back(redeploying)
    assert in_quarantine(redeploying) == [ACCUSED]
    redeploying.time.pass_(2000.0)  # beyond the lockout
    redeploying.genesys.happen({"event": "error_ratio", "flow": FLOW_ID, "version": COPY, "error_ratio": 0.6})
    redeploying.time.pass_(1800.0)
    redeploying.accuse(COPY)
    redeploying.run(redeploying.receiver(), 60.0)

    assert redeploying.verdicts()[-1] == "restored_by_bridge"
    assert len(redeploying.rollbacks()) == 1


def test_the_record_of_the_target_carries_over(redeploying: SimulatedScene) -> None:
    """A minute after it went live the copy would have earned nothing of its own."""
    first = rolled_back(redeploying)
    redeploying.time.pass_(2000.0)
    redeploying.genesys.happen(
        {"event": "publish", "flow": FLOW_ID, "version": "16.0", "error_ratio": 0.5, "by": "cx-as-code"}
    )
    redeploying.time.pass_(961.0)
    redeploying.accuse("16.0")
    receiver = redeploying.receiver()
    redeploying.run(receiver, 200.0)

    newest = redeploying.rollbacks()[-1]
    assert newest.id != first.id
    assert newest.facts["considered"][0] == {"version": COPY, "reason": ""}
    assert redeploying.genesys.history()[-1] == "17.0"


def test_a_file_of_a_flow_by_another_name_is_not_deployed(redeploying: SimulatedScene) -> None:
    """Architect deploys by name: it would change another flow, or make one."""
    redeploying.genesys.rename("Main IVR 2027")

    done = rolled_back(redeploying)

    assert (done.state, done.reason) == (State.FAILED, "redeploy_refused")
    assert not redeploying.genesys.publishes()
    assert not [
        one for one in redeploying.genesys.requests() if (one.method, one.path) == ("POST", "/api/v2/flows/jobs")
    ]


def test_a_deployment_that_was_given_up_and_shows_later_is_not_accused(redeploying: SimulatedScene) -> None:
    redeploying.genesys.set(deploy_time=1500.0)
    given_up = rolled_back(redeploying)
    assert (given_up.state, given_up.reason) == (State.FAILED, "publish_unfinished")
    redeploying.time.pass_(600.0)
    redeploying.genesys.happen({"event": "error_ratio", "flow": FLOW_ID, "version": COPY, "error_ratio": 0.6})
    redeploying.time.pass_(1000.0)
    redeploying.accuse(COPY)
    redeploying.run(redeploying.receiver(), 60.0)

    assert redeploying.genesys.history() == [ACCUSED, COPY]
    assert redeploying.verdicts()[-1] == "restored_by_bridge"


def test_an_undo_brings_the_accused_version_back_the_same_way(redeploying: SimulatedScene) -> None:
    receiver = redeploying.receiver()
    while not (found := redeploying.rollbacks()) or found[0].confirmed_at is None:
        receiver.tick()
        redeploying.time.pass_(2.0)
    undo(redeploying, found[0])
    for _ in range(100):
        receiver.tick()
        redeploying.time.pass_(2.0)
        if redeploying.rollbacks()[-1].state in ENDS:
            break

    undone = redeploying.rollbacks()[-1]
    assert (undone.kind, undone.state, undone.strategy) == (Kind.UNDO, State.SUCCEEDED, Strategy.REDEPLOY)
    assert (undone.accused_version, undone.target_version, undone.facts["copy_of"]) == (COPY, "16.0", ACCUSED)
    assert redeploying.genesys.history() == [ACCUSED, COPY, "16.0"]
    with redeploying.store.begin() as tx:
        digests = contents.of(tx, "retail", FLOW_ID)
    assert digests["16.0"] == digests[ACCUSED]


@pytest.mark.parametrize("case", ["next-republish-refused", "next-republish-without-effect"])
def test_what_did_nothing_is_remembered_and_the_next_rollback_begins_with_what_works(
    both: SimulatedScene, case: str
) -> None:
    CASES[case](both.genesys)
    first = rolled_back(both)

    assert (first.state, first.strategy, first.target_version) == (State.SUCCEEDED, Strategy.REDEPLOY, COPY)
    assert known_in_vain(both) == {"republish"}
    (told,) = [one for one in both.told() if one["incident_type"] == "ROLLBACK_SUCCEEDED"]
    assert (told["way_back"], told["ways_in_vain"]) == ("redeploy", ["republish"])

    both.time.pass_(2000.0)
    both.genesys.happen({"event": "publish", "flow": FLOW_ID, "version": "16.0", "error_ratio": 0.5})
    both.time.pass_(961.0)
    both.accuse("16.0")
    both.run(both.receiver(), 200.0)
    second = both.rollbacks()[-1]
    assert (second.accused_version, second.ways_back) == ("16.0", "redeploy republish")
    assert [permit.strategy for permit in both.permits(second)] == ["redeploy"]


@pytest.mark.parametrize("case", ["next-republish-lost-twice", "next-republish-fails", "next-republish-forbidden"])
def test_what_says_nothing_about_the_organization_is_not_remembered(both: SimulatedScene, case: str) -> None:
    CASES[case](both.genesys)
    assert rolled_back(both).strategy is Strategy.REDEPLOY
    assert known_in_vain(both) == set()


def test_a_way_that_works_again_is_trusted_again(both: SimulatedScene) -> None:
    with both.store.begin() as tx:
        ways_in_vain.put(tx, "retail", "republish", rollback_id="r0", reason="no_effect", now=both.time.now)
    both.genesys.fault({"match": {"path_prefix": "/api/v2/flows/export/jobs"}, "kind": "status", "status": 403})

    done = rolled_back(both)

    assert (done.state, done.strategy, done.target_version) == (State.SUCCEEDED, Strategy.REPUBLISH, TARGET)
    assert known_in_vain(both) == set()


def test_the_next_way_begins_only_after_the_proof(both: SimulatedScene) -> None:
    CASES["next-republish-without-effect"](both.genesys)
    done = rolled_back(both)

    first, second = both.permits(done)
    exports = [
        one for one in both.genesys.requests() if (one.method, one.path) == ("POST", "/api/v2/flows/export/jobs")
    ]
    assert (first.strategy, second.strategy) == ("republish", "redeploy")
    assert exports[0].at >= first.issued_at + both.settings.timing.publish_deadline_s
    handed_over = [step.detail for step in both.steps(done) if step.event == "next_way"]
    assert handed_over == [{"gave_up": "republish", "because": "no_effect", "next": "redeploy"}]
    assert len(both.rollbacks()) == 1


def test_who_does_not_ask_for_another_way_gets_none(tmp_path: Path) -> None:
    with simulated_scene(tmp_path) as here:
        here.deliver()
        CASES["republish-refused"](here.genesys)
        done = rolled_back(here)
        assert (done.state, done.reason, done.ways_back) == (State.FAILED, "publish_refused", "republish")
        assert not [one for one in here.genesys.requests() if "/jobs" in one.path]


def test_findings_are_kept_by_organization(tmp_path: Path) -> None:
    with simulated_scene(tmp_path) as here, here.store.begin() as tx:
        ways_in_vain.put(tx, "retail", "republish", rollback_id="r1", reason="no_effect", now=1.0)
        ways_in_vain.put(tx, "retail", "republish", rollback_id="r2", reason="publish_refused", now=2.0)
        ways_in_vain.put(tx, "bank", "redeploy", rollback_id="r3", reason="no_effect", now=3.0)
        assert ways_in_vain.of(tx, "retail")["republish"].rollback_id == "r2"
        ways_in_vain.forget(tx, "retail", "republish")
        assert not ways_in_vain.of(tx, "retail")
        assert set(ways_in_vain.of(tx, "bank")) == {"redeploy"}
        assert rollbacks.newest(tx, org=None, flow_id=None, limit=1) == []
