"""Configuration objects of which snapshots are kept: `GET /objects`, `GET /objects/{org}/{object_type}/{object_id}`."""

from collections.abc import Collection
from http import HTTPStatus
from typing import NotRequired

from flask import Blueprint
from flask.typing import ResponseReturnValue
from typing_extensions import TypedDict

from receiver.config import ReceiverSettings, Role
from receiver.objects.snapshot import differences
from receiver.objects.standing import ObjectStanding, object_standings
from receiver.store import objects
from receiver.store.database import Store, Transaction
from receiver.web.auth import Tokens
from receiver.web.documented import Time, documented
from receiver.web.fields import Name, Strict, query, rfc3339, rfc3339_or_none
from receiver.web.problems import not_found
from receiver.web.reach import check_reach, reaches


class ObjectVersion(TypedDict):
    """A stretch in which every reading showed the same content."""

    version: str
    since: Time
    seen_until: Time


class ObjectDifference(TypedDict):
    """One place; what a version does not have is left out."""

    path: str
    accused: NotRequired[str]
    target: NotRequired[str]


class ObjectAnswer(TypedDict):
    """An object as it was when it was last read.

    Where one is asked for, also its versions, the newest first, and what of the live one is not as in `against`:
    the version that was asked for, or the one before.
    """

    org: str
    object_type: str
    object_id: str
    name: str
    mode: str
    owner: str
    flow_id: str | None
    live_version: str | None
    live_since: Time | None
    read_at: Time | None
    problem: str
    versions: NotRequired[list[ObjectVersion]]
    against: NotRequired[str | None]
    differences: NotRequired[list[ObjectDifference]]


class ObjectsAnswer(TypedDict):
    objects: list[ObjectAnswer]


class ObjectsQuery(Strict):
    org: Name | None = None


class ObjectQuery(Strict):
    """`against`: the version to compare the live one with."""

    against: Name | None = None


def blueprint(store: Store, tokens: Tokens, settings: ReceiverSettings, orgs: Collection[str]) -> Blueprint:
    """The reading calls, with the role `viewer` or `operator` over the whole organization."""
    calls = Blueprint("objects", __name__)
    reading = tokens.requires(Role.VIEWER, Role.OPERATOR)

    @calls.get("/objects")
    @reading
    @documented("The configuration objects of which snapshots are kept.", ObjectsAnswer, query=ObjectsQuery)
    def list_objects() -> ResponseReturnValue:
        asked = query(ObjectsQuery)
        if asked.org is not None:
            check_reach(asked.org)
        wanted = [org for org in orgs if asked.org in (None, org) and reaches(org)]
        with store.begin() as tx:
            found = object_standings(tx, settings, wanted)
        answer: ObjectsAnswer = {"objects": [_object(one) for one in found]}
        return answer

    @calls.get("/objects/<org>/<object_type>/<object_id>")
    @reading
    @documented(
        "One object, what it was like when, and how it differs from that.",
        ObjectAnswer,
        query=ObjectQuery,
        refusals=(HTTPStatus.NOT_FOUND,),
    )
    def show_object(org: str, object_type: str, object_id: str) -> ResponseReturnValue:
        asked = query(ObjectQuery)
        check_reach(org)
        with store.begin() as tx:
            found = find(tx, settings, org, object_type, object_id)
            against, differing = compared(tx, found, asked.against)
        answer = _object(found)
        answer["versions"] = [
            {"version": one.version, "since": rfc3339(one.since), "seen_until": rfc3339(one.seen_until)}
            for one in reversed(found.stints)
        ]
        answer["against"], answer["differences"] = against, differing
        return answer

    return calls


def find(tx: Transaction, settings: ReceiverSettings, org: str, object_type: str, object_id: str) -> ObjectStanding:
    """Raises Problem 404 for an object that is not configured."""
    for one in object_standings(tx, settings, [org]):
        if (one.key.object_type, one.key.object_id) == (object_type, object_id):
            return one
    raise not_found("there is no such object in `objects` of receiver.yml")


def compared(tx: Transaction, found: ObjectStanding, against: str | None) -> tuple[str | None, list[ObjectDifference]]:
    """The version that the live one is compared with, and where they differ. Raises Problem 404 if it is not kept."""
    other = against or found.before
    if found.live is None or other is None:
        return None, []
    live, kept = (objects.content(tx, found.key, version) for version in (found.live.version, other))
    if live is None or kept is None:
        raise not_found(f"no version {other} of this object is kept")
    return other, [_difference(one.as_fact()) for one in differences(live, kept)]


def _difference(told: dict[str, str]) -> ObjectDifference:
    answer: ObjectDifference = {"path": told["path"]}
    if "accused" in told:
        answer["accused"] = told["accused"]
    if "target" in told:
        answer["target"] = told["target"]
    return answer


def _object(one: ObjectStanding) -> ObjectAnswer:
    state, live = one.state, one.live
    return {
        "org": one.policy.org,
        "object_type": one.policy.type.value,
        "object_id": one.key.object_id,
        "name": one.name,
        "mode": one.policy.mode.value,
        "owner": one.policy.owner,
        "flow_id": state.flow_id if state is not None else one.policy.flow_id,
        "live_version": live.version if live is not None else None,
        "live_since": rfc3339_or_none(live.since if live is not None else None),
        "read_at": rfc3339_or_none(state.read_at if state is not None else None),
        "problem": state.problem if state is not None else "",
    }
