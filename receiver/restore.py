"""Way back `restore`: write what a snapshot has. For configuration objects, of which nobody else keeps versions."""

from dataclasses import dataclass, replace
from functools import partial

from genesys.errors import GenesysError
from genesys.flows import Operation, Readback
from receiver.objects.kept import KeptObjects
from receiver.objects.restoration import CannotRestore
from receiver.republish import Republish
from receiver.store.leases import Lease
from receiver.store.rollbacks import Permit, Rollback
from receiver.tools import Tools
from receiver.way import Prepared, Sight, could_not_begin


@dataclass(frozen=True, slots=True)
class Restore:
    """A `receiver.way.Way`."""

    def prepare(self, tools: Tools, lease: Lease, rollback: Rollback) -> Prepared | None:
        """See whether it can be written. What cannot be read now is read anew before the decision, which then waits."""
        try:
            _kept(tools).restoration(rollback.object_id, rollback.target_version)
        except CannotRestore as problem:
            shown = tools.reader.flow(rollback.object_id).value
            if shown is not None and shown.live_version == rollback.accused_version:
                tools.store.transact(could_not_begin, tools, lease, rollback, "cannot_restore", str(problem))
                return None
        except GenesysError:
            pass
        return Prepared(partial(_send, tools, rollback), rollback.target_version)

    def look(self, tools: Tools, rollback: Rollback, permit: Permit, *, asked_at: float) -> Sight | None:
        """As of a publish: only the object itself is believed. Of a data table a part may have been written."""
        sight = Republish().look(tools, rollback, permit, asked_at=asked_at)
        if sight is None or sight.seen is not Readback.OVERTAKEN:
            return sight
        shown = tools.reader.flow(rollback.object_id)
        if shown.value is None:  # whose change it is, nobody can say without
            return Sight(None, shown.problem)
        live, accused, target = shown.value.live_version, rollback.accused_version, permit.target_version
        if live is None or not _kept(tools).is_between(rollback.object_id, accused, target, live):
            return sight
        if not sight.settled:
            return replace(sight, seen=Readback.PENDING)
        return replace(sight, seen=Readback.FAILED, error="restored in part: some rows are written, and others not")


def _kept(tools: Tools) -> KeptObjects:
    if tools.objects is None:
        raise AssertionError("a restore without objects")  # whoever is restored is configured
    return tools.objects


def _send(tools: Tools, rollback: Rollback, permit: Permit) -> Operation:
    accused, within_s = rollback.accused_version, tools.timing.permit_s
    _kept(tools).restore(rollback.object_id, permit.target_version, accused=accused, within_s=within_s)
    return Operation(f"{rollback.id}/{permit.number}", complete=True)
