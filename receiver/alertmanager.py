"""What Alertmanager says about the open alerts: silenced, inhibited, by whom and until when.

Facts: Alertmanager API v2, `GET /api/v2/alerts` lists silenced and inhibited alerts too, with
`status.silencedBy` and `status.inhibitedBy`; `GET /api/v2/silence/{id}` has author and end.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from receiver.outbound import OutboundError
from receiver.payload import ACTION
from receiver.situation import Suppression

_OURS = {"filter": f'genesys_action="{ACTION}"'}  # by what makes an alert ours, whatever a rule file calls it
_INHIBITING = {"filter": 'alertname=~"Genesys.*"'}  # as the shipped rules call what inhibits


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
        self._known: dict[str, Suppression] | None = None
        self._read_at = 0.0

    @property
    def configured(self) -> bool:
        return bool(self._urls)

    def refresh(self, now: float) -> OutboundError | None:
        """Ask every peer; gives the error if none of them answered."""
        known: dict[str, Suppression] = {}
        problem: OutboundError | None = None
        answered = False
        for url in self._urls:
            try:
                for fingerprint, found in self._read(url).items():
                    before = known.get(fingerprint, Suppression())
                    known[fingerprint] = Suppression(
                        before.silenced_by + found.silenced_by, before.inhibited_by + found.inhibited_by
                    )
                answered = True
            except OutboundError as failure:
                problem = failure
        if answered:
            self._known, self._read_at = known, now
            return None
        return problem

    def suppression(self, fingerprint: str, now: float) -> Suppression | None:
        """What suppresses one alert; None when the newest answer is too old to be believed."""
        if self._known is None or now - self._read_at > self._max_age_s:
            return None
        return self._known.get(fingerprint, Suppression())

    def _read(self, url: str) -> dict[str, Suppression]:
        alerts = self._http.get_json(f"{url}/api/v2/alerts", _OURS)
        try:
            states = {alert["fingerprint"]: alert["status"] for alert in alerts}
            silences = {silence for state in states.values() for silence in state["silencedBy"]}
            inhibitions = {by for state in states.values() for by in state["inhibitedBy"]}
        except (KeyError, TypeError) as problem:
            raise OutboundError(f"{url} answered alerts without {problem}") from problem
        described = {silence: self._silence(url, silence) for silence in silences}
        names = self._names(url) if inhibitions else {}
        return {
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
