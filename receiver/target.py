"""Which version is made live again: the newest earlier one that earned it.

Pure. "Earned" means: published, not a debug version, not the accused one, live
for long enough, and healthy in the history that Genesys Cloud still has, or, where
that tells too little, in the ledger. Where none has, people may approve the newest
one that nothing speaks against.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from genesys.flows import FlowVersion
from receiver.service import NO_SERVICE, Record, Service

MIN_HISTORY_VOLUME = 50  # conversations; with fewer a healthy ratio is luck


_UNKNOWN = Record()


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
    """The chosen version, or None, and every version considered, newest first.

    `unearned` is what people may approve where no version earned it.
    """

    version: str | None
    considered: tuple[Candidate, ...]
    unearned: str | None = None

    def describe(self) -> str:
        refused = "; ".join(f"{one.version}: {one.reason}" for one in self.considered if not one.eligible)
        if self.version is not None:
            return f"{self.version}" + (f" (not {refused})" if refused else "")
        with_approval = "" if self.unearned is None else f"; {self.unearned} with approval only"
        return f"none: {refused}{with_approval}" if refused else "none: the flow has no earlier version"


def choose_target(
    versions: Iterable[FlowVersion],
    history: Mapping[str, Service],
    ledger: Mapping[str, Record],
    *,
    accused: str,
    rolled_back: frozenset[str],
    threshold_ratio: float,
    min_live_s: float,
) -> TargetChoice:
    """Choose among the versions of one flow.

    `history` is what Genesys Cloud tells now, `ledger` what is on record for longer.
    `min_live_s` is how long a version must have served to be trusted: by its
    dates, which tell of its last stretch only, by its conversations, or by the
    ledger.
    `rolled_back` are versions that the bridge has taken out of service before.
    """
    considered = []
    chosen = unearned = None
    for version in sorted(versions, key=lambda one: _ended(one, ledger.get(one.id, _UNKNOWN)), reverse=True):
        if version.id == accused:
            continue
        service, record = history.get(version.id, NO_SERVICE), ledger.get(version.id, _UNKNOWN)
        reason = (
            "the bridge rolled it back before"
            if version.id in rolled_back
            else _reason_against(version, service, record, threshold_ratio, min_live_s)
        )
        considered.append(Candidate(version.id, reason))
        if not reason:
            chosen = version.id
            break
        if (
            unearned is None
            and version.id not in rolled_back
            and _may_be_asked_for(version, service, record, threshold_ratio)
        ):
            unearned = version.id
    return TargetChoice(chosen, tuple(considered), None if chosen is not None else unearned)


def undo_target(versions: Iterable[FlowVersion], wanted: str) -> TargetChoice:
    """The version that a rollback took away, if it can be published still; people have chosen it."""
    found = next((version for version in versions if version.id == wanted), None)
    reason = "it does not exist any more" if found is None else "a debug version" if found.debug else ""
    return TargetChoice(None if reason else wanted, (Candidate(wanted, reason),))


def _ended(version: FlowVersion, record: Record) -> float:
    return record.until if version.published_until is None else version.published_until


def _reason_against(
    version: FlowVersion, service: Service, record: Record, threshold_ratio: float, min_live_s: float
) -> str:
    if version.debug:
        return "a debug version"
    if not _is_over(version, record):
        return "never live, or Genesys Cloud gives no dates for it"
    live_s = max(_dated_s(version), service.served_s, record.live_s, record.service.served_s)
    if live_s < min_live_s:
        return f"live for {live_s:.0f} s only, {min_live_s:.0f} s are asked for"
    source, known = "history", service
    if service.tally.exits < min(MIN_HISTORY_VOLUME, record.service.tally.exits):
        source, known = "ledger", record.service
    if known.tally.exits < MIN_HISTORY_VOLUME:
        return f"{known.tally.exits} ended conversations in the {source}, {MIN_HISTORY_VOLUME} are asked for"
    return _failing("history", service, threshold_ratio) or _failing(source, known, threshold_ratio)


def _may_be_asked_for(version: FlowVersion, service: Service, record: Record, threshold_ratio: float) -> bool:
    """It was live and nothing speaks against it, but too little for it."""
    failing = _failing("history", service, threshold_ratio) or _failing("ledger", record.service, threshold_ratio)
    return not version.debug and _is_over(version, record) and not failing


def _is_over(version: FlowVersion, record: Record) -> bool:
    """Whether it was live and is no more: by both its dates, or, if it has neither, by the ledger."""
    if version.published_at is None and version.published_until is None:
        return bool(record.stints)
    return version.published_at is not None and version.published_until is not None


def _dated_s(version: FlowVersion) -> float:
    if version.published_at is None or version.published_until is None:
        return 0.0
    return version.published_until - version.published_at


def _failing(source: str, service: Service, threshold_ratio: float) -> str:
    """That it failed too often there; of fewer conversations than are asked for, as many may fail as of those."""
    done = service.tally
    if done.errors > threshold_ratio * max(done.exits, MIN_HISTORY_VOLUME):
        return f"{done.errors} errors of {done.exits} in the {source}, above {threshold_ratio:.1%}"
    return ""
