"""Many organizations at one receiver and one exporter, three of them in trouble: what that costs, and whom it delays.

One that accepts connections and never answers, one that refuses them, one that answers 429 to everything. Those that
have an incident share one simulated Genesys Cloud, which does not know who asks: it is another organization for each of
them. All others share one that answers at once.
"""

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.exporter import exporter_of
from bench.figures import Section, Sheet
from bench.live import ANALYTICS, SETTINGS, ask, deploy, simulator
from bench.post import alert, deliver_one, payload_of
from bench.processes import cpu_s, family, memory_mb, program
from bench.receivers import organization, receiver
from bench.scraping import Durations, get
from demo.processes import wait_until

MOST_TO_PUBLISH_S, MOST_CALLS_PER_MIN = 5.0, 6.0
BAD = "14.0"
SHOWS_AFTER_S = 8.0  # simulated minutes: by then the flows that were deployed have failed clearly

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    organizations: int = 200
    flows: int = 50
    incidents: int = 10  # each in an organization of its own
    every_s: float = 3.0  # from one to the next: the simulator has to bear them, too
    idle_s: float = 60.0
    within_s: float = 120.0
    interval_s: float = 60.0
    polls: int = 2


QUICK = Plan(organizations=5, flows=3, incidents=1, idle_s=1.0, interval_s=2.0)


def measure(plan: Plan, say: Say) -> Section:
    sheet = Sheet("Organizations")
    of = f"{plan.organizations} organizations"
    with _hanging() as hangs, _refusing() as refuses:
        say(f"{of}: one exporter")
        _exporter(sheet, of, plan, [hangs, refuses])
        say(f"{of}: one receiver")
        _receiver(sheet, of, plan, hangs, refuses)
    sheet.note(f"{plan.flows} flows each; three are in trouble: one hangs, one refuses, one answers 429 to everything")
    return sheet.done()


def _exporter(sheet: Sheet, of: str, plan: Plan, broken: Sequence[str]) -> None:
    names = [f"org-{number}" for number in range(plan.organizations - len(broken))]
    with program("-m", "bench.cloud", str(plan.flows), says=r"listening on (\S+)") as (_, cloud):
        places = [organization(name, cloud, timeout_s=5.0, deadline_s=10.0) for name in names]
        places += [organization(f"broken-{n}", url, timeout_s=5.0, deadline_s=10.0) for n, url in enumerate(broken)]
        with exporter_of(places, plan.interval_s) as (pid, address):
            wait_until(lambda: _up(address) == len(names), "all are polled", within_s=plan.within_s, every_s=0.5)
            calls, spent, began = _calls(cloud), cpu_s([pid]), time.monotonic()
            time.sleep(plan.polls * plan.interval_s)
            lasted_s = time.monotonic() - began
            per_poll = (cpu_s([pid]) - spent) / (lasted_s / plan.interval_s)
            per_min = (_calls(cloud) - calls) / len(names) / (lasted_s / plan.interval_s)
            up = _up(address)
            sheet.add(f"{of}, exporter: up, of {len(names)} that answer", up, at_least=len(names))
            sheet.add(f"{of}, exporter: API calls of each per poll", per_min, at_most=MOST_CALLS_PER_MIN)
            sheet.add(f"{of}, exporter: CPU of a poll of all", per_poll, "s")
            sheet.add(f"{of}, exporter: memory", memory_mb([pid]), "MB")


def _receiver(sheet: Sheet, of: str, plan: Plan, hangs: str, refuses: str) -> None:
    flows = [f"flow-{number}" for number in range(plan.flows)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        limited = folder / "limited"
        limited.mkdir()
        with (
            simulator(folder, flows) as cloud,
            simulator(limited, flows[:1]) as throttled,
            program("-m", "bench.cloud", str(plan.flows), says=r"listening on (\S+)") as (_, quiet),
        ):
            ask("PUT", f"{throttled}/sim/faults", [{"kind": "throttle", "retry_after": 60}])
            asked: dict[str, Any] = {"timeout_s": 3.0, "deadline_s": 6.0, "analytics": ANALYTICS}
            trouble = {"hangs": hangs, "refuses": refuses, "limited": throttled}
            accused = [f"accused-{number}" for number in range(plan.incidents)]
            others = [f"org-{number}" for number in range(plan.organizations - len(trouble) - len(accused))]
            places = [organization(one, cloud, **asked) for one in accused]
            places += [organization(one, url, **asked) for one, url in trouble.items()]
            places += [organization(one, quiet) for one in others]
            timing = SETTINGS["timing"] | {"flows_s": 600.0, "ledger_s": 3600.0}
            with receiver(folder, places, **(SETTINGS | {"timing": timing})) as (pid, address):
                _await_calm(cloud, plan)
                pids, calls, spent = family(pid), _calls(quiet), cpu_s(family(pid))
                time.sleep(plan.idle_s)
                sheet.add(f"{of}, receiver: processors while nothing happens", (cpu_s(pids) - spent) / plan.idle_s)
                per_min = (_calls(quiet) - calls) / max(1, len(others)) / (plan.idle_s / 60)
                sheet.add(f"{of}, receiver: API calls of each a minute, meanwhile", per_min, at_most=MOST_CALLS_PER_MIN)
                took = _incidents(cloud, address, accused, [*trouble], flows, plan)
                sheet.add(f"{of}, receiver: memory", memory_mb(family(pid)), "MB")
    durations = Durations.of(took)
    told = "webhook received to publish sent"
    sheet.add(f"{of}: {told}, p50", durations.quantile(0.5) / 1000, "s")
    sheet.add(f"{of}: {told}, longest", durations.ms[-1] / 1000, "s", at_most=MOST_TO_PUBLISH_S)
    sheet.note(f"{len(took)} incidents, one every {plan.every_s:g} s, while those in trouble have an alert as well")


def _incidents(
    cloud: str, address: str, names: Sequence[str], trouble: Sequence[str], flows: Sequence[str], plan: Plan
) -> list[float]:
    """Seconds from each webhook to its first publish, as the simulator saw it."""
    accused = list(zip(names, flows, strict=False))
    deployed_at = time.time()
    for _, flow in accused:
        deploy(cloud, flow)
    time.sleep(SHOWS_AFTER_S)
    for org in trouble:
        deliver_one(address, payload_of(alert(org, flows[0], BAD, began=deployed_at)))
    sent_at: dict[str, float] = {}
    published: dict[str, float] = {}

    def look() -> bool:
        """The simulator's log has the newest requests only."""
        found = ask("GET", f"{cloud}/sim/requests")
        published.update({one["flow_id"]: one["at"] for one in found if one.get("publish")})
        return len(published) == len(accused)

    for org, flow in accused:
        sent_at[flow] = time.time()
        deliver_one(address, payload_of(alert(org, flow, BAD, began=deployed_at)))
        time.sleep(plan.every_s)
        look()
    wait_until(look, "all are rolled back", within_s=plan.within_s, every_s=0.5)
    return [published[flow] - at for flow, at in sent_at.items()]


def _await_calm(cloud: str, plan: Plan) -> None:
    """Until everything that is read at the start has been."""
    until, before = time.monotonic() + plan.within_s, -1
    while (now := _requests(cloud)) != before:
        if time.monotonic() > until:
            raise RuntimeError(f"the receiver still reads after {plan.within_s:g} s")
        before = now
        time.sleep(3.0)


def _requests(cloud: str) -> int:
    """Of the API so far."""
    return int(ask("GET", f"{cloud}/sim/state")["request_count"])


def _calls(url: str) -> int:
    return int(get(url.removeprefix("http://"), "/bench/calls"))


def _up(address: str) -> int:
    return sum(1 for line in get(address).splitlines() if line.startswith(b"genesys_up{") and line.endswith(b" 1.0"))


@contextmanager
def _hanging() -> Iterator[str]:
    """The URL of somebody who accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for one in kept:
            one.close()


@contextmanager
def _refusing() -> Iterator[str]:
    """The URL of somebody who refuses connections: the port is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
