"""Chat and mail through Apprise, which is an extra: it is imported only where it is configured.

Source: Apprise's documentation; an address is one of its URLs (`slack://…`, `msteams://…`, `mailtos://…`).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from receiver.notify.kinds import ENDED_WELL, NEEDS_PEOPLE, IncidentType, kind_of
from receiver.notify.sink import Event
from receiver.notify.wording import worded
from receiver.outbound import OutboundError

_MISSING = "chat needs Apprise: pip install 'genesys-rollback-bridge[chat]'"


def check(url: str) -> None:
    """Raises ValueError for an address that Apprise does not understand, or with several targets; without Apprise too.

    Of several targets one that fails would have the message sent to all of them again.
    """
    if len(_address(url)) > 1:
        raise ValueError("this address has several targets: make each of them a sink of its own")


def _address(url: str) -> Any:
    apprise = _apprise()
    address = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if address is None:
        raise ValueError("Apprise does not understand this address; see its list of notification URLs")
    return address


def _apprise() -> Any:
    try:
        import apprise  # noqa: PLC0415 - an extra
    except ImportError:
        raise ValueError(_MISSING) from None
    # It logs what it cannot deliver in its own words, with parts of the address; the deliverer says what we may say.
    logging.getLogger("apprise").disabled = True
    return apprise


@dataclass(frozen=True, slots=True)
class ChatSink:
    """One address. `reveal` gives it: it is a secret as a whole."""

    name: str
    reveal: Callable[[], str]
    zone: tzinfo

    @property
    def line(self) -> None:
        return None

    def send(self, event: Event, event_id: str) -> str:  # noqa: ARG002 - chats know no ids
        """A repeat is a second message. Apprise tells only whether it was taken, not why not."""
        words = worded(event, self.zone)
        notifier = _apprise().Apprise()
        notifier.add(_address(self.reveal()))
        if not notifier.notify(title=words.title, body=words.body, notify_type=_colour(event), body_format="text"):
            raise OutboundError(f"{self.name} did not take the message, or could not be reached")
        return "taken"


def _colour(event: Event) -> str:
    """Apprise's `notify_type`: info, success, warning or failure."""
    kind = kind_of(event.get("incident_type"))
    if kind in ENDED_WELL:
        return "success"
    if kind in (IncidentType.ROLLBACK_FAILED, IncidentType.ROLLBACK_INEFFECTIVE, IncidentType.ALERT_PATH_SILENT):
        return "failure"
    return "warning" if kind in NEEDS_PEOPLE else "info"
