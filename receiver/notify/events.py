"""What people are told: one event per step that matters, as the generic webhook carries it.

`put_*` writes the event into the outbox, in the transaction of the change that
it tells of; `delivery` sends it afterwards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from receiver import attempt
from receiver.notify.audience import Audience, wants
from receiver.notify.kinds import STORY, IncidentType
from receiver.payload import FLOW
from receiver.policy import Decision, Verdict
from receiver.store import outbox
from receiver.store.alerts import StoredAlert
from receiver.store.database import Transaction
from receiver.store.rollbacks import BECAUSE_OF, COPY_OF, IN_VAIN, MODULE_NAME, TO_PUBLISH, Rollback, State
from receiver.strategy import Strategy

_OF_SOME = (  # common modules, and what is no flow
    "dependents",
    "dependents_count",
    "dependents_problem",
    BECAUSE_OF,
    MODULE_NAME,
    "object_type",
    "differences",
    "differences_count",
)
_ENDS = {
    State.SUCCEEDED: IncidentType.ROLLBACK_SUCCEEDED,
    State.FAILED: IncidentType.ROLLBACK_FAILED,
    State.SUPERSEDED: IncidentType.ROLLBACK_FAILED,
    State.INEFFECTIVE: IncidentType.ROLLBACK_INEFFECTIVE,
    State.UNVERIFIED: IncidentType.ROLLBACK_UNVERIFIED,
    State.OBSERVED: IncidentType.WOULD_HAVE_ROLLED_BACK,
}

# A resolved alert, an ignored flow, a silence or an inhibition is what people wanted; a superseded version is no longer
# anybody's problem; a rollback in progress, an observed one and one that waits for approval send their own events.
_UNTOLD = frozenset(
    {
        Verdict.RESOLVED,
        Verdict.IGNORED,
        Verdict.SILENCED,
        Verdict.INHIBITED,
        Verdict.SUPERSEDED,
        Verdict.IN_PROGRESS,
        Verdict.OBSERVING,
        Verdict.AWAITING_APPROVAL,
        Verdict.ROLL_BACK,
    }
)


@dataclass(frozen=True, slots=True)
class Telling:
    """To whom, and under which address people find the record."""

    sinks: Sequence[str]
    external_url: str | None
    audiences: Mapping[str, Audience] = field(default_factory=dict)  # by sink; one that is not in it is told all

    def to(self, payload: Mapping[str, Any]) -> list[str]:
        """The sinks that want the event."""
        return [sink for sink in self.sinks if sink not in self.audiences or wants(self.audiences[sink], payload)]

    def explain_url(self, rollback_id: str) -> str | None:
        """Of the API's record, for programs."""
        return self._url("api", "v1", "rollbacks", rollback_id)

    def console_url(self, *page: str) -> str | None:
        """Of a page for people, with the buttons for what can be ordered there."""
        return self._url("console", *page)

    def order_urls(self, rollback: Rollback) -> dict[str, str]:
        """Where programs order (POST) what can be ordered now, by the name of the event's field."""
        url = self.explain_url(rollback.id)
        if url is None:
            return {}
        if rollback.state is State.AWAITING_APPROVAL:
            return {"approve_url": f"{url}/approve", "deny_url": f"{url}/deny"}
        can_be_undone = rollback.confirmed_at is not None and rollback.accuses
        return {"undo_url": f"{url}/undo"} if can_be_undone and rollback.state is not State.SUPERSEDED else {}

    def _url(self, *path: str) -> str | None:
        if self.external_url is None:
            return None
        return "/".join([self.external_url.rstrip("/"), *(quote(part, safe="") for part in path)])


def put_triggered(tx: Transaction, telling: Telling, rollback: Rollback, *, now: float) -> None:
    """The permit to publish has been given: nothing is switched yet. People hear once of the flows of an attempt."""
    if attempt.was_told_with_another(rollback, attempt.of_rollback(tx, rollback).members):
        return
    action = f"SWITCHING_TO_VERSION_{rollback.target_version}"
    _put_rollback(tx, telling, rollback, IncidentType.AUTO_ROLLBACK_TRIGGERED, action, now)


def put_end(tx: Transaction, telling: Telling, rollback: Rollback, *, now: float) -> None:
    """The rollback has reached its end."""
    switched = rollback.confirmed_at is not None
    action = f"SWITCHED_TO_VERSION_{rollback.target_version}" if switched else "NONE"
    if rollback.is_dependent:
        _put_dependent(tx, telling, rollback, now)
        return
    kind = _ENDS[rollback.state]
    if rollback.is_undo:
        succeeded = rollback.state is State.SUCCEEDED
        kind = IncidentType.UNDO_SUCCEEDED if succeeded else IncidentType.UNDO_FAILED
    _put_rollback(tx, telling, rollback, kind, action, now)


def _put_dependent(tx: Transaction, telling: Telling, rollback: Rollback, now: float) -> None:
    """A flow was published because of its module, or was not; that somebody else has published it is as good."""
    if rollback.state is State.SUPERSEDED:
        return
    succeeded = rollback.state is State.SUCCEEDED
    action = f"PUBLISHED_VERSION_{rollback.target_version}" if succeeded else "NONE"
    kind = IncidentType.DEPENDENT_PUBLISHED if succeeded else IncidentType.DEPENDENT_NOT_PUBLISHED
    _put_rollback(tx, telling, rollback, kind, action, now)


def put_approval_requested(tx: Transaction, telling: Telling, rollback: Rollback, *, now: float) -> None:
    """The flow fails, and a person has to agree before it is rolled back; `reason` says why."""
    _put_rollback(tx, telling, rollback, IncidentType.APPROVAL_REQUESTED, "NONE", now)


def put_suppressed(
    tx: Transaction, telling: Telling, alert: StoredAlert, decision: Decision, facts: dict[str, Any], *, now: float
) -> None:
    """A flow fails and nothing is done; people hear of each reason once per accused version.

    That a guard could not be evaluated is nobody's wish: people hear of it whatever its verdict.
    """
    guard = next((guard for guard in decision.guards if guard.name is decision.verdict), None)
    if guard is None or (decision.verdict in _UNTOLD and not guard.unknown):
        return
    payload = _payload(IncidentType.ROLLBACK_SUPPRESSED, "NONE", facts, now) | {
        "org": alert.org,
        "flow_id": alert.object_id,
        "accused_version_id": alert.version,
        "target_version_id": None,
        "rollback_id": None,
        "verdict": decision.verdict.value,
        "reason": guard.value,
        "explain_url": None,
        "console_url": telling.console_url(*_page(alert)),
    }
    subject = f"{alert.org}/{alert.object_id}/{alert.version}/{decision.verdict.value}"
    outbox.put(tx, telling.to(payload), subject, payload, now=now)


def put_path_silent(tx: Transaction, telling: Telling, last_seen: float | None, *, now: float) -> None:
    """The watchdog does not arrive any more; people hear of each silence once."""
    since = "never" if last_seen is None else rfc3339(last_seen)
    payload = _payload(IncidentType.ALERT_PATH_SILENT, "NONE", {}, now) | {
        "org": None,
        "flow_id": None,
        "accused_version_id": None,
        "target_version_id": None,
        "rollback_id": None,
        "verdict": None,
        "reason": f"GenesysWatchdog last arrived: {since}; until it does, no alert reaches the receiver",
        "explain_url": None,
        "console_url": telling.console_url(),
    }
    outbox.put(tx, telling.to(payload), f"watchdog/{since}", payload, now=now)


def put_known_bad(
    tx: Transaction,
    telling: Telling,
    org: str,
    flow_id: str,
    version: str,
    reason: str,
    facts: dict[str, Any],
    *,
    now: float,
) -> None:
    """A version went live that is the same as one in quarantine; people hear of each version once."""
    payload = _payload(IncidentType.KNOWN_BAD_DEPLOYED, "NONE", facts, now) | {
        "org": org,
        "flow_id": flow_id,
        "accused_version_id": version,
        "target_version_id": None,
        "rollback_id": None,
        "verdict": None,
        "reason": f"{reason}; it is rolled back once callers fail, and not before",
        "explain_url": None,
        "console_url": telling.console_url("flows", org, flow_id),
    }
    outbox.put(tx, telling.to(payload), f"{org}/{flow_id}/{version}/known_bad", payload, now=now)


def _put_rollback(
    tx: Transaction, telling: Telling, rollback: Rollback, kind: IncidentType, action: str, now: float
) -> None:
    payload = _payload(kind, action, rollback.facts, now) | {
        "org": rollback.org,
        "flow_id": rollback.object_id,
        "accused_version_id": rollback.accused_version,
        "target_version_id": rollback.target_version,
        "rollback_id": rollback.id,
        "verdict": _verdict_of(rollback).value,
        "reason": rollback.reason,
        "ordered_by": rollback.facts.get("ordered_by"),
        "overwrote_newer": rollback.facts.get("overwrote_newer"),
        "attempt_id": rollback.attempt_id,
        **_way_back(rollback),
        **attempt.facts_of(attempt.of_rollback(tx, rollback).members),
        "explain_url": telling.explain_url(rollback.id),
        "console_url": telling.console_url("rollbacks", rollback.id),
        **telling.order_urls(rollback),
        STORY: _story(rollback),
    }
    outbox.put(tx, telling.to(payload), f"{rollback.id}/{kind.value}", payload, now=now)


def _way_back(rollback: Rollback) -> dict[str, Any]:
    """By which strategy, if it is not the usual one; and which ones have had no effect before."""
    told = {name: rollback.facts[name] for name in (IN_VAIN, COPY_OF) if name in rollback.facts}
    unusual = rollback.strategy is not Strategy.REPUBLISH or told
    return {"way_back": rollback.strategy.value} | told if unusual else {}


def _story(rollback: Rollback) -> dict[str, Any]:
    """What sentences and annotations need beside the webhook's fields."""
    moments = {"started_at": rollback.started_at, "confirmed_at": rollback.confirmed_at, "ended_at": rollback.ended_at}
    told = {name: rfc3339(moment) for name, moment in moments.items() if moment is not None}
    return told | {name: rollback.facts[name] for name in ("live_since", "data_end") if name in rollback.facts}


def _page(alert: StoredAlert) -> tuple[str, ...]:
    """Of the console, about what is accused."""
    if alert.object_type == FLOW:
        return "flows", alert.org, alert.object_id
    return "objects", alert.org, alert.object_type, alert.object_id


def _verdict_of(rollback: Rollback) -> Verdict:
    if rollback.shadow:
        return Verdict.OBSERVING
    return Verdict.AWAITING_APPROVAL if rollback.state is State.AWAITING_APPROVAL else Verdict.ROLL_BACK


def _payload(kind: IncidentType, action: str, facts: dict[str, Any], now: float) -> dict[str, Any]:
    """The fields that every event has; those of the guide come first, with its names."""
    return {
        "incident_type": kind.value,
        "error_rate_breach": facts.get("error_ratio"),
        "threshold_breach": facts.get("threshold_ratio"),
        "timestamp": rfc3339(now),
        "action_taken": action,
        "audit_head": None,  # known when the transaction ends; see `outbox.put`
        **{
            name: facts.get(name)
            for name in (
                "flow_name",
                "division",
                "owner",
                "signal",
                "transfer_type",
                "transfer_target",
                "baseline_ratio",
                "errors",
                "volume",
                "window",
                "published_at",
                "published_by",
                "commit",
                "deployed_by",
            )
        },
        **({"parts": facts["parts"]} if facts.get("parts") else {}),  # which data actions
        **({"changes": facts["changes"]} if facts.get("changes") else {}),  # the most likely first
        **({TO_PUBLISH: len(facts[TO_PUBLISH])} if facts.get(TO_PUBLISH) else {}),
        **{name: facts[name] for name in _OF_SOME if name in facts},
    }


def rfc3339(moment: float) -> str:
    """Unix seconds as RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
