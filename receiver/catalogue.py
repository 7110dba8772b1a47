"""The catalogue: every metric of the receiver with its type, labels and HELP text.

Rules, dashboards and docs/metrics.md are compared with it. A changed name, label or
label value is a breaking change. Nothing here holds a value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

_SUM = "Counted by this process: aggregate with sum."
_MAX = "Read from the shared database at most every 5 s; every receiver says the same: aggregate with max."


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as Prometheus sees it; `name` is the name in queries (a counter's ends in `_total`)."""

    name: str
    type: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    help: str


ALERTS_RECEIVED = Metric(
    "genesys_rollback_alerts_received_total",
    "counter",
    ("outcome",),
    "Alerts that were stored, were known already, came from Alertmanager's list instead of a webhook (reconciled), or "
    f"only show that the way is open (watchdog); and requests that were rejected (the other outcomes). {_SUM}",
)
DECISIONS = Metric(
    "genesys_rollback_decisions_total",
    "counter",
    ("verdict",),
    f"Decisions that were recorded; an alert's is recorded when it changes. {_SUM}",
)
ATTEMPTS = Metric(
    "genesys_rollback_attempts_total",
    "counter",
    ("state",),
    f"Rollbacks that reached an end, by their terminal state. {_SUM}",
)
DURATION = Metric(
    "genesys_rollback_duration_seconds",
    "histogram",
    (),
    f"From planning a rollback to its end, whatever the end, verification included. {_SUM}",
)
STEP_DURATION = Metric(
    "genesys_rollback_step_duration_seconds",
    "histogram",
    ("step",),
    "Parts of a rollback. confirm: from the first permit to publish until the target was read back as live; verify: "
    f"from there to the verdict over the target. {_SUM}",
)
NOTIFICATIONS = Metric(
    "genesys_rollback_notifications_total",
    "counter",
    ("sink", "result"),
    "Tries to deliver a notification; one that failed is tried again, one that was refused is not: the sink will never "
    f"take it. {_SUM}",
)
CREDENTIALS_READY = Metric(
    "genesys_rollback_credentials_ready",
    "gauge",
    ("org",),
    "1 if Genesys Cloud accepted the OAuth client at this process's last call, 0 if it refused it; absent before the "
    "first. By process.",
)
WORKER_LAST_TICK = Metric(
    "genesys_rollback_worker_last_tick_timestamp_seconds",
    "gauge",
    ("org",),
    "Unix time, by the database's clock, at which this process's worker last finished a round for the organization. "
    "By process.",
)
LOCKOUT_ACTIVE = Metric(
    "genesys_rollback_lockout_active",
    "gauge",
    ("org", "flow_id"),
    "1 while no rollback of the flow may start because one has started lately, of the flow or within `lockout_scope`; "
    f"for flows that have been rolled back before. {_MAX}",
)
PAUSED = Metric(
    "genesys_rollback_paused",
    "gauge",
    ("org",),
    f"1 while the organization, or every organization, is paused. {_MAX}",
)
LAST_TIMESTAMP = Metric(
    "genesys_rollback_last_timestamp_seconds",
    "gauge",
    ("org", "flow_id"),
    "Unix time at which the newest rollback of the flow started: its first permit to publish, or its planning as long "
    "as it has none. Observed ones are left out; absent where the newest one waits for approval, was denied or was not "
    f"needed any more before anybody approved it. {_MAX}",
)
MAINTENANCE_ACTIVE = Metric(
    "genesys_rollback_maintenance_active",
    "gauge",
    ("org", "flow_id"),
    f"1 for each flow that an active maintenance window names; absent otherwise. {_MAX}",
)
ORG_MAINTENANCE_ACTIVE = Metric(
    "genesys_rollback_org_maintenance_active",
    "gauge",
    ("org",),
    f"1 while a maintenance window for the whole organization is active. {_MAX}",
)
LEASE_HELD = Metric(
    "genesys_rollback_lease_held",
    "gauge",
    ("org",),
    f"1 while a receiver holds the lease under which the organization's flows are written. {_MAX}",
)
OUTBOX_PENDING = Metric(
    "genesys_rollback_outbox_pending",
    "gauge",
    ("sink",),
    f"Notifications that wait for delivery to the sink. {_MAX}",
)
OUTBOX_OLDEST_AGE = Metric(
    "genesys_rollback_outbox_oldest_age_seconds",
    "gauge",
    ("sink",),
    f"Age of the oldest notification that waits for delivery to the sink; 0 when none does. {_MAX}",
)
LAST_DECISION = Metric(
    "genesys_rollback_last_decision_timestamp_seconds",
    "gauge",
    ("org", "flow_id", "verdict"),
    f"Unix time of the newest decision with this verdict over an alert of the flow. {_MAX}",
)
ATTEMPT_STATE = Metric(
    "genesys_rollback_attempt_state",
    "gauge",
    ("org", "flow_id", "state"),
    "1 for the state of the flow's newest rollback, 0 for every other state. Observed ones are left out; absent where "
    f"the newest one was denied, or was not needed any more before anybody approved it. {_MAX}",
)
ATTEMPT_AGE = Metric(
    "genesys_rollback_attempt_age_seconds",
    "gauge",
    ("org", "flow_id"),
    "Age of the flow's oldest rollback that has not ended, since it was planned or approved; absent without one. One "
    f"that waits for approval is left out. {_MAX}",
)
ARMED = Metric(
    "genesys_rollback_armed",
    "gauge",
    ("org", "flow_id"),
    "1 if the live flow would be rolled back, were it accused; 0 if its mode is auto and it would not: paused, held, "
    f"in a window, deactivated, or Genesys Cloud could not be read lately. Absent in any other mode. {_MAX}",
)
KNOWN_BAD = Metric(
    "genesys_rollback_known_bad",
    "gauge",
    ("org", "flow_id"),
    "1 for each flow whose live version is the same as one that is in quarantine: registered with the same source "
    f"digest, or with the same content; as the flows were last listed. Absent otherwise. {_MAX}",
)
FEED_LAST_SUCCESS = Metric(
    "genesys_rollback_feed_last_success_timestamp_seconds",
    "gauge",
    ("feed",),
    "Unix time of the newest reading of the feed, by any receiver, in which all of it was understood; absent before "
    f"the first. {_MAX}",
)
FEED_CURRENT = Metric(
    "genesys_rollback_feed_current",
    "gauge",
    ("feed",),
    "1 if one of the feed's last three readings succeeded, 0 if not: then what it has announced stays until its end, "
    f"and nothing new is known. {_MAX}",
)
WATCHDOG_TIMESTAMP = Metric(
    "genesys_rollback_watchdog_timestamp_seconds",
    "gauge",
    (),
    f"Unix time at which the alert that always fires last arrived, at any receiver; absent before the first. {_MAX}",
)
CHANGE_TIMESTAMP = Metric(
    "genesys_change_timestamp_seconds",
    "gauge",
    ("org", "object_type", "object_id", "object_name", "changed_by"),
    "Unix time of the newest change of an object by others than the bridge, as flow listings and, with `audit: true`, "
    f"Genesys Cloud's audit tell it: of a day, and of the hundred objects of an organization that changed last. {_MAX}",
)
OBJECT_INFO = Metric(
    "genesys_object_info",
    "gauge",
    ("org", "object_type", "object_id", "object_name", "owner"),
    f"1 for each object that receiver.yml names and that was read: names, to join. {_MAX}",
)
OBJECT_SIGNAL = Metric(
    "genesys_object_signal",
    "gauge",
    ("org", "object_type", "object_id", "flow_id", "signal"),
    "1 for each signal by which the flow whose callers meet the object may accuse it: of a data action the signals of "
    f"data actions, else all others. Not of objects in mode ignore. {_MAX}",
)
OBJECT_LIVE_SINCE = Metric(
    "genesys_object_live_since_timestamp_seconds",
    "gauge",
    ("org", "object_type", "object_id"),
    f"Unix time of the first reading that showed the object as it is. {_MAX}",
)
OBJECT_READ = Metric(
    "genesys_object_read_timestamp_seconds",
    "gauge",
    ("org", "object_type", "object_id"),
    f"Unix time of the newest reading of the object; 0 before the first. {_MAX}",
)
STORE_UP = Metric(
    "genesys_rollback_store_up",
    "gauge",
    (),
    "1 if this process could read the database, 0 if not: then it takes no alerts, rolls nothing back, and every "
    "metric that is read from the database is absent. By process.",
)

PROCESS_METRICS = (
    ALERTS_RECEIVED,
    DECISIONS,
    ATTEMPTS,
    DURATION,
    STEP_DURATION,
    NOTIFICATIONS,
    CREDENTIALS_READY,
    WORKER_LAST_TICK,
)
"""What this process counts while it lives."""

SHARED_METRICS = (
    LOCKOUT_ACTIVE,
    PAUSED,
    LAST_TIMESTAMP,
    MAINTENANCE_ACTIVE,
    ORG_MAINTENANCE_ACTIVE,
    LEASE_HELD,
    OUTBOX_PENDING,
    OUTBOX_OLDEST_AGE,
    LAST_DECISION,
    ATTEMPT_STATE,
    ATTEMPT_AGE,
    ARMED,
    KNOWN_BAD,
    FEED_LAST_SUCCESS,
    FEED_CURRENT,
    WATCHDOG_TIMESTAMP,
    CHANGE_TIMESTAMP,
    OBJECT_INFO,
    OBJECT_SIGNAL,
    OBJECT_LIVE_SINCE,
    OBJECT_READ,
)
"""What is read from the database; absent without it."""

CATALOGUE: Mapping[str, Metric] = {metric.name: metric for metric in (*PROCESS_METRICS, *SHARED_METRICS, STORE_UP)}
"""Every metric by its name."""
