"""The facts that one decision rests on. Types only: gathering them is `gather`'s work."""

from dataclasses import dataclass
from enum import StrEnum

from genesys.dependencies import Dependent
from genesys.evidence import Tally
from genesys.excess import Finding
from genesys.flows import Flow
from genesys.probation import Probation
from genesys.transfers import Target
from receiver.common_cause import CommonCause
from receiver.objects.snapshot import Difference
from receiver.store.deployments import Deployment
from receiver.suspects import NOBODY_ELSE, Suspects
from receiver.target import TargetChoice


class Mode(StrEnum):
    """What the bridge may do for a flow; there is no default, the configuration must say it."""

    IGNORE = "ignore"
    OBSERVE = "observe"
    APPROVE = "approve"
    AUTO = "auto"


ACTING = frozenset({Mode.APPROVE, Mode.AUTO})
"""Modes in which something may be published."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """Silences and inhibiting alerts as Alertmanager names them for one alert."""

    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionEvidence:
    """The receiver's own reading of the accused version, up to `end` (Unix seconds)."""

    end: float
    live_since: float
    threshold_ratio: float
    baseline_ratio: float | None
    scatter: float | None
    finding: Finding
    newest: Tally  # the newest buckets with ended conversations
    recovered: bool  # these are healthy again
    target: Target | None = None  # to which transfers are counted, of routing_shift
    parts: tuple[str, ...] = ()  # of what the errors are made up, where that is known
    failing_since: float | None = None  # end of the first bucket above the threshold

    @property
    def confirms(self) -> bool:
        return self.finding.convicted_by is not None and not self.recovered

    def describe(self) -> str:
        """One line for the record: counts, window, threshold; why it confirms or not."""
        found = self.finding.convicted_by or self.finding.windows[-1]
        ratio = "no volume" if found.ratio is None else f"{found.ratio:.1%}"
        base = "unknown" if self.baseline_ratio is None else f"{self.baseline_ratio:.2%}"
        scatter = "unknown" if self.scatter is None else f"{self.scatter:.1f}"
        what = "errors" if self.target is None else f"transfers to {self.target.describe()}"
        line = (
            f"{found.errors} {what} of {found.volume} in {found.window} ({ratio}; threshold "
            f"{self.threshold_ratio:.1%}, earlier ratio {base}, scatter {scatter}; strength {found.strength:.1f}, "
            f"{found.breach_minutes} breached minutes)"
        )
        if self.parts:
            line = f"{line}; {', '.join(self.parts)}"
        if self.recovered:
            return f"{line}; healthy again: {self.newest.errors} of the newest {self.newest.exits}"
        if self.finding.convicted_by is None and self.finding.acquitted_by is not None:
            return f"{line}; acquitted by the newest {self.finding.acquitted_by.window}"
        return line


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that is known about one alert at `at` (Unix seconds); `None` means it could not be read."""

    at: float
    contract: str | None
    missing_labels: tuple[str, ...]
    firing: bool
    accused_version: str
    pauses: tuple[str, ...]
    holds: tuple[str, ...]
    mode: Mode | None
    mode_note: str
    alertmanager_configured: bool
    suppression: Suppression | None
    windows: tuple[str, ...]
    flow: Flow | None
    flow_problem: str
    rollback_in_progress: str | None
    written_rollbacks: tuple[str, ...]
    unwritten_tries: int
    tries: int  # all of this version, whatever became of them
    restored_by: str | None
    evidence: VersionEvidence | None
    evidence_problem: str
    probation: Probation | None
    common_cause: CommonCause | None
    common_cause_problem: str
    lockout_until: float
    started_of_flow: int
    started_of_org: int
    target: TargetChoice | None
    target_problem: str
    deployment: Deployment | None  # that a pipeline has registered the accused version with
    attempt_id: str | None  # the attempt that works on the same change set, and that a rollback would be a part of
    approval_asked_by: str | None  # why the deployment, or what else was changed, wants a person to approve
    approval_waiting: str | None  # the rollback of this version that waits for approval
    approved_by: str | None  # the rollback that the decision is about
    denied_by: str | None  # who, and why, as long as it holds
    suspects: Suspects = NOBODY_ELSE  # what was changed before the alert
    dependents: tuple[Dependent, ...] | None = None  # which use the accused common module; None: it is none, or unknown
    dependents_problem: str = ""  # why it is unknown
    known_bad: str = ""  # why the accused version is known bad from its first minute
    differences: tuple[Difference, ...] = ()  # of an object: what of the accused version is not as in the proposed one

    @property
    def proposed(self) -> str | None:
        """The version that would be made live, one that has not earned it only with approval; None if there is none."""
        if self.target is None:
            return None
        return self.target.version or (self.target.unearned if self.mode in ACTING else None)
