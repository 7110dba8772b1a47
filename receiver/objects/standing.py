"""Each configured object as people and metrics see it: what it is like, since when, and how old that knowledge is."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from receiver.config import ReceiverSettings
from receiver.objects.settings import FILTER, ObjectPolicy, applying
from receiver.store import objects
from receiver.store.database import Transaction
from receiver.store.objects import Key, ObjectState, Stint


@dataclass(frozen=True, slots=True)
class ObjectStanding:
    """An object and what is kept of it; without `state` nobody has begun to read it.

    Or a filter: it was read when what it matches was listed.
    """

    policy: ObjectPolicy
    state: ObjectState | None
    stints: tuple[Stint, ...]  # the newest last: that is as it was when it was last read

    @property
    def key(self) -> Key:
        return Key(self.policy.org, self.policy.type.value, self.policy.kept_as)

    @property
    def name(self) -> str:
        if self.policy.is_filter:
            return f"every one named {self.policy.name}"
        return (self.state.name if self.state is not None else "") or self.policy.id

    @property
    def live(self) -> Stint | None:
        return self.stints[-1] if self.stints else None

    @property
    def before(self) -> str | None:
        """The version before; None if it was never another one."""
        earlier = [one.version for one in self.stints if self.live is not None and one.version != self.live.version]
        return earlier[-1] if earlier else None


def object_standings(tx: Transaction, settings: ReceiverSettings, orgs: Collection[str]) -> list[ObjectStanding]:
    """Of these organizations, in the order of the configuration; what a filter matches comes after it, by name."""
    known = {one.key: one for one in objects.states(tx)}
    found = []
    for entry in settings.objects:
        if entry.org in orgs:
            policies = [entry, *_found_by(entry, settings, known.values())]
            for policy in policies:
                key = Key(policy.org, policy.type.value, policy.kept_as)
                found.append(ObjectStanding(policy, known.get(key), tuple(objects.stints(tx, key))))
    return found


def _found_by(entry: ObjectPolicy, settings: ReceiverSettings, known: Iterable[ObjectState]) -> Iterator[ObjectPolicy]:
    if not entry.is_filter:
        return
    own = settings.of(entry.org).objects
    for one in sorted(known, key=lambda one: (one.name, one.object_id)):
        if (one.org, one.object_type) == (entry.org, entry.type.value) and not one.object_id.startswith(FILTER):
            policy = applying(own, one.object_type, one.object_id, one.name)
            if policy is not None and policy.name == entry.name:
                yield policy
