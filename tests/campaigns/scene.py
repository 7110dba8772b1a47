"""Where a campaign with real receiver processes plays: organizations, a fleet, its database; and what is true there."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from click.testing import CliRunner

from demo.processes import StackError, wait_until
from receiver.cli import main as rollback_receiver
from receiver.store import audit, controls, leases, rollbacks, schema
from receiver.store.database import Store, Transaction, clock
from receiver.store.rollbacks import ENDS, Permit, Rollback, State
from receiver.store.schema import alerts, decisions, permits
from tests.campaigns.clouds import BAD_RATIO, GOOD, Cloud
from tests.campaigns.fleet import Fleet, Member, fleet
from tests.campaigns.incidents import Incident, Kind

PEOPLE = "the on-call team"
_AIMS_FOR_S = 2.0
LEFT_WITHIN_S = 60.0
ENDS_WITHIN_S = 1200.0  # on a machine that is busy with something else

# A minute of Genesys Cloud lasts a second here, and so it does for the receiver. What a process of this machine has to
# do does not become faster with it: the limits of such times are longer than a sixtieth.
TIMING = {
    "tick_s": 0.25,
    "lease_s": 0.75,
    "permit_s": 1.0,
    "publish_deadline_s": 4.0,  # a publish and its effect take 1.1 s at most
    "redeploy_deadline_s": 6.0,  # so does a job half a second more
    "rollback_deadline_s": 600.0,
    "verify_deadline_s": 600.0,
    "lockout_s": 0.5,
    "evidence_max_age_s": 30.0,
    "retry_s": 0.3,
    "flows_s": 10.0,
    "ledger_s": 60.0,
    "ledger_keep_s": 129_600.0,
    "target_min_live_s": 1440.0,
    "probation_busy_s": 120.0,
    "probation_quiet_s": 240.0,
    "probation_max_s": 20_160.0,
    "deployment_s": 10.0,
    "call_timeout_s": 2.0,
}
SETTINGS: Mapping[str, Any] = {
    "timing": TIMING,
    "flows": [{"match": "*", "mode": "auto"}],
    # Every incident may be rolled back at once; these guards have tests of their own.
    "lockout_scope": "flow",
    "budget_per_flow": 1000,
    "budget_per_org": 10_000,
    "common_cause_ratio": 0.95,
    "verify_min_conversations": 5,  # to be quick
}


class Scene:
    """Incidents begin and end here; what the receivers did about them is read from their database."""

    def __init__(self, clouds: Sequence[Cloud], receivers: Fleet, database_url: str) -> None:
        self.clouds = {cloud.org: cloud for cloud in clouds}
        self.fleet = receivers
        self.store = Store(database_url, actor=PEOPLE)
        self._reading = Store(database_url, read_only=True)  # keeps no receiver waiting

    def close(self) -> None:
        self.store.close()
        self._reading.close()

    def begin(self, org: str, flow_id: str, version: str, kind: Kind) -> Incident:
        """Let it happen; the flow was healthy before, and nobody but us holds it."""
        self.store.transact(self._take_over, org, flow_id, hold=kind is Kind.HELD)
        if kind.has_bad_version:
            self.clouds[org].deploy(flow_id, version, error_ratio=BAD_RATIO)
        return Incident(org, flow_id, version if kind.has_bad_version else GOOD, kind, time.time())

    def end(self, incidents: Sequence[Incident]) -> None:
        """People put right what the receivers had to leave alone, or could not mend."""
        for org, cloud in self.clouds.items():
            live = cloud.live()
            for one in incidents:
                if one.org == org and live[one.flow_id] != GOOD:
                    cloud.deploy(one.flow_id, GOOD, error_ratio=0.01)
        for one in incidents:
            if one.kind is Kind.HELD:
                self.store.transact(self._give_back, one.org, one.flow_id)

    def release(self, org: str, *object_ids: str) -> None:
        """People release what the bridge holds."""
        for object_id in object_ids:
            self.store.transact(self._take_over, org, object_id, hold=False)

    def rollbacks(self) -> dict[tuple[str, str, str], list[Rollback]]:
        """(org, flow, accused version) → its rollbacks, oldest first."""
        found: dict[tuple[str, str, str], list[Rollback]] = {}
        with self._reading.begin() as tx:
            for one in rollbacks.newest(tx, org=None, flow_id=None, limit=1_000_000)[::-1]:
                found.setdefault((one.org, one.object_id, one.accused_version), []).append(one)
        return found

    def permits(self) -> list[Permit]:
        """Every permit that was given, the earliest first."""
        with self._reading.begin() as tx:
            named = tx.scalars(sa.select(permits.c.rollback_id).distinct()).all()
            found = [permit for name in named for permit in rollbacks.permits_of(tx, name)]
        return sorted(found, key=lambda permit: permit.issued_at)

    def actors(self) -> dict[str, set[str]]:
        """Rollback → the receivers that have done a step of it, by the audit."""
        found: dict[str, set[str]] = {}
        with self._reading.begin() as tx:
            for row in audit.rows(tx):
                if row.kind == audit.Kind.STEP.value:
                    found.setdefault(json.loads(row.facts)["rollback_id"], set()).add(row.actor)
        return found

    def at_send(self) -> Member | None:
        """The receiver that has a publish under way: its permit is durable, the answer is not. None if there is none
        within a while.
        """
        give_up_at = time.monotonic() + _AIMS_FOR_S
        while time.monotonic() < give_up_at:
            for owner in self._senders():
                with suppress(ProcessLookupError):  # it has died already
                    group = os.getpgid(int(owner.split(":")[1]))
                    return next((member for member in self.fleet.members if member.pid == group), None)
            time.sleep(0.02)
        return None

    def await_ends(self, incidents: Sequence[Incident]) -> None:
        """Return when each that had to be rolled back has been, and the outcome is known."""

        due = [(one.org, one.flow_id, one.version) for one in incidents if one.kind is Kind.BAD]

        def have_ended() -> bool:
            known = self.rollbacks()
            return all(_have_ended(known.get(key, [])) for key in due)

        try:
            wait_until(have_ended, "the rollbacks of this round", within_s=ENDS_WITHIN_S, every_s=0.3)
        except StackError as error:
            raise StackError("\n".join([str(error), *(self._tell(*key) for key in due)])) from error

    def await_rest(self) -> None:
        """Return when nothing is to be done any more: every alert decided, no rollback under way, no lease held."""
        wait_until(self._at_rest, "rest", within_s=ENDS_WITHIN_S, every_s=0.3)

    def undecided(self, accepted: set[tuple[str, float]]) -> set[tuple[str, float]]:
        """Of these alerts (fingerprint, start) those that are not stored, or have no decision."""
        query = sa.select(alerts.c.fingerprint, alerts.c.starts_at).where(
            alerts.c.id.in_(sa.select(decisions.c.alert_id))
        )
        with self._reading.begin() as tx:
            return accepted - {(row.fingerprint, row.starts_at) for row in tx.execute(query)}

    def await_nothing_left(self) -> None:
        """Return when nobody holds a lease, or could send with a permit: a round takes a lease for a moment."""
        wait_until(lambda: not self._left_over(), "no lease and no permit is left", within_s=LEFT_WITHIN_S)

    def _left_over(self) -> list[str]:
        with self._reading.begin() as tx:
            now = clock(tx)
            usable = tx.scalars(sa.select(permits.c.rollback_id).where(permits.c.valid_until >= now))
            return [*leases.held(tx, now=now), *usable]

    def verify_audit(self) -> tuple[int, str]:
        """What `rollback-receiver audit verify` says: its exit status, and its line."""
        config = self.fleet.members[0].config
        done = CliRunner().invoke(
            rollback_receiver, ["audit", "verify", "--config", str(config)], env=self.fleet.environ
        )
        return done.exit_code, done.output.strip()

    def _tell(self, org: str, flow_id: str, version: str) -> str:
        """What has become of an incident: for whoever looks for the reason."""
        found = self.rollbacks().get((org, flow_id, version), [])
        with self._reading.begin() as tx:
            query = sa.select(alerts.c.verdict, alerts.c.is_open).where(
                alerts.c.org == org, alerts.c.object_id == flow_id, alerts.c.version == version
            )
            told = [tuple(row) for row in tx.execute(query)]
        ends = [(one.state.value, one.reason, one.wrote) for one in found]
        return f"{org} {flow_id} {version}: live {self.clouds[org].live()[flow_id]}, rollbacks {ends}, alerts {told}"

    def _senders(self) -> Sequence[str]:
        """Who holds the lease of an organization in which a publish has no answer yet."""
        lease, rollback, permit = schema.leases.c, schema.rollbacks.c, permits.c
        with self._reading.begin() as tx:
            query = (
                sa.select(lease.owner)
                .join(schema.rollbacks, lease.name == "org:" + rollback.org)
                .join(permits, permit.rollback_id == rollback.id)
                .where(rollback.state == State.PUBLISHING.value, permit.answer.is_(None), lease.expires_at > clock(tx))
            )
            return tx.scalars(query).all()

    def _at_rest(self) -> bool:
        with self._reading.begin() as tx:
            undecided = tx.scalar(sa.select(sa.func.count()).where(alerts.c.verdict.is_(None)))
            busy = rollbacks.under_way(tx) or leases.held(tx, now=clock(tx))
        return not undecided and not busy

    @staticmethod
    def _take_over(tx: Transaction, org: str, flow_id: str, *, hold: bool) -> None:
        """Release what the bridge holds, as who has looked at the flow; or hold it."""
        controls.release(tx, org, flow_id, owner=controls.BRIDGE, by=PEOPLE, now=clock(tx))
        if hold:
            controls.hold(tx, org, [flow_id], owner=PEOPLE, reason="hot fix", by=PEOPLE, now=clock(tx))

    @staticmethod
    def _give_back(tx: Transaction, org: str, flow_id: str) -> None:
        controls.release(tx, org, flow_id, owner=PEOPLE, by=PEOPLE, now=clock(tx))


def _have_ended(found: Sequence[Rollback]) -> bool:
    """One of them is the end of it; one that people were asked for ends when another has its turn without them."""
    return any(_is_final(one) for one in found) and all(one.state in ENDS for one in found)


def _is_final(rollback: Rollback) -> bool:
    """It has ended, and not before its write, which would be tried again."""
    return rollback.state in ENDS and (rollback.wrote or rollback.state is State.SUPERSEDED)


@contextmanager
def scene(
    folder: Path,
    clouds: Sequence[Cloud],
    database_url: str,
    *,
    clock_offsets_s: Sequence[float],
    started: bool = True,
    ways_back: Sequence[str] = ("republish",),
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[Scene]:
    """A scene with one receiver for each of the offsets, by which its clock is wrong; all are ready if `started`.

    `changes` replace settings of `receiver.yml`.
    """
    organizations = [cloud.organization() for cloud in clouds]
    flows = [{"match": "*", "mode": "auto", "ways_back": list(ways_back)}]
    settings = {**SETTINGS, "flows": flows, "database_url": database_url, **changes}
    with fleet(folder, organizations=organizations, settings=settings, count=len(clock_offsets_s)) as made:
        for member, offset_s in zip(made.members, clock_offsets_s, strict=True):
            member.clock_offset_s = offset_s
            if started:
                made.start(member)
        if started:
            made.await_ready()
        here = Scene(clouds, made, database_url)
        try:
            yield here
        finally:
            here.close()
