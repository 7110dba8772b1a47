"""What is around the bridge: its database, its own webhook, Alertmanager, Prometheus."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from genesys.settings import Address
from receiver.config import ReceiverSettings, Role
from receiver.doctor.examination import Found, Step, failed, not_proved, proved
from receiver.doctor.reaching import MAX_SKEW_S
from receiver.outbound import Outbound, OutboundError
from receiver.payload import WATCHDOG
from receiver.store import watchdog
from receiver.store.database import Store, clock

DATABASE = "database"
ALERTS = "alerts arrive"
REACHED = "reached"
_NOTHING: dict[str, Any] = {"version": "4", "alerts": []}  # a delivery of no alert: it is taken, and nothing is stored
_SELF: Mapping[str, str] = MappingProxyType({"0.0.0.0": "127.0.0.1", "::": "::1"})  # where every address is listened to
_ROUTE = f'load the rules into Prometheus, and route genesys_action="{WATCHDOG}" to the receiver'


@dataclass(frozen=True, slots=True)
class Around:
    """What these steps need."""

    settings: ReceiverSettings
    orgs: Sequence[str]  # the organizations that are looked at
    http: Outbound
    now: Callable[[], float]


def database(around: Around) -> list[Step]:
    return [
        Step(DATABASE, lambda: _schema(around)),
        Step("its clock", lambda: _database_clock(around), needs=DATABASE),
        Step(ALERTS, lambda: _watchdog(around), needs=DATABASE),
        Step("flows are watched", lambda: _data_watchdogs(around), needs=ALERTS),
    ]


def webhook(around: Around) -> list[Step]:
    return [
        Step(REACHED, lambda: _ready(around)),
        Step("takes alerts", lambda: _takes_alerts(around), needs=REACHED),
    ]


def alertmanagers(around: Around) -> Iterator[tuple[str, list[Step]]]:
    """The steps of each peer by its URL."""
    if not around.settings.alertmanagers:
        yield "alertmanager", [Step(REACHED, _no_alertmanager)]
    for url in around.settings.alertmanagers:
        base = url.rstrip("/")
        yield base, _alertmanager(around, base)


def _alertmanager(around: Around, url: str) -> list[Step]:
    return [
        Step(REACHED, lambda: _version(around, url)),
        Step("has the watchdog", lambda: _listed(around, url), needs=REACHED),
    ]


def _schema(around: Around) -> Found:
    with closing(_store(around)) as store:
        return proved(store.check_schema())


def _database_clock(around: Around) -> Found:
    with closing(_store(around)) as store, store.begin() as tx:
        ahead_s = clock(tx) - around.now()
    if abs(ahead_s) > MAX_SKEW_S:
        return failed(f"{ahead_s:+.0f} s from this host's", "let NTP keep both clocks: leases and windows go by them")
    return proved(f"within {MAX_SKEW_S:.0f} s of this host's")


def _watchdog(around: Around) -> Found:
    """The alert that always fires has come the whole way: rules, Prometheus, Alertmanager, its route, our webhook."""
    with closing(_store(around)) as store, store.begin() as tx:
        seen_at, now = watchdog.last_seen(tx), clock(tx)
    if seen_at is None:
        return failed("the watchdog has never arrived at this receiver's webhook", _ROUTE)
    seen = f"the watchdog arrived {max(0.0, now - seen_at):.0f} s ago"
    if now - seen_at > around.settings.timing.watchdog_silent_s:
        return failed(seen, _ROUTE)
    return proved(f"{seen}: from the rules through Alertmanager to the webhook")


def _data_watchdogs(around: Around) -> Found:
    """What fires for as long as an organization's flows can be judged has come the same way."""
    with closing(_store(around)) as store, store.begin() as tx:
        since = clock(tx) - around.settings.timing.watchdog_silent_s
        silent = [org for org in around.orgs if (watchdog.last_seen(tx, org) or 0.0) < since]
    if silent:
        cure = "start the exporter, have Prometheus scrape it, and load the rules of this release (GenesysDataWatchdog)"
        return failed(f"nobody counts the flows of {', '.join(silent)}: no alert can come of them", cure)
    return proved(f"the data of {', '.join(around.orgs)} advance in Prometheus")


def _store(around: Around) -> Store:
    return Store(around.settings.database_url, read_only=True)


def _ready(around: Around) -> Found:
    url = f"{base_of(around.settings)}/-/ready"
    answer = around.http.call("GET", url)
    if answer.status != HTTPStatus.OK:
        return failed(f"{url} answers {_told(answer.status, answer.body)}", "start the receiver, or see its log")
    return proved(f"{url} is ready")


def _takes_alerts(around: Around) -> Found:
    """A delivery without an alert, with each of the tokens that Alertmanager may have."""
    url = f"{base_of(around.settings)}/api/v1/alerts"
    tokens = [token for token in around.settings.tokens if Role.ALERTMANAGER in token.roles]
    for token in tokens:
        headers = {"Authorization": f"Bearer {token.token.get_secret_value()}"}
        answer = around.http.call("POST", url, body=_NOTHING, headers=headers)
        if answer.status != HTTPStatus.ACCEPTED:
            cure = "restart the receiver with this receiver.yml; external_url must lead to it"
            return failed(f"{url} answers {_told(answer.status, answer.body)} to the token {token.name}", cure)
    return proved(f"{url} takes the token {', '.join(token.name for token in tokens)}")


def _told(status: int, body: Any) -> str:
    detail = body.get("detail") if isinstance(body, dict) else None
    return f"HTTP {status}" if detail is None else f"HTTP {status} ({detail})"


def base_of(settings: ReceiverSettings) -> str:
    if settings.external_url is not None:
        return settings.external_url.rstrip("/")
    listen = settings.listen
    return f"{'https' if settings.tls else 'http'}://{Address(_SELF.get(listen.host, listen.host), listen.port)}"


def _no_alertmanager() -> Found:
    seen = "`alertmanagers` is empty: silences and inhibitions are not obeyed, lost webhooks are not noticed"
    return not_proved(seen, "name every peer in receiver.yml")


def _version(around: Around, url: str) -> Found:
    told = around.http.get_json(f"{url}/api/v2/status")
    try:
        return proved(f"Alertmanager {told['versionInfo']['version']}")
    except (KeyError, TypeError):
        raise OutboundError(f"{url} answers a status without versionInfo") from None


def _listed(around: Around, url: str) -> Found:
    entries = around.http.get_json(f"{url}/api/v2/alerts", {"filter": f'genesys_action="{WATCHDOG}"'})
    try:
        receivers = {receiver["name"] for entry in entries for receiver in entry["receivers"]}
        silenced = [entry for entry in entries if entry["status"]["state"] == "suppressed"]
    except (KeyError, TypeError):
        raise OutboundError(f"{url} answers alerts without receivers or status") from None
    if not entries:
        return failed("it does not fire there", "load the rules into Prometheus, and give it this Alertmanager")
    seen = f"it fires, and goes to {', '.join(sorted(receivers))}"
    if silenced:
        return failed(f"{seen}, but is silenced or inhibited", "end the silence: nobody would learn of a broken path")
    return proved(seen)
