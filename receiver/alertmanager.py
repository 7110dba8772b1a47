"""What Alertmanager lists: which alerts fire, and what silences or inhibits them, by whom and until when.

Facts: Alertmanager API v2, `GET /api/v2/alerts` lists silenced and inhibited alerts too, with
`status.silencedBy` and `status.inhibitedBy`; `GET /api/v2/silence/{id}` has author and end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from receiver.outbound import OutboundError
from receiver.payload import ACTION, WATCHDOG, Alert, PayloadError, parse_listed
from receiver.situation import Suppression

# By what makes an alert ours, whatever a rule file calls it; and the one that always fires.
_OURS = {"filter": f'genesys_action=~"{ACTION}|{WATCHDOG}"'}
_INHIBITING = {"filter": 'alertname=~"Genesys.*"'}  # as the shipped rules call what inhibits


@dataclass(frozen=True, slots=True)
class Listing:
    """The rollback alerts that any peer listed at `at` (Unix seconds), by fingerprint.

    `whole`: every configured peer answered, and each lists the watchdog. Only
    then does an alert that is missing say anything: a peer that was restarted
    knows nothing, until Prometheus has sent it everything again.
    """

    at: float
    fingerprints: frozenset[str]
    alerts: tuple[Alert, ...]  # one for each fingerprint, but for those that cannot be stored
    whole: bool


class JsonReader(Protocol):
    """The one thing that is needed of HTTP."""

    def get_json(self, url: str, params: Mapping[str, str] | None = None) -> Any: ...


class Alertmanagers:
    """The configured peers; each may know a silence that the others do not know yet."""

    def __init__(self, urls: Sequence[str], http: JsonReader, *, max_age_s: float) -> None:
        """`max_age_s`: for how long the newest answer counts while no peer can be reached."""
        self._urls = tuple(url.rstrip("/") for url in urls)
        self._http = http
        self._max_age_s = max_age_s
        self._known: dict[str, Suppression] = {}
        self._newest: Listing | None = None

    @property
    def configured(self) -> bool:
        return bool(self._urls)

    @property
    def newest(self) -> Listing | None:
        """What was listed when a peer last answered; None before the first answer."""
        return self._newest

    def refresh(self, now: float) -> OutboundError | None:
        """Ask every peer; gives the error if none of them answered."""
        known: dict[str, Suppression] = {}
        listed: dict[str, list[Any]] = {}
        problem: OutboundError | None = None
        for url in self._urls:
            try:
                entries, suppressions = self._read(url)
            except OutboundError as failure:
                problem = failure
                continue
            listed[url] = entries
            for fingerprint, found in suppressions.items():
                before = known.get(fingerprint, Suppression())
                known[fingerprint] = Suppression(
                    before.silenced_by + found.silenced_by, before.inhibited_by + found.inhibited_by
                )
        if listed:
            whole = problem is None and all(map(_has_watchdog, listed.values()))
            self._known = known
            self._newest = Listing(now, frozenset(known), _alerts(listed.values()), whole)
            return None
        return problem

    def suppression(self, fingerprint: str, now: float) -> Suppression | None:
        """What suppresses one alert; None when the newest answer is too old to be believed.

        One that is as far ahead is: the clock has been set back since, and nobody knows how old it is.
        """
        if self._newest is None or abs(now - self._newest.at) > self._max_age_s:
            return None
        return self._known.get(fingerprint, Suppression())

    def _read(self, url: str) -> tuple[list[Any], dict[str, Suppression]]:
        """A peer's entries, and what suppresses its rollback alerts."""
        entries = self._http.get_json(f"{url}/api/v2/alerts", _OURS)
        try:
            states = {entry["fingerprint"]: entry["status"] for entry in entries if not _is_watchdog(entry)}
            silences = {silence for state in states.values() for silence in state["silencedBy"]}
            inhibitions = {by for state in states.values() for by in state["inhibitedBy"]}
        except (AttributeError, KeyError, TypeError) as problem:
            raise OutboundError(f"{url} answered alerts without {problem}") from problem
        described = {silence: self._silence(url, silence) for silence in silences}
        names = self._names(url) if inhibitions else {}
        return entries, {
            fingerprint: Suppression(
                tuple(described[silence] for silence in state["silencedBy"]),
                tuple(names.get(by, f"alert {by}") for by in state["inhibitedBy"]),
            )
            for fingerprint, state in states.items()
        }

    def _silence(self, url: str, silence_id: str) -> str:
        """Author and end for people; that there is a silence is known without."""
        try:
            found = self._http.get_json(f"{url}/api/v2/silence/{silence_id}")
            return f"silence {silence_id} by {found['createdBy']} until {found['endsAt']}"
        except (OutboundError, KeyError, TypeError):
            return f"silence {silence_id}"

    def _names(self, url: str) -> dict[str, str]:
        """Names of what inhibits, by fingerprint, for people; that something does is known without."""
        try:
            alerts = self._http.get_json(f"{url}/api/v2/alerts", _INHIBITING)
            return {alert["fingerprint"]: alert["labels"]["alertname"] for alert in alerts}
        except (OutboundError, KeyError, TypeError):
            return {}


def _is_watchdog(entry: Any) -> bool:
    return bool(entry["labels"].get("genesys_action") == WATCHDOG)


def _has_watchdog(entries: Iterable[Any]) -> bool:
    return any(map(_is_watchdog, entries))


def _alerts(listed: Iterable[Iterable[Any]]) -> tuple[Alert, ...]:
    """The earliest firing of each alert, whichever peer lists it; what cannot be stored is left out."""
    found: dict[str, Alert] = {}
    for entry in (entry for entries in listed for entry in entries if not _is_watchdog(entry)):
        try:
            alert = parse_listed(entry)
        except PayloadError:
            continue  # the webhook refuses it with a reason
        known = found.get(alert.fingerprint)
        if known is None or alert.starts_at < known.starts_at:
            found[alert.fingerprint] = alert
    return tuple(found.values())
