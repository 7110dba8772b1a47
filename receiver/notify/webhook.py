"""The generic webhook: one JSON document per event, signed if a secret is configured."""

import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from receiver.notify.kinds import STORY
from receiver.notify.settings import Webhook
from receiver.notify.sink import Event, Http

SIGNATURE = "Rollback-Signature"


@dataclass(frozen=True, slots=True)
class WebhookSink:
    """Sends to one address. Events may overtake each other: each says everything itself."""

    settings: Webhook
    http: Http
    now: Callable[[], float] = time.time

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def line(self) -> None:
        return None

    def send(self, event: Event, event_id: str) -> str:
        """Any answer but a 2xx is tried again: nothing is known of who listens there."""
        body = {name: value for name, value in event.items() if name != STORY} | {"event_id": event_id}
        headers = {"Idempotency-Key": event_id}
        if self.settings.token is not None:
            headers["Authorization"] = f"Bearer {self.settings.token.get_secret_value()}"
        if self.settings.secret is None:
            self.http.post_json(self.settings.url, body, headers)
            return "taken"
        content = json.dumps(body).encode()
        signature = signed(content, self.settings.secret.get_secret_value(), at=int(self.now()))
        signing = {"Content-Type": "application/json", SIGNATURE: signature}
        self.http.post_content(self.settings.url, content, headers | signing)
        return "taken, signed"


def signed(content: bytes, secret: str, *, at: int) -> str:
    """The header's value: the moment, and HMAC-SHA256 in hex of `MOMENT.BODY` with the secret as key.

    The moment is signed too, so that a request that somebody has recorded is known by its age.
    """
    digest = hmac.new(secret.encode(), f"{at}.".encode() + content, sha256).hexdigest()
    return f"t={at},sha256={digest}"
