"""Print the part of requirements.lock that some packages need, or, if none is named, the programs.

Runs in the image's build, so with nothing but Python. The lock says of each package by whom it is wanted (`# via`).
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = "genesys-rollback-bridge (pyproject.toml)"  # its dependencies and its extras; the tools are in `:dev`


def part(lock: str, *wanted: str) -> str:
    """The entries of the packages `wanted`, and of all that they need. Raises `KeyError` for one that is not there."""
    entries = {re.split(r"[\[=]", entry)[0]: entry for entry in re.split(r"^(?=\S)", lock, flags=re.MULTILINE) if entry}
    wanted_by = {
        name: set(re.findall(r"^    #(?: via)? +(\S.*)$", entry, re.MULTILINE)) for name, entry in entries.items()
    }
    needed = {name for name, by in wanted_by.items() if PROGRAMS in by} if not wanted else set(wanted)
    more = needed
    while more:
        more = {name for name, by in wanted_by.items() if by & more} - needed
        needed = needed | more
    return "".join(entries[name] for name in sorted(needed))


if __name__ == "__main__":
    sys.stdout.write(part((ROOT / "requirements.lock").read_text(encoding="utf-8"), *sys.argv[1:]))
