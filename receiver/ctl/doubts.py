"""What a look at the receiver shows, and what in it leaves doubt that somebody would have rolled back.

Nothing is looked up here, and nothing is remembered: `receiver.ctl.watched` does that from look to look.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from receiver.ctl.render import Json

_NOT_LIVE = "superseded"  # the verdict over an alert whose version is no longer live
_BEGUN = frozenset({"roll_back", "in_progress", "awaiting_approval"})  # verdicts: how it went on, rollbacks show
_HEALED = "not_confirmed"  # the guard that finds that Genesys Cloud's own figures do not accuse the version
# The watchdogs come every minute or two: see alert_rules/alertmanager.yml.
_SILENT_S = 180.0


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the receiver has shown, each part as the API gives it, newest first.

    `flows` has each watched flow by its id, None while it is not listed. Without a deployment `registered` (its
    versions by flow) is empty, and `since` (its registration) None: the watch begins with the first look. `consent` is
    what the deployment lets the bridge do; of one that is seen `in_part` some flows may not be seen.
    """

    org: str
    flows: Mapping[str, Json | None]
    alerts: Sequence[Json]
    decisions: Sequence[Json]
    rollbacks: Sequence[Json]
    registered: Mapping[str, str | None] = field(default_factory=dict)
    since: datetime | None = None
    consent: str = "auto"
    in_part: bool = False


def name_of(flow_id: str, flow: Json | None) -> str:
    """What people call it."""
    return flow_id if flow is None else flow["name"] or flow_id


def deployed(look: Look, flow_id: str) -> str | None:
    """The version of the deployment; None where it is not known, or there is no deployment."""
    return look.registered.get(flow_id)


def stopped_by(flow: Json | None, consent: str) -> str:
    """Why the flow would not be rolled back by itself; "" if it would."""
    if flow is None:
        return "the receiver has not listed it"
    mode = "" if flow["mode"] == "auto" else f"mode {flow['mode']} {flow['mode_note']}".strip()
    asked = "" if consent == "auto" else f"it was registered with rollback: {consent}"
    return "; ".join(part for part in (mode, *flow["stopped_by"], asked, _unwatched(flow)) if part)


def _unwatched(flow: Json) -> str:
    """Why nobody would accuse it; without figures, so that it stays the same reason from look to look."""
    alerts_age_s, data_age_s = flow.get("watchdog_age_s"), flow.get("data_watchdog_age_s")
    if alerts_age_s is None:
        return "no alert reaches the receiver: the watchdog has never arrived; give Alertmanager its route"
    if alerts_age_s > _SILENT_S:
        return (
            "no alert reaches the receiver: the watchdog has not arrived for 3 min; do Prometheus and Alertmanager run?"
        )
    if data_age_s is None:
        return "nobody counts its callers: GenesysDataWatchdog has never arrived; does Prometheus have this rule?"
    if data_age_s > _SILENT_S:
        return "nobody counts its callers: GenesysDataWatchdog has not arrived for 3 min; does the exporter run?"
    return ""


def at_the_end(look: Look, watched: Mapping[str, str]) -> Iterator[str]:
    """Why nobody can say that what is live now is good, although nothing was rolled back."""
    if look.in_part:
        yield "the deployment has flows that this token may not see: give it the roles over all of them"
    for flow_id, flow in look.flows.items():
        name, stopped = name_of(flow_id, flow), stopped_by(flow, look.consent)
        if stopped:
            yield f"{name} was not armed: {stopped}"
        problem = "" if flow is None else flow.get("listing", {}).get("problem", "")
        if problem:
            yield f"{name}: Genesys Cloud could not be listed: {problem}"
        live = None if flow is None else flow["live_version"]
        version = look.registered.get(flow_id, live)
        if flow_id in look.registered and version is None:
            yield f"{name}: which version was deployed is not known"
        elif version != live:
            yield f"{name}: {live or 'no version'} is live, not {version}, which was deployed"
        # By the listing alone nobody knows which version is live: it may be minutes old.
        for one in look.alerts:
            of_another = one["verdict"] == _NOT_LIVE and one["flow_version"] != watched.get(flow_id)
            if one["open"] and one["flow_id"] == flow_id and not of_another:
                accused = one["flow_version"]
                yield f"{name} {accused} is accused of {one['signal']}, and not rolled back: {_held_back(one)}"


def of_decisions(look: Look, decided: Mapping[int, Json], watched: Mapping[str, str]) -> Iterator[str]:
    """Each alert that was over before the end, and that nothing but a guard has kept from a rollback.

    `decided` has the newest decision about each alert. An alert ends also when its data do: only Genesys Cloud's own
    figures acquit a version.
    """
    still_open = {one["id"] for one in look.alerts if one["open"]}
    for alert_id, one in decided.items():
        is_watched = watched.get(one["flow_id"]) == one["flow_version"]
        if is_watched and alert_id not in still_open and one["verdict"] not in _BEGUN and not _healed(one):
            about = f"{name_of(one['flow_id'], look.flows[one['flow_id']])} {one['flow_version']}"
            yield f"{about} was accused, and not rolled back: {one['verdict']}"


def of_rollback(look: Look, one: Json, decided: Mapping[int, Json], watched: Mapping[str, str]) -> Iterator[str]:
    """A rollback of the watched version that has ended before anything was sent, unless its figures had healed."""
    is_real = one["kind"] == "rollback" and not one["shadow"]
    if not is_real or one["ended_at"] is None or one["started_at"] is not None:
        return
    newest = decided.get(one["alert_id"])
    healed = one["reason"] == f"refused_{_HEALED}" or (newest is not None and _healed(newest))
    if not healed and watched.get(one["flow_id"], one["accused_version"]) == one["accused_version"]:
        about = f"{name_of(one['flow_id'], look.flows[one['flow_id']])} {one['accused_version']}"
        yield f"{about} was to be rolled back, and was not: {one['reason'] or one['state']}, rollback {one['id']}"


def _healed(decision: Json) -> bool:
    return any(one["guard"] == _HEALED and one["holds_back"] and not one["unknown"] for one in decision["guards"])


def _held_back(alert: Json) -> str:
    return ", ".join(alert["holding_back"]) or alert["verdict"] or "not decided yet"
