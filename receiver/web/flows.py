"""What applies to each live flow: `GET /flows`, `GET /flows/{org}/{flow_id}`."""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import NotRequired

from flask import Blueprint
from flask.typing import ResponseReturnValue
from typing_extensions import TypedDict

from genesys.evidence import Signal
from receiver.config import ReceiverSettings, Role
from receiver.service import Record
from receiver.standing import Standing, standings
from receiver.store import flows, ledger, rollbacks, watchdog
from receiver.store.database import Store, Transaction, clock
from receiver.store.rollbacks import Rollback
from receiver.web.auth import Tokens
from receiver.web.documented import Time, documented
from receiver.web.fields import Limit, Name, NoParameters, Strict, query, rfc3339, rfc3339_or_none
from receiver.web.paging import AfterNames, page
from receiver.web.problems import not_found
from receiver.web.reach import check_reach, check_touched, reaches, touches


class ListingAnswer(TypedDict):
    """How old an organization's part of the answer is, and why it is no younger."""

    org: str
    listed_at: Time | None
    problem: str


class LastRollback(TypedDict):
    id: str
    state: str
    created_at: Time


class SignalRecord(TypedDict):
    """How conversations ended, by one signal."""

    signal: str
    errors: int
    volume: int
    exits: int
    ratio: float | None
    served_s: float


Stint = TypedDict("Stint", {"from": Time, "to": Time})
Stint.__doc__ = "A stretch of time in which a version was live."


class VersionRecord(TypedDict):
    version: str
    live_s: float
    live: list[Stint]
    signals: list[SignalRecord]


class LedgerAnswer(TypedDict):
    """What is on record of each version, the one that was live last first; and how old that is."""

    read_at: Time | None
    problem: str
    versions: list[VersionRecord]


class FlowAnswer(TypedDict):
    """A live flow and what applies to it.

    Where one flow is asked for, also what is on record of it, how old that is, and how many seconds ago the watchdog
    has last shown that alerts arrive, and that of the organization that the exporter's data advance (null: never).
    """

    org: str
    flow_id: str
    name: str
    type: str
    division: str
    active: bool
    live_version: str | None
    live_since: Time | None
    published_by: str | None
    mode: str
    mode_note: str
    threshold_ratio: float
    owner: str
    armed: bool
    stopped_by: list[str]
    known_bad: str | None
    last_rollback: LastRollback | None
    ledger: NotRequired[LedgerAnswer]
    listing: NotRequired[ListingAnswer]
    watchdog_age_s: NotRequired[float | None]
    data_watchdog_age_s: NotRequired[float | None]


class FlowsAnswer(TypedDict):
    flows: list[FlowAnswer]
    next: str | None
    listings: list[ListingAnswer]


class FlowQuery(Strict):
    """Without `limit` all of them: there are as many as Genesys Cloud lists."""

    org: Name | None = None
    after: AfterNames | None = None
    limit: Limit | None = None


def blueprint(store: Store, tokens: Tokens, settings: ReceiverSettings, orgs: Collection[str]) -> Blueprint:
    """The reading calls, with the role `viewer` or `operator`."""
    calls = Blueprint("flows", __name__)
    reading = tokens.requires(Role.VIEWER, Role.OPERATOR)

    @calls.get("/flows")
    @reading
    @documented("Every live flow and what applies to it.", FlowsAnswer, query=FlowQuery)
    def list_flows() -> ResponseReturnValue:
        asked = query(FlowQuery)
        check_touched(asked.org)
        wanted = [org for org in orgs if asked.org in (None, org) and touches(org)]
        with store.begin() as tx:
            listed = standings(tx, settings, wanted, now=clock(tx))
            newest = {(one.org, one.object_id): one for one in rollbacks.newest_of_each_flow(tx)}
            listings = [_listing(tx, org) for org in wanted]
        found = sorted((one for one in listed if reaches(one.org, one.flow.id)), key=_names)
        left = [one for one in found if asked.after is None or _names(one) > asked.after]
        shown, following = page(left, asked.limit or len(left), _names)
        answer: FlowsAnswer = {
            "flows": [_flow(one, newest.get((one.org, one.flow.id))) for one in shown],
            "next": following,
            "listings": listings,
        }
        return answer

    @calls.get("/flows/<org>/<flow_id>")
    @reading
    @documented("One flow, with the record of its versions.", FlowAnswer, refusals=(HTTPStatus.NOT_FOUND,))
    def show_flow(org: str, flow_id: str) -> ResponseReturnValue:
        query(NoParameters)
        check_reach(org, [flow_id])
        if org not in orgs or "\x00" in flow_id:  # PostgreSQL would take NUL for a fault of the statement
            raise not_found("there is no such flow")
        with store.begin() as tx:
            now = clock(tx)
            alerts_at, data_at = watchdog.last_seen(tx), watchdog.last_seen(tx, org)
            found = standings(tx, settings, [org], now=now, flow_id=flow_id)
            listing = _listing(tx, org)
            newest = rollbacks.of_flow(tx, org, flow_id, shadow=False)
            kept = ledger.reading(tx, org)
            records = {signal: ledger.records(tx, org, flow_id, signal) for signal in Signal}
        if not found:
            raise not_found(f"no live flow {flow_id} of {org} was listed")
        answer = _flow(found[0], newest[0] if newest else None)
        answer["ledger"] = _ledger(kept, records)
        answer["listing"] = listing
        answer["watchdog_age_s"] = _age_s(alerts_at, now)
        answer["data_watchdog_age_s"] = _age_s(data_at, now)
        return answer

    return calls


def _age_s(at: float | None, now: float) -> float | None:
    return None if at is None else max(0.0, now - at)


def _names(one: Standing) -> tuple[str, str, str]:
    """The order in which they are shown; not the database's, whose idea of an alphabet is its own."""
    return one.org, one.flow.name, one.flow.id


def _listing(tx: Transaction, org: str) -> ListingAnswer:
    listing = flows.listing(tx, org)
    return {
        "org": org,
        "listed_at": rfc3339_or_none(listing.listed_at if listing else None),
        "problem": listing.problem if listing else "",
    }


def _ledger(kept: ledger.Reading | None, records: Mapping[Signal, Mapping[str, Record]]) -> LedgerAnswer:
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


def _version(version: str, known: Mapping[Signal, Record]) -> VersionRecord:
    any_record = next(iter(known.values()))  # stints are the same by every signal
    return {
        "version": version,
        "live_s": any_record.live_s,
        "live": [{"from": rfc3339(stint.start), "to": rfc3339(stint.end)} for stint in any_record.stints],
        "signals": [_signal(signal, record) for signal, record in known.items()],
    }


def _signal(signal: Signal, record: Record) -> SignalRecord:
    done = record.service.tally
    return {
        "signal": signal.value,
        "errors": done.errors,
        "volume": done.volume,
        "exits": done.exits,
        "ratio": done.ratio,
        "served_s": record.service.served_s,
    }


def _flow(one: Standing, newest: Rollback | None) -> FlowAnswer:
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
