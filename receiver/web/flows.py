"""What applies to each live flow: `GET /flows`, `GET /flows/{org}/{flow_id}`."""

from collections.abc import Collection, Mapping
from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue

from genesys.evidence import Signal
from receiver.config import ReceiverSettings, Role
from receiver.service import Record
from receiver.standing import Standing, standings
from receiver.store import flows, ledger, rollbacks
from receiver.store.database import Store, Transaction, clock
from receiver.store.rollbacks import Rollback
from receiver.web.auth import Tokens
from receiver.web.fields import Name, NoParameters, Strict, query, rfc3339, rfc3339_or_none
from receiver.web.problems import not_found

Json = Mapping[str, Any]


class FlowQuery(Strict):
    org: Name | None = None


def blueprint(store: Store, tokens: Tokens, settings: ReceiverSettings, orgs: Collection[str]) -> Blueprint:
    """The reading calls, with the role `viewer` or `operator`."""
    calls = Blueprint("flows", __name__)
    reading = tokens.requires(Role.VIEWER, Role.OPERATOR)

    @calls.get("/flows")
    @reading
    def list_flows() -> ResponseReturnValue:
        asked = query(FlowQuery).org
        wanted = [org for org in orgs if asked in (None, org)]
        with store.begin() as tx:
            found = standings(tx, settings, wanted, now=clock(tx))
            newest = {(one.org, one.object_id): one for one in rollbacks.newest_of_each_flow(tx)}
            listings = [_listing(tx, org) for org in wanted]
        return {
            "flows": [_flow(one, newest.get((one.org, one.flow.id))) for one in found],
            "listings": listings,
        }

    @calls.get("/flows/<org>/<flow_id>")
    @reading
    def show_flow(org: str, flow_id: str) -> ResponseReturnValue:
        query(NoParameters)
        if org not in orgs or "\x00" in flow_id:  # PostgreSQL would take NUL for a fault of the statement
            raise not_found("there is no such flow")
        with store.begin() as tx:
            found = standings(tx, settings, [org], now=clock(tx), flow_id=flow_id)
            newest = rollbacks.of_flow(tx, org, flow_id, shadow=False)
            kept = ledger.reading(tx, org)
            records = {signal: ledger.records(tx, org, flow_id, signal) for signal in Signal}
        if not found:
            raise not_found(f"no live flow {flow_id} of {org} was listed")
        return _flow(found[0], newest[0] if newest else None) | {"ledger": _ledger(kept, records)}

    return calls


def _listing(tx: Transaction, org: str) -> Json:
    """How old the organization's part of the answer is, and why it is no younger."""
    listing = flows.listing(tx, org)
    return {
        "org": org,
        "listed_at": rfc3339_or_none(listing.listed_at if listing else None),
        "problem": listing.problem if listing else "",
    }


def _ledger(kept: ledger.Reading | None, records: Mapping[Signal, Mapping[str, Record]]) -> Json:
    """What is on record of each version, the one that was live last first; and how old that is."""
    by_version: dict[str, dict[Signal, Record]] = {}
    for signal, found in records.items():
        for version, record in found.items():
            by_version.setdefault(version, {})[signal] = record
    return {
        "read_at": rfc3339_or_none(kept.read_at if kept else None),
        "problem": kept.problem if kept else "",
        "versions": [
            _version(version, known)
            for version, known in sorted(by_version.items(), key=lambda one: _until(one[1]), reverse=True)
        ],
    }


def _until(known: Mapping[Signal, Record]) -> float:
    return max(record.until for record in known.values())


def _version(version: str, known: Mapping[Signal, Record]) -> Json:
    any_record = next(iter(known.values()))  # stints are the same by every signal
    return {
        "version": version,
        "live_s": any_record.live_s,
        "live": [{"from": rfc3339(stint.start), "to": rfc3339(stint.end)} for stint in any_record.stints],
        "signals": [_signal(signal, record) for signal, record in known.items()],
    }


def _signal(signal: Signal, record: Record) -> Json:
    done = record.service.tally
    return {
        "signal": signal.value,
        "errors": done.errors,
        "volume": done.volume,
        "exits": done.exits,
        "ratio": done.ratio,
        "served_s": record.service.served_s,
    }


def _flow(one: Standing, newest: Rollback | None) -> dict[str, Any]:
    flow = one.flow
    return {
        "org": one.org,
        "flow_id": flow.id,
        "name": flow.name,
        "type": flow.type,
        "division": flow.division_name,
        "active": flow.active,
        "live_version": flow.live_version,
        "live_since": rfc3339_or_none(flow.live_published_at),
        "published_by": flow.published_by,
        "mode": one.mode.value,
        "mode_note": one.mode_note,
        "threshold_ratio": one.threshold_ratio,
        "owner": one.owner,
        "armed": one.armed,
        "stopped_by": list(one.stopped_by),
        "known_bad": None if one.known_bad is None else one.known_bad.describe(),
        "last_rollback": None
        if newest is None
        else {"id": newest.id, "state": newest.state.value, "created_at": rfc3339(newest.created_at)},
    }
