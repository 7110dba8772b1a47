"""What verdicts and states mean, for somebody who was woken. The runbook says what to do about each."""

from collections.abc import Mapping
from types import MappingProxyType

from receiver.policy import Verdict
from receiver.store.rollbacks import State

VERDICTS: Mapping[str, str] = MappingProxyType(
    {
        Verdict.UNKNOWN_CONTRACT: "the alert is not one that this release understands",
        Verdict.RESOLVED: "the alert is over",
        Verdict.PAUSED: "the bridge is paused",
        Verdict.HELD: "somebody wants hands off the flow",
        Verdict.IGNORED: "the configuration ignores the flow",
        Verdict.SILENCED: "silenced in Alertmanager",
        Verdict.INHIBITED: "inhibited in Alertmanager",
        Verdict.MAINTENANCE: "a window is open",
        Verdict.INACTIVE: "the flow is deactivated or deleted",
        Verdict.SUPERSEDED: "the accused version is live no longer",
        Verdict.IN_PROGRESS: "another rollback has to end first",
        Verdict.ALREADY_ROLLED_BACK: "this version was rolled back before",
        Verdict.RESTORED_BY_BRIDGE: "the bridge itself made this version live: it never walks further back",
        Verdict.STALE_EVIDENCE: "Genesys Cloud's figures are missing or old",
        Verdict.NOT_CONFIRMED: "Genesys Cloud's own figures do not confirm the alert",
        Verdict.ESTABLISHED: "the version has served well before: it is not the deployment",
        Verdict.COMMON_CAUSE: "other flows fail too: it is not this deployment",
        Verdict.LOCKOUT: "there was a rollback a short time ago",
        Verdict.BUDGET_SPENT: "enough rollbacks for a day",
        Verdict.LOCKED_IN_ARCHITECT: "somebody works on the flow in Architect",
        Verdict.NO_ELIGIBLE_TARGET: "there is no earlier version to go back to",
        Verdict.OBSERVING: "only observed: mode observe",
        Verdict.AWAITING_APPROVAL: "a person has to approve it",
        Verdict.ROLL_BACK: "to be rolled back",
    }
)

STATES: Mapping[str, str] = MappingProxyType(
    {
        State.AWAITING_APPROVAL: "waits for a person to approve it",
        State.PLANNED: "has its turn soon",
        State.PUBLISHING: "is being published, or about to be",
        State.CONFIRMING: "published, and is being read back",
        State.VERIFYING: "live; its first calls are being watched",
        State.SUCCEEDED: "live, and its calls end well",
        State.INEFFECTIVE: "live, and it fails too: look at the flow",
        State.UNVERIFIED: "live, and nobody knows whether it helps: look at the flow",
        State.FAILED: "not done",
        State.SUPERSEDED: "somebody else has changed the flow meanwhile",
        State.OBSERVED: "nothing was done: mode observe",
    }
)

_GOOD = frozenset({State.SUCCEEDED})
_BAD = frozenset({State.FAILED, State.INEFFECTIVE, State.UNVERIFIED})
_WAITING = frozenset({State.AWAITING_APPROVAL, State.PLANNED, State.PUBLISHING, State.CONFIRMING, State.VERIFYING})

SAID: Mapping[str, str] = MappingProxyType(
    {
        "paused": "Paused. Nothing is published there until somebody resumes it.",
        "resumed": "Resumed.",
        "held": "Held. The bridge keeps its hands off until somebody releases it.",
        "released": "Released.",
        "opened": "The window is set.",
        "closed": "The window is closed.",
        "approved": "Approved. It is decided once more before anything is published.",
        "denied": "Denied. Nothing was published.",
        "undoing": "The undo is ordered. Follow it here.",
        "lifted": "The quarantine is lifted.",
        "ordered": "The rollback is ordered. Follow it here.",
    }
)
"""After an order, by the word in the page's address: nobody else's text is shown."""


def tone(state: str) -> str:
    """How a state is coloured; the word itself always stands beside it."""
    if state in _GOOD:
        return "good"
    if state in _BAD:
        return "bad"
    return "busy" if state in _WAITING else "plain"
