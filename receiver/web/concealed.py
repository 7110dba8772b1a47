"""What a record of one flow tells of others: it is shown only to who may see their whole organization."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from receiver.policy import Guard, Verdict
from receiver.store.decisions import StoredDecision
from receiver.store.rollbacks import MODULE_NAME, TO_PUBLISH, Step
from receiver.web.reach import reaches

ABOUT_OTHERS = frozenset({Verdict.IN_PROGRESS, Verdict.COMMON_CAUSE, Verdict.INHIBITED})
"""Guards whose finding names other flows: their rollbacks, what of them fails, their alerts."""

OF_OTHERS = frozenset({"changes", "dependents", TO_PUBLISH, MODULE_NAME})
"""Facts about other objects: who has changed them before the alert, and which flows use a common module, and which."""

CONCEALED = "not shown: it may be about flows of other divisions"


def guards(org: str, judged: Sequence[Guard]) -> tuple[Guard, ...]:
    """The guards of a decision about a flow of the organization, as the caller may see them."""
    if reaches(org):
        return tuple(judged)
    return tuple(replace(one, value=CONCEALED) if one.name in ABOUT_OTHERS else one for one in judged)


def decision(stored: StoredDecision) -> StoredDecision:
    """The decision as the caller may see it."""
    if reaches(stored.org):
        return stored
    hidden = {"value": CONCEALED}
    guards = [one | (hidden if one.get("guard") in ABOUT_OTHERS else {}) for one in stored.guards]
    return replace(stored, guards=guards, facts=facts(stored.org, stored.facts))


def facts(org: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """The facts about a flow of the organization, as the caller may see them."""
    return {name: value for name, value in told.items() if name not in OF_OTHERS or reaches(org)}


def steps(org: str, done: Sequence[Step]) -> list[Step]:
    """The steps of a rollback of the organization: one that waits says why, guard by guard."""
    return [one if reaches(org) else replace(one, detail=_detail(one.detail)) for one in done]


def _detail(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: CONCEALED if name in ABOUT_OTHERS else value for name, value in told.items()}
