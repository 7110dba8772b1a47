"""Flows that use a common module: published once more when the module is rolled back, where that is configured.

Each is a rollback of its own kind, which accuses no version: it has the guards that concern its flow, a permit and a
read-back, and neither lockout nor budget, nor quarantine.
"""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from receiver.applied import publish_deadline_s, rollback_deadline_s
from receiver.config import FlowPolicy
from receiver.ending import end
from receiver.objects.settings import ObjectPolicy
from receiver.situation import Situation
from receiver.store import rollbacks
from receiver.store.database import Transaction
from receiver.store.rollbacks import BECAUSE_OF, MODULE_NAME, TO_PUBLISH, Kind, Rollback, State
from receiver.strategy import Strategy
from receiver.tools import Tools


def to_publish(now: Situation, policy: FlowPolicy | ObjectPolicy) -> dict[str, Any]:
    """Facts of a module's rollback: which flows are to be published once it is done, as whoever approves it knows."""
    wanted = isinstance(policy, FlowPolicy) and policy.republish_dependents
    if not wanted or not now.dependents:
        return {}
    found = [
        {"flow_id": one.id, "flow_name": one.name, "flow_type": one.type, "version": one.version}
        for one in now.dependents
        if one.version is not None
    ]
    return {TO_PUBLISH: found}


def plan(tx: Transaction, tools: Tools, module: Rollback, now: float) -> None:
    """Plan them all, after a module's rollback or its undo was confirmed; each waits for its turn."""
    for position, one in enumerate(module.facts.get(TO_PUBLISH, ())):
        planned = _planned(tx, tools, module, one, position, now)
        rollbacks.create(tx, planned)
        detail = {"version": planned.target_version, BECAUSE_OF: module.id}
        rollbacks.add_step(tx, planned, "planned", at=now, detail=detail)


def call_off(tx: Transaction, tools: Tools, module: Rollback, now: float) -> None:
    """The module's rollback is undone: who has not been published for it yet need not be."""
    for one in rollbacks.under_way(tx, module.org, [State.PLANNED]):
        if one.is_dependent and one.facts[BECAUSE_OF] == module.id and one.started_at is None:
            end(tx, tools, one, State.SUPERSEDED, f"rollback {module.id} was undone", now, quiet=True)


def _planned(
    tx: Transaction, tools: Tools, module: Rollback, told: Mapping[str, Any], position: int, now: float
) -> Rollback:
    flow_id, version, flow_type = told["flow_id"], told["version"], told["flow_type"]
    earlier = rollbacks.of_flow(tx, module.org, flow_id, shadow=False)
    tries = [one.try_number for one in earlier if one.accused_version == version]  # the oldest are not kept for ever
    lasts_s = publish_deadline_s(tools.timing, flow_type)
    rollback_id = str(uuid4())
    facts = {name: told[name] for name in ("flow_name", "flow_type")}
    by = module.approved_by or module.facts.get("ordered_by")
    return Rollback(
        id=rollback_id,
        alert_id=module.alert_id,
        org=module.org,
        object_type=module.object_type,
        object_id=flow_id,
        accused_version=version,
        live_since=0.0,  # as far as is known before the flow is read
        try_number=max(tries, default=0) + 1,
        shadow=False,
        target_version=version,
        state=State.PLANNED,
        reason="",
        revision=1,
        created_at=now,
        deadline=now + rollback_deadline_s(tools.timing, flow_type, Strategy.ANEW) + position * lasts_s,
        not_before=now,
        started_at=None,
        wrote=False,
        threshold_ratio=module.threshold_ratio,
        confirmed_at=None,
        ended_at=None,
        facts=facts
        | {
            BECAUSE_OF: module.id,
            MODULE_NAME: module.facts.get("flow_name") or module.object_id,
            "ordered_by": by,
            "ordered_because": "a common module that it uses was rolled back",
        },
        kind=Kind.DEPENDENT,
        attempt_id=rollback_id,
        published_by=None,
        undoes=None,
        approved_by=None,
        approved_at=None,
        ways_back=Strategy.ANEW.value,
        strategy=Strategy.ANEW,
    )
