"""The catalogue: every metric of the exporter with its type, labels and HELP text.

Rules, dashboards and docs/metrics.md are compared with it. A changed name or label is
a breaking change. Nothing here holds a value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

WINDOW_DELAY = (
    "Read from Genesys Cloud's analytics once per poll; ends at genesys_data_end_timestamp_seconds, "
    "so it is one settle time (60 s by default) and up to one poll old."
)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as Prometheus sees it; `name` is the name in queries (a counter's ends in `_total`)."""

    name: str
    type: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    help: str


Sample = tuple[Metric, tuple[str, ...], float]
"""Metric, label values in its order, and value."""


FLOW_ERRORS = Metric(
    "genesys_flow_errors",
    "gauge",
    ("org", "flow_id", "flow_version", "signal", "window"),
    "Conversations of one flow version that ended badly in the window, by signal (routing_shift: that were transferred "
    "to the one target that has more than it had); of the live version only those since "
    "genesys_flow_live_since_timestamp_seconds. Of signals that do not act only the windows 15m and 60m, and nothing "
    f"while fewer than six minutes of the hour were bad, or no threshold is known. {WINDOW_DELAY}",
)
FLOW_VOLUME = Metric(
    "genesys_flow_volume",
    "gauge",
    ("org", "flow_id", "flow_version", "signal", "window"),
    "Conversations of one flow version in the window that could have ended badly: the larger of entries and exits; "
    "of the signal outcome_failed the flow outcomes, of action_failure and action_slow the executions of data actions. "
    f"The live version always has it for signals that act, 0 included. {WINDOW_DELAY}",
)
FLOW_BREACH_MINUTES = Metric(
    "genesys_flow_breach_minutes",
    "gauge",
    ("org", "flow_id", "flow_version", "signal", "window"),
    "Buckets (one minute each by default) of the window whose own ratio of errors to volume was above "
    f"genesys_flow_threshold_ratio. {WINDOW_DELAY}",
)
FLOW_SIGNAL_ACTS = Metric(
    "genesys_flow_signal_acts",
    "gauge",
    ("org", "flow_id", "signal"),
    "1 if the signal may cause a rollback of the flow, 0 if it only pages: `act_on` and `watch` in exporter.yml.",
)
FLOW_ENTRIES = Metric(
    "genesys_flow_entries",
    "gauge",
    ("org", "flow_id", "flow_version", "window"),
    f"Conversations that entered one flow version in the window (nFlow). For people. {WINDOW_DELAY}",
)
FLOW_EXITS = Metric(
    "genesys_flow_exits",
    "gauge",
    ("org", "flow_id", "flow_version", "window", "exit_reason"),
    "Conversations that left one flow version in the window (tFlow), by Genesys Cloud's exitReason; a reason "
    f"without exits is absent. For people. {WINDOW_DELAY}",
)
FLOW_THRESHOLD_RATIO = Metric(
    "genesys_flow_threshold_ratio",
    "gauge",
    ("org", "flow_id", "signal"),
    "What the ratio of errors to volume is compared with, in (0, 0.9]: `threshold_ratio` in exporter.yml, or five "
    "times genesys_flow_baseline_ratio where that is larger and the threshold is not given for the flow's own id. Of "
    "other signals than error_exit: the smaller of five times the baseline and the baseline plus 0.2 (or plus eight "
    "standard deviations of the flow's own hours, where that is more), at least 0.05; absent where the baseline is "
    "unknown or 0.7 and more, and where this would be more than 0.9.",
)
FLOW_BASELINE_RATIO = Metric(
    "genesys_flow_baseline_ratio",
    "gauge",
    ("org", "flow_id", "signal"),
    "Upper bound of the flow's own earlier ratio of errors to volume, from Genesys Cloud's analytics (seven days by "
    "the hour by default; at this hour of the day, where it is clearly higher then), read anew every "
    "`baseline_interval_s`. Absent while unknown.",
)
FLOW_SCATTER_RATIO = Metric(
    "genesys_flow_scatter_ratio",
    "gauge",
    ("org", "flow_id", "signal"),
    "How unevenly the flow's errors came before: standard deviation of those of an hour, relative to errors that come "
    "each on its own (near 1; callers who dial again give about 1.7). Read with genesys_flow_baseline_ratio; the rules "
    "take it between 1 and 2, and for 2 while it is absent.",
)
FLOW_LIVE_SINCE = Metric(
    "genesys_flow_live_since_timestamp_seconds",
    "gauge",
    ("org", "flow_id", "flow_version"),
    "Unix time since which the flow's live version is judged: the latest of its publication, the end of its "
    "predecessor and the poll that saw the change. One series per active, published flow; it grows at every change.",
)
FLOW_INFO = Metric(
    "genesys_flow_info",
    "gauge",
    ("org", "flow_id", "flow_name", "flow_type", "division_id", "division_name", "owner"),
    "Always 1: names of a flow, to join on org and flow_id. From Genesys Cloud's list of flows; `owner` is from "
    "exporter.yml.",
)
ORG_ERRORS = Metric(
    "genesys_org_errors",
    "gauge",
    ("org", "window"),
    f"Conversations of the whole organization with an error in the window (nError). {WINDOW_DELAY} "
    "Absent when the last poll could not read them.",
)
ORG_VOLUME = Metric(
    "genesys_org_volume",
    "gauge",
    ("org", "window"),
    f"Conversations of the whole organization in the window (nConversations). {WINDOW_DELAY} "
    "Absent when the last poll could not read them.",
)
UP = Metric(
    "genesys_up",
    "gauge",
    ("org",),
    "1 if the last poll of the organization succeeded, 0 if it failed or none has ended yet.",
)
DATA_END = Metric(
    "genesys_data_end_timestamp_seconds",
    "gauge",
    ("org",),
    "Unix time of the end of the newest settled bucket that the last successful poll asked for.",
)
SIGNAL_TOLD = Metric(
    "genesys_signal_told",
    "gauge",
    ("org", "signal"),
    "1 if the last poll told the signal, 0 if Genesys Cloud did not: only signals that exporter.yml watches or acts "
    "on and that `analytics` in organizations.yml asks for (outcomes, transfers, data_actions); the others are always "
    "told.",
)
NEWEST_EVENT = Metric(
    "genesys_newest_event_timestamp_seconds",
    "gauge",
    ("org",),
    "Unix time of the end of the newest bucket in which any flow had an outcome; absent after an hour without. "
    "For people: little traffic has long gaps.",
)
BUCKET_REVISION_AGE = Metric(
    "genesys_bucket_revision_age_seconds",
    "histogram",
    ("org",),
    "Age of analytics buckets, from their end to the poll, when Genesys Cloud's answer for them was still another "
    "than one poll before. A good `settle_s` is above nearly all of them.",
)
API_REQUESTS = Metric(
    "genesys_api_requests_total",
    "counter",
    ("org", "endpoint", "code"),
    "Requests of this process to Genesys Cloud by HTTP status; code `error` means that no answer came.",
)
API_REQUEST_DURATION = Metric(
    "genesys_api_request_duration_seconds",
    "histogram",
    ("org", "endpoint"),
    "Duration of this process's requests to Genesys Cloud, failed ones included.",
)
API_RATE_LIMIT_ALLOWED = Metric(
    "genesys_api_rate_limit_allowed",
    "gauge",
    ("org",),
    "Requests per minute that Genesys Cloud allows our OAuth token: `inin-ratelimit-allowed` of its newest answer. "
    "Absent when not sent.",
)
API_RATE_LIMIT_USED = Metric(
    "genesys_api_rate_limit_used",
    "gauge",
    ("org",),
    "Requests that Genesys Cloud has counted in the running minute: `inin-ratelimit-count` of its newest answer. "
    "Absent when not sent.",
)
POLLS_PUT_OFF = Metric(
    "genesys_polls_put_off_total",
    "counter",
    ("org",),
    "Polls that waited because the rate limit was nearly used up: less than `reserve_ratio` of it was left. Genesys "
    "Cloud's data get older by that; rollbacks do not wait.",
)

SNAPSHOT_METRICS = (
    FLOW_ERRORS,
    FLOW_VOLUME,
    FLOW_BREACH_MINUTES,
    FLOW_SIGNAL_ACTS,
    FLOW_ENTRIES,
    FLOW_EXITS,
    FLOW_THRESHOLD_RATIO,
    FLOW_BASELINE_RATIO,
    FLOW_SCATTER_RATIO,
    FLOW_LIVE_SINCE,
    FLOW_INFO,
    ORG_ERRORS,
    ORG_VOLUME,
    DATA_END,
    SIGNAL_TOLD,
    NEWEST_EVENT,
)
"""What a snapshot gives; dropped together when it is stale."""

POLL_METRICS = (UP, API_RATE_LIMIT_ALLOWED, API_RATE_LIMIT_USED)
"""What the end of each poll gives, failed polls included."""

PROCESS_METRICS = (BUCKET_REVISION_AGE, API_REQUESTS, API_REQUEST_DURATION, POLLS_PUT_OFF)
"""What the process counts while it lives."""

CATALOGUE: Mapping[str, Metric] = {
    metric.name: metric for metric in (*SNAPSHOT_METRICS, *POLL_METRICS, *PROCESS_METRICS)
}
"""Every metric by its name."""
