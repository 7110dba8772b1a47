"""Registered deployments and the contents of versions, the same on both databases."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from receiver.store import audit, contents, deployments, quarantines
from receiver.store.database import Store, Transaction
from receiver.store.deployments import Companion, Consent, Deployment, Member, Registration
from tests.receiver_world import list_live, put_alert, put_rollback

NOW = 1_795_349_000.0
HOUR_S = 3600.0
DIGEST, OTHER = "a" * 64, "b" * 64
TABLE, ACTION = Companion("data_table", "t-1", DIGEST), Companion("data_action", "a-1", OTHER)


def told(*flows: Member, **changes: Any) -> Registration:
    """One flow, unless flows are given."""
    return Registration(
        **({"org": "retail", "flows": flows or (Member("flow-1", DIGEST),), "commit": "c0ffee"} | changes)
    )


def register(tx: Transaction, one: Registration, *, now: float = NOW) -> tuple[Deployment, bool]:
    return deployments.register(tx, one, by="pipeline", now=now, repeat_s=600.0, resolve_s=HOUR_S)


def resolve(tx: Transaction, version: str, *, now: float = NOW + 5, flow_id: str = "flow-1") -> None:
    deployments.resolve(tx, "retail", {flow_id: version}, since=now - HOUR_S, asked_at=now)


def roll_back(tx: Transaction, accused: str, target: str = "13.0", *, now: float = NOW + 60) -> None:
    """A rollback that wrote; the accused version is in quarantine."""
    alert = put_alert(tx, now=now)
    rolled_back = put_rollback(tx, alert, f"r-{accused}", now=now, accused_version=accused, target_version=target)
    quarantines.put(tx, rolled_back, now=now)


def version_of(tx: Transaction, deployment: Deployment) -> str | None:
    found = deployments.get(tx, deployment.id)
    assert found is not None
    return found.flows[0].version


def test_a_deployment_is_kept_as_it_was_told_with_its_flows_by_id(store: Store) -> None:
    with store.begin() as tx:
        made, is_new = register(
            tx,
            told(
                Member("flow-2", OTHER, "7.0"),
                Member("flow-1", DIGEST),
                actor="ann",
                url="https://ci.example.org/1",
                rollback=Consent.ASK,
                objects=(TABLE, ACTION),
            ),
        )
        kept = deployments.get(tx, made.id)
    assert is_new
    assert kept == made
    assert kept == Deployment(
        id=made.id,
        org="retail",
        commit="c0ffee",
        actor="ann",
        url="https://ci.example.org/1",
        rollback=Consent.ASK,
        registered_at=NOW,
        registered_by="pipeline",
        good_at=None,
        good_by=None,
        flows=(Member("flow-1", DIGEST, None), Member("flow-2", OTHER, "7.0")),
        objects=(ACTION, TABLE),
    )


def test_a_registration_and_who_called_it_good_are_audited(store: Store) -> None:
    with store.begin() as tx:
        made, _ = register(tx, told())
    with store.begin() as tx:
        marked = deployments.mark_good(tx, made.id, by="ann", now=NOW + 60)
        again = deployments.mark_good(tx, made.id, by="bob", now=NOW + 90)
    with store.begin() as tx:
        rows = audit.newest(tx, before=None, limit=10)
        unknown = deployments.mark_good(tx, "no-such-id", by="ann", now=NOW)
    assert marked == again
    assert (marked.good_at, marked.good_by) == (NOW + 60, "ann") if marked else False
    assert unknown is None
    assert [(row.kind, row.actor) for row in rows][:-1] == [
        ("deployment_good", "ann"),
        ("deployment_registered", "pipeline"),
    ]


# The same twice


@pytest.mark.parametrize(
    "repeated",
    [
        pytest.param(told(), id="word for word"),
        pytest.param(told(actor="bob"), id="by somebody else"),
    ],
)
def test_what_is_registered_again_is_the_same_deployment(store: Store, repeated: Registration) -> None:
    with store.begin() as tx:
        first, _ = register(tx, told())
        resolve(tx, "14.0")
        again, is_new = register(tx, repeated, now=NOW + 500)
        assert (again.id, is_new) == (first.id, False)
        assert len(deployments.newest(tx, org=None, limit=10)) == 1


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(told(commit="beef"), id="another commit"),
        pytest.param(told(org="bank"), id="another organization"),
        pytest.param(told(Member("flow-1", OTHER)), id="another digest"),
        pytest.param(told(Member("flow-1", DIGEST), Member("flow-2", DIGEST)), id="another flow besides"),
        pytest.param(told(Member("flow-1", DIGEST, "15.0")), id="another version"),
        pytest.param(told(objects=(TABLE,)), id="an object besides"),
        pytest.param(told(url="https://ci.example.org/runs/1/attempts/2"), id="another job, which has published anew"),
    ],
)
def test_what_differs_is_another_deployment(store: Store, other: Registration) -> None:
    with store.begin() as tx:
        first, _ = register(tx, told(Member("flow-1", DIGEST, "14.0")))
        second, is_new = register(tx, other)
        assert is_new
        assert second.id != first.id


def test_without_a_version_it_is_the_same_while_that_is_looked_for_and_a_new_one_long_after(store: Store) -> None:
    with store.begin() as tx:
        first, _ = register(tx, told())
        still, _ = register(tx, told(), now=NOW + 3000)
        resolve(tx, "14.0", now=NOW + 3010)
        later, is_new = register(tx, told(), now=NOW + 3020)
    assert still.id == first.id
    assert later.id != first.id
    assert is_new


def test_what_was_rolled_back_is_published_anew_when_it_is_registered_again(store: Store) -> None:
    with store.begin() as tx:
        first, _ = register(tx, told())
        resolve(tx, "14.0")
        roll_back(tx, "14.0")
        again, is_new = register(tx, told(), now=NOW + 120)
    assert again.id != first.id
    assert is_new


def test_what_is_registered_again_after_another_version_became_live_is_another_deployment(store: Store) -> None:
    with store.begin() as tx:
        list_live(tx, "7.0", "13.0", now=NOW - 60)  # older than the registration: it proves nothing
        first, _ = register(tx, told())
        resolve(tx, "14.0")
        assert register(tx, told(), now=NOW + 10)[0].id == first.id
        list_live(tx, "7.0", "15.0", now=NOW + 20)
        again, is_new = register(tx, told(), now=NOW + 30)
        assert is_new
        assert version_of(tx, again) is None


def test_the_same_registered_by_many_at_once_is_one_deployment(store: Store) -> None:
    def once(_: int) -> str:
        with store.begin() as tx:
            return register(tx, told())[0].id

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(once, range(16)))
    assert len(ids) == 1


# Its versions


def test_a_flow_gets_the_version_that_is_live_once_it_is_registered(store: Store) -> None:
    with store.begin() as tx:
        made, _ = register(tx, told())
        assert deployments.awaits_versions(tx, "retail", since=NOW - HOUR_S)
        resolve(tx, "7.0", flow_id="flow-2")
        assert version_of(tx, made) is None
        resolve(tx, "14.0")
        assert version_of(tx, made) == "14.0"
        assert not deployments.awaits_versions(tx, "retail", since=NOW - HOUR_S)
        assert deployments.of_version(tx, "retail", "flow-1", "14.0") == deployments.get(tx, made.id)


def test_an_object_has_no_version_that_is_looked_for_and_is_no_flow(store: Store) -> None:
    same_id = Companion("data_table", "flow-1", DIGEST)
    with store.begin() as tx:
        made, _ = register(tx, told(Member("flow-2", DIGEST, "7.0"), objects=(same_id,)))
        assert not deployments.awaits_versions(tx, "retail", since=NOW - HOUR_S)
        resolve(tx, "14.0")
        assert deployments.get(tx, made.id) == made
        assert deployments.newest(tx, org=None, flow_id="flow-1", limit=10) == []
        assert deployments.source_digests(tx, "retail", "flow-1") == {}
        _, is_new = register(tx, told(Member("flow-2", DIGEST, "7.0"), objects=(same_id,)))
        assert not is_new


def test_what_was_read_before_the_registration_says_nothing(store: Store) -> None:
    with store.begin() as tx:
        made, _ = register(tx, told())
        resolve(tx, "13.0", now=NOW - 1)
        assert version_of(tx, made) is None


def test_what_nobody_could_tell_in_time_stays_unknown(store: Store) -> None:
    with store.begin() as tx:
        made, _ = register(tx, told())
        late = NOW + HOUR_S + 1
        assert not deployments.awaits_versions(tx, "retail", since=late - HOUR_S)
        resolve(tx, "14.0", now=late)
        assert version_of(tx, made) is None


def test_a_version_of_another_source_or_restored_by_the_bridge_is_not_what_was_deployed(store: Store) -> None:
    with store.begin() as tx:
        register(tx, told(Member("flow-1", OTHER, "12.0")))
        roll_back(tx, "14.0", "13.0", now=NOW - 60)
        made, _ = register(tx, told(commit="beef"))
        for old_view in ("12.0", "13.0"):
            resolve(tx, old_view)
            assert version_of(tx, made) is None
        resolve(tx, "15.0")
        assert version_of(tx, made) == "15.0"


def test_the_newest_registration_of_a_version_holds(store: Store) -> None:
    with store.begin() as tx:
        register(tx, told(Member("flow-1", DIGEST, "14.0")))
        newer, _ = register(tx, told(Member("flow-1", DIGEST, "14.0"), commit="beef"), now=NOW + 1)
        assert deployments.of_version(tx, "retail", "flow-1", "14.0") == newer
        assert deployments.of_version(tx, "bank", "flow-1", "14.0") is None
        assert deployments.of_version(tx, "retail", "flow-1", "13.0") is None


def test_the_newest_are_listed_first_by_organization_and_flow(store: Store) -> None:
    with store.begin() as tx:
        first, _ = register(tx, told())
        second, _ = register(tx, told(Member("flow-2", DIGEST)), now=NOW + 1)
        third, _ = register(tx, told(org="bank"), now=NOW + 2)

        def ids(**asked: Any) -> list[str]:
            return [one.id for one in deployments.newest(tx, **({"org": None, "limit": 10} | asked))]

        assert ids() == [third.id, second.id, first.id]
        assert ids(limit=1) == [third.id]
        assert ids(org="retail") == [second.id, first.id]
        assert ids(org="retail", flow_id="flow-1") == [first.id]


def test_versions_of_a_good_deployment_are_good_and_every_digest_of_a_version_is_known(store: Store) -> None:
    with store.begin() as tx:
        made, _ = register(tx, told(Member("flow-1", DIGEST, "14.0")))
        register(tx, told(Member("flow-1", OTHER, "14.0")))
        register(tx, told(Member("flow-1", OTHER, "15.0")))
        assert deployments.good_versions(tx, "retail", "flow-1") == frozenset()
        deployments.mark_good(tx, made.id, by="ann", now=NOW)
        assert deployments.good_versions(tx, "retail", "flow-1") == {"14.0"}
        assert deployments.good_versions(tx, "bank", "flow-1") == frozenset()
        assert deployments.source_digests(tx, "retail", "flow-1") == {"14.0": {DIGEST, OTHER}, "15.0": {OTHER}}


# Contents


def test_the_content_of_a_version_is_kept_once_and_for_all(store: Store) -> None:
    with store.begin() as tx:
        contents.keep(tx, "retail", "flow-1", "14.0", DIGEST, now=NOW)
        contents.keep(tx, "retail", "flow-1", "14.0", OTHER, now=NOW + 1)
        contents.keep(tx, "retail", "flow-1", "13.0", OTHER, now=NOW)
        contents.keep(tx, "bank", "flow-1", "1.0", OTHER, now=NOW)
        assert contents.of(tx, "retail", "flow-1") == {"14.0": DIGEST, "13.0": OTHER}
