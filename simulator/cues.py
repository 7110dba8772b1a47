"""The cues that are set, and what a request brings about."""

from collections.abc import Iterable
from dataclasses import dataclass

from simulator.vocabulary import AnyEvent, Cue


@dataclass(frozen=True, slots=True)
class Due:
    """An event that a request has brought about, `delay_s` from now (simulated seconds)."""

    do: AnyEvent
    delay_s: float


@dataclass
class _Set:
    cue: Cue
    to_skip: int
    left: int


class Cues:
    """All cues see every request, whatever the others did."""

    def __init__(self) -> None:
        self._set: list[_Set] = []

    def replace(self, cues: Iterable[Cue]) -> None:
        self._set = [_Set(cue, cue.skip, cue.times) for cue in cues]

    def due(self, when: str, method: str, path: str) -> list[Due]:
        """What happens right before (`before`) or after (`after`) this request is handled; each is used up by one."""
        found = []
        for entry in self._set:
            if entry.cue.when != when or not entry.left or not entry.cue.match.meets(method, path):
                continue
            if entry.to_skip:
                entry.to_skip -= 1
            else:
                entry.left -= 1
                found.append(Due(entry.cue.do, entry.cue.delay_s))
        return found

    def as_json(self) -> list[dict[str, object]]:
        """What may still happen, with `skip` and `times` as they are left."""
        return [
            entry.cue.model_dump(mode="json", exclude_defaults=True) | {"skip": entry.to_skip, "times": entry.left}
            for entry in self._set
            if entry.left
        ]
