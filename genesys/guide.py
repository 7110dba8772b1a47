"""Dialect `guide`: the calls of the guide to automated rollback, word for word.

No Genesys Cloud organization is known to answer these paths. They tell less than
the Platform API, and need more calls:

- There is no list of flows: `organizations.yml` names them.
- One call gives one metric (or both, if the answer holds both) of one flow, or of
  the organization, for one stretch of time. With n flows a poll asks for n lists of
  versions, and for each flow and the organization for the newest bucket and once
  more for the one before: 5n + 4 calls a minute, or 3n + 2. The first poll reads a
  trailing hour: 120 calls (or 60) for the organization and for each flow whose
  versions have dates. What was read is kept, so that the next poll goes on where the
  rate limit stopped one. This does not scale: 50 flows take the usual 300 calls.
- Figures know no versions: `genesys.stints` tells which one was live. A conversation
  counts for the version that is live when it is counted, not for the one it began on.
  Versions without dates are known as far as somebody has looked, and has to look
  often: who keeps `stints` and gives them back to `recall` knows them after a restart.
- There is no signal but errors, and the volume is conversation time in minutes.
"""

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from genesys.access import Session
from genesys.answers import Answer, unexpected
from genesys.dialect import RateLimit
from genesys.errors import Gone
from genesys.evidence import WINDOWS, Evidence, Outcomes, Signal
from genesys.flows import Flow, FlowVersion, Operation
from genesys.history import DAY_BUCKETS
from genesys.http import Request
from genesys.measures import ORGANIZATION, READ_AGAIN_BUCKETS, Entity, Measures
from genesys.stints import MOST_STINTS, NO_VERSION, Stint, dated, merged, seen, stretches

VERSIONS = "architect/flows/{id}/versions"
DEPLOYMENT = "architect/deployments/{id}/versions/{id}"
SIGNALS = frozenset({Signal.ERROR_EXIT})  # of other ends the figures tell nothing
ACTIVE = "active"  # status of the live version
PUBLISHED = "published"  # status of one that was live, or may be
DESCRIPTION = "made live again by genesys-rollback-bridge"

SINGLE_BUCKETS = max(WINDOWS.values())  # so many are asked for one by one; more are history, where sums matter
BUCKETS_PER_CALL = DAY_BUCKETS  # of history; a day, with the usual hour
MAX_UNSEEN_BUCKETS = 5  # some failed polls; between looks further apart a version may have come and gone


@dataclass(frozen=True, slots=True)
class NamedFlow:
    """What the guide's calls do not tell about a flow."""

    id: str
    name: str
    type: str
    division: str


@dataclass(frozen=True, slots=True)
class _Look:
    """The versions of a flow, and the live one, as they were after `asked_at`."""

    versions: list[FlowVersion]
    live: FlowVersion | None
    asked_at: float


@dataclass(frozen=True, slots=True)
class _Known:
    """When a flow was last looked at, and which version was live when."""

    asked_at: float = -math.inf
    seen: tuple[Stint, ...] = ()
    dated: tuple[Stint, ...] = ()


def calls_per_poll(flows: int) -> int:
    """Requests of the exporter in each poll but the first, if every answer holds one metric only."""
    reads = 1 + READ_AGAIN_BUCKETS
    return flows + (flows + 1) * reads * 2


class Guide:
    """`genesys.dialect.GenesysCloud` in the dialect `guide`; what may be counted on is written there."""

    jobs = None  # the guide names none
    dependencies = None

    def __init__(self, session: Session, *, api_url: str, flows: Sequence[NamedFlow], bucket_s: int) -> None:
        """`bucket_s` is the length of the buckets that are polled, and so how often somebody looks at a flow."""
        self._session = session
        self._now = session.connection.clock.now
        self._api = f"{api_url}/api/v2"
        self._flows = {flow.id: flow for flow in flows}
        self._max_gap_s = MAX_UNSEEN_BUCKETS * bucket_s
        self._measures = Measures(session, api=self._api)
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._recalled: dict[str, tuple[Stint, ...]] = {}

    @property
    def rate_limit(self) -> RateLimit | None:
        return self._session.connection.rate_limit

    def close(self) -> None:
        self._session.connection.close()

    def evidence(self, start: int, end: int, *, bucket_s: int, flow_ids: Sequence[str] = ()) -> Evidence:
        """Of named flows, and of buckets in which one version is known to have been live all the time.

        More buckets than the longest window has are history: its figures come by
        the day (24 buckets) and are spread evenly, so that only sums are right.
        """
        self._begin(start, end, bucket_s)
        deadline = self._session.deadline()
        max_buckets = 1 if end - start <= SINGLE_BUCKETS * bucket_s else BUCKETS_PER_CALL
        found: dict[tuple[str, str], dict[int, Outcomes]] = {}
        for flow_id in [named for named in self._flows if not flow_ids or named in flow_ids]:
            stints = self._stints(flow_id, end, deadline)
            entity = Entity("flow", flow_id)
            for one in stretches(stints, start=start, end=end, bucket_s=bucket_s, max_buckets=max_buckets):
                figures = self._measures.read(
                    entity, one.start, one.end, data_end=end, bucket_s=bucket_s, deadline=deadline
                )
                buckets = range(one.start, one.end, bucket_s)
                for bucket, part in zip(buckets, figures.spread(len(buckets)), strict=True):
                    if part.volume:
                        found.setdefault((flow_id, one.version), {})[bucket] = part.outcomes()
        return Evidence(start, end, bucket_s, found, SIGNALS, is_spread=max_buckets > 1)

    def conversations(self, start: int, end: int, *, bucket_s: int) -> Mapping[int, tuple[int, int]]:
        self._begin(start, end, bucket_s)
        deadline = self._session.deadline()
        found: dict[int, tuple[int, int]] = {}
        for bucket in range(start, end, bucket_s):
            figures = self._measures.read(
                ORGANIZATION, bucket, bucket + bucket_s, data_end=end, bucket_s=bucket_s, deadline=deadline
            )
            found[bucket] = (figures.errors, figures.volume)
        return found

    def flows(self, *, published_after: float | None = None) -> list[Flow]:
        """The named flows that exist; one without a date may have been published at any time.

        Raises `Gone` if none exists: an organization that does not know these
        paths says the same.
        """
        deadline = self._session.deadline()
        found = []
        for named in self._flows.values():
            try:
                found.append(_flow(named, self._look(named.id, deadline)))
            except Gone as gone:
                missing = gone
        if not found:
            raise Gone(f"none of the named flows exists, or these paths do not: {missing.message}", missing.status)
        return [flow for flow in found if published_after is None or _is_after(flow.live_published_at, published_after)]

    def flow(self, flow_id: str) -> Flow:
        look = self._look(flow_id, self._session.deadline())
        named = self._flows.get(flow_id)
        if named is None:
            raise Gone(f"flow {flow_id} is not named under flows in organizations.yml")
        return _flow(named, look)

    def versions(self, flow_id: str) -> list[FlowVersion]:
        """All versions; one without dates gets those between which it was seen live, by this process or as recalled.

        They are never further apart than the true ones: a version that nobody has
        seen live has none.
        """
        look = self._look(flow_id, self._session.deadline())
        with self._lock:
            stints = (*self._recalled.get(flow_id, ()), *self._known.get(flow_id, _Known()).seen)
        return [version if version == look.live else _as_seen(version, stints) for version in look.versions]

    def configuration(self, flow_id: str, version: str) -> str | None:  # noqa: ARG002 - the guide has no such call
        return None

    def stints(self) -> Mapping[str, Sequence[Stint]]:
        with self._lock:
            known = dict(self._known)
        told = {
            flow_id: tuple(stint for stint in one.seen if stint.version != NO_VERSION and stint.start < stint.end)
            for flow_id, one in known.items()
        }
        return {flow_id: stints for flow_id, stints in told.items() if stints}

    def recall(self, stints: Mapping[str, Sequence[Stint]]) -> None:
        """Of named flows the newest. A look never continues what was recalled: nobody knows what lies between."""
        newest = {
            flow_id: tuple(sorted(told, key=lambda stint: stint.end)[-MOST_STINTS:])
            for flow_id, told in stints.items()
            if flow_id in self._flows
        }
        with self._lock:
            self._recalled = newest

    def publish(self, flow_id: str, version: str) -> Operation:
        url = f"{self._api}/architect/deployments/{_part(flow_id)}/versions/{_part(version)}"
        body = {"version": {"id": version, "description": DESCRIPTION}, "status": ACTIVE}
        answer = Answer(DEPLOYMENT, self._session.write(Request("PATCH", url, DEPLOYMENT, json=body)))
        status = answer.optional_text("status")
        complete = status == ACTIVE or answer.optional_flag("complete")
        return Operation(answer.optional_text("id") or f"{flow_id}/{version}", complete, status=status)

    def _begin(self, start: int, end: int, bucket_s: int) -> None:
        if end <= start or (end - start) % bucket_s:
            raise ValueError(f"[{start}, {end}) is not a whole number of buckets of {bucket_s} s")
        self._measures.forget_before(start, bucket_s=bucket_s)

    def _stints(self, flow_id: str, end: int, deadline: float) -> tuple[Stint, ...]:
        """Which version was live when, up to `end`; of a flow that does not exist (any more) nothing."""
        with self._lock:
            known = self._known.get(flow_id, _Known())
        if known.asked_at < end:
            try:
                self._look(flow_id, deadline)
            except Gone:
                return ()
            with self._lock:
                known = self._known.get(flow_id, known)
        with self._lock:
            recalled = self._recalled.get(flow_id, ())
        return (*recalled, *known.seen, *known.dated)

    def _look(self, flow_id: str, deadline: float) -> _Look:
        """Read the versions of a flow, and remember which one is live."""
        asked_at = self._now()
        told = [_version(answer) for answer in self._version_answers(flow_id, deadline)]
        active = [version for version, status in told if status == ACTIVE]
        if len(active) > 1:
            raise unexpected(VERSIONS, f"{len(active)} versions are active")
        look = _Look([version for version, _ in told], active[0] if active else None, asked_at)
        if flow_id in self._flows:
            self._remember(flow_id, look)
        return look

    def _remember(self, flow_id: str, look: _Look) -> None:
        live = look.live.id if look.live else None
        answered_at = self._now()
        with self._lock:
            known = self._known.get(flow_id, _Known())
            if look.asked_at < known.asked_at:
                return  # another thread has looked since
            self._known[flow_id] = _Known(
                look.asked_at,
                seen(known.seen, live, asked_at=look.asked_at, answered_at=answered_at, max_gap_s=self._max_gap_s),
                dated(look.versions, live, asked_at=look.asked_at),
            )

    def _version_answers(self, flow_id: str, deadline: float) -> Iterator[Answer]:
        """The versions: a list, or, as elsewhere in Genesys Cloud, pages of `entities`."""
        url = f"{self._api}/architect/flows/{_part(flow_id)}/versions"
        number, count = 1, 1
        while number <= count:
            params = {"pageNumber": number} if number > 1 else {}
            told = self._session.read(Request("GET", url, VERSIONS, params=params), deadline=deadline)
            entities = told.get("entities") if isinstance(told, dict) else told
            if not isinstance(entities, list):
                raise unexpected(VERSIONS, "no list of versions")
            yield from (Answer(VERSIONS, entity) for entity in entities)
            if isinstance(told, dict) and told.get("pageCount") is not None:
                count = Answer(VERSIONS, told).count("pageCount")
            number += 1


def _flow(named: NamedFlow, look: _Look) -> Flow:
    return Flow(
        id=named.id,
        name=named.name,
        type=named.type.lower(),
        division_id=named.division,
        division_name=named.division,
        active=True,
        deleted=False,
        live_version=look.live.id if look.live else None,
        live_published_at=look.live.published_at if look.live else None,
        published_by=None,
        locked_by=None,
        operation=None,
    )


def _version(answer: Answer) -> tuple[FlowVersion, str]:
    """A version and its status; its dates, if it has any, count only if it was published."""
    status = answer.text("status").lower()
    version = FlowVersion(
        id=answer.text("id"),
        debug=answer.optional_flag("debug"),
        published_at=answer.optional_moment("datePublished") if status in (ACTIVE, PUBLISHED) else None,
        published_until=answer.optional_moment("datePublishedEnd") if status == PUBLISHED else None,
        published_by=None,
    )
    return version, status


def _as_seen(version: FlowVersion, stints: Sequence[Stint]) -> FlowVersion:
    """A version that is not live, with the dates of its last stint if it has none of its own."""
    own = merged([stint for stint in stints if stint.version == version.id])
    if not own or version.published_at is not None or version.published_until is not None:
        return version
    stint = max(own, key=lambda one: one.end)
    return replace(version, published_at=stint.start, published_until=stint.end)


def _is_after(published_at: float | None, time: float) -> bool:
    return published_at is None or published_at > time


def _part(text: str) -> str:
    """A foreign id as one part of a path, and never more."""
    return quote(text, safe="")
