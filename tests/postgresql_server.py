"""A throw-away PostgreSQL for tests: a cluster in a temporary folder, without fsync unless it is asked for."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("initdb", "pg_ctl", "postgres")
USER = "rollback"
_PORT = 5432  # without TCP no more than a part of the socket's name


def find_binaries() -> Path | None:
    """The folder with PostgreSQL's server programs: PATH, the distribution's places, `.tools`; the newest first."""
    in_path = shutil.which("initdb")
    places = [] if in_path is None else [Path(in_path).resolve().parent]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    places += sorted((ROOT / ".tools").glob("**/bin"))
    return next((place for place in places if all((place / tool).is_file() for tool in TOOLS)), None)


def _version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


@dataclass(frozen=True)
class Server:
    """A server that is up; `url` is the SQLAlchemy URL of its database `postgres`, over a Unix socket."""

    folder: Path
    port: int
    pg_ctl: Path
    as_user: dict[str, Any]
    options: str

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{USER}@/postgres?host={self.folder}&port={self.port}"

    @property
    def tcp_url(self) -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def start(self) -> None:
        """Up on return, with what a crash has left made good."""
        self._ctl("-l", self.folder / "log", "-o", self.options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Every connection is lost. In the mode `immediate` it is a crash: nothing is written on the way."""
        self._ctl("-m", mode, "stop")

    def restart(self) -> None:
        """Every connection is lost, as when a distribution updates the server; up again on return."""
        self._ctl("-m", "fast", "restart")

    def kill(self) -> None:
        """SIGKILL to every process, as when the memory is used up; gone on return, and may be started."""
        processes = self.processes()
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(map(_is_alive, processes)):
            time.sleep(0.01)

    def processes(self) -> list[int]:
        """The server's processes, the first one first."""
        parent = int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [parent, *map(int, children)]

    def _ctl(self, *arguments: str | Path) -> None:
        _run(self.as_user, self.pg_ctl, "-D", self.folder / "data", "-w", *arguments)


def _is_alive(pid: int) -> bool:
    """A zombie is not: nobody has asked yet how it ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@contextmanager
def running(binaries: Path) -> Iterator[str]:
    """The URL of a server, for whoever needs no more than its databases."""
    with serving(binaries) as server:
        yield server.url


@contextmanager
def serving(binaries: Path, *, tcp: bool = False, fsync: bool = False) -> Iterator[Server]:
    """A server that is up, on a Unix socket, and with `tcp` on a free port of 127.0.0.1 too.

    Only with `fsync` does it find again what it has committed after a crash of the machine.
    """
    # Short, because the path of a Unix socket has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    as_user = _unprivileged(folder)
    try:
        binaries = _within_reach(binaries, as_user, folder)
        _run(as_user, binaries / "initdb", "-D", folder / "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        port = _free_port() if tcp else _PORT
        addresses = "127.0.0.1" if tcp else "''"
        synced = "on" if fsync else "off"
        options = f"-k {folder} -p {port} -c listen_addresses={addresses} -c fsync={synced} -c jit=off"
        server = Server(folder, port, binaries / "pg_ctl", as_user, f"{options} -c max_connections=50")
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_database(server_url: str, name: str) -> Iterator[str]:
    """An empty database of a running server; gives its SQLAlchemy URL."""
    with psycopg.connect(server_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield server_url.replace("/postgres?", f"/{name}?")
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _unprivileged(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then it runs as somebody else, who owns the folder."""
    if os.geteuid() != 0:
        return {}
    owner = next(entry for entry in pwd.getpwall() if entry.pw_name in ("postgres", "nobody"))
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": [], "cwd": folder}


def _within_reach(binaries: Path, as_user: dict[str, Any], folder: Path) -> Path:
    """The same programs where the other user may run them: a project in root's home is closed to everybody else."""
    try:
        _run(as_user, binaries / "initdb", "--version")
    except PermissionError:
        usr, copy = ROOT / ".tools" / "root" / "usr", folder / "usr"
        # Without LLVM, a hundred megabytes that only a compiler of queries (jit) needs.
        shutil.copytree(usr / "lib", copy / "lib", symlinks=True, ignore=shutil.ignore_patterns("libLLVM*", "llvm*"))
        shutil.copytree(usr / "share" / "postgresql", copy / "share" / "postgresql", symlinks=True)
        programs = next((copy / "lib" / "postgresql").glob("*/bin"))
        libraries = ":".join(str(place) for place in (copy / "lib").glob("*-linux-gnu"))
        as_user["env"] = os.environ | {"LD_LIBRARY_PATH": libraries}
        return programs
    return binaries


def _run(as_user: dict[str, Any], *command: str | Path) -> None:
    # pg_ctl hands its standard streams on to the server, so a pipe would never end.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=120,
            **as_user,
        )
        if done.returncode != 0:
            output.seek(0)
            raise RuntimeError(f"{command[0]} failed:\n{output.read().decode(errors='replace')}")
