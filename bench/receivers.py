"""A receiver under measurement: the real program with its loop, its database and its threads."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from bench.post import TOKEN
from bench.processes import SECRET
from demo.processes import ROOT, Process, free_ports

OPERATOR = "token-of-the-operator"
ENVIRON = {**SECRET, "BENCH_TOKEN": TOKEN, "BENCH_OPERATOR": OPERATOR}


def organization(name: str, url: str, **more: Any) -> dict[str, Any]:
    """An entry of `organizations.yml`."""
    credentials = {"client_id": "simulator", "client_secret_env": "BENCH_SECRET"}
    return {"name": name, "api_url": url, "login_url": url, "credentials": credentials, **more}


@contextmanager
def receiver(
    folder: Path, organizations: Sequence[Mapping[str, Any]], database_url: str | None = None, **settings: Any
) -> Iterator[tuple[int, str]]:
    """It is ready; gives the process's id and its address. The folder is its own."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    tokens = [
        {"name": "alertmanager", "roles": ["alertmanager"], "token_env": "BENCH_TOKEN"},
        {"name": "operator", "roles": ["operator"], "token_env": "BENCH_OPERATOR"},
    ]
    usual = {
        "listen": address,
        "database_url": database_url or f"sqlite:///{folder / 'rollback.db'}",
        "tokens": tokens,
        "flows": [{"match": "*", "mode": "auto"}],
    }
    (folder / "organizations.yml").write_text(yaml.safe_dump({"organizations": list(organizations)}), encoding="utf-8")
    (folder / "receiver.yml").write_text(yaml.safe_dump(usual | settings), encoding="utf-8")
    files = ["--organizations", "organizations.yml", "--config", "receiver.yml"]
    command = [sys.executable, "-c", "from receiver.cli import main; main()", "serve", *files]
    process = Process("receiver", command, folder=folder, environ={**ENVIRON, "PYTHONPATH": str(ROOT)})
    process.start()
    try:
        process.await_ready(f"http://{address}/-/ready", within_s=120)
        yield process.pid, address
    finally:
        process.end()


@contextmanager
def counted_syncs(strace: str, pids: Sequence[int], log: Path) -> Iterator[list[int]]:
    """When the context is left, the list has the number of times that the processes synced SQLite's log meanwhile.

    A tracer slows them down: nothing else is measured then.
    """
    watched = [word for pid in pids for word in ("-p", str(pid))]
    command = [strace, "-f", "-y", "-qq", "-e", "trace=fsync,fdatasync", "-o", str(log), *watched]
    found: list[int] = []
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as tracer:
        _await_tracer(tracer, pids)
        yield found
        tracer.terminate()
    # A call that another thread interrupted has a second line, without the file.
    found.append(len(re.findall(r"\bf(?:data)?sync\(\d+<[^>]*-wal>", log.read_text(encoding="utf-8"))))


def _await_tracer(tracer: "subprocess.Popen[bytes]", pids: Sequence[int]) -> None:
    tasks = [task / "status" for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    until = time.monotonic() + 30
    while any("TracerPid:\t0\n" in task.read_text(encoding="ascii") for task in tasks):
        if tracer.poll() is not None or time.monotonic() > until:
            raise OSError("strace may not look at a program of the same user")
        time.sleep(0.02)
