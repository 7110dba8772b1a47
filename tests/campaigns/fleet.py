"""A fleet of real receiver processes on one database, which may be killed, stopped and started again at any moment.

Each is the whole program (`rollback-receiver serve`) with its HTTP server, threads and store. A start takes about a
tenth of a second, because it is forked from a process that has imported everything; a kill is a real SIGKILL to the
program and the worker process that its server has started.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import certifi
import httpx
import yaml

from demo.processes import ROOT, answers, free_ports, wait_until
from tests.campaigns.seams import Stop, stopped, windows_s

SECRETS = {"alertmanager": "token-of-the-alertmanager", "operator": "token-of-the-operator"}
READY_WITHIN_S = 60.0  # on a machine that is busy with something else


class _Zygote:
    """The process that forks; may be asked by several threads."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.campaigns.zygote"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is not for it: it ends the receivers when we are gone
        )
        self._lock = threading.Lock()

    def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def end(self) -> None:
        self._process.communicate()  # closes its standard input, and waits


@dataclass
class Member:
    """One receiver of a fleet: where it answers, and the process that it is now, if it is one."""

    name: str
    address: str
    log: Path
    config: Path
    clock_offset_s: float = 0.0
    pid: int | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def clock_error_s(self) -> float:
        """By how much its clock is ahead of ours, as its HTTP server tells the time."""
        answer = httpx.get(f"{self.url}/-/healthy", timeout=10)
        return parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()

    def stopped_itself(self) -> bool:
        """Is it at the moment at which it was to stop?"""
        return stopped(self.log)

    def windows_s(self) -> list[float]:
        """Of each publish, the time between its durable permit and its first byte."""
        return windows_s(self.log)


class Fleet:
    """Receivers that differ in their address and their clock. Members may be started and killed by any thread."""

    def __init__(
        self, folder: Path, *, organizations: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], count: int
    ) -> None:
        """`settings` is `receiver.yml` but for address and tokens; `organizations` as in `organizations.yml`."""
        self._folder = folder
        self._organizations = folder / "organizations.yml"
        self._organizations.write_text(yaml.safe_dump({"organizations": list(organizations)}))
        self.environ = {f"TOKEN_{role.upper()}": secret for role, secret in SECRETS.items()}
        # No HTTPS here, and to read the usual certificates thrice takes most of a start.
        self.environ |= {"SIMULATOR_SECRET": "simulator", "SSL_CERT_FILE": str(_one_certificate(folder))}
        self._zygote = _Zygote()
        ports = free_ports(count)
        self.members = [self._member(number, port, settings) for number, port in enumerate(ports, 1)]

    def start(self, member: Member, *, stop: Stop | None = None) -> None:
        """Begin to run; it answers a tenth of a second later. With `stop` it will stop itself there."""
        files = ["--organizations", str(self._organizations), "--config", str(member.config)]
        start = {
            "arguments": ["serve", *files],
            "log": str(member.log),
            "environ": self.environ,
            "clock_offset_s": member.clock_offset_s,
            "stop": None if stop is None else stop.value,
        }
        with member.lock:
            assert member.pid is None, f"{member.name} runs already"
            member.pid = self._zygote.ask({"start": start})["pid"]

    def kill(self, member: Member) -> None:
        """SIGKILL; on return nothing is left of it, so that it may be started again."""
        with member.lock:
            if member.pid is not None:
                os.killpg(member.pid, signal.SIGKILL)
                self._zygote.ask({"reap": member.pid})
                member.pid = None

    def restart(self, member: Member) -> None:
        self.kill(member)
        self.start(member)

    def send(self, member: Member, number: signal.Signals) -> None:
        """SIGSTOP or SIGCONT to all of it."""
        with member.lock:
            if member.pid is not None:
                os.killpg(member.pid, number)

    def await_ready(self, members: Sequence[Member] | None = None) -> None:
        """Return when each of these members, or every one, does its work."""
        for member in self.members if members is None else members:
            wait_until(partial(answers, f"{member.url}/-/ready"), member.name, within_s=READY_WITHIN_S)

    def faults_of_the_program(self) -> list[str]:
        """What the logs tell of exceptions that nobody expected: the line before each traceback."""
        return [
            f"{member.name}: {before}"
            for member in self.members
            if member.log.exists()
            for before, line in pairwise(member.log.read_text().splitlines())
            if line.startswith("Traceback")
        ]

    def close(self) -> None:
        for member in self.members:
            self.kill(member)
        self._zygote.end()

    def _member(self, number: int, port: int, settings: Mapping[str, Any]) -> Member:
        name = f"receiver-{number}"
        address = f"127.0.0.1:{port}"
        config = self._folder / f"{name}.yml"
        tokens = [{"name": role, "roles": [role], "token_env": f"TOKEN_{role.upper()}"} for role in SECRETS]
        config.write_text(yaml.safe_dump({"listen": address, "tokens": tokens, **settings}))
        return Member(name, address, self._folder / f"{name}.log", config)


@contextmanager
def fleet(folder: Path, **options: Any) -> Iterator[Fleet]:
    """A fleet of which nothing is left afterwards; nobody is started yet."""
    made = Fleet(folder, **options)
    try:
        yield made
    finally:
        made.close()


def _one_certificate(folder: Path) -> Path:
    first, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    file = folder / "ca.pem"
    file.write_text(first + end)
    return file
