"""`rollbackctl report`: what mode `auto` would have done, with its evidence, and how it went on.

For whoever is to decide whether a flow may go from `observe` to `approve` to `auto`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from receiver.ctl import armed
from receiver.ctl.api import Api, Json, NotReachable
from receiver.ctl.hindsight import Auto, Course, auto, course
from receiver.ctl.options import length
from receiver.ctl.report_text import text_of
from receiver.ctl.session import Session
from receiver.outbound import OutboundError

EVIDENCE = (
    "signal",
    "errors",
    "volume",
    "window",
    "error_ratio",
    "threshold_ratio",
    "baseline_ratio",
    "published_by",
    "published_at",
    "commit",
)

Flow = tuple[str, str]
"""Organization and flow id."""


@click.command()
@click.option("--since", type=length, default="14d", show_default=True, metavar="LENGTH", help="How far back.")
@click.option("--org", help="Only this organization.")
@click.option(
    "--prometheus",
    "prometheus_url",
    envvar="ROLLBACKCTL_PROMETHEUS",
    show_envvar=True,
    metavar="URL",
    help="Ask it in which share of the last 7 days each flow with mode auto was armed.",
)
@click.pass_obj
def report(session: Session, *, since: timedelta, org: str | None, prometheus_url: str | None) -> None:
    """What `auto` would have done, and how it went on.

    Each rollback of the time, observed ones included, with its evidence; the verdicts of each flow; and what became of
    the versions that were accused, as far as the ledger tells.

    \b
    Examples:
      rollbackctl report --since 14d
      rollbackctl report --org retail --prometheus http://127.0.0.1:9090
    """
    now = datetime.now(UTC)
    try:
        begun = now - since
    except OverflowError:
        raise click.UsageError("--since is too long") from None
    shares = _shares(session, org, prometheus_url)
    document = _document(session.api, org, begun, now) | {"armed": shares}
    session.show(document, lambda clock: text_of(document, clock))


def _shares(session: Session, org: str | None, url: str | None) -> list[Json] | None:
    """Of each flow with mode auto, the least armed first; None if nobody asks for it."""
    if url is None:
        return None
    try:
        found = armed.shares(session.http, url)
    except OutboundError as problem:
        raise NotReachable(f"{problem}; does Prometheus run at --prometheus {url}?") from None
    rows = [
        {"org": one_org, "flow_id": flow_id, **values}
        for (one_org, flow_id), values in found.items()
        if org in (None, one_org)
    ]
    return sorted(rows, key=lambda row: (row["share"], row["org"], row["flow_id"]))


def _document(api: Api, org: str | None, since: datetime, until: datetime) -> dict[str, Any]:
    """What the report says; one row per flow that was decided about, the one with most rollbacks first."""
    moment = since.isoformat()
    # What followed a module's rollback was decided there.
    rollbacks = [one for one in api.every("rollbacks", org=org, since=moment) if one["kind"] != "dependent"]
    verdicts: dict[Flow, Counter[str]] = {}
    begun_by: dict[str, Json] = {}  # the decision that a rollback came of, which is the oldest about it
    for decision in api.every("decisions", org=org, since=moment):
        verdicts.setdefault(_flow(decision), Counter())[decision["verdict"]] += 1
        if decision["rollback_id"] is not None:
            begun_by[decision["rollback_id"]] = decision
    listed = api.get("flows", org=org)
    known = {_flow(flow): flow for flow in listed["flows"]}
    listed_at = {listing["org"]: listing["listed_at"] for listing in listed["listings"]}
    heard = {alert["id"]: alert for alert in api.every("alerts", org=org, since=moment)} if rollbacks else {}
    detailed = {flow: api.get_one("flows", *flow) for flow in sorted({_flow(one) for one in rollbacks} & known.keys())}
    rows = [
        _row(
            rollback,
            auto(rollback, begun_by.get(rollback["id"])),
            course(
                rollback,
                detailed.get(_flow(rollback)),
                listed_at.get(rollback["org"]),
                [one for one in rollbacks if _flow(one) == _flow(rollback) and not one["shadow"]],
            ),
            heard.get(rollback["alert_id"]),
            known.get(_flow(rollback)),
        )
        for rollback in rollbacks
    ]
    flows = {_flow(row) for row in rows} | verdicts.keys()
    return {
        "since": moment,
        "until": until.isoformat(),
        "summary": _summary(rows, verdicts.values()),
        "rollbacks": rows,
        "flows": sorted(
            (_flow_row(flow, known.get(flow), rows, verdicts.get(flow, {})) for flow in flows),
            key=lambda row: (-sum(row["rollbacks"].values()), row["org"], row["flow_id"]),
        ),
    }


def _row(rollback: Json, role: Auto, went_on: Course, alert: Json | None, flow: Json | None) -> dict[str, Any]:
    facts = rollback["facts"]
    return {
        "id": rollback["id"],
        "attempt_id": rollback["attempt_id"],
        "at": rollback["created_at"],
        "org": rollback["org"],
        "flow_id": rollback["flow_id"],
        "name": flow["name"] if flow is not None else facts.get("flow_name"),
        "accused_version": rollback["accused_version"],
        "target_version": rollback["target_version"],
        "auto": role.value,
        "state": rollback["state"],
        "reason": rollback["reason"],
        "evidence": {name: facts.get(name) for name in EVIDENCE},
        "alert_ended_at": None if alert is None else alert["closed_at"],
        "went_on": went_on.as_json(),
    }


def _flow_row(flow: Flow, known: Json | None, rows: Iterable[Json], verdicts: Mapping[str, int]) -> dict[str, Any]:
    org, flow_id = flow
    ours = [row for row in rows if _flow(row) == flow]
    return {
        "org": org,
        "flow_id": flow_id,
        "name": known["name"] if known else next((row["name"] for row in ours), None),
        "mode": known["mode"] if known else None,
        "rollbacks": _counted(row["auto"] for row in ours),
        "verdicts": _counted_all([verdicts]),
    }


def _summary(rows: Iterable[Json], verdicts: Iterable[Mapping[str, int]]) -> dict[str, Any]:
    """In numbers: what was or would have been done, and of both how it went on."""
    rows = list(rows)
    began = [row for row in rows if row["auto"] == Auto.BEGAN]
    waited = [row for row in rows if row["auto"] in (Auto.WOULD_BEGIN, Auto.WOULD_ASK)]
    return {
        "rollbacks": _counted(row["auto"] for row in rows),
        "ends": _counted(row["state"] for row in began),
        "undone": sum(row["went_on"]["undone_by"] is not None for row in rows),
        "not_begun_went_on": _counted(row["went_on"]["outcome"] for row in waited),
        "verdicts": _counted_all(verdicts),
    }


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _counted_all(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))


def _flow(row: Json) -> Flow:
    return row["org"], row["flow_id"]
