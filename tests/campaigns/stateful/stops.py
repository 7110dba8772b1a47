"""What people have ordered and not taken back, as the campaign itself remembers it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.campaigns.stateful.rows import Attempt

EVERY = "*"
BRIDGE = "bridge"
MAX_AGE_S = 60.0  # so long an answer of Alertmanager counts: `alertmanager_max_age_s`


@dataclass(frozen=True, slots=True)
class Window:
    id: str
    org: str
    flow_id: str  # `*`: every flow
    starts_at: float
    ends_at: float

    def covers(self, attempt: Attempt, now: float) -> bool:
        here = self.org == attempt.org and self.flow_id in (EVERY, attempt.flow_id)
        return here and self.starts_at <= now < self.ends_at


@dataclass(frozen=True, slots=True)
class Muted:
    """A silence or an inhibition in Alertmanager; `number` orders it among Alertmanager's answers."""

    since: float
    number: int


@dataclass(slots=True)
class Stops:
    """Everything that forbids a permit."""

    paused: set[str] = field(default_factory=set)
    held: set[tuple[str, str, str]] = field(default_factory=set)  # org, flow, owner
    windows: dict[str, Window] = field(default_factory=dict)
    muted: dict[tuple[str, str, str], Muted] = field(default_factory=dict)  # org, flow, version
    answered: dict[tuple[str, str], Muted] = field(default_factory=dict)  # process, org: Alertmanager's newest list
    _number: int = 0

    def mute(self, org: str, flow_id: str, version: str, now: float) -> None:
        self.muted.setdefault((org, flow_id, version), self._mark(now))

    def answer(self, process: str, org: str, now: float) -> None:
        self.answered[process, org] = self._mark(now)

    def release(self, org: str, flow_id: str) -> None:
        """All that is held under this name, whoever holds it."""
        self.held = {one for one in self.held if one[:2] != (org, flow_id)}

    def against(self, attempt: Attempt, process: str, now: float) -> Iterator[str]:
        """Why a process must not give a permit now."""
        if not attempt.by_hand:
            yield from (f"paused: {one}" for one in self.paused & {EVERY, attempt.org})
            yield from (f"in window {one.id}" for one in self.windows.values() if one.covers(attempt, now))
        yield from (
            f"held for {owner}"
            for org, flow_id, owner in self.held
            if org == attempt.org and flow_id in (EVERY, attempt.flow_id)
        )
        answer = self.answered.get((process, attempt.org))
        if answer is None or now - answer.since > MAX_AGE_S:
            yield "Alertmanager has not answered for a minute"
        muted = self.muted.get((attempt.org, attempt.flow_id, attempt.accused))
        if muted is not None and answer is not None and answer.number > muted.number:
            yield "muted, and Alertmanager has said so"

    def _mark(self, now: float) -> Muted:
        self._number += 1
        return Muted(now, self._number)
