"""A page as the exporter serves it, for N flows and any number of signals, whose data advance: for measuring rules.

`python -m bench.page FLOWS SIGNALS MINUTE_S`: the first signal acts and has all windows, the others have the long ones
only, and those only where chance gives the flow so many bad minutes that the exporter tells them; a simulated minute
lasts MINUTE_S. Every hundredth flow fails, by all signals.
"""

import random
import sys
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench.organization import Organization
from exporter import metrics
from exporter.exposition import Lines, assemble, render
from exporter.metrics import Sample
from exporter.snapshot import ALL_WINDOWS, LEAST_BREACHED, LONG_WINDOWS
from genesys.evidence import WINDOWS

SIGNALS = (
    "error_exit",
    "routing_shift",
    "flow_disconnect",
    "caller_hangup",
    "stuck",
    "outcome_failed",
    "recognition",
    "action_failure",
    "action_slow",
)
ORG, VERSION = "large", "14.0"
CALLS_PER_MIN, ERROR_RATIO, FAILING_RATIO, THRESHOLD, BASELINE = 20, 0.02, 0.3, 0.05, 0.025
FAILS_EVERY = 100  # th flow
BAD_MINUTES_RATIO = 0.06  # two or more of 20 calls, at 2 %: six of 60 minutes in 15 %, eight in 3 % of the hours


def samples(flows: int, signals: Sequence[str], live_since: float) -> Iterator[Sample]:
    """Everything but when the data end."""
    chance = random.Random(1)
    for number, flow_id in enumerate(Organization(flows).flow_ids()):
        names = (f"Flow {flow_id[:8]}", "inboundcall", "d62836e8-ff2a-43ee-bcf6-dc9d8b9e89a0", "Home", "voice-team")
        yield metrics.FLOW_INFO, (ORG, flow_id, *names), 1
        yield metrics.FLOW_LIVE_SINCE, (ORG, flow_id, VERSION), live_since
        for signal in signals:
            acts, fails = signal == signals[0], number % FAILS_EVERY == 0
            breached = 60 if fails else sum(chance.random() < BAD_MINUTES_RATIO for _ in range(60))
            if not acts and breached < LEAST_BREACHED:
                continue
            yield metrics.FLOW_SIGNAL_ACTS, (ORG, flow_id, signal), acts
            yield metrics.FLOW_THRESHOLD_RATIO, (ORG, flow_id, signal), THRESHOLD
            yield metrics.FLOW_BASELINE_RATIO, (ORG, flow_id, signal), BASELINE
            for window in ALL_WINDOWS if acts else LONG_WINDOWS:
                yield from _window((ORG, flow_id, VERSION, signal, window), breached, fails=fails)
        for window in LONG_WINDOWS:
            labels = (ORG, flow_id, VERSION, window)
            yield metrics.FLOW_ENTRIES, labels, CALLS_PER_MIN * WINDOWS[window]
            for reason in ("TRANSFER", "FLOW_ERROR_DISCONNECT"):
                yield metrics.FLOW_EXITS, (*labels, reason), CALLS_PER_MIN * WINDOWS[window]


def _window(labels: tuple[str, ...], breached: int, *, fails: bool) -> Iterator[Sample]:
    """`breached` minutes of the hour lie evenly in it."""
    minutes = WINDOWS[labels[-1]]
    volume = CALLS_PER_MIN * minutes
    yield metrics.FLOW_VOLUME, labels, volume
    yield metrics.FLOW_ERRORS, labels, int(volume * (FAILING_RATIO if fails else ERROR_RATIO))
    yield metrics.FLOW_BREACH_MINUTES, labels, minutes * breached // 60


def main(flows: int, signals: int, minute_s: float) -> None:
    lines: Lines = render(samples(flows, SIGNALS[:signals], time.time() - 60 * minute_s))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data_end = (time.time() // minute_s - 1) * minute_s
            now = render([(metrics.DATA_END, (ORG,), data_end), (metrics.UP, (ORG,), 1)])
            body = b"".join(assemble((*metrics.SNAPSHOT_METRICS, metrics.UP), [lines, now]))
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
