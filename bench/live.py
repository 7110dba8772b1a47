"""From the webhook to the good version, live and confirmed: a real receiver beside a simulated Genesys Cloud.

One incident after the other, each on a flow of its own, with a lockout that is over at once. A simulated minute lasts a
second, so that evidence comes quickly; the receiver's tick is the usual one. What Genesys Cloud itself takes to publish
is subtracted, as the simulator tells it.
"""

import json
import random
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from bench.figures import Section, Sheet
from bench.post import alert, deliver_one, payload_of
from bench.processes import program
from bench.receivers import OPERATOR, organization, receiver
from bench.scraping import Durations
from demo.processes import wait_until
from receiver.config import Timing

TICK_S = Timing().tick_s
MOST_S = 2.0 + TICK_S
ORG, GOOD, BAD = "bench", "13.0", "14.0"
FACTOR = 60.0
DAY_S = 86_400.0
BAD_RATIO, CALLS_PER_MIN = 0.9, 6.0
PUBLISH_S = (1.0, 3.0)  # real seconds
SEED = 1
AHEAD = 4  # versions that fail already when their alert has not come yet
SHOWS_AFTER_S = 8.0  # simulated minutes: by then every flow has failed clearly

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    incidents: int = 20
    within_s: float = 60.0  # each of them; on a machine that is busy with something else


QUICK = Plan(incidents=1)

# What is compared with the simulated past is in time-lapse too; what a process of this machine does is not.
TIMING = {
    "lockout_s": 0.1,
    "target_min_live_s": DAY_S / FACTOR,
    "flows_s": 600 / FACTOR,
    "ledger_s": 3600 / FACTOR,
    "ledger_keep_s": 90 * DAY_S / FACTOR,
    "probation_busy_s": 7200 / FACTOR,
    "probation_quiet_s": 14_400 / FACTOR,
    "probation_max_s": 14 * DAY_S / FACTOR,
}
ANALYTICS = {"bucket_s": 1, "settle_s": 1.0, "history_bucket_s": 60, "history_s": 2160}
SETTINGS: dict[str, Any] = {
    "timing": TIMING,
    "lockout_scope": "flow",
    "budget_per_org": 10_000,
    "common_cause_ratio": 0.9,
}


def measure(plan: Plan, say: Say) -> Section:
    sheet = Sheet("Alert to live")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flows = [f"flow-{number}" for number in range(plan.incidents)]
        with simulator(folder, flows) as cloud:
            place = organization(ORG, cloud, timeout_s=3.0, deadline_s=6.0, analytics=ANALYTICS)
            with receiver(folder, [place], **SETTINGS) as (_, address):
                say(f"alert to live: {plan.incidents} incident(s)")
                took = _incidents(cloud, address, flows, plan)
    durations = Durations.of(took)
    sheet.add("webhook received to confirmed, publish time subtracted, p50", durations.quantile(0.5) / 1000, "s")
    p95 = durations.quantile(0.95) / 1000
    sheet.add("webhook received to confirmed, publish time subtracted, p95", p95, "s", at_most=MOST_S)
    sheet.add("longest", durations.ms[-1] / 1000, "s")
    sheet.note(f"{plan.incidents} incident(s), one after the other; the tick is {TICK_S:g} s")
    return sheet.done()


def _incidents(cloud: str, address: str, flows: list[str], plan: Plan) -> list[float]:
    chance = random.Random(SEED)
    deployed_at: list[float] = []
    found = []
    for number, flow in enumerate(flows):
        # Not all at once: what fails everywhere is nobody's deployment, and is not rolled back.
        for next_one in flows[len(deployed_at) : number + AHEAD]:
            deployed_at.append(time.time())
            deploy(cloud, next_one)
        if number == 0:
            time.sleep(SHOWS_AFTER_S)
        # Neither the webhook nor the end of the publish keeps step with the receiver's ticks.
        ask("PUT", f"{cloud}/sim/settings", {"publish_time": FACTOR * chance.uniform(*PUBLISH_S), "effect_delay": 0.0})
        time.sleep(chance.uniform(0.0, TICK_S))
        found.append(_incident(cloud, address, flow, deployed_at[number], plan))
    return found


def deploy(cloud: str, flow: str) -> None:
    """A version of the flow that fails, by a client of its own."""
    event = {"event": "publish", "flow": flow, "version": BAD, "error_ratio": BAD_RATIO, "by": f"owner-of-{flow}"}
    ask("POST", f"{cloud}/sim/events", event)


def _incident(cloud: str, address: str, flow: str, deployed_at: float, plan: Plan) -> float:
    """Seconds from the webhook until the good version was read back, without those of the publish itself."""
    body = payload_of(alert(ORG, flow, BAD, began=deployed_at))
    sent_at = time.time()
    deliver_one(address, body)
    wait_until(
        lambda: _confirmed_at(address, flow) is not None, f"{flow} is rolled back", within_s=plan.within_s, every_s=0.2
    )
    confirmed_at = _confirmed_at(address, flow) or 0.0
    (publish,) = [one for one in ask("GET", f"{cloud}/sim/requests") if one.get("publish") and one["flow_id"] == flow]
    published_in_s: float = publish["effect_at"] - publish["at"]
    return confirmed_at - sent_at - published_in_s


def _confirmed_at(address: str, flow: str) -> float | None:
    """When the receiver had read back that the good version is live."""
    found = ask("GET", f"http://{address}/api/v1/rollbacks?flow_id={flow}")["rollbacks"]
    told = found[0]["confirmed_at"] if found else None
    return None if told is None else datetime.fromisoformat(told).timestamp()


@contextmanager
def simulator(folder: Path, flows: list[str]) -> Iterator[str]:
    """An organization in time-lapse; gives its URL."""
    versions = [
        {"version": "12.0", "published_ago": 9 * DAY_S},
        {"version": GOOD, "published_ago": 5 * DAY_S},
    ]
    scenario = {
        "description": "Healthy flows with few callers.",
        "flows": [
            {"id": flow, "name": flow, "type": "inboundcall", "calls_per_min": CALLS_PER_MIN, "versions": versions}
            for flow in flows
        ],
        "access": {"requests_per_min": 1_000_000, "tokens_per_min": 1_000_000},
        "settings": {"analytics_latency": 10.0, "analytics_jitter": 10.0, "analytics_late_ratio": 0.0},
        "conversation_error_ratio": 0.0,
    }
    file = folder / "bench.scenario.yml"
    file.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    options = ("--scenario", str(file), "--listen", "127.0.0.1:0", "--time-factor", str(FACTOR))
    command = ("-c", "from simulator.cli import main; main()", *options)
    with program(*command, says=r"listening on (\S+)") as (_, url):
        yield url


def ask(method: str, url: str, body: object = None) -> Any:
    """What a call with the operator's token answers."""
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=30) as answer:
        return json.load(answer)
