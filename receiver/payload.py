"""Alertmanager's webhook payload, version "4", read into alerts.

Facts: prometheus.io/docs/alerting/latest/configuration/#webhook_config. A payload may mix firing and
resolved alerts, carries fields that newer releases add, and repeats itself; `endsAt` of a firing alert is year 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

ACTION = "rollback"
WATCHDOG = "watchdog"  # the genesys_action of the alert that always fires
FLOW = "flow"  # the first object type, and what is meant where an alert names none
REQUIRED_LABELS = ("org", "flow_id", "flow_version", "signal")
REQUIRED_OF_OBJECT = ("org", "object_type", "object_id", "signal")  # where an alert accuses something else than a flow
MAX_KEY_CHARS = 128  # of a fingerprint (Alertmanager's have 16) and of the required labels (a flow id has 36)


class PayloadError(Exception):
    """The body is not what Alertmanager sends; sending it again cannot help."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of a delivery; label values that are missing are empty. Times are Unix seconds, to the millisecond."""

    fingerprint: str
    firing: bool
    starts_at: float
    ends_at: float | None
    labels: dict[str, str]
    annotations: dict[str, str]

    def label(self, name: str) -> str:
        return self.labels.get(name, "")

    @property
    def object_type(self) -> str:
        return object_type_of(self.labels)

    @property
    def object_id(self) -> str:
        return self.label("flow_id" if self.object_type == FLOW else "object_id")

    @property
    def version(self) -> str:
        """Empty of what is no flow: Prometheus knows nothing of its versions."""
        return self.label("flow_version") if self.object_type == FLOW else ""

    @property
    def is_watchdog(self) -> bool:
        return self.label("genesys_action") == WATCHDOG


def object_type_of(labels: Mapping[str, str]) -> str:
    """What kind of object an alert accuses."""
    return labels.get("object_type") or FLOW


def storable(text: str) -> str:
    """Text that every database can keep: no NUL, no half of a surrogate pair."""
    if "\x00" in text:
        raise ValueError("contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode") from None
    return text


def _showable(moment: datetime) -> datetime:
    """A time that is still one in UTC: with an offset, years 1 and 9999 need not be."""
    try:
        datetime.fromtimestamp(moment.timestamp(), UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError("is not a time between the years 1 and 9999 in UTC") from None
    return moment


def _indexable(labels: dict[str, str]) -> dict[str, str]:
    """PostgreSQL refuses an index entry of more than 2,700 bytes: such an alert could never be stored."""
    long = [
        name for name in (*REQUIRED_LABELS, "object_type", "object_id") if len(labels.get(name, "")) > MAX_KEY_CHARS
    ]
    if long:
        raise ValueError(f"{', '.join(long)}: longer than {MAX_KEY_CHARS} characters")
    return labels


_Text = Annotated[str, Field(strict=True), AfterValidator(storable)]
_Moment = Annotated[AwareDatetime, AfterValidator(_showable)]


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Listed(_Lenient):
    """An entry of `GET /api/v2/alerts`; its status is an object, and it is there as long as it fires."""

    labels: Annotated[dict[_Text, _Text], AfterValidator(_indexable)]
    annotations: dict[_Text, _Text] = Field(default_factory=dict)
    startsAt: _Moment  # noqa: N815 - Alertmanager's name
    fingerprint: Annotated[_Text, Field(max_length=MAX_KEY_CHARS)] = ""


class DeliveredAlert(_Listed):
    status: Literal["firing", "resolved"]
    endsAt: _Moment | None = None  # noqa: N815


class Payload(_Lenient):
    """The body of a delivery, as far as it is read; Alertmanager sends more."""

    version: Literal["4"]
    alerts: list[DeliveredAlert]
    truncatedAlerts: int = Field(default=0, ge=0)  # noqa: N815


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook request; `truncated` alerts of the group were left out by Alertmanager's `max_alerts`."""

    alerts: tuple[Alert, ...]
    truncated: int


def parse(body: Any) -> Delivery:
    """The alerts of one delivery, in their order. Raises PayloadError, which names every fault (at most ten)."""
    try:
        payload = Payload.model_validate(body)
    except ValidationError as problem:
        faults = problem.errors()
        named = "; ".join(f"{_path(fault['loc'])}: {fault['msg']}" for fault in faults[:10])
        more = f"; and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise PayloadError(f"not an Alertmanager webhook payload of version 4: {named}{more}") from None
    return Delivery(tuple(_alert(alert) for alert in payload.alerts), payload.truncatedAlerts)


def parse_listed(entry: Any) -> Alert:
    """One entry of Alertmanager's list of alerts, as the webhook would have told it. Raises PayloadError."""
    try:
        listed = _Listed.model_validate(entry)
    except ValidationError as problem:
        fault = problem.errors()[0]
        raise PayloadError(f"not an alert as Alertmanager lists it: {_path(fault['loc'])}: {fault['msg']}") from None
    return Alert(
        fingerprint=listed.fingerprint or _fingerprint(listed.labels),
        firing=True,
        starts_at=_seconds(listed.startsAt),
        ends_at=None,
        labels=listed.labels,
        annotations=listed.annotations,
    )


def _alert(alert: DeliveredAlert) -> Alert:
    firing = alert.status == "firing"
    return Alert(
        fingerprint=alert.fingerprint or _fingerprint(alert.labels),
        firing=firing,
        starts_at=_seconds(alert.startsAt),
        ends_at=None if firing or alert.endsAt is None else _seconds(alert.endsAt),
        labels=alert.labels,
        annotations=alert.annotations,
    )


def _fingerprint(labels: dict[str, str]) -> str:
    """A name for a label set that came without one; Alertmanager has always sent its own."""
    return sha256(repr(sorted(labels.items())).encode()).hexdigest()[:16]


def _seconds(moment: datetime) -> float:
    """Unix seconds to the millisecond below: webhooks tell nanoseconds, and Alertmanager's list no more than that.

    The start says which firing of an alert is meant: one that is over would be taken for a new one in the list.
    """
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000).timestamp()


def _path(location: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "body"
