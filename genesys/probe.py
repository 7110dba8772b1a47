"""What Genesys Cloud answers, as it answers it: for finding out what nobody has documented, and only by reading.

The programs never need it. Dialect `platform`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from genesys.access import Session
from genesys.aggregates import Query, iso
from genesys.answers import Answer, moment, unexpected
from genesys.http import Request

_POSTED_READS = frozenset(
    {
        "/oauth/token",
        "/api/v2/audits/query/realtime",
        *(f"/api/v2/analytics/{subject}/aggregates/query" for subject in ("flows", "conversations", "actions")),
    }
)


def is_read(request: Request) -> bool:
    """A GET, or what reads though it is sent by POST: the token, queries of analytics and audit; others may write."""
    return request.method == "GET" or (request.method == "POST" and urlsplit(request.url).path in _POSTED_READS)


@dataclass(frozen=True, slots=True)
class Counted:
    """One metric of one group in one bucket, with all keys that the group has; times are Unix seconds."""

    group: Mapping[str, str]
    start: float
    end: float
    metric: str
    count: int


class Probe:
    """One organization. Raises what `Session.read` raises."""

    def __init__(self, session: Session, *, api_url: str) -> None:
        self._session = session
        self._api = f"{api_url}/api/v2"

    def counted(self, query: Query) -> list[Counted]:
        """What aggregates tell of flows, or of the query's data actions, group by group; a view is a metric too."""
        endpoint = f"analytics/{'actions' if query.action_ids else 'flows'}/aggregates/query"
        asked = Request("POST", f"{self._api}/{endpoint}", endpoint, json=query.body())
        told = Answer(endpoint, self._session.read(asked, deadline=self._session.deadline()))
        return [one for result in told.items("results") for one in _counted(endpoint, result)]

    def configuration(self, flow_id: str, version: str) -> Mapping[str, object]:
        """What a version contains; what is in it is not documented."""
        endpoint = "flows/{id}/versions/{id}/configuration"
        path = f"flows/{quote(flow_id, safe='')}/versions/{quote(version, safe='')}/configuration"
        asked = Request("GET", f"{self._api}/{path}", endpoint)
        told = self._session.read(asked, deadline=self._session.deadline())
        if not isinstance(told, dict):
            raise unexpected(endpoint, "not an object")
        return told

    def flow_count(self, *, published_after: float | None = None) -> int:
        """How many flows there are, or how many of them the list has that were published after a time."""
        params: dict[str, str | int] = {"pageSize": 1, "pageNumber": 1}
        if published_after is not None:
            params["publishedAfter"] = iso(published_after)
        asked = Request("GET", f"{self._api}/flows", "flows", params=params)
        return Answer("flows", self._session.read(asked, deadline=self._session.deadline())).count("total")


def _counted(endpoint: str, result: Answer) -> list[Counted]:
    group = result.optional_object("group")
    keys = {} if group is None else group.texts()
    found = []
    for bucket in result.items("data"):
        start, end = _interval(endpoint, bucket.text("interval"))
        for kind, name in (("metrics", "metric"), ("views", "name")):
            for told in bucket.items(kind):
                stats = told.optional_object("stats")
                count = 0 if stats is None else stats.count("count")
                found.append(Counted(keys, start, end, told.text(name), count))
    return found


def _interval(endpoint: str, interval: str) -> tuple[float, float]:
    start, _, end = interval.partition("/")
    try:
        return moment(start), moment(end)
    except ValueError as error:
        raise unexpected(endpoint, "interval is not start/end") from error
