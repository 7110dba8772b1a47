"""Which version is made live again: the newest earlier one that earned it.

Pure. "Earned" means: published, not a debug version, not the accused one nor the
same thing under another label, live for long enough, and healthy in the history
that Genesys Cloud still has, or, where that tells too little, in the ledger. What
people have called good need not have been live for long; but it must not have failed.
Where none has earned it, people may approve the newest one that nothing speaks
against.
"""

from collections.abc import Collection, Iterable, Mapping
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
    compared: bool = True  # it is known not to have the accused version's content

    def describe(self) -> str:
        refused = "; ".join(f"{one.version}: {one.reason}" for one in self.considered if not one.eligible)
        if self.version is not None:
            chosen = self.version if self.compared else f"{self.version}, content not compared"
            return chosen + (f" (not {refused})" if refused else "")
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
    against: Mapping[str, str] | None = None,
    good: Collection[str] = (),
) -> TargetChoice:
    """Choose among the versions of one flow.

    `history` is what Genesys Cloud tells now, `ledger` what is on record for longer.
    `min_live_s` is how long a version must have served to be trusted: by its
    dates, which tell of its last stretch only, by its conversations, or by the
    ledger.
    `rolled_back` are versions that the bridge has taken out of service before,
    `against` is what else is known against a version, `good` are those that people
    have called so.
    """
    considered = []
    chosen = unearned = None
    for version in sorted(versions, key=lambda one: _ended(one, ledger.get(one.id, _UNKNOWN)), reverse=True):
        if version.id == accused:
            continue
        service, record = history.get(version.id, NO_SERVICE), ledger.get(version.id, _UNKNOWN)
        ruled_out = "the bridge rolled it back before" if version.id in rolled_back else (against or {}).get(version.id)
        reason = ruled_out or (
            _reason_against_good(version, service, record, threshold_ratio)
            if version.id in good
            else _reason_against(version, service, record, threshold_ratio, min_live_s)
        )
        considered.append(Candidate(version.id, reason))
        if not reason:
            chosen = version.id
            break
        may_be_asked_for = not ruled_out and not _reason_against_good(version, service, record, threshold_ratio)
        if unearned is None and may_be_asked_for:
            unearned = version.id
    return TargetChoice(chosen, tuple(considered), None if chosen is not None else unearned)


def undo_target(versions: Iterable[FlowVersion], wanted: str) -> TargetChoice:
    """The version that a rollback took away, if it can be published still; people have chosen it."""
    found = next((version for version in versions if version.id == wanted), None)
    reason = "it does not exist any more" if found is None else "a debug version" if found.debug else ""
    return TargetChoice(None if reason else wanted, (Candidate(wanted, reason),))


def _ended(version: FlowVersion, record: Record) -> float:
    return record.until if version.published_until is None else version.published_until


def _reason_against_good(version: FlowVersion, service: Service, record: Record, threshold_ratio: float) -> str:
    """Of a version that people vouch for, or may: it was live, and what it did must not speak against it."""
    return (
        _reason_against_any(version, record)
        or _failing("history", service, threshold_ratio)
        or _failing("ledger", record.service, threshold_ratio)
    )


def _reason_against_any(version: FlowVersion, record: Record) -> str:
    if version.debug:
        return "a debug version"
    return "" if _is_over(version, record) else "never live, or Genesys Cloud gives no dates for it"


def _reason_against(
    version: FlowVersion, service: Service, record: Record, threshold_ratio: float, min_live_s: float
) -> str:
    unfit = _reason_against_any(version, record)
    if unfit:
        return unfit
    live_s = max(_dated_s(version), service.served_s, record.live_s, record.service.served_s)
    if live_s < min_live_s:
        return f"live for {live_s:.0f} s only, {min_live_s:.0f} s are asked for"
    source, known = "history", service
    if service.tally.exits < min(MIN_HISTORY_VOLUME, record.service.tally.exits):
        source, known = "ledger", record.service
    if known.tally.exits < MIN_HISTORY_VOLUME:
        return f"{known.tally.exits} ended conversations in the {source}, {MIN_HISTORY_VOLUME} are asked for"
    return _failing("history", service, threshold_ratio) or _failing(source, known, threshold_ratio)


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
