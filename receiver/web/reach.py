"""What the request that is being answered may see and change: whole organizations, or in them flows of some divisions.

An organization or a flow that is named and not within reach is 403, whether it exists or not; what is listed is left
out; what has an id of its own is not there (404).
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from http import HTTPStatus

from flask import g

from receiver.callers import Reach
from receiver.store.controls import EVERY_FLOW, EVERY_ORG, Hold, Pause, Window
from receiver.store.deployments import Deployment
from receiver.web.auth import caller
from receiver.web.problems import Fault, Problem, bad_request


def reach() -> Reach:
    """Where the caller has a role that the call asks for."""
    found: Reach = g.reach
    return found


def reaches(org: str, flow_id: str | None = None) -> bool:
    """Whether the flow is within reach; without one, whether the whole organization is."""
    return reach().covers(org, flow_id)


def touches(org: str) -> bool:
    """Whether anything of the organization is within reach: all of it, or a flow."""
    return reach().touches(org)


def check_reach(org: str, flow_ids: Sequence[str] = ()) -> None:
    """Raises Problem 403 for a flow beyond reach; without flows, for an organization that is not reached as a whole."""
    beyond = [one for one in flow_ids or (None,) if not reaches(org, one)]
    if beyond:
        raise Problem(HTTPStatus.FORBIDDEN, _refusal(org, beyond[0]))


def check_touched(org: str | None) -> None:
    """Raises Problem 403 for an organization of which nothing is within reach; None names no organization.

    Only for what is then left out flow by flow.
    """
    if org is not None and not touches(org):
        raise Problem(HTTPStatus.FORBIDDEN, _refusal(org, None))


def check_org(org: str, known: Collection[str], where: Fault, flow_ids: Sequence[str] = ()) -> None:
    """As `check_reach`. Raises Problem 400 as well, with those that there are, for one that is not configured."""
    check_reach(org, flow_ids)
    if org not in known:
        listed = ", ".join(sorted(one for one in known if touches(one)))
        raise bad_request([{"detail": f"is not configured; known: {listed}", **where}])


def seen_in_audit() -> frozenset[str] | None:
    """The organizations whose audit may be read, with what was done to all at once; None: every one.

    Raises Problem 403 if there is none: a row may be about whatever flows there are.
    """
    within = reach().whole_orgs
    if within is not None and not within:
        detail = f"{caller().name} may not read the audit: it needs a role that is not limited to divisions"
        raise Problem(HTTPStatus.FORBIDDEN, detail)
    return None if within is None else within | {EVERY_ORG}


# What concerns no single flow: whether it is shown, and how much of it. What is for every flow of an organization is
# for those of each division too.


def is_pause_shown(pause: Pause) -> bool:
    """Everybody sees that all is paused: it is their organization too."""
    return pause.org == EVERY_ORG or touches(pause.org)


def is_hold_shown(hold: Hold) -> bool:
    return reaches(hold.org, hold.flow_id) or (hold.flow_id == EVERY_FLOW and touches(hold.org))


def window_shown(window: Window) -> Window | None:
    """With those of its flows that are within reach; None if it is for none of them."""
    if not window.flow_ids:
        return window if touches(window.org) else None
    flow_ids = tuple(one for one in window.flow_ids if reaches(window.org, one))
    return replace(window, flow_ids=flow_ids) if flow_ids else None


def deployment_shown(deployment: Deployment) -> Deployment | None:
    """With those of its flows that are within reach; None if it has none of them. Objects are of no flow's division."""
    flows = tuple(one for one in deployment.flows if reaches(deployment.org, one.flow_id))
    if flows == deployment.flows:
        return deployment
    return replace(deployment, flows=flows, objects=()) if flows else None


def _refusal(org: str, flow_id: str | None) -> str:
    if not touches(org):
        within = ", ".join(sorted(reach().orgs or ())) or "none"
        return f"{caller().name} may not do this for the organization {org}; for these: {within}"
    what = f"the whole organization {org}" if flow_id is None else f"the flow {flow_id} of {org}"
    divisions = ", ".join(reach().divisions_of(org))
    return (
        f"{caller().name} may not do this for {what}; only for flows that were listed in these divisions: {divisions}"
    )
