"""Which events there are, and what each asks of people."""

from enum import StrEnum

# The part of an event that only our own sentences and annotations are made of: the generic webhook leaves it out.
STORY = "story"


class IncidentType(StrEnum):
    """The field `incident_type`."""

    AUTO_ROLLBACK_TRIGGERED = "AUTO_ROLLBACK_TRIGGERED"
    ROLLBACK_SUCCEEDED = "ROLLBACK_SUCCEEDED"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"
    ROLLBACK_INEFFECTIVE = "ROLLBACK_INEFFECTIVE"
    ROLLBACK_UNVERIFIED = "ROLLBACK_UNVERIFIED"
    ROLLBACK_SUPPRESSED = "ROLLBACK_SUPPRESSED"
    APPROVAL_REQUESTED = "APPROVAL_REQUESTED"
    UNDO_SUCCEEDED = "UNDO_SUCCEEDED"
    UNDO_FAILED = "UNDO_FAILED"
    DEPENDENT_PUBLISHED = "DEPENDENT_PUBLISHED"
    DEPENDENT_NOT_PUBLISHED = "DEPENDENT_NOT_PUBLISHED"
    WOULD_HAVE_ROLLED_BACK = "WOULD_HAVE_ROLLED_BACK"
    ALERT_PATH_SILENT = "ALERT_PATH_SILENT"
    KNOWN_BAD_DEPLOYED = "KNOWN_BAD_DEPLOYED"
    TEST = "TEST"  # somebody tries the sinks


NEEDS_PEOPLE = frozenset(
    {
        IncidentType.APPROVAL_REQUESTED,
        IncidentType.ROLLBACK_FAILED,
        IncidentType.ROLLBACK_INEFFECTIVE,
        IncidentType.ROLLBACK_UNVERIFIED,
        IncidentType.ROLLBACK_SUPPRESSED,
        IncidentType.UNDO_FAILED,
        IncidentType.DEPENDENT_NOT_PUBLISHED,
        IncidentType.ALERT_PATH_SILENT,
        IncidentType.KNOWN_BAD_DEPLOYED,
    }
)
"""The bridge cannot, may not or does not go on alone."""

ENDED_WELL = frozenset({IncidentType.ROLLBACK_SUCCEEDED, IncidentType.UNDO_SUCCEEDED, IncidentType.DEPENDENT_PUBLISHED})
"""Nobody has to do anything any more."""


def kind_of(told: object) -> IncidentType | None:
    """The type that an event's `incident_type` names; None for one that this release does not know."""
    return next((kind for kind in IncidentType if kind.value == told), None)
