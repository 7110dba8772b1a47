"""What analytics tell of transfers and of data actions: only where somebody asks for them."""

from collections import Counter
from dataclasses import replace

from genesys.actions import CALL_IS_WRONG, NO_ERROR, RAN
from genesys.aggregates import View
from genesys.errors import Refused
from genesys.platform import ENDED, TRANSFERRED
from genesys.probe import Counted
from receiver.doctor.cloud import Cloud
from receiver.doctor.examination import Found, Step, failed, not_proved, proved, skipped
from receiver.doctor.figures import WAIT_FOR_CALLS, last_day
from receiver.doctor.reaching import CREDENTIALS, FLOW_FIGURES

_EXITS = ("flowId", "flowVersion", "exitReason")
_TARGET = ("transferType", "transferTargetName")
_EXECUTIONS = ("actionId", "errorType", "responseStatus")
_EVERY = View("everyExecution", RAN, 0.0)
_NO_SHIFT = "nothing: routing_shift is told of no flow; analytics.transfers: false spares the attempt"


def steps(cloud: Cloud) -> list[Step]:
    return [
        Step("transfers by target", lambda: _transfers(cloud), needs=FLOW_FIGURES),
        Step("data actions", lambda: _data_actions(cloud), needs=CREDENTIALS),
    ]


def _transfers(cloud: Cloud) -> Found:
    if not cloud.settings.analytics.transfers:
        return skipped("analytics.transfers is off")
    plain = cloud.probe.counted(replace(last_day(cloud), metrics=[ENDED], group_by=_EXITS))
    if not any(_is_transfer(one) for one in plain):
        return not_proved("no flow has transferred a conversation in 24 hours", WAIT_FOR_CALLS)
    try:
        found = cloud.probe.counted(replace(last_day(cloud), metrics=[ENDED], group_by=(*_EXITS, *_TARGET)))
    except Refused as problem:
        return not_proved(f"refused: {problem}", _NO_SHIFT)
    if any(not _is_transfer(one) for one in plain) and all(_is_transfer(one) for one in found):
        return not_proved("told, but without the exits that are no transfers", _NO_SHIFT)
    transfers = [one for one in found if _is_transfer(one)]
    typed = sum(one.count for one in transfers if one.group.get("transferType"))
    named = sum(one.count for one in transfers if one.group.get("transferTargetName"))
    of = f"of {sum(one.count for one in transfers)} transfers"
    if not named:
        return not_proved(f"no names; {typed} {of} have a type", "nothing: routing_shift sees types of transfer only")
    return proved(f"{named} {of} have the name of their target, {typed} a type; other exits are told as well")


def _data_actions(cloud: Cloud) -> Found:
    ids = [action.action_id for action in cloud.settings.analytics.data_actions]
    if not ids:
        return skipped("analytics.data_actions names none")
    query = replace(last_day(cloud), metrics=[RAN], group_by=_EXECUTIONS, action_ids=ids, views=[_EVERY])
    views = "told"
    try:
        found = cloud.probe.counted(query)
    except Refused as problem:
        if problem.status != CALL_IS_WRONG:
            raise
        views = "refused"
        found = cloud.probe.counted(replace(query, views=()))
    ran = [one for one in found if one.metric == RAN]
    if not ran:
        return not_proved("none of them ran in 24 hours", "check each action_id")
    if len(ran) == len(found) and views == "told":
        views = "not told"
    seen = f"{_words(ran)}; views are {views}"
    missing = set(ids) - {one.group.get("actionId") for one in ran}
    if missing:
        return failed(f"{', '.join(sorted(missing))} did not run in 24 hours; {seen}", "check each action_id")
    if views != "told":
        return not_proved(seen, "nothing: the signal action_slow is told of no flow")
    return proved(seen)


def _words(ran: list[Counted]) -> str:
    """The words for errors and answers that occur: no document lists them."""
    errors: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    for one in ran:
        errors[one.group.get("errorType", "(none)")] += one.count
        statuses[one.group.get("responseStatus", "(none)")] += one.count
    works = [word for word in errors if word == "(none)" or word.upper() in NO_ERROR]
    told = [f"errorType {_counts(errors)}", f"responseStatus {_counts(statuses)}"]
    return "; ".join([*told, f"{', '.join(works) or 'nothing'} counts as no error"])


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{word} {count}" for word, count in counter.most_common())


def _is_transfer(one: Counted) -> bool:
    return one.group.get("exitReason") == TRANSFERRED
