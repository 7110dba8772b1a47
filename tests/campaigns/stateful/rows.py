"""What the campaign reads of the product's database, with SQL of its own: rollbacks, permits, leases, decisions."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.campaigns.stateful.databases import Reader

LEASED = ("planned", "publishing", "confirming")
UNDER_WAY = (*LEASED, "verifying", "awaiting_approval")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One rollback."""

    id: str
    org: str
    flow_id: str
    accused: str
    target: str
    state: str
    group: str  # the attempt: what counts as one, the rollbacks of one change set
    live_since: float  # of the accused version
    shadow: bool
    undoes: str | None  # the rollback that people want to have undone
    approved_by: str | None
    overrides: str | None  # guards that a person has named who ordered it by hand, perhaps none

    @property
    def is_undo(self) -> bool:
        return self.undoes is not None

    @property
    def by_hand(self) -> bool:
        return self.overrides is not None

    @property
    def ordered(self) -> bool:
        """By people, who need not wait until nothing else is under way."""
        return self.is_undo or self.approved_by is not None


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one publish; the answer is None until one is recorded."""

    attempt_id: str
    number: int
    target: str
    issued_at: float
    valid_until: float
    answer: str | None


@dataclass(frozen=True, slots=True)
class Lease:
    owner: str
    fence: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class Rows:
    """The database as it is committed at one moment."""

    attempts: Mapping[str, Attempt]
    permits: Mapping[tuple[str, int], Permit]
    leases: Mapping[str, Lease]
    decided: Mapping[str, int]  # decisions `roll_back` about a rollback

    @property
    def leased(self) -> list[Attempt]:
        return [one for one in self.attempts.values() if one.state in LEASED]

    @property
    def under_way(self) -> list[Attempt]:
        return [one for one in self.attempts.values() if one.state in UNDER_WAY]


NOTHING = Rows({}, {}, {}, {})


def read(reader: Reader, before: Rows = NOTHING, *, only_leases: bool = False) -> Rows:
    """Read them; with `only_leases` the rest is known to be as before."""
    leases = {name: Lease(*rest) for name, *rest in reader.execute(_LEASES).fetchall()}
    if only_leases:
        return Rows(before.attempts, before.permits, leases, before.decided)
    attempts = {row[0]: Attempt(*row[:8], bool(row[8]), *row[9:]) for row in reader.execute(_ATTEMPTS).fetchall()}
    permits = {(row[0], row[1]): Permit(*row) for row in reader.execute(_PERMITS).fetchall()}
    return Rows(attempts, permits, leases, dict(reader.execute(_DECIDED).fetchall()))


_LEASES = "SELECT name, owner, fence, expires_at FROM leases"
_ATTEMPTS = (
    "SELECT id, org, object_id, accused_version, target_version, state, attempt_id, live_since, shadow, undoes, "
    "approved_by, overrides FROM rollbacks"
)
_PERMITS = "SELECT rollback_id, number, target_version, issued_at, valid_until, answer FROM permits ORDER BY number"
_DECIDED = "SELECT rollback_id, count(*) FROM decisions WHERE verdict = 'roll_back' GROUP BY rollback_id"
