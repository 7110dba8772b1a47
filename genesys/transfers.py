"""Where a flow transfers conversations to, as far as that may be kept: by type and name, never by address.

An address may be the telephone number of a person, and so may a name that looks
like one: it is read as no name. Pure.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

MOST_TARGETS = 20  # of one version: what comes behind so many has less than 5 % of it, and is never accused
MOST_CHARACTERS = 100  # of a name

_ADDRESS = re.compile(r"@|^(?:sips?|tel):|^\+?[\d\s()./-]{5,}$", re.IGNORECASE)

T = TypeVar("T")


class Target(NamedTuple):
    """A kind of transfer, as Genesys Cloud has them (`ACD`, `USER`, `FLOW`, …), and the name of what it goes to.

    Without a name it is whatever the type has that is not named.
    """

    type: str
    name: str | None = None

    def describe(self) -> str:
        return f"{self.type} without a name" if self.name is None else f"{self.type} {self.name}"


OTHERS = Target("")
"""All targets of a version behind the largest ones, as one: it accuses nobody."""


def target_of(transfer_type: str | None, name: str | None) -> Target | None:
    """The target that Genesys Cloud tells; None if it tells none."""
    if not transfer_type:
        return None
    tidy = " ".join((name or "").split())[:MOST_CHARACTERS]
    return Target(transfer_type, None if not tidy or _ADDRESS.search(tidy) else tidy)


@dataclass(frozen=True, slots=True)
class Towards:
    """Which transfers count: those to one target. `perhaps`: also those of which nobody knows whether they went there.

    So whoever is accused is accused of what is surely there, and compared with
    all that may have been there before: a name may come and go with the answers.
    """

    target: Target
    perhaps: bool = False

    def among(self, targets: Collection[Target]) -> list[Target]:
        """Those of the targets that count."""
        if not self.perhaps:
            return [self.target] if self.target in targets else []
        found = [
            one
            for one in targets
            if one.type == self.target.type and (one.name == self.target.name or None in (one.name, self.target.name))
        ]
        if OTHERS in targets and self.target not in targets:
            found.append(OTHERS)
        return found


def largest(counted: Mapping[Target, int], most: int = MOST_TARGETS) -> frozenset[Target]:
    """The targets that are kept apart, the same ones in whatever order they were told."""
    ranked = sorted(counted, key=lambda one: (one == OTHERS, -counted[one], one.type, one.name or ""))
    return frozenset(ranked[:most]) - {OTHERS}
