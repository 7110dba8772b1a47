"""Two exporters as people usually write them, over the same flows: what ours is measured against.

`python -m bench.rivals library ADDRESS`: the series that an exporter serves at ADDRESS, rendered by prometheus_client's
`generate_latest` at each scrape. `python -m bench.rivals polling URL`: asks the Genesys Cloud at URL within the scrape,
in the manner of the blueprint that Genesys publishes: a collector whose `collect` calls the API and then yields.
"""

import json
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, start_wsgi_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from bench.scraping import get

WINDOWS = {"1m": 1, "2m": 2, "5m": 5, "15m": 15, "60m": 60}
BAD = ("FLOW_ERROR_DISCONNECT", "FLOW_ERROR_EXIT")
PAGE_SIZE = 500


class Library(Collector):
    """Families that are there already: nothing is measured but the library."""

    def __init__(self, address: str) -> None:
        self._families = list(text_string_to_metric_families(get(address).decode()))

    def collect(self) -> Iterator[Metric]:
        yield from self._families


class Polling(Collector):
    """Everything at each scrape: flows, exits, entries; then errors and volume by flow, version and window."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._token: str = self._ask("/oauth/token", {})["access_token"]

    def collect(self) -> Iterator[Metric]:
        end = int(time.time() // 60 - 1) * 60
        info = GaugeMetricFamily("genesys_flow_info", "Names of a flow.", labels=("flow_id", "flow_name"))
        for flow in self._flows():
            info.add_metric((flow["id"], flow["name"]), 1)
        yield info
        labels = ("flow_id", "flow_version", "window")
        errors = GaugeMetricFamily("genesys_flow_errors", "Bad outcomes.", labels=labels)
        volume = GaugeMetricFamily("genesys_flow_volume", "Outcomes.", labels=labels)
        entries, exits = self._counted("nFlow", (), end), self._counted("tFlow", ("exitReason",), end)
        bad = {key: buckets for key, buckets in exits.items() if key[2] in BAD}
        for family, counted in ((volume, entries), (errors, bad)):
            for (flow_id, version, _), buckets in counted.items():
                for window, minutes in WINDOWS.items():
                    count = sum(found for start, found in buckets.items() if start >= end - minutes * 60)
                    family.add_metric((flow_id, version, window), count)
        yield from (errors, volume)

    def _flows(self) -> Iterator[dict[str, Any]]:
        number, pages = 1, 1
        while number <= pages:
            page = self._ask(f"/api/v2/flows?pageNumber={number}&pageSize={PAGE_SIZE}")
            pages, number = page["pageCount"], number + 1
            yield from page["entities"]

    def _counted(
        self, metric: str, group_by: tuple[str, ...], end: int
    ) -> dict[tuple[str, str, str | None], dict[int, int]]:
        interval = "/".join(datetime.fromtimestamp(at, UTC).isoformat() for at in (end - 3600, end))
        keys = ["flowId", "flowVersion", *group_by]
        asked = {"interval": interval, "granularity": "PT1M", "metrics": [metric], "groupBy": keys}
        answer = self._ask("/api/v2/analytics/flows/aggregates/query", asked)
        return {
            (one["group"]["flowId"], one["group"]["flowVersion"], one["group"].get("exitReason")): {
                int(datetime.fromisoformat(each["interval"].split("/")[0]).timestamp()): each["metrics"][0]["stats"][
                    "count"
                ]
                for each in one["data"]
            }
            for one in answer["results"]
        }

    def _ask(self, path: str, body: object = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self._url + path, data)) as answer:
            told: dict[str, Any] = json.load(answer)
        return told


def main(kind: str, place: str) -> None:
    registry = CollectorRegistry()
    collector: Collector = Library(place) if kind == "library" else Polling(place)
    registry.register(collector)
    server, thread = start_wsgi_server(0, "127.0.0.1", registry)
    print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
    thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
