"""A listener for the generic webhook: what people would have been told."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any


class Sink:
    """Takes every notification and keeps it, in the order of arrival."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._received: list[tuple[float, dict[str, Any]]] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with sink._lock:
                    sink._received.append((time.time(), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """The demo tells the story itself."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    @property
    def received_at(self) -> list[tuple[float, dict[str, Any]]]:
        """Every notification with the time of its arrival (Unix seconds)."""
        with self._lock:
            return list(self._received)

    @property
    def received(self) -> list[dict[str, Any]]:
        return [body for _, body in self.received_at]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
