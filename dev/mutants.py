"""Mutation testing of the modules on which a rollback depends: how many of their mutants do the tests notice?

`make mutants`. mutmut makes the mutants and runs the tests; which modules and which tests stands in
`[tool.mutmut]` of pyproject.toml. Here is only the judgement: exit 1 when fewer than 95 % of a module's mutants are
killed, when a survivor has no reason in `tests/mutants.toml`, or when a reason there is needed no longer.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ACCEPTED = ROOT / "tests" / "mutants.toml"
MUTMUT = Path(sys.executable).with_name("mutmut")
LIMIT = 0.95
KILLED = ("killed", "timeout")  # a mutant that never ends is noticed
# The names that mutmut gives: `module.x_function__mutmut_7`, `module.xǁClassǁmethod__mutmut_7`.
NAME = re.compile(r"(?P<module>[\w.]+)\.x(?:_|ǁ(?P<owner>\w+)ǁ)(?P<function>\w+)__mutmut_\d+")


@dataclass(frozen=True, slots=True, order=True)
class Mutant:
    """A change to one function; what it was and what it became, because mutmut's numbers move with the code."""

    function: str
    was: str
    became: str

    def __str__(self) -> str:
        return f"{self.function}\n    -{self.was}\n    +{self.became}"


def main() -> int:
    run_anew()
    modules = outcomes()
    survivors = {described(name) for found in modules.values() for name, what in found.items() if what not in KILLED}
    reasons = reviewed()
    for survivor in sorted(survivors):
        print(f"survived: {survivor}\n    {reasons.get(survivor, 'NO REASON: write a test that fails with it')}")
    for idle in sorted(reasons.keys() - survivors):
        print(f"does not survive, take it off {ACCEPTED.relative_to(ROOT)}: {idle}")
    shares = {module: sum(what in KILLED for what in found.values()) / len(found) for module, found in modules.items()}
    for module, share in shares.items():
        print(f"{module}: {share:.1%} of {len(modules[module])} mutants killed (at least {LIMIT:.0%})")
    return 0 if shares and min(shares.values()) >= LIMIT and survivors == reasons.keys() else 1


def run_anew() -> None:
    """Make every mutant and run its tests; nothing is taken from an earlier run."""
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)
    # In CI Hypothesis takes the same examples each time, and remembers none from one mutant to the next.
    subprocess.run([MUTMUT, "run"], cwd=ROOT, env=os.environ | {"CI": "true"}, check=True)


def outcomes() -> dict[str, dict[str, str]]:
    """What became of each mutant, by module and mutmut's name of it."""
    modules: dict[str, dict[str, str]] = defaultdict(dict)
    for line in told("results", "--all", "true").splitlines():
        name, _, outcome = line.strip().partition(": ")
        modules[parts_of(name)["module"]][name] = outcome
    return modules


def described(name: str) -> Mutant:
    """The mutant behind a name of mutmut."""
    parts = parts_of(name)
    function = ".".join(filter(None, (parts["module"], parts["owner"], parts["function"])))
    lines = [line for line in told("show", name).splitlines() if not line.startswith(("---", "+++"))]
    was, became = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return Mutant(function, was, became)


def parts_of(name: str) -> re.Match[str]:
    parts = NAME.fullmatch(name)
    if parts is None:
        raise ValueError(f"not the name of a mutant: {name}")
    return parts


def reviewed() -> dict[Mutant, str]:
    """Survivors that somebody has looked at, with the reason why no test needs to notice them."""
    entries = tomllib.loads(ACCEPTED.read_text(encoding="utf-8"))["survivor"]
    return {Mutant(entry["function"], entry["was"], entry["became"]): entry["reason"] for entry in entries}


def told(*arguments: str) -> str:
    done = subprocess.run([MUTMUT, *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
