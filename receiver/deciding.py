"""One decision about one alert, and what comes of it: the loop's own work, and a replay's on a copy of the state."""

import logging

from genesys.log import event
from receiver.config import Scope
from receiver.gather import accusing, situation
from receiver.known_bad import tell
from receiver.notify.events import put_suppressed
from receiver.planning import facts_of, plan
from receiver.policy import Decision, Verdict, decide
from receiver.reader import Reading
from receiver.situation import Mode
from receiver.store import decisions, leases
from receiver.store.alerts import StoredAlert
from receiver.store.database import Transaction, after_commit
from receiver.tools import Tools

log = logging.getLogger(__name__)


def decide_one(tx: Transaction, tools: Tools, alert: StoredAlert, reading: Reading) -> Decision:
    """Decide about one alert, and plan the rollback if there is to be one.

    A decision that says nothing new is given back, but not recorded again.
    """
    if tools.around.settings.lease_scope is Scope.ALL:
        leases.lock(tx, leases.EVERYTHING)  # no other organization plans a rollback between our look and our entry
    now = tools.clock(tx)
    names_no_version = not alert.version
    alert = accusing(alert, reading)
    suppression = tools.alertmanagers.suppression(alert.fingerprint, now)
    facts = situation(tx, alert, reading, suppression, tools.around, now=now)
    decision = decide(facts, tools.limits)
    rollback = plan(tx, tools, alert, facts, decision)
    if rollback is None and not decisions.is_new(alert, decision):
        return decision
    shown = facts_of(facts)
    decisions.add(
        tx,
        alert,
        decision,
        at=now,
        facts=shown,
        receiver=tools.receiver,
        rollback_id=rollback.id if rollback else None,
    )
    if facts.known_bad:
        tell(tx, tools.telling, alert.org, alert.object_id, alert.version, now=now)
    after_commit(tx, lambda: _show(tools, alert, decision))  # the transaction may be repeated, or not be kept
    # An observed rollback was told as such; that it is not repeated has nothing to do with the flow. And an alert that
    # names no version goes on for a while once the bridge has restored what it accused.
    observed_again = facts.mode is Mode.OBSERVE and decision.verdict is Verdict.ALREADY_ROLLED_BACK
    restored = names_no_version and decision.verdict is Verdict.RESTORED_BY_BRIDGE
    if not observed_again and not restored:
        put_suppressed(tx, tools.telling, alert, decision, shown | {"signal": alert.signal}, now=now)
    return decision


def _show(tools: Tools, alert: StoredAlert, decision: Decision) -> None:
    verdict = decision.verdict
    tools.metrics.decided(verdict)
    about = {"org": alert.org, "flow_id": alert.object_id, "version": alert.version}
    event(log, logging.INFO, "decided", **about, verdict=verdict.value)
