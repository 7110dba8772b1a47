"""Data actions: how often each ran, failed and took long, and with which version of its flow.

Genesys Cloud tells neither flow nor version of an execution. The flow is configured
(`analytics.data_actions`): an action that several flows run can accuse none. The
version is the one on which alone conversations began at that time; what ran while
callers entered two versions belongs to neither.

What failed is told by `errorType` and `responseStatus`, whose values no document lists,
and what took long by views, which nobody has tried: what is refused, or not told, is
unknown, and accuses nobody.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from genesys.aggregates import Group, Query, Row, View
from genesys.errors import GenesysError
from genesys.evidence import ACTION_SIGNALS, ActionColumns, Column, Columns, Signal, column_of, empty_column
from genesys.log import event

log = logging.getLogger(__name__)

RAN = "tTotalExecution"
VIEWS = 10  # in one question, by the documentation
CALL_IS_WRONG = 400  # as it stands
REFUSED = (CALL_IS_WRONG, 403, 404)  # or to this client, or everywhere
NO_ERROR = ("", "NONE")  # as errorType, in capitals; it may also be missing
FAILED_STATUS = 400  # and above, of HTTP

_GROUP_BY = ("actionId", "errorType", "responseStatus")
_EVERY = View("everyExecution", RAN, 0.0)  # without it in the answer nobody knows whether views are told at all


@dataclass(frozen=True, slots=True)
class DataAction:
    """A data action that one flow alone runs; an execution is slow that takes at least `slow_s`."""

    action_id: str
    flow_id: str
    slow_s: float


class Actions:
    """The data actions of one organization, and what Genesys Cloud is willing to tell of them."""

    def __init__(self, actions: Sequence[DataAction]) -> None:
        self._actions = {action.action_id: action for action in actions}
        self._views = True

    @property
    def signals(self) -> frozenset[Signal]:
        """What is told."""
        if not self._actions:
            return frozenset()
        return ACTION_SIGNALS if self._views else ACTION_SIGNALS - {Signal.ACTION_SLOW}

    def query(self, part: Query, flow_ids: Sequence[str]) -> Query | None:
        """How to ask for the executions in a part of some stretch, of all flows or of some; None if there are none."""
        asked = [action for action in self._actions.values() if not flow_ids or action.flow_id in flow_ids]
        if not asked:
            return None
        slow = {action.slow_s: _slow(action.slow_s) for action in asked}
        return replace(
            part,
            metrics=[RAN],
            group_by=_GROUP_BY,
            action_ids=[action.action_id for action in asked],
            views=[_EVERY, *slow.values()] if self._views else (),
        )

    def refused(self, query: Query, error: GenesysError) -> None:
        """Ask for less from now on: without views, if they may be to blame, and else not at all."""
        if query.views and error.status == CALL_IS_WRONG:
            self._without_views("action_views_refused", error=error)
            return
        self._actions = {}
        cure = "remove analytics.data_actions in organizations.yml, or mend the OAuth client and restart"
        event(log, logging.WARNING, "data_actions_refused", error=error, cure=cure)

    def count(self, ran: dict[str, ActionColumns], query: Query, told: Sequence[Row]) -> None:
        """Add one answer to what ran, by action id. Raises `OverflowError`."""
        viewed = any(any(counts.get(_EVERY.name, ())) for _, counts in told)
        if query.views and not viewed and any(any(counts.get(RAN, ())) for _, counts in told):
            self._without_views("action_views_not_told")
        for group, counts in told:
            action = self._actions.get(group.action_id or "")
            if action is None or RAN not in counts:
                continue
            nothing = empty_column(query.buckets)
            more = ActionColumns(
                counts[RAN],
                counts[RAN] if _has_failed(group) else nothing,
                counts.get(_slow(action.slow_s).name, nothing),
            )
            known = ran.get(action.action_id)
            ran[action.action_id] = more if known is None else known.plus(more)

    def attribute(self, found: Mapping[tuple[str, str], Columns], ran: Mapping[str, ActionColumns]) -> None:
        """Add what ran to the version with which it ran; nothing once Genesys Cloud has refused a part."""
        flows = {action_id: self._actions[action_id].flow_id for action_id in ran if action_id in self._actions}
        versions: dict[str, dict[str, Columns]] = {flow_id: {} for flow_id in flows.values()}
        for (flow_id, version), columns in found.items():
            if flow_id in versions:
                versions[flow_id][version] = columns
        owners = {flow_id: _owners(own) for flow_id, own in versions.items()}
        for action_id, flow_id in flows.items():
            counts = ran[action_id]
            for version, columns in versions[flow_id].items():
                part = ActionColumns(*(_part(column, owners[flow_id], version) for column in counts))
                if any(part.ran):
                    columns.add_executions(action_id, part)

    def _without_views(self, what: str, error: GenesysError | None = None) -> None:
        self._views = False
        told = {} if error is None else {"error": error}
        event(log, logging.WARNING, what, **told, cure="none: the signal action_slow is unknown here")


def _slow(slow_s: float) -> View:
    return View(f"atLeast{round(slow_s * 1000)}ms", RAN, slow_s)


def _has_failed(group: Group) -> bool:
    """Whatever is called an error is one: where all executions have it, none of them is more than usual."""
    if (group.error_type or "").upper() not in NO_ERROR:
        return True
    status = group.response_status or ""
    return status.isdecimal() and int(status) >= FAILED_STATUS


def _owners(versions: Mapping[str, Columns]) -> list[str | None]:
    """By position, the version on which alone conversations began; one stays so until they begin on another."""
    owners: list[str | None] = []
    owner: str | None = None
    for entries in zip(*(columns.entries for columns in versions.values()), strict=True):
        begun = [version for version, entered in zip(versions, entries, strict=True) if entered]
        if begun:
            owner = begun[0] if len(begun) == 1 else None
        owners.append(owner)
    return owners


def _part(column: Column, owners: Sequence[str | None], version: str) -> Column:
    return column_of([count if owner == version else 0 for count, owner in zip(column, owners, strict=True)])
