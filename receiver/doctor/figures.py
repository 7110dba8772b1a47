"""What analytics tell, and how late: minutes, exit reasons, keys that nobody asked for, outcomes by version."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from genesys.aggregates import Query
from genesys.errors import NotAllowed, Refused
from genesys.platform import ENDED, FAILED_OUTCOMES, OUTCOMES, STARTED
from genesys.probe import Counted
from receiver.doctor.cloud import HOUR_S, Cloud
from receiver.doctor.examination import Found, Step, failed, not_proved, proved, skipped
from receiver.doctor.reaching import FLOW_FIGURES

MINUTE_S = 60
LOOK_BACK_S = 30 * MINUTE_S  # a flow that nobody called for so long tells nothing of how late minutes are
LATE_S = 300.0  # evidence_max_age_s: what is older is believed no more
PAUSE_S = 10.0  # between two looks at the newest minutes
DAY_S = 24 * HOUR_S
ERRORS = frozenset({"FLOW_ERROR_DISCONNECT", "FLOW_ERROR_EXIT"})
KNOWN_REASONS = ERRORS | {
    "UNKNOWN",
    "DISCONNECT",
    "FLOW_DISCONNECT",
    "TRANSFER",
    "SESSION_EXPIRE_DISCONNECT",
    "RECOGNITION_FAILURE_DISCONNECT",
    "RECOGNITION_FAILURE_EXIT",
    "USER_EXIT",
    "FLOW_EXIT",
}
_VERSION = ("flowId", "flowVersion")
WAIT_FOR_CALLS = "run this again when the flows have conversations"


def steps(cloud: Cloud) -> list[Step]:
    return [
        Step("newest minute", lambda: _newest_minute(cloud), needs=FLOW_FIGURES),
        Step("minutes that still change", lambda: _changes(cloud), needs=FLOW_FIGURES),
        Step("exit reasons", lambda: _exit_reasons(cloud), needs=FLOW_FIGURES),
        Step("nFlow by exit reason", lambda: _started_by_reason(cloud), needs=FLOW_FIGURES),
        Step("keys not asked for", lambda: _extra_keys(cloud), needs=FLOW_FIGURES),
        Step("outcomes by version", lambda: _outcomes(cloud), needs=FLOW_FIGURES),
    ]


def _newest_minute(cloud: Cloud) -> Found:
    minutes = _minutes(cloud)
    if not minutes:
        return not_proved(f"no flow had a conversation in the last {LOOK_BACK_S // MINUTE_S} minutes", WAIT_FOR_CALLS)
    age_s = cloud.clock.now() - (max(minutes) + MINUTE_S)
    seen = f"the newest minute with conversations ended {max(0.0, age_s):.0f} s ago"
    if age_s > LATE_S:
        cure = f"{WAIT_FOR_CALLS}; if it stays so, figures are too late for a rollback: raise evidence_max_age_s"
        return not_proved(seen, cure)
    return proved(seen)


def _changes(cloud: Cloud) -> Found:
    """How old a minute was when it last changed, while it was watched."""
    if cloud.watch_s <= 0:
        return skipped("takes a while", "--watch 300")
    give_up_at = cloud.clock.monotonic() + cloud.watch_s
    known, oldest_s, changes = _minutes(cloud), 0.0, 0
    while cloud.clock.monotonic() + PAUSE_S <= give_up_at:
        cloud.clock.sleep(PAUSE_S)
        now, before, known = cloud.clock.now(), known, _minutes(cloud)
        ages = [now - (minute + MINUTE_S) for minute, count in known.items() if count != before.get(minute, 0)]
        changes += len(ages)
        oldest_s = max([oldest_s, *ages])
    if not changes:
        return not_proved(f"nothing changed in {cloud.watch_s:.0f} s", WAIT_FOR_CALLS)
    settle_s = cloud.settings.analytics.settle_s
    seen = f"{changes} changes in {cloud.watch_s:.0f} s, of minutes that had ended up to {oldest_s:.0f} s before"
    if oldest_s > settle_s:
        cure = f"if that is often so, raise analytics.settle_s ({settle_s:g}) in organizations.yml"
        return not_proved(seen, cure)
    return proved(f"{seen}; settle_s is {settle_s:g}")


def _exit_reasons(cloud: Cloud) -> Found:
    counts: Counter[str] = Counter()
    for one in _day(cloud, [ENDED], [*_VERSION, "exitReason"]):
        counts[one.group.get("exitReason", "(none)")] += one.count
    if not counts:
        return not_proved("no flow had a conversation that ended in 24 hours", WAIT_FOR_CALLS)
    seen = ", ".join(f"{reason} {count}" for reason, count in counts.most_common())
    strange = counts.keys() - KNOWN_REASONS
    if strange:
        cure = f"tell the makers of this release of {', '.join(sorted(strange))}: it counts as no error"
        return not_proved(seen, cure)
    if not counts.keys() & ERRORS:
        return not_proved(f"{seen}; no error exit", "nothing: errors are told once there are some; none was seen yet")
    return proved(seen)


def _started_by_reason(cloud: Cloud) -> Found:
    found = _day(cloud, [STARTED], [*_VERSION, "exitReason"])
    if not found:
        return not_proved("no flow had a conversation in 24 hours", WAIT_FOR_CALLS)
    carries = any("exitReason" in one.group for one in found)
    return proved("nFlow has the exit reason" if carries else "nFlow has no exit reason; either way is provided for")


def _extra_keys(cloud: Cloud) -> Found:
    found = _day(cloud, [STARTED], _VERSION)
    if not found:
        return not_proved("no flow had a conversation in 24 hours", WAIT_FOR_CALLS)
    extra = {key for one in found for key in one.group} - {*_VERSION}
    missing = sum(one.count for one in found if "flowVersion" not in one.group)
    if missing:
        seen = f"{missing} of {sum(one.count for one in found)} conversations have no flowVersion"
        return not_proved(seen, "these accuse no version; tell the makers of this release if they are many")
    return proved(f"groups have {', '.join(sorted(extra))} besides" if extra else "groups have only what was asked for")


def _outcomes(cloud: Cloud) -> Found:
    if not cloud.settings.analytics.outcomes:
        return skipped("analytics.outcomes is off")
    try:
        found = _day(cloud, [OUTCOMES, FAILED_OUTCOMES], _VERSION)
    except (Refused, NotAllowed) as problem:
        return failed(str(problem), "remove analytics.outcomes in organizations.yml, or mend the OAuth client")
    if not found:
        return not_proved("no flow had an outcome in 24 hours", "use outcomes in a flow, or remove analytics.outcomes")
    if any("flowVersion" in one.group for one in found):
        return proved("outcomes are told by version")
    return not_proved("outcomes are told without version", "remove analytics.outcomes: they accuse no version here")


def _minutes(cloud: Cloud) -> Mapping[int, int]:
    """Conversations that began, by minute, of all flows; the running minute included."""
    end = int(cloud.clock.now() // MINUTE_S + 1) * MINUTE_S
    counts: Counter[int] = Counter()
    for one in cloud.probe.counted(Query(end - LOOK_BACK_S, end, MINUTE_S, [STARTED], _VERSION)):
        counts[int(one.start)] += one.count
    return counts


def _day(cloud: Cloud, metrics: list[str], group_by: Sequence[str]) -> list[Counted]:
    return cloud.probe.counted(replace(last_day(cloud), metrics=metrics, group_by=group_by))


def last_day(cloud: Cloud) -> Query:
    """24 hours by the hour, the running one included; without metrics."""
    end = int(cloud.clock.now() // HOUR_S + 1) * HOUR_S
    return Query(end - DAY_S, end, HOUR_S, [])
