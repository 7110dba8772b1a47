"""The exporter as a process, beside an organization of N flows: CPU and memory of a poll, size and time of a scrape.

`python -m bench.exporter_process 5000`; Linux only, because it reads /proc.
"""

import gzip
import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCRAPES = 400
POLLS = 3
POLL_INTERVAL_S = 20

ORGANIZATIONS = """
organizations:
  - name: large
    api_url: {url}
    login_url: {url}
    credentials: {{client_id: bench, client_secret_env: BENCH_SECRET}}
    timeout_s: 120
    deadline_s: 240
    analytics: {{history_s: 86400}}
"""
CONFIG = f"listen: 127.0.0.1:0\npoll_interval_s: {POLL_INTERVAL_S}\nstale_after_s: 900\n"


@dataclass(frozen=True, slots=True)
class Scrapes:
    """Durations of scrapes in milliseconds, shortest first."""

    ms: list[float]

    def quantile(self, share: float) -> float:
        return self.ms[min(len(self.ms) - 1, int(share * len(self.ms)))]

    def __str__(self) -> str:
        p50, p99 = self.quantile(0.5), self.quantile(0.99)
        return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {self.ms[-1]:.1f} ms ({len(self.ms)} scrapes)"


@contextmanager
def program(*arguments: str, says: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A Python program, and what it says where it listens."""
    environ = {**os.environ, "BENCH_SECRET": "bench"}
    process = subprocess.Popen(
        [sys.executable, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ
    )
    try:
        for line in process.stdout or ():
            if found := re.search(says, line):
                yield process, found[1]
                return
        raise RuntimeError(f"{arguments} did not start")
    finally:
        process.kill()
        process.wait()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int, what: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(rf"{what}:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def scrape(address: str, encoding: str) -> bytes:
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", "/metrics", headers={"Accept-Encoding": encoding})
    body = connection.getresponse().read()
    connection.close()
    return body


def timed(address: str, encoding: str, *, goes_on: Callable[[int], bool], every_s: float = 0.0) -> Scrapes:
    ms: list[float] = []
    while goes_on(len(ms)):
        started = time.perf_counter()
        scrape(address, encoding)
        ms.append((time.perf_counter() - started) * 1000)
        time.sleep(every_s)
    return Scrapes(sorted(ms))


def measure(address: str, pid: int) -> None:
    """Says what it finds; the first poll has been published."""
    time.sleep(POLL_INTERVAL_S)  # the history is read after the first poll
    before, since = cpu_s(pid), time.monotonic()
    during = timed(address, "gzip", goes_on=lambda _: time.monotonic() - since < POLLS * POLL_INTERVAL_S, every_s=0.05)
    spent = cpu_s(pid) - before
    plain, zipped = scrape(address, "identity"), scrape(address, "gzip")
    if gzip.decompress(zipped).count(b"\n") != plain.count(b"\n"):
        raise RuntimeError("the compressed page is another one")
    print(f"page: {len(plain) / 1e6:.1f} MB plain, {len(zipped) / 1e6:.2f} MB gzip, {plain.count(bytes([10]))} lines")
    print(f"CPU per poll, with {len(during.ms) // POLLS} scrapes: {spent / POLLS:.2f} s")
    print(f"scrapes, polls included, gzip: {during}")
    for encoding in ("gzip", "identity"):
        print(f"one after the other, {encoding}: {timed(address, encoding, goes_on=lambda done: done < SCRAPES)}")
    print(f"memory: {memory_mb(pid, 'VmRSS'):.0f} MB, at most {memory_mb(pid, 'VmHWM'):.0f} MB")


def main(flows: int) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        program("-m", "bench.cloud", str(flows), says=r"listening on (\S+)") as (_, url),
    ):
        organizations, config = Path(folder, "organizations.yml"), Path(folder, "exporter.yml")
        organizations.write_text(ORGANIZATIONS.format(url=url), encoding="utf-8")
        config.write_text(CONFIG, encoding="utf-8")
        files = ("--organizations", str(organizations), "--config", str(config))
        start = ("-c", "from exporter.cli import main; main()")
        with program(*start, *files, says=r"listening address=(\S+)") as (it, address):
            began = time.monotonic()
            while scrape(address, "identity").count(b"genesys_flow_info{") < flows:
                time.sleep(0.5)
            print(f"{flows} flows; on the page {time.monotonic() - began:.1f} s after the start")
            measure(address, it.pid)


if __name__ == "__main__":
    main(int(sys.argv[1]))
