"""A Genesys Cloud that answers at once with ready-made bytes: for measuring those who read them, and nothing else.

It counts the API calls that reach it, tokens left out: `GET /bench/calls`.
"""

import itertools
import json
import sys
from datetime import datetime
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from bench.organization import Organization

BUCKETS_S = {"PT1M": 60, "PT1H": 3600}


class Answers:
    """What the organization answers; made when first asked for, and kept while the same minutes are asked for."""

    def __init__(self, organization: Organization) -> None:
        self._organization = organization
        self.analytics = lru_cache(maxsize=6)(self._analytics)
        self.flows = lru_cache(maxsize=100)(organization.page_of_flows)

    def _analytics(self, subject: str, interval: str, granularity: str, group_by: frozenset[str]) -> bytes | bytearray:
        start, end = (int(datetime.fromisoformat(text).timestamp()) for text in interval.split("/"))
        bucket_s = BUCKETS_S[granularity]
        buckets = (end - start) // bucket_s
        if subject == "conversations":
            return self._organization.conversations(start, buckets, bucket_s)
        if "exitReason" not in group_by:
            return self._organization.entries(start, buckets, bucket_s)
        return self._organization.exits(start, buckets, bucket_s, by_target="transferType" in group_by)


def serve(organization: Organization) -> ThreadingHTTPServer:
    """A server on a free port of loopback that does not serve yet."""
    answers = Answers(organization)
    calls = itertools.count()
    counted = 0

    def count() -> None:
        nonlocal counted
        counted = next(calls) + 1  # one step, also of several threads

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/bench/calls":
                self._answer(str(counted).encode())
                return
            count()
            asked = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
            if "publishedAfter" in asked:
                self._answer(b'{"entities":[],"pageCount":0}')
            else:
                self._answer(answers.flows(int(asked["pageNumber"]), int(asked["pageSize"])))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.endswith("/oauth/token"):
                self._answer(b'{"access_token":"t","expires_in":86399}')
                return
            count()
            asked = json.loads(body)
            subject, group_by = self.path.split("/")[4], frozenset(asked.get("groupBy", ()))
            self._answer(answers.analytics(subject, asked["interval"], asked["granularity"], group_by))

        def _answer(self, body: bytes | bytearray) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


if __name__ == "__main__":
    server = serve(Organization(int(sys.argv[1])))
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
