"""A throw-away PostgreSQL for tests: a cluster in a temporary folder, reached over a Unix socket, without fsync."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("initdb", "pg_ctl", "postgres")
USER = "rollback"


def find_binaries() -> Path | None:
    """The folder with PostgreSQL's server programs: PATH, the distribution's places, `.tools`; the newest first."""
    in_path = shutil.which("initdb")
    places = [] if in_path is None else [Path(in_path).resolve().parent]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    places += sorted((ROOT / ".tools").glob("**/bin"))
    return next((place for place in places if all((place / tool).is_file() for tool in TOOLS)), None)


def _version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


@contextmanager
def running(binaries: Path) -> Iterator[str]:
    """A server that is up; gives the SQLAlchemy URL of its database `postgres`."""
    # Short, because the path of a Unix socket has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    as_user = _unprivileged(folder)
    try:
        binaries = _within_reach(binaries, as_user, folder)
        _run(as_user, binaries / "initdb", "-D", folder / "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off -c jit=off -c max_connections=50"
        _run(as_user, binaries / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://{USER}@/postgres?host={folder}"
        finally:
            _run(as_user, binaries / "pg_ctl", "-D", folder / "data", "-w", "-m", "immediate", "stop")
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


def _unprivileged(folder: Path) -> dict[str, object]:
    """PostgreSQL refuses to run as root: then it runs as somebody else, who owns the folder."""
    if os.geteuid() != 0:
        return {}
    owner = next(entry for entry in pwd.getpwall() if entry.pw_name in ("postgres", "nobody"))
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": [], "cwd": folder}


def _within_reach(binaries: Path, as_user: dict[str, object], folder: Path) -> Path:
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


def _run(as_user: dict[str, object], *command: str | Path) -> None:
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
