"""The first hour as its readers have it: the marked commands of README and docs/install.md, and a shell that runs them.

A block of commands is marked by a comment in the line before it: `<!-- first hour: name -->`.
"""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import yaml

from demo.lapse import shorten_file
from demo.processes import ROOT
from demo.stack import RULES
from exporter.config import ExporterConfig
from genesys.organizations import Analytics
from receiver.config import Timing

DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "install.md")
PUBLISHED_AT = "https://github.com/genesys-rollback-bridge/genesys-rollback-bridge"

_MARKED = re.compile(r"<!-- first hour: ([a-z]+) -->\n```sh\n(.*?)```", flags=re.DOTALL)
_DONE = "::done"


def blocks() -> dict[str, str]:
    """The marked blocks by name, in the order in which a reader meets them."""
    found = [block for document in DOCUMENTS for block in _MARKED.findall(document.read_text(encoding="utf-8"))]
    assert len(dict(found)) == len(found), "a name is given twice"
    return dict(found)


class Shell:
    """One bash that stops at the first command that fails; whatever it has started ends with the context.

    It clones the commit that is checked out here instead of the published one.
    """

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        instead = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.file://{ROOT}.insteadOf",
            "GIT_CONFIG_VALUE_0": PUBLISHED_AT,
        }
        # A reader is in no virtual environment, and in no `make`, which would have the inner one say so.
        not_a_readers = ("PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS")
        ours = {name: value for name, value in os.environ.items() if not name.startswith(not_a_readers)}
        self.said = ""
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"],
            cwd=folder,
            env=ours | instead | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._bash.wait()
        for pipe in (self._bash.stdin, self._bash.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def run(self, commands: str, *, within_s: float) -> str:
        """What they say. Raises AssertionError with all of it if one of them fails, or if it takes too long."""
        code, said = self._send(f"{commands}\necho {_DONE} 0\n", within_s)
        assert code == 0, f"failed, or took longer than {within_s:g} s:\n{commands}\n{said}"
        return said

    def tried(self, commands: str, *, within_s: float) -> tuple[int, str]:
        """The exit code of a block that may fail, and what it says; it leaves nothing behind in the shell."""
        return self._send(f"set +e\n( set -e\n{commands}\n)\ncode=$?\nset -e\necho {_DONE} $code\n", within_s)

    def _send(self, text: str, within_s: float) -> tuple[int, str]:
        assert self._bash.stdin is not None
        timer = threading.Timer(within_s, self._end)
        timer.start()
        try:
            with suppress(BrokenPipeError):
                self._bash.stdin.write(text)
                self._bash.stdin.flush()
            said = []
            for line in self._lines():
                if line.startswith(_DONE):
                    return int(line.split()[1]), "".join(said)
                said.append(line)
            return 1, "".join(said)
        finally:
            timer.cancel()

    def _lines(self) -> Iterator[str]:
        assert self._bash.stdout is not None
        for line in self._bash.stdout:
            self.said += line
            yield line

    def _end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)


def at_the_simulator(organizations: Path, url: str) -> None:
    """Do what a reader whose region is unknown to this release does: give both URLs instead of it."""
    content = yaml.safe_load(organizations.read_text(encoding="utf-8"))
    (organization,) = content["organizations"]
    del organization["region"]
    organization |= {"api_url": url, "login_url": url}
    _write(organizations, content)


def in_time_lapse(folder: Path, factor: float) -> None:
    """Divide every duration of the written and the copied files, as the demo does."""

    def shorter(durations: dict[str, object]) -> dict[str, float]:
        return {
            name: type(value)(value / factor)
            for name, value in durations.items()
            if name.endswith("_s") and name != "call_timeout_s" and isinstance(value, int | float)
        }

    organizations = yaml.safe_load((folder / "organizations.yml").read_text(encoding="utf-8"))
    for organization in organizations["organizations"]:
        organization["analytics"] = shorter(Analytics().model_dump())
    _write(folder / "organizations.yml", organizations)
    exporter = yaml.safe_load((folder / "exporter.yml").read_text(encoding="utf-8"))
    _write(folder / "exporter.yml", exporter | shorter(ExporterConfig().model_dump()))
    receiver = yaml.safe_load((folder / "receiver.yml").read_text(encoding="utf-8"))
    _write(folder / "receiver.yml", receiver | {"timing": shorter(Timing().model_dump())})
    for shipped in RULES.glob("*.yml"):
        shorten_file(folder / shipped.name, folder / shipped.name, factor)


def _write(path: Path, content: object) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
