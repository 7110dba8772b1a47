"""The exporter as a process beside an organization of N busy flows, and what people would write in its place.

All of it is measured in one run: time and size of a scrape, processor time of a poll, memory, API calls, and how they
grow with the number of flows.
"""

import gzip
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from bench.figures import Section, Sheet
from bench.processes import cpu_s, memory_mb, most_memory_mb, program
from bench.receivers import organization
from bench.scraping import Durations, get, timed
from exporter.config import FlowPolicy

GOAL_FLOWS = 5_000
MOST_SCRAPE_MS, MOST_POLL_CPU_S, MOST_MEMORY_MB, MOST_CALLS_PER_MIN = 20.0, 2.0, 200.0, 6.0
MOST_GROWTH = 1.3  # of what a flow costs, from one size to the next; the rest is the noise of the machine
POLLING = "an exporter that polls within the scrape"

CONFIG = """
listen: 127.0.0.1:0
poll_interval_s: {interval_s}
stale_after_s: 900
flows:
  - match: "*"
    watch: {watch}
"""
ONE_SIGNAL = ("error_exit",)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured. Polls come faster than once a minute; they read as much."""

    intervals_s: Mapping[int, float] = field(default_factory=lambda: {100: 1, 1_000: 2, 5_000: 6, 20_000: 20})
    every_signal: tuple[int, float] = (5_000, 8)
    polls: int = 10
    scrapes: int = 300
    library_scrapes: int = 5
    polling_scrapes: int = 2


QUICK = Plan({20: 1, 60: 1}, every_signal=(20, 1), polls=3, scrapes=10, library_scrapes=2, polling_scrapes=1)


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured with so many flows."""

    flows: int
    ready_s: float
    page_bytes: int
    gzip_bytes: int
    during_polls: Durations
    gzipped: Durations
    plain: Durations
    poll_cpu_s: float
    memory_mb: float
    most_memory_mb: float
    calls_at_start: int
    calls_per_poll: float
    library: Durations
    polling: Durations
    polling_calls: float


def measure(plan: Plan, say: Say) -> Section:
    found = []
    for flows, interval_s in plan.intervals_s.items():
        say(f"exporter: {flows} flows")
        found.append(_measure(flows, interval_s, plan))
    flows, interval_s = plan.every_signal
    say(f"exporter: {flows} flows, every signal that is watched by default")
    with_every_signal = _measure(flows, interval_s, plan, watch=sorted(FlowPolicy.model_fields["watch"].default))
    sheet = Sheet("Exporter")
    for each in found:
        _tell(sheet, each)
    for smaller, larger in pairwise(found):
        _tell_growth(sheet, smaller, larger)
    _tell_cost(sheet, f"{flows:,} flows, every signal watched: ", with_every_signal)
    return sheet.done()


def _measure(flows: int, interval_s: float, plan: Plan, *, watch: Sequence[str] = ONE_SIGNAL) -> Found:
    with program("-m", "bench.cloud", str(flows), says=r"listening on (\S+)") as (_, url):
        started = time.monotonic()
        with exporter(url, interval_s, watch) as (pid, address):
            _await_line(address, b"genesys_up{", flows=flows)
            ready_s = time.monotonic() - started
            _await_line(address, b"genesys_flow_baseline_ratio{", flows=flows)
            polls_before = _await_poll(address)
            at_start = _calls(url)
            since, lasts_s = time.monotonic(), plan.polls * interval_s
            during = timed(address, "gzip", goes_on=lambda _: time.monotonic() - since < lasts_s, every_s=0.05)
            polls = _await_poll(address) - polls_before
            calls = _calls(url) - at_start
            poll_cpu_s = _poll_cpu_s(pid, address, max(2, plan.polls // 2), interval_s)
            memory, most = memory_mb([pid]), most_memory_mb(pid)
            plain, zipped = get(address), get(address, encoding="gzip")
            if gzip.decompress(zipped).count(b"\n") != plain.count(b"\n"):
                raise RuntimeError("the compressed page is another one")
            in_a_row = [timed(address, each, goes_on=_so_many(plan.scrapes)) for each in ("gzip", "identity")]
            library = _rival("library", address, plan.library_scrapes)
        calls_before = _calls(url)
        polling = _rival("polling", url, plan.polling_scrapes)
        polling_calls = (_calls(url) - calls_before) / plan.polling_scrapes
    return Found(
        flows=flows,
        ready_s=ready_s,
        page_bytes=len(plain),
        gzip_bytes=len(zipped),
        during_polls=during,
        gzipped=in_a_row[0],
        plain=in_a_row[1],
        poll_cpu_s=poll_cpu_s,
        memory_mb=memory,
        most_memory_mb=most,
        calls_at_start=at_start,
        calls_per_poll=calls / polls,
        library=library,
        polling=polling,
        polling_calls=polling_calls,
    )


@contextmanager
def exporter(url: str, interval_s: float, watch: Sequence[str] = ONE_SIGNAL) -> Iterator[tuple[int, str]]:
    place = organization("large", url, timeout_s=120.0, deadline_s=240.0)
    with exporter_of([place], interval_s, watch) as started:
        yield started


@contextmanager
def exporter_of(
    places: Sequence[Mapping[str, Any]], interval_s: float, watch: Sequence[str] = ONE_SIGNAL
) -> Iterator[tuple[int, str]]:
    """An exporter of these organizations; gives the process's id and its address."""
    with tempfile.TemporaryDirectory() as folder:
        organizations, config = Path(folder, "organizations.yml"), Path(folder, "exporter.yml")
        organizations.write_text(yaml.safe_dump({"organizations": list(places)}), encoding="utf-8")
        config.write_text(CONFIG.format(interval_s=interval_s, watch=json.dumps(watch)), encoding="utf-8")
        files = ("--organizations", str(organizations), "--config", str(config))
        command = ("-c", "from exporter.cli import main; main()", *files)
        with program(*command, says=r"listening address=(\S+)") as (process, address):
            yield process.pid, address


def _rival(kind: str, place: str, scrapes: int) -> Durations:
    with program("-m", "bench.rivals", kind, place, says=r"listening on (\S+)") as (_, address):
        return timed(address, "gzip", goes_on=_so_many(scrapes))


def _so_many(number: int) -> Callable[[int], bool]:
    return lambda done: done < number


def _await_line(address: str, line: bytes, *, flows: int, within_s: float = 600.0) -> None:
    """Until all flows are on the page, and such a line too."""
    until = time.monotonic() + within_s
    while True:
        page = get(address)
        if line in page and page.count(b"genesys_flow_info{") == flows:
            return
        if time.monotonic() > until:
            raise RuntimeError(f"no {line!r} with {flows} flows within {within_s:g} s")
        time.sleep(0.2)


def _calls(url: str) -> int:
    return int(get(url.removeprefix("http://"), "/bench/calls"))


def _poll_cpu_s(pid: int, address: str, intervals: int, interval_s: float) -> float:
    """Processor time of a poll while nobody scrapes; raises RuntimeError if there was not one in each interval."""
    polls, before = _await_poll(address), cpu_s([pid])
    time.sleep(intervals * interval_s)
    spent = cpu_s([pid]) - before
    if _polls(address) - polls < intervals - 1:
        raise RuntimeError(f"fewer polls than one in {interval_s:g} s")
    return spent / intervals


def _await_poll(address: str) -> int:
    """Number of polls so far, right after the last call of one of them."""
    polls = _polls(address)
    while (now := _polls(address)) == polls:
        time.sleep(0.02)
    return now


def _polls(address: str) -> int:
    """So often have conversations been asked for: the last call of each poll."""
    found = re.findall(rb'genesys_api_requests_total{.*"analytics/conversations/.*"} (\S+)', get(address))
    return sum(int(float(each)) for each in found)


def _tell(sheet: Sheet, found: Found) -> None:
    goal = found.flows == GOAL_FLOWS
    of = f"{found.flows:,} flows: "
    during, zipped, plain = found.during_polls, found.gzipped, found.plain
    sheet.add(f"{of}page", found.page_bytes / 1e6, "MB")
    sheet.add(f"{of}page, gzip", found.gzip_bytes / 1e6, "MB")
    sheet.add(f"{of}scrape p50, gzip, polls included", during.quantile(0.5), "ms")
    sheet.add(
        f"{of}scrape p99, gzip, polls included",
        during.quantile(0.99),
        "ms",
        at_most=MOST_SCRAPE_MS if goal else None,
    )
    sheet.add(f"{of}scrape p50, gzip, one after the other", zipped.quantile(0.5), "ms")
    sheet.add(f"{of}scrape p99, gzip, one after the other", zipped.quantile(0.99), "ms")
    sheet.add(f"{of}scrape p50, identity", plain.quantile(0.5), "ms")
    sheet.add(f"{of}scrape p99, identity", plain.quantile(0.99), "ms")
    sheet.add(f"{of}scrape p50, prometheus_client's generate_latest, gzip", found.library.quantile(0.5), "ms")
    sheet.add(f"{of}scrape p50, {POLLING}, gzip", found.polling.quantile(0.5), "ms")
    sheet.add(f"{of}generate_latest / ours", found.library.quantile(0.5) / zipped.quantile(0.5), "×")
    sheet.add(f"{of}polling within the scrape / ours", found.polling.quantile(0.5) / zipped.quantile(0.5), "×")
    sheet.add(f"{of}CPU of a poll", found.poll_cpu_s, "s", at_most=MOST_POLL_CPU_S if goal else None)
    sheet.add(f"{of}memory after the polls", found.memory_mb, "MB")
    sheet.add(f"{of}memory at most", found.most_memory_mb, "MB", at_most=MOST_MEMORY_MB if goal else None)
    sheet.add(f"{of}API calls at the start, the week of history included", found.calls_at_start)
    sheet.add(f"{of}API calls per poll, and so per minute", found.calls_per_poll, at_most=MOST_CALLS_PER_MIN)
    # Two Prometheus servers, each of which scrapes every 15 s as shipped.
    sheet.add(f"{of}API calls per minute of {POLLING}", found.polling_calls * 8)
    sheet.add(f"{of}start until all flows are on the page", found.ready_s, "s")


def _tell_cost(sheet: Sheet, of: str, found: Found) -> None:
    sheet.add(f"{of}scrape p99, gzip, polls included", found.during_polls.quantile(0.99), "ms")
    sheet.add(f"{of}CPU of a poll", found.poll_cpu_s, "s")
    sheet.add(f"{of}memory at most", found.most_memory_mb, "MB")
    sheet.add(f"{of}API calls per poll, and so per minute", found.calls_per_poll, at_most=MOST_CALLS_PER_MIN)


def _tell_growth(sheet: Sheet, smaller: Found, larger: Found) -> None:
    """What a flow more costs, against what it cost before: 1 is linear, more than that is not."""
    between = f"from {smaller.flows:,} to {larger.flows:,} flows, "
    growth = larger.flows / smaller.flows
    told: Sequence[tuple[str, float, float]] = (
        ("page", smaller.page_bytes, larger.page_bytes),
        ("CPU of a poll", smaller.poll_cpu_s, larger.poll_cpu_s),
        ("memory at most", smaller.most_memory_mb, larger.most_memory_mb),
    )
    for what, before, after in told:
        at_most = MOST_GROWTH if smaller.flows >= 1_000 else None  # fewer cost next to nothing
        sheet.add(f"{between}growth of {what} / growth of flows", after / before / growth, "×", at_most=at_most)
