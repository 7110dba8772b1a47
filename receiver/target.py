"""Which version is made live again: the newest earlier one that earned it.

Pure. "Earned" means: published, not a debug version, not the accused one, live
for long enough, and healthy in the history that Genesys Cloud still has.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from genesys.evidence import Tally
from genesys.flows import FlowVersion

MIN_HISTORY_VOLUME = 50  # conversations; with fewer a healthy ratio is luck


@dataclass(frozen=True, slots=True)
class Service:
    """What a version did in the history that was asked for: its tally, and the time in which it had conversations."""

    tally: Tally
    served_s: float  # sum of the buckets that had any


_NONE = Service(Tally(), 0.0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that was considered, and why it is not eligible; an empty reason means it is."""

    version: str
    reason: str

    @property
    def eligible(self) -> bool:
        return not self.reason


@dataclass(frozen=True, slots=True)
class TargetChoice:
    """The chosen version, or None, and every version considered, newest first."""

    version: str | None
    considered: tuple[Candidate, ...]

    def describe(self) -> str:
        refused = "; ".join(f"{one.version}: {one.reason}" for one in self.considered if not one.eligible)
        if self.version is not None:
            return f"{self.version}" + (f" (not {refused})" if refused else "")
        return f"none: {refused}" if refused else "none: the flow has no earlier version"


def choose_target(
    versions: Iterable[FlowVersion],
    history: Mapping[str, Service],
    *,
    accused: str,
    rolled_back: frozenset[str],
    threshold_ratio: float,
    min_live_s: float,
) -> TargetChoice:
    """Choose among the versions of one flow.

    `min_live_s` is how long a version must have served to be trusted: by its
    dates, which tell of its last stretch only, or by its conversations.
    `rolled_back` are versions that the bridge has taken out of service before.
    """
    considered = []
    chosen = None
    for version in sorted(versions, key=_ended, reverse=True):
        if version.id == accused:
            continue
        reason = (
            "the bridge rolled it back before"
            if version.id in rolled_back
            else _reason_against(version, history.get(version.id, _NONE), threshold_ratio, min_live_s)
        )
        considered.append(Candidate(version.id, reason))
        if not reason:
            chosen = version.id
            break
    return TargetChoice(chosen, tuple(considered))


def _ended(version: FlowVersion) -> float:
    return version.published_until or 0.0


def _reason_against(version: FlowVersion, service: Service, threshold_ratio: float, min_live_s: float) -> str:
    if version.debug:
        return "a debug version"
    if version.published_at is None or version.published_until is None:
        return "never live, or Genesys Cloud gives no dates for it"
    live_s = max(version.published_until - version.published_at, service.served_s)
    done = service.tally
    if live_s < min_live_s:
        return f"live for {live_s:.0f} s only, {min_live_s:.0f} s are asked for"
    if done.exits < MIN_HISTORY_VOLUME:
        return f"{done.exits} ended conversations in the history, {MIN_HISTORY_VOLUME} are asked for"
    if done.errors > threshold_ratio * done.exits:
        return f"{done.errors} errors of {done.exits} in the history, above {threshold_ratio:.1%}"
    return ""
