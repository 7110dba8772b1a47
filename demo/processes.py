"""Starting and ending the processes of a stack; each writes to a log file of its own."""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / ".tools" / "bin"  # `dev/install-tools` puts them there


class StackError(Exception):
    """A part of the stack did not start, or ended by itself; the text has the end of its log."""


# Below what Linux takes for outgoing connections (from 32768 on): there a port may be gone before a program listens.
_PORTS = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """So many TCP ports on loopback that were free a moment ago."""
    found: set[int] = set()
    while len(found) < count:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.add(port)
    return list(found)


def wait_until(ready: Callable[[], bool], what: str, *, within_s: float, every_s: float = 0.1) -> None:
    """Raises StackError if `ready` does not become true in time."""
    until = time.monotonic() + within_s
    while not ready():
        if time.monotonic() > until:
            raise StackError(f"{what}: not within {within_s:g} s")
        time.sleep(every_s)


def answers(url: str) -> bool:
    """True if a GET gives a 2xx."""
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


class Process:
    """One program of the stack, with everything it says in `log`."""

    def __init__(self, name: str, command: Sequence[str], *, folder: Path, environ: dict[str, str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = list(command)
        self._environ = os.environ | environ
        self._folder = folder
        self._open = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = self._open.enter_context(self.log.open("ab"))
        # In a session of its own, so that Ctrl-C reaches the one who ends the others in order.
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=self._environ,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def await_ready(self, url: str, *, within_s: float = 30) -> None:
        """Raises StackError if the program ends, or does not answer in time."""

        def ready() -> bool:
            if not self.running:
                raise StackError(f"{self.name} ended by itself:\n{self.tail()}")
            return answers(url)

        try:
            wait_until(ready, f"{self.name} at {url}", within_s=within_s)
        except StackError as problem:
            raise StackError(f"{problem}\n{self.tail()}") from None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the program itself; raises StackError when it does not run."""
        if self._process is None:
            raise StackError(f"{self.name} is not running")
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """A signal to the program and everything that it has started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL to the program and everything that it has started."""
        self.send(signal.SIGKILL)
        self._reap()

    def end(self, within_s: float = 5) -> None:
        """SIGTERM, and SIGKILL to what is left after a while."""
        self.send(signal.SIGTERM)
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(within_s)
            self.send(signal.SIGKILL)
        self._reap()

    def tail(self, lines: int = 15) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None
        self._open.close()
