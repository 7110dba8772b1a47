"""Dialect `platform`: the real Platform API v2 of Genesys Cloud.

Owns what is asked for and how answers become our types. An answer that does not
look as documented is `Unavailable`, never a guess: half an answer is none.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from urllib.parse import quote

from genesys.access import Session
from genesys.actions import REFUSED, Actions, DataAction
from genesys.aggregates import Group, Query, Row, RowReader, iso, rows
from genesys.answers import Answer, unexpected
from genesys.dependencies import Dependencies
from genesys.dialect import RateLimit
from genesys.errors import GenesysError, Gone, NotAllowed, Refused, Unavailable
from genesys.evidence import (
    ACTION_SIGNALS,
    EVERY_SIGNAL,
    ActionColumns,
    Column,
    Columns,
    Evidence,
    Signal,
    empty_column,
)
from genesys.flows import Flow, FlowVersion, Operation
from genesys.http import Request
from genesys.jobs import Jobs
from genesys.log import event
from genesys.stints import Stint
from genesys.transfers import target_of

log = logging.getLogger(__name__)

FLOWS_PAGE_SIZE = 500  # used in production by others; the API documents no limit
VERSIONS_PAGE_SIZE = 100
FLOW_IDS_PER_QUERY = 100
# As many as a poll asks for: whoever can poll can also read a week of hours, which in one answer would be 220 MB for
# 5,000 busy flows.
BUCKETS_PER_QUERY = 60
NAMED_FACTOR = 24  # times as many where a hundred flows are named at most: a day by the minute, or a week of hours
WITHOUT_TARGETS = 30  # evidences, half an hour of polls
TOO_LARGE = (400, 413)  # nobody has seen how Genesys Cloud refuses what would be too much for it
MAX_HALVINGS = 3  # what is refused as an eighth too is wrong, and not too large

STARTED = "nFlow"  # counted when a flow starts
ENDED = "tFlow"  # counted when it ends: only then its exit reason is known
OUTCOMES, FAILED_OUTCOMES = "nFlowOutcome", "nFlowOutcomeFailed"
CONVERSATIONS = "nConversations"  # new, and not known everywhere yet
OFFERED = "nOffered"  # the next best, known for long
FLOW_AGGREGATES = "analytics/flows/aggregates/query"
_VERSION = ("flowId", "flowVersion")
_REASON, _TRANSFER = ("exitReason",), ("transferType", "transferTargetName")
TRANSFERRED = "TRANSFER"  # the exit reason
_ALWAYS_TOLD = EVERY_SIGNAL - ACTION_SIGNALS - {Signal.OUTCOME_FAILED, Signal.ROUTING_SHIFT}
DEBUG_VERSION = "debug"  # test calls of the Architect editor


class Platform:
    """`genesys.dialect.GenesysCloud` in the dialect `platform`; what may be counted on is written there."""

    def __init__(
        self,
        session: Session,
        *,
        api_url: str,
        outcomes: bool = False,
        transfers: bool = False,
        data_actions: Sequence[DataAction] = (),
    ) -> None:
        """Flow outcomes and data actions are asked for only if wanted: each is a request more with each evidence.

        Transfers are told by their target only with `transfers`: they cost no request, but make the answers longer.
        """
        self._outcomes = outcomes
        self._transfers = transfers
        self._without_targets = 0  # so often more, after they could not be told once
        self._tells_others = False  # whether exits that are no transfers were told together with targets
        self._actions = Actions(data_actions)
        self._session = session
        self._api = f"{api_url}/api/v2"
        self.jobs = Jobs(session, api_url=api_url)
        self.dependencies = Dependencies(session, api_url=api_url)
        self._buckets_per_query = BUCKETS_PER_QUERY  # fewer, once so many were refused
        self._flow_ids_per_query = FLOW_IDS_PER_QUERY
        self._volume_metric = CONVERSATIONS
        self._lists_by_date = True  # nobody has seen which dates `publishedAfter` takes

    @property
    def rate_limit(self) -> RateLimit | None:
        return self._session.connection.rate_limit

    def close(self) -> None:
        self._session.connection.close()

    def evidence(self, start: int, end: int, *, bucket_s: int, flow_ids: Sequence[str] = ()) -> Evidence:
        """A long stretch is asked for in parts, each within a deadline of its own.

        Where Genesys Cloud refuses to tell exits by transfer target, or then leaves out those that are no transfers,
        they are told without from now on; where it fails to tell them, for a while. What ends badly matters more than
        where the rest goes.
        """
        if not self._transfers:
            return self._ask_evidence(start, end, bucket_s, flow_ids, by_target=False)
        if self._without_targets > 0:
            self._without_targets -= 1
            return self._ask_evidence(start, end, bucket_s, flow_ids, by_target=False)
        why, passes = "leaves out exits that are no transfers", False
        try:
            found = self._ask_evidence(start, end, bucket_s, flow_ids, by_target=True)
            self._tells_others = self._tells_others or _tells_other_exits(found)
            if self._tells_others:
                return found
        except (Refused, Unavailable) as error:
            found, why, passes = None, str(error), error.status not in TOO_LARGE
        plain = self._ask_evidence(start, end, bucket_s, flow_ids, by_target=False)
        if found is not None and not _tells_other_exits(plain):
            return found
        if passes:
            self._without_targets = WITHOUT_TARGETS
        else:
            self._transfers = False
        _tell_that_transfers_are_not_told(why)
        return plain

    def _ask_evidence(
        self, start: int, end: int, bucket_s: int, flow_ids: Sequence[str], *, by_target: bool
    ) -> Evidence:
        exits_by = (*_REASON, *_TRANSFER) if by_target else _REASON
        found: dict[tuple[str, str], Columns] = {}
        ran: dict[str, ActionColumns] = {}
        most = self._buckets_per_query * (NAMED_FACTOR if flow_ids else 1)
        untold: set[Signal] = set()
        for part in Query(start, end, bucket_s, ()).parts(most):
            deadline = self._session.deadline()
            asked_for = [replace(part, flow_ids=chunk) for chunk in _chunks(flow_ids, self._flow_ids_per_query)]
            for asked in asked_for:
                # Two queries: it is not documented whether what has just started is counted without an exit reason.
                for metric, group_by in ((ENDED, exits_by), (STARTED, ())):
                    query = replace(asked, metrics=[metric], group_by=[*_VERSION, *group_by])
                    self._add_evidence(found, query, deadline)
            # What few flows have comes last: while it cannot be told, everything else is.
            with _left_out(untold, {Signal.OUTCOME_FAILED}):
                for asked in asked_for if self._outcomes else ():
                    query = replace(asked, metrics=[OUTCOMES, FAILED_OUTCOMES], group_by=_VERSION)
                    self._count_outcomes(found, query, deadline)
            with _left_out(untold, ACTION_SIGNALS):
                self._count_executions(ran, part, flow_ids, deadline)
        for columns in found.values():
            columns.keep_largest_targets()
        self._actions.attribute(found, ran)
        routing = {Signal.ROUTING_SHIFT} if by_target else set()
        return Evidence(start, end, bucket_s, found, (self._told | routing) - untold)

    @property
    def _told(self) -> frozenset[Signal]:
        outcomes = {Signal.OUTCOME_FAILED} if self._outcomes else set()
        return _ALWAYS_TOLD | outcomes | self._actions.signals

    def _add_evidence(
        self, found: dict[tuple[str, str], Columns], query: Query, deadline: float, halvings: int = 0
    ) -> None:
        """Add what a query finds. One that may be too large is asked in halves, and that is remembered."""
        try:
            told = self._rows("flows", query, deadline)
        except Refused as error:
            halves = query.halves()
            if error.status not in TOO_LARGE or halvings == MAX_HALVINGS or not halves:
                raise
            for half in halves:
                self._add_evidence(found, half, deadline, halvings + 1)
            self._ask_for_less(halves[0], query)
            return
        try:
            for group, counts in told:
                _count(found, query, group, counts)
        except OverflowError as error:
            raise unexpected(FLOW_AGGREGATES, "more outcomes than there can be") from error

    def _ask_for_less(self, half: Query, refused: Query) -> None:
        if len(half.flow_ids) < len(refused.flow_ids):
            self._flow_ids_per_query = min(self._flow_ids_per_query, len(half.flow_ids))
        else:
            buckets = (half.end - half.start) // half.bucket_s // (NAMED_FACTOR if half.flow_ids else 1)
            self._buckets_per_query = min(self._buckets_per_query, max(1, buckets))

    def conversations(self, start: int, end: int, *, bucket_s: int) -> Mapping[int, tuple[int, int]]:
        deadline = self._session.deadline()
        try:
            return self._conversations(start, end, bucket_s, self._volume_metric, deadline)
        except Refused as error:
            if error.status != 400 or self._volume_metric == OFFERED:
                raise
        found = self._conversations(start, end, bucket_s, OFFERED, deadline)
        self._volume_metric = OFFERED
        return found

    def flows(self, *, published_after: float | None = None) -> list[Flow]:
        """Where the list cannot be limited by date it is read whole, and that is remembered."""
        if published_after is None or not self._lists_by_date:
            return self._list_flows({})
        try:
            return self._list_flows({"publishedAfter": iso(published_after)})
        except Refused as error:
            if error.status != 400:
                raise
        found = self._list_flows({})
        self._lists_by_date = False
        return found

    def flow(self, flow_id: str) -> Flow:
        endpoint = "flows/{id}"
        request = Request("GET", f"{self._api}/flows/{_part(flow_id)}", endpoint, params={"deleted": "true"})
        return _flow(Answer(endpoint, self._session.read(request, deadline=self._session.deadline())))

    def versions(self, flow_id: str) -> list[FlowVersion]:
        pages = self._pages(f"flows/{_part(flow_id)}/versions", "flows/{id}/versions", VERSIONS_PAGE_SIZE, {})
        return list({version.id: version for version in map(_flow_version, pages)}.values())

    def configuration(self, flow_id: str, version: str) -> str | None:
        """The documents do not say what is in it: it is compared, and not understood."""
        endpoint = "flows/{id}/versions/{id}/configuration"
        request = Request(
            "GET", f"{self._api}/flows/{_part(flow_id)}/versions/{_part(version)}/configuration", endpoint
        )
        told = self._session.read(request, deadline=self._session.deadline())
        if not isinstance(told, dict):
            raise unexpected(endpoint, "not an object")
        return sha256(_canonical(told)).hexdigest() if told else None

    def stints(self) -> Mapping[str, Sequence[Stint]]:
        return {}  # figures know their version, and versions have dates

    def recall(self, stints: Mapping[str, Sequence[Stint]]) -> None:
        """Nothing is asked of what was seen."""

    def publish(self, flow_id: str, version: str) -> Operation:
        endpoint = "flows/actions/publish"
        params = {"flow": flow_id, "version": version}
        answer = self._session.write(Request("POST", f"{self._api}/{endpoint}", endpoint, params=params))
        return _operation(Answer(endpoint, answer))

    def _count_outcomes(self, found: dict[tuple[str, str], Columns], query: Query, deadline: float) -> None:
        """Where flow outcomes are refused they are unknown from now on: everything else can be told without them."""
        try:
            for group, counts in self._rows("flows", query, deadline):
                _count(found, query, group, counts)
        except OverflowError as error:
            raise unexpected(FLOW_AGGREGATES, "more outcomes than there can be") from error
        except (Refused, NotAllowed) as error:
            if error.status not in (400, 403):
                raise
            self._outcomes = False
            _tell_that_outcomes_are_refused(error)

    def _count_executions(
        self, ran: dict[str, ActionColumns], part: Query, flow_ids: Sequence[str], deadline: float
    ) -> None:
        """What is refused is unknown from now on: everything else can be told without data actions."""
        while (query := self._actions.query(part, flow_ids)) is not None:
            try:
                told = self._rows("actions", query, deadline)
            except (Refused, NotAllowed, Gone) as error:
                if error.status not in REFUSED:
                    raise
                self._actions.refused(query, error)
                continue
            try:
                self._actions.count(ran, query, told)
            except OverflowError as error:
                raise unexpected("analytics/actions/aggregates/query", "more executions than there can be") from error
            return

    def _list_flows(self, params: Mapping[str, str]) -> list[Flow]:
        # By id: a flow that is created while the pages are turned moves others to the next page.
        found = {flow.id: flow for flow in map(_flow, self._pages("flows", "flows", FLOWS_PAGE_SIZE, params))}
        return [flow for flow in found.values() if not flow.deleted]

    def _conversations(
        self, start: int, end: int, bucket_s: int, volume_metric: str, deadline: float
    ) -> dict[int, tuple[int, int]]:
        query = Query(start, end, bucket_s, ["nError", volume_metric])
        found: dict[int, tuple[int, int]] = {}
        nothing = [0] * query.buckets
        for _, counts in self._rows("conversations", query, deadline):
            told = zip(counts.get("nError", nothing), counts.get(volume_metric, nothing), strict=True)
            for bucket, (errors, volume) in zip(range(start, end, bucket_s), told, strict=True):
                if errors or volume:
                    before = found.get(bucket, (0, 0))
                    found[bucket] = (before[0] + errors, before[1] + volume)
        return found

    def _rows(self, subject: str, query: Query, deadline: float) -> Sequence[Row]:
        endpoint = f"analytics/{subject}/aggregates/query"
        request = Request(
            "POST", f"{self._api}/{endpoint}", endpoint, json=query.body(), reader=partial(RowReader, query)
        )
        return rows(endpoint, self._session.read(request, deadline=deadline))

    def _pages(self, path: str, endpoint: str, size: int, params: Mapping[str, str]) -> Iterator[Answer]:
        """The entities of all pages."""
        deadline = self._session.deadline()
        number, count = 1, 1
        while number <= count:
            paging: dict[str, str | int] = {**params, "pageSize": size, "pageNumber": number}
            request = Request("GET", f"{self._api}/{path}", endpoint, params=paging)
            page = Answer(endpoint, self._session.read(request, deadline=deadline))
            yield from page.items("entities")
            count = page.count("pageCount")
            number += 1


def _chunks(flow_ids: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """One empty chunk without flow ids: it asks for all flows."""
    unique = tuple(dict.fromkeys(flow_ids))
    return [unique[first : first + size] for first in range(0, len(unique), size)] or [()]


def _count(found: dict[tuple[str, str], Columns], query: Query, group: Group, counts: Mapping[str, Column]) -> None:
    """Add one row to what was found; what belongs to no version accuses none."""
    if not group.flow_id or not group.flow_version or group.flow_version == DEBUG_VERSION:
        return
    ended, started = counts.get(ENDED, ()), counts.get(STARTED, ())
    outcomes, failed = counts.get(OUTCOMES, ()), counts.get(FAILED_OUTCOMES, ())
    if not any(map(any, (ended, started, outcomes, failed))):
        return
    key = (group.flow_id, group.flow_version)
    columns = found.get(key)
    if columns is None:
        columns = found[key] = Columns(query.stretch_start, query.buckets, query.bucket_s)
    if ended:
        columns.add_exits(group.exit_reason or "UNKNOWN", ended)  # an end without a reason is an end all the same
        target = target_of(group.transfer_type, group.transfer_target_name)
        if target is not None and group.exit_reason == TRANSFERRED and any(ended):
            columns.add_transfers(target, ended)
    if started:
        columns.add_entries(started)
    if outcomes or failed:
        columns.add_outcomes(outcomes or empty_column(query.buckets), failed or empty_column(query.buckets))


@contextmanager
def _left_out(untold: set[Signal], signals: Iterable[Signal]) -> Iterator[None]:
    """What a query of its own tells is unknown this time if it cannot be read; the next time it is asked for again."""
    try:
        yield
    except GenesysError as error:
        untold.update(signals)
        event(log, logging.WARNING, "signals_not_read", signals=",".join(sorted(signals)), error=error)


def _tell_that_outcomes_are_refused(error: GenesysError) -> None:
    cure = "remove analytics.outcomes in organizations.yml, or mend the OAuth client and restart"
    event(log, logging.WARNING, "outcomes_refused", error=error, cure=cure)


def _tells_other_exits(evidence: Evidence) -> bool:
    """Whether some exit is no transfer, as where any flow is used, or there is nothing at all to be told."""
    reasons = {reason for version in evidence.outcomes for reason in evidence.columns(*version).exits}
    return bool(reasons - {TRANSFERRED}) or not evidence.outcomes


def _tell_that_transfers_are_not_told(why: str) -> None:
    cure = "nothing; the signal routing_shift is told of no flow. analytics.transfers: false spares the attempt"
    event(log, logging.WARNING, "transfers_not_told", error=why, cure=cure)


def _canonical(told: Mapping[str, object]) -> bytes:
    """JSON with sorted keys and without spaces: an object may be told in any order."""
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def _part(text: str) -> str:
    """A foreign id as one part of a path, and never more."""
    return quote(text, safe="")


def _flow(answer: Answer) -> Flow:
    division = answer.optional_object("division")
    live = answer.optional_object("publishedVersion")
    operation = answer.optional_object("currentOperation")
    return Flow(
        id=answer.text("id"),
        name=answer.text("name"),
        type=answer.text("type").lower(),
        division_id=(division and division.optional_text("id")) or "",
        division_name=(division and division.optional_text("name")) or "",
        active=answer.flag("active"),
        deleted=answer.flag("deleted"),
        live_version=live.text("id") if live else None,
        live_published_at=live.optional_moment("datePublished") if live else None,
        published_by=_who(answer, "publishedBy") or (_who(live, "createdBy", "createdByClient") if live else None),
        locked_by=_who(answer, "lockedUser", "lockedClient"),
        operation=_operation(operation) if operation else None,
    )


def _flow_version(answer: Answer) -> FlowVersion:
    return FlowVersion(
        id=answer.text("id"),
        debug=answer.optional_flag("debug"),
        published_at=answer.optional_moment("datePublished"),
        published_until=answer.optional_moment("datePublishedEnd"),
        published_by=_who(answer, "createdBy", "createdByClient"),
    )


def _operation(answer: Answer) -> Operation:
    details = (detail.optional_text("errorCode") or "" for detail in answer.items("errorDetails"))
    told = (answer.optional_text("errorCode") or "", answer.optional_text("errorMessage") or "", *details)
    return Operation(
        id=answer.text("id"),
        complete=answer.flag("complete"),
        action=answer.optional_text("actionName"),
        status=answer.optional_text("actionStatus"),
        error=" ".join(" ".join(part for part in told if part).split()) or None,
    )


def _who(answer: Answer, *keys: str) -> str | None:
    """Name of a user or OAuth client, else its id; an object that tells neither is somebody all the same."""
    people = (answer.optional_object(key) for key in keys)
    return next((who.optional_text("name") or who.optional_text("id") or "unknown" for who in people if who), None)
