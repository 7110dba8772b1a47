"""What Genesys Cloud tells of versions: dates, contents, and which flows were published since a time."""

from collections.abc import Iterator, Mapping

from genesys.errors import Gone, NotAllowed, Refused
from genesys.flows import Flow, FlowVersion
from receiver.doctor.cloud import Cloud
from receiver.doctor.examination import Found, Step, not_proved, proved
from receiver.doctor.reaching import FLOWS

FLOWS_LOOKED_AT = 5  # each is two calls or three; one flow may be an exception
_DIGESTS = "let pipelines register their deployments with digests (POST /deployments): those tell what is the same"


def steps(cloud: Cloud) -> list[Step]:
    return [
        Step("dates of versions", lambda: _dates(cloud), needs=FLOWS),
        Step("contents of versions", lambda: _contents(cloud), needs=FLOWS),
        Step("publishedAfter", lambda: _published_after(cloud), needs=FLOWS),
    ]


def _dates(cloud: Cloud) -> Found:
    flows = _versions_of_some(cloud)
    dated = sum(1 for flow, versions in flows if _is_dated(flow, versions))
    several = sum(1 for _, versions in flows if len(versions) > 1)
    if dated < len(flows):
        cure = "set timing.flows_s in receiver.yml to 60: without dates the bridge knows only what it has seen live"
        return not_proved(f"the versions of {len(flows) - dated} of {len(flows)} flows have no dates", cure)
    seen = f"the live versions of {dated} flows have datePublished"
    return proved(seen) if several else not_proved(f"{seen}; none has an earlier version", "publish a flow twice")


def _contents(cloud: Cloud) -> Found:
    flow, label = next((flow, flow.live_version or "") for flow in cloud.live)
    try:
        told = cloud.probe.configuration(flow.id, label)
    except (Gone, NotAllowed, Refused) as problem:
        return not_proved(f"not given to this client: {problem}", _DIGESTS)
    if not told:
        return not_proved("given, and empty", _DIGESTS)
    places = sorted({place for place, text in _texts(told) if text == label})
    if places:
        seen = f"given, but with the version's own label ({label}) as {', '.join(places)}: no two are ever the same"
        return not_proved(seen, _DIGESTS)
    return proved("given, without the version's own label: versions that are the same can be known as such")


def _published_after(cloud: Cloud) -> Found:
    dates = [flow.live_published_at for flow in cloud.live if flow.live_published_at is not None]
    if not dates:
        return not_proved("no flow has a date", "nothing: the list of flows is read whole")
    every = cloud.probe.flow_count()
    try:
        later = cloud.probe.flow_count(published_after=max(dates) + 1)  # after the newest: none is to be expected
    except Refused as problem:
        return not_proved(f"refused: {problem}", "nothing: the list of flows is read whole, which costs a call for 500")
    if later < every:
        return proved(f"limits the list: {later} of {every} flows")
    return not_proved(f"ignored: all {every} flows are listed", "nothing: what was not published is seen to be old")


def _versions_of_some(cloud: Cloud) -> list[tuple[Flow, list[FlowVersion]]]:
    return [(flow, cloud.genesys.versions(flow.id)) for flow in cloud.live[:FLOWS_LOOKED_AT]]


def _is_dated(flow: Flow, versions: list[FlowVersion]) -> bool:
    return any(version.id == flow.live_version and version.published_at is not None for version in versions)


def _texts(value: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a JSON document, after its place; keys are none."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(part, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part, f"{place}[]")
