"""Two real Alertmanagers in a cluster, with the shipped configuration in time-lapse; the way between may be cut.

All that one says to the other, datagrams and connections, goes through an address that it gives for its own.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from demo.lapse import shorten_file
from demo.processes import ROOT, TOOLS, Process, free_ports, wait_until
from tests.campaigns.clouds import FACTOR
from tests.campaigns.fleet import SECRETS
from tests.campaigns.post import Carried, Post
from tests.campaigns.ways import DatagramWay, Way

NAMES = ("a", "b")
LASTS_S = 3600.0  # of what fires, and of a silence: until somebody ends it
SOON_S = 300.0  # a second or two, on a machine with nothing else to do
TOKEN_FILE = "rollback-receiver.token"  # as alertmanager.yml names it

# So that a partition and its end are noticed within seconds, whatever else this machine does.
GOSSIP = {
    "gossip-interval": "50ms",
    "pushpull-interval": "1s",
    "probe-interval": "1s",
    "probe-timeout": "500ms",
    "peer-timeout": "1s",
    "tcp-timeout": "2s",
    "settle-timeout": "5s",
    "reconnect-interval": "500ms",
}
WATCHDOG = {"alertname": "GenesysWatchdog", "severity": "none", "genesys_action": "watchdog"}

Labels = Mapping[str, str]


@dataclass
class Peer:
    """One of them: its API, what it delivers, and its process."""

    name: str
    url: str
    post: Post
    process: Process

    def fire(self, labels: Labels, starts_at: float, annotations: Labels) -> None:
        """As Prometheus tells it of an alert."""
        self._tell(labels, starts_at, starts_at + LASTS_S, annotations)

    def end(self, labels: Labels, starts_at: float) -> None:
        """As Prometheus tells it that an alert is over."""
        self._tell(labels, starts_at, time.time(), {})

    def silence(self, flow_id: str) -> str:
        """Silence the alerts of a flow; gives the id."""
        now = time.time()
        matcher = {"name": "flow_id", "value": flow_id, "isRegex": False, "isEqual": True}
        wanted = {
            "matchers": [matcher],
            "startsAt": _rfc3339(now),
            "endsAt": _rfc3339(now + LASTS_S),
            "createdBy": "voice-team",
            "comment": "we are on it",
        }
        return str(self.call("POST", "silences", wanted)["silenceID"])

    def knows_silence(self, silence_id: str) -> bool:
        return silence_id in {one["id"] for one in self.call("GET", "silences")}

    @property
    def deliveries(self) -> list[Carried]:
        """Those about flows: the watchdog's are left out."""
        return [one for one in list(self.post.carried) if one.firing or one.over]

    def delivered(self, flow_id: str, *, firing: bool, since: float) -> bool:
        """Has it told a receiver, since then, that the flow's alert fires, or is over?"""
        return any(flow_id in (one.firing if firing else one.over) for one in self.deliveries if one.ended >= since)

    def call(self, method: str, path: str, body: object = None) -> Any:
        answer = httpx.request(method, f"{self.url}/api/v2/{path}", json=body, timeout=10)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def _tell(self, labels: Labels, starts_at: float, ends_at: float, annotations: Labels) -> None:
        told = {"labels": labels, "annotations": annotations}
        self.call("POST", "alerts", [told | {"startsAt": _rfc3339(starts_at), "endsAt": _rfc3339(ends_at)}])


@dataclass
class Cluster:
    """Both of them, and the ways between them."""

    peers: tuple[Peer, Peer]
    tcp: Sequence[Way]
    udp: Sequence[DatagramWay]

    def cut(self) -> None:
        """From now on neither hears the other."""
        for datagrams in self.udp:
            datagrams.is_cut = True
        for connections in self.tcp:
            connections.cut()

    def heal(self) -> None:
        """Both are one cluster again on return."""
        for datagrams in self.udp:
            datagrams.is_cut = False
        for connections in self.tcp:
            connections.open()
        self.await_whole()

    def await_whole(self) -> None:
        for peer in self.peers:
            wait_until(lambda at=peer: _is_whole(at), f"{peer.name} has its peer", within_s=SOON_S)  # type: ignore[misc]


def urls() -> dict[str, str]:
    """Where the two will listen."""
    return {name: f"http://127.0.0.1:{port}" for name, port in zip(NAMES, free_ports(len(NAMES)), strict=True)}


@contextmanager
def cluster(folder: Path, at: Mapping[str, str], receivers: Mapping[str, str]) -> Iterator[Cluster]:
    """Both run and have met on entry; each delivers to every receiver. `at` are their own URLs."""
    own, shown = (dict(zip(NAMES, free_ports(len(NAMES)), strict=True)) for _ in range(2))
    with ExitStack() as opened:
        tcp = [opened.enter_context(Way(("127.0.0.1", own[name]), port=shown[name])) for name in NAMES]
        udp = [opened.enter_context(DatagramWay(("127.0.0.1", own[name]), port=shown[name])) for name in NAMES]
        peers = []
        for name, other in (NAMES, NAMES[::-1]):
            post = opened.enter_context(Post(receivers))
            _write_configuration(folder / f"{name}.yml", [post.url_to(receiver) for receiver in receivers])
            command = _command(folder, name, at[name], own[name], shown[name], shown[other])
            process = Process(name, command, folder=folder, environ={})
            process.start()
            opened.callback(process.end)
            peers.append(Peer(name, at[name], post, process))
        made = Cluster((peers[0], peers[1]), tcp, udp)
        for peer in peers:
            peer.process.await_ready(f"{peer.url}/-/ready", within_s=SOON_S)
            peer.fire(WATCHDOG, time.time(), {})
        made.await_whole()
        yield made


def _is_whole(peer: Peer) -> bool:
    status = peer.call("GET", "status")["cluster"]
    return bool(status["status"] == "ready" and len(status["peers"]) == len(NAMES))


def _write_configuration(file: Path, hooks: Sequence[str]) -> None:
    """The shipped one, whose one receiver of rollback alerts is each of ours."""
    (file.parent / TOKEN_FILE).write_text(SECRETS["alertmanager"])
    shorten_file(ROOT / "alert_rules" / "alertmanager.yml", file, FACTOR)
    content = yaml.safe_load(file.read_text())
    shipped = next(one for one in content["receivers"] if one["name"] == "rollback-receiver")
    (webhook,) = shipped["webhook_configs"]
    shipped["webhook_configs"] = [webhook | {"url": hook} for hook in hooks]
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def _command(folder: Path, name: str, url: str, own: int, shown: int, other: int) -> list[str]:
    return [
        str(TOOLS / "alertmanager"),
        f"--config.file={folder / name}.yml",
        f"--storage.path={folder / name}",
        f"--web.listen-address={url.removeprefix('http://')}",
        f"--cluster.listen-address=127.0.0.1:{own}",
        f"--cluster.advertise-address=127.0.0.1:{shown}",
        f"--cluster.peer=127.0.0.1:{other}",
        *(f"--cluster.{option}={value}" for option, value in GOSSIP.items()),
    ]


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
