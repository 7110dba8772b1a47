"""The whole stack on free loopback ports: simulator, exporter, Prometheus, Alertmanager, receiver.

The demo tells its story, and the acceptance tests use it. Prometheus and
Alertmanager run the shipped files; with a factor above 1 every duration is
divided by it, in these files, in the settings of both programs and in the
simulator. Nothing else differs from real time.
"""

import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from demo.breaks import Break, break_files
from demo.lapse import shorten_duration, shorten_file
from demo.processes import ROOT, TOOLS, Process, free_ports
from demo.sink import Sink
from exporter.config import ExporterConfig
from genesys.organizations import Analytics
from receiver.config import Timing
from simulator import scenario

RULES = ROOT / "alert_rules"
ORG = "retail"
TOKEN_FILE = "rollback-receiver.token"  # noqa: S105 - the name that alertmanager.yml gives

# A call to another process on this machine does not become faster with the world that is simulated.
_REAL_TIME = frozenset({"call_timeout_s"})


@dataclass(frozen=True, slots=True)
class World:
    """What a stack is to show; durations in simulated seconds."""

    scenario: str = "bad-deploy"
    factor: float = 10.0
    seed: int = 1
    mode: str = "auto"
    receiver: dict[str, Any] = field(default_factory=dict)  # further keys of receiver.yml
    timing: dict[str, float] = field(default_factory=dict)
    analytics: dict[str, Any] = field(default_factory=dict)  # of organizations.yml
    switches: Mapping[str, str] = field(default_factory=dict)  # of the simulator, for facts that are unproven
    watch: Sequence[str] = ()  # signals in exporter.yml; without any, its default
    dialect: str = "platform"
    receivers: int = 1  # all named in Alertmanager, with one database
    broken: Break | None = None


class Stack:
    """A context manager: on entry everything runs and is ready, on exit nothing does."""

    def __init__(self, folder: Path, world: World) -> None:
        self.folder = folder
        self.world = world
        self.sink = Sink()
        self._client = httpx.Client(timeout=10)
        self.receivers = ["receiver", *(f"receiver-{number}" for number in range(2, world.receivers + 1))]
        self._parts = ["simulator", *self.receivers, "alertmanager", "prometheus", "exporter"]
        ports = dict(zip(self._parts, free_ports(len(self._parts)), strict=True))
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        self._addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        self.tokens = {"alertmanager": secrets.token_urlsafe(24), "operator": secrets.token_urlsafe(24)}
        self.processes: dict[str, Process] = {}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.sink.start()
        self._write_files()
        try:
            for name in self._parts:
                self.start(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes.values()):
            process.end()
        self.sink.stop()
        self._client.close()

    def start(self, name: str) -> None:
        """Start one part, or start it again, and wait until it is ready."""
        process = Process(name, self._command(name), folder=self.folder, environ={"DEMO_SECRET": "simulator"})
        self.processes[name] = process
        process.start()
        ready = {
            "simulator": "/sim/state",
            "alertmanager": "/-/ready",
            "prometheus": "/-/ready",
        }
        process.await_ready(self.urls[name] + ready.get(name, "/-/healthy"))

    def seconds(self, simulated_s: float) -> float:
        """Real seconds of a simulated stretch of time."""
        return simulated_s / self.world.factor

    # What the parts say --------------------------------------------------------------------------------------------

    def sim(self, method: str, path: str, body: object = None) -> Any:
        """The simulator's control API."""
        return self._json(method, f"{self.urls['simulator']}/sim/{path}", body)

    def api(self, method: str, path: str, body: object = None, *, receiver: str = "receiver") -> Any:
        """The API of a receiver, as an operator."""
        headers = {"Authorization": f"Bearer {self.tokens['operator']}"}
        return self._json(method, f"{self.urls[receiver]}/api/v1/{path}", body, headers)

    def prometheus(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query: `metric` with labels, and `value` [time, text]."""
        answer = self._client.get(f"{self.urls['prometheus']}/api/v1/query", params={"query": expression})
        answer.raise_for_status()
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result

    def alerts(self) -> list[dict[str, Any]]:
        """Alertmanager's alerts, suppressed ones included."""
        alerts: list[dict[str, Any]] = self._json("GET", f"{self.urls['alertmanager']}/api/v2/alerts")
        return alerts

    def alertmanager(self, method: str, path: str, body: object = None) -> Any:
        """Alertmanager's API v2."""
        return self._json(method, f"{self.urls['alertmanager']}/api/v2/{path}", body)

    def deliver(self, payload: object) -> Any:
        """What Alertmanager would send to the receiver, sent by ourselves."""
        headers = {"Authorization": f"Bearer {self.tokens['alertmanager']}"}
        return self._json("POST", f"{self.urls['receiver']}/api/v1/alerts", payload, headers)

    def publishes(self) -> list[dict[str, Any]]:
        """Every publish that reached the simulated Genesys Cloud over its API, oldest first."""
        log: list[dict[str, Any]] = self.sim("GET", "requests")
        return [one for one in log if one.get("publish")]

    def writes(self) -> list[dict[str, Any]]:
        """As `publishes`, with the writes of objects that are no flows."""
        log: list[dict[str, Any]] = self.sim("GET", "requests")
        return [one for one in log if one.get("publish") or one.get("object_write")]

    def _json(self, method: str, url: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
        answer = self._client.request(method, url, json=body, headers=headers)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    # Files and commands --------------------------------------------------------------------------------------------

    def _write_files(self) -> None:
        self._write("organizations.yml", self._organizations())
        self._write("exporter.yml", self._exporter())
        for name in self.receivers:
            self._write(f"{name}.yml", self._receiver(name))
        (self.folder / TOKEN_FILE).write_text(self.tokens["alertmanager"], encoding="utf-8")
        for name in ("rollback.rules.yml", "health.rules.yml", "prometheus.yml", "alertmanager.yml"):
            if self.world.factor == 1:
                (self.folder / name).write_bytes((RULES / name).read_bytes())
            else:
                shorten_file(RULES / name, self.folder / name, self.world.factor)
        if self.world.broken is not None:
            break_files(self.folder, self.world.broken)
        self._move_to_our_ports("prometheus.yml")
        self._move_to_our_ports("alertmanager.yml")
        self._name_every_receiver()

    def _move_to_our_ports(self, name: str) -> None:
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        shipped = {"exporter": 9742, "receiver": 9743, "prometheus": 9090, "alertmanager": 9093}
        for part, port in shipped.items():
            text = text.replace(f"127.0.0.1:{port}", self._addresses[part])
        path.write_text(text, encoding="utf-8")

    def _name_every_receiver(self) -> None:
        if len(self.receivers) == 1:
            return  # the file stays as it is shipped
        path = self.folder / "alertmanager.yml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        shipped = next(one for one in content["receivers"] if one["name"] == "rollback-receiver")
        (webhook,) = shipped["webhook_configs"]
        urls = [f"{self.urls[name]}/api/v1/alerts" for name in self.receivers]
        shipped["webhook_configs"] = [webhook | {"url": url} for url in urls]
        self._write("alertmanager.yml", content)

    def _write(self, name: str, content: object) -> None:
        (self.folder / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def _organizations(self) -> dict[str, Any]:
        usual = Analytics.model_validate(self.world.analytics)
        factor = self.world.factor
        organization: dict[str, Any] = {
            "name": ORG,
            "api_url": self.urls["simulator"],
            "login_url": self.urls["simulator"],
            "dialect": self.world.dialect,
            "credentials": {"client_id": "simulator", "client_secret_env": "DEMO_SECRET"},
            "analytics": {
                "bucket_s": round(usual.bucket_s / factor),
                "settle_s": usual.settle_s / factor,
                "history_bucket_s": round(usual.history_bucket_s / factor),
                "history_s": round(usual.history_s / factor),
                "outcomes": usual.outcomes,
                "transfers": usual.transfers,
                "data_actions": [
                    action.model_dump() | {"slow_s": action.slow_s / factor} for action in usual.data_actions
                ],
            },
        }
        if self.world.dialect == "guide":  # it cannot list its flows
            flows = scenario.load(self.world.scenario).flows
            organization["flows"] = [{"id": flow.id, "name": flow.name, "type": flow.type} for flow in flows]
        return {"organizations": [organization]}

    def _exporter(self) -> dict[str, Any]:
        usual = ExporterConfig()
        factor = self.world.factor
        return {
            "listen": self._addresses["exporter"],
            "poll_interval_s": usual.poll_interval_s / factor,
            "stale_after_s": usual.stale_after_s / factor,
            "baseline_interval_s": usual.baseline_interval_s / factor,
            "flows": [
                {"match": "*", "threshold_ratio": 0.05, "owner": "voice-team"}
                | ({"watch": list(self.world.watch)} if self.world.watch else {})
            ],
        }

    def _receiver(self, name: str) -> dict[str, Any]:
        usual = Timing().model_dump() | self.world.timing
        timing = {key: value if key in _REAL_TIME else value / self.world.factor for key, value in usual.items()}
        for role, token in self.tokens.items():
            (self.folder / f"{role}.secret").write_text(token, encoding="utf-8")
        database = name if self.world.broken is Break.LEASE else "rollback"
        return {
            "listen": self._addresses[name],
            "database_url": f"sqlite:///{self.folder / database}.db",
            "external_url": self.urls[name],
            "alertmanagers": [self.urls["alertmanager"]],
            "tokens": [{"name": role, "roles": [role], "token_file": f"{role}.secret"} for role in self.tokens],
            "webhooks": [{"name": "people", "url": self.sink.url}],
            "timing": timing,
            "flows": [{"match": "*", "mode": self.world.mode, "owner": "voice-team"}],
        } | self.world.receiver

    def _command(self, name: str) -> list[str]:
        def ours(module: str, *arguments: str) -> list[str]:
            return [sys.executable, "-m", module, *arguments]

        def lapsed(duration: str) -> str:
            return shorten_duration(duration, self.world.factor)

        world = self.world
        files = ["--organizations", "organizations.yml", "--config"]
        if name in self.receivers:
            patched = world.broken in (Break.READBACK, Break.EVIDENCE)
            receiver = ("demo.broken_receiver", str(world.broken)) if patched else ("receiver.cli",)
            return ours(*receiver, "serve", *files, f"{name}.yml")
        commands = {
            "simulator": ours(
                "simulator.cli",
                *("--scenario", world.scenario, "--listen", self._addresses["simulator"]),
                *("--time-factor", str(world.factor), "--seed", str(world.seed)),
                *(f"--switch={name}={value}" for name, value in world.switches.items()),
            ),
            "exporter": ours("exporter.cli", *files, "exporter.yml"),
            "prometheus": [
                str(TOOLS / "prometheus"),
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'prometheus'}",
                f"--web.listen-address={self._addresses['prometheus']}",
                # Prometheus' own defaults, in the same time-lapse.
                f"--rules.alert.resend-delay={lapsed('1m')}",
                f"--query.lookback-delta={lapsed('5m')}",
            ],
            "alertmanager": [
                str(TOOLS / "alertmanager"),
                f"--config.file={self.folder / 'alertmanager.yml'}",
                f"--storage.path={self.folder / 'alertmanager'}",
                f"--web.listen-address={self._addresses['alertmanager']}",
                "--cluster.listen-address=",  # a single instance opens no port on every address
            ],
        }
        return commands[name]
