"""The configuration objects of one organization, with the versions that the bridge keeps of them.

Reading one always keeps what was read, so that whatever is decided about a version can be looked up.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from genesys.answers import Answer
from genesys.errors import GenesysError, Gone, Refused, Unavailable
from genesys.flows import Flow, FlowVersion
from genesys.log import event
from genesys.objects import Objects, ObjectType
from genesys.organizations import Organization, session_of
from receiver.config import ReceiverSettings
from receiver.objects.figures import EARLIER, Observed
from receiver.objects.restoration import CannotRestore, Restoration, is_between, restoration
from receiver.objects.settings import FILTER, ObjectPolicy, applying
from receiver.objects.snapshot import snapshot_of
from receiver.store import objects
from receiver.store.database import Store, Transaction, clock
from receiver.store.objects import Key, ObjectState

log = logging.getLogger(__name__)

MOST_FOUND = 100  # objects by one filter
WRITE_WITHIN_S = 60.0  # far below the publish deadline, after which others take a lost write for proved lost
_CHANGED = 409  # somebody else has written it since: decided anew, that shows


class KeptObjects:
    """Safe to be shared by threads, if `genesys` is."""

    def __init__(
        self,
        genesys: Objects,
        store: Store,
        policies: Sequence[ObjectPolicy],
        flows_of_actions: Mapping[str, str],
        *,
        clock: Callable[[Transaction], float] = clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`flows_of_actions` names the flow that runs a data action."""
        self._entries = policies
        self._policies: Mapping[str, ObjectPolicy] | None = None
        self._genesys = genesys
        self._store = store
        self._flows_of_actions = flows_of_actions
        self._clock = clock
        self._monotonic = monotonic

    def close(self) -> None:
        """Close the connections."""
        self._genesys.close()

    @property
    def policies(self) -> Mapping[str, ObjectPolicy]:
        """What applies to each object that is named by its id, or that a filter was seen to match, by object id.

        Raises StoreUnavailable where nobody has `learn`t what is known.
        """
        if self._policies is None:
            org = next(one.org for one in self._entries)
            with self._store.begin() as tx:
                self.learn(objects.states(tx, org))
        return self._policies or {}

    @property
    def filters(self) -> Mapping[str, ObjectPolicy]:
        """Each by the id under which it is kept."""
        return {one.kept_as: one for one in self._entries if one.is_filter}

    def learn(self, states: Iterable[ObjectState]) -> None:
        """These are known of the organization."""
        found = {one.id: one for one in self._entries if not one.is_filter}
        for one in states:
            policy = applying(self._entries, one.object_type, one.object_id, one.name)
            if policy is not None and not one.object_id.startswith(FILTER):
                found.setdefault(one.object_id, policy)
        self._policies = found

    def find(self, kept_as: str) -> None:
        """List the objects that a filter matches, and have them kept. Raises what `Objects.names` raises.

        What is not there any more is forgotten, which the log says.

        Raises `Refused` if they are more than MOST_FOUND: the first of them by name are kept, and the rest is not.
        """
        policy = self.filters[kept_as]
        asked_at = self._store.transact(self._clock)
        named = self._genesys.names(policy.type)
        entries = {one: applying(self._entries, policy.type, one, name) for one, name in named.items()}
        own = [one for one, entry in entries.items() if entry is not None and entry.name == policy.name]
        found = {one: named[one] for one in sorted(own, key=lambda one: (named[one], one))[:MOST_FOUND]}
        others = {one for one, entry in entries.items() if entry is not None and entry.name != policy.name}
        keep = {one.kept_as for one in self._entries} | others
        key = Key(policy.org, policy.type.value, kept_as)
        forgotten = self._store.transact(objects.listed, key, found, keep=keep, asked_at=asked_at)
        for object_id, name in forgotten:
            about = {"org": policy.org, "object_type": policy.type, "object_id": object_id, "object_name": name}
            cure = "nothing, if it was renamed or deleted; else see the divisions of the OAuth client's role"
            event(log, logging.WARNING, "object_forgotten", **about, cure=cure)
        if len(own) > MOST_FOUND:
            raise Refused(f"it matches {len(own)} objects, and more than {MOST_FOUND} are not kept: narrow it")

    def key(self, object_id: str) -> Key:
        policy = self.policies[object_id]
        return Key(policy.org, policy.type.value, object_id)

    def read(self, object_id: str) -> Flow:
        """The object as it is now, as if it were a flow whose live version is its content.

        Its `live_published_at` is the first reading that showed the content. One that does not exist is deleted.
        Raises what `Objects.read` raises, `Unavailable` also for an older view, and StoreUnavailable.
        """
        policy = self.policies[object_id]
        try:
            answer = self._read(policy)
        except Gone:
            return _flow(policy, None, None, "")
        with self._store.begin() as tx:
            known = objects.stints(tx, self.key(object_id))
        return _flow(policy, known[-1].version, known[-1].since, _name(answer))

    def versions(self, object_id: str) -> list[FlowVersion]:
        """The contents that it had, each as it was the last time."""
        with self._store.begin() as tx:
            known = objects.stints(tx, self.key(object_id))
        newest = {one.version: one for one in known}
        return [
            FlowVersion(one.version, False, one.since, None if one is known[-1] else one.seen_until, None)
            for one in newest.values()
        ]

    def observed(self, tx: Transaction, object_id: str) -> Observed:
        """What its figures are made of."""
        policy, key = self.policies[object_id], self.key(object_id)
        known = objects.stints(tx, key)
        flow_ids = {}
        for version in {one.version for one in known}:
            flow_id = flow_of(policy, objects.content(tx, key, version), self._flows_of_actions)
            if flow_id is not None:
                flow_ids[version] = flow_id
        if known and known[0].version in flow_ids:
            flow_ids[EARLIER] = flow_ids[known[0].version]
        return Observed(object_id, policy.type is ObjectType.DATA_ACTION, known, flow_ids)

    def restoration(self, object_id: str, version: str) -> Restoration:
        """What has to be written so that the object is as this version was.

        Raises CannotRestore, what `Objects.read` raises, and StoreUnavailable.
        """
        return self._restoration(object_id, version)[0]

    def _restoration(self, object_id: str, version: str) -> tuple[Restoration, Mapping[str, Any]]:
        """With what it was read as."""
        policy = self.policies.get(object_id)
        if policy is None:  # a filter has matched it
            raise CannotRestore("it is not among `objects` any more")
        with self._store.begin() as tx:
            kept = objects.content(tx, self.key(object_id), version)
        if kept is None:
            raise CannotRestore(f"version {version} is not kept any more")
        now = self._genesys.read(policy.type, object_id)
        return restoration(policy.type, kept, now), now

    def restore(self, object_id: str, version: str, *, accused: str, within_s: float) -> None:
        """Write it, if the object is still as the accused version, and was read within the time.

        Raises `Refused` if nothing was sent: with status 409 if somebody else has changed it meanwhile. Else what a
        write raises. Of several writes none is sent again, and what was sent in part is `Unavailable`.
        """
        until = self._monotonic() + within_s
        try:
            to_write, now = self._restoration(object_id, version)
        except (CannotRestore, Unavailable) as problem:
            raise Refused(f"not sent: {problem}") from problem
        policy = self.policies[object_id]
        if snapshot_of(policy.type, object_id, now).version != accused:
            raise Refused("not sent: the object was changed since it was read", _CHANGED)
        if self._monotonic() >= until:
            raise Refused("not sent: the permit had run out")
        self._write(policy, to_write)

    def is_between(self, object_id: str, accused: str, target: str, shown: str) -> bool:
        """Is what it shows a data table whose restoration was cut off?"""
        policy, key = self.policies[object_id], self.key(object_id)
        if policy.type is not ObjectType.DATA_TABLE:
            return False
        with self._store.begin() as tx:
            contents = [objects.content(tx, key, version) for version in (accused, target, shown)]
        before, after, now = contents
        return before is not None and after is not None and now is not None and is_between(before, after, now)

    def _write(self, policy: ObjectPolicy, to_write: Restoration) -> None:
        genesys, until = self._genesys, self._monotonic() + WRITE_WITHIN_S
        writes: list[Callable[[], None]] = []
        if to_write.body is not None:
            writes.append(partial(genesys.write, policy.type, policy.id, to_write.body))
        writes += [partial(genesys.write_row, policy.id, row, is_new=is_new) for row, is_new in to_write.rows]
        writes += [partial(genesys.delete_row, policy.id, row_key) for row_key in to_write.deleted]
        for number, write in enumerate(writes):
            if self._monotonic() >= until:
                raise Unavailable(
                    f"restored in part: {number} of {len(writes)} writes were sent in {WRITE_WITHIN_S:g} s"
                )
            try:
                write()
            except GenesysError as problem:
                if number == 0 or isinstance(problem, Unavailable):
                    raise
                # A refusal of this one does not say that the ones before had no effect.
                raise Unavailable(f"restored in part: {number} of {len(writes)} writes, then {problem}") from problem

    def _read(self, policy: ObjectPolicy) -> Mapping[str, Any]:
        asked_at = self._store.transact(self._clock)
        answer = self._genesys.read(policy.type, policy.id)
        found = snapshot_of(policy.type, policy.id, answer)
        own_version = answer.get("version")
        kept = self._store.transact(
            objects.note,
            self.key(policy.id),
            name=_name(answer),
            version=found.version,
            content=found.content,
            own_version=own_version if isinstance(own_version, int) else None,
            flow_id=flow_of(policy, found.content, self._flows_of_actions),
            asked_at=asked_at,
        )
        if not kept:
            raise Unavailable("an older view of the object than was seen before")
        return answer


def open_objects(
    organization: Organization,
    settings: ReceiverSettings,
    store: Store,
    *,
    clock: Callable[[Transaction], float] = clock,
) -> KeptObjects | None:
    """Those of an organization, over a connection of their own; None where none is configured."""
    policies = [one for one in settings.objects if one.org == organization.name]
    if not policies:
        return None
    flows_of_actions = {one.action_id: one.flow_id for one in organization.analytics.data_actions}
    genesys = Objects(session_of(organization), api_url=organization.endpoints.api_url)
    return KeptObjects(genesys, store, policies, flows_of_actions, clock=clock)


def flow_of(policy: ObjectPolicy, content: Mapping[str, Any] | None, flows_of_actions: Mapping[str, str]) -> str | None:
    """The flow whose callers meet an object with this content; None if nobody knows."""
    if policy.flow_id is not None:
        return policy.flow_id
    if policy.type is ObjectType.DATA_ACTION:
        return flows_of_actions.get(policy.id)
    if policy.type is ObjectType.IVR and content is not None:
        leads_to = Answer("ivr", dict(content)).optional_object("openHoursFlow")
        return None if leads_to is None else leads_to.optional_text("id")
    return None


def _flow(policy: ObjectPolicy, version: str | None, since: float | None, name: str) -> Flow:
    return Flow(
        id=policy.id,
        name=name or policy.id,
        type=policy.type.value,
        division_id="",
        division_name="",
        active=version is not None,
        deleted=version is None,
        live_version=version,
        live_published_at=since,
        published_by=None,
        locked_by=None,
        operation=None,
    )


def _name(answer: Mapping[str, Any]) -> str:
    name = answer.get("name")
    return name if isinstance(name, str) else ""
