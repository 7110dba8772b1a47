"""Each configured object as people and metrics see it: what it is like, since when, and how old that knowledge is."""

from collections.abc import Collection
from dataclasses import dataclass

from receiver.config import ReceiverSettings
from receiver.objects.settings import ObjectPolicy
from receiver.store import objects
from receiver.store.database import Transaction
from receiver.store.objects import Key, ObjectState, Stint


@dataclass(frozen=True, slots=True)
class ObjectStanding:
    """An object and what is kept of it; without `state` nobody has begun to read it."""

    policy: ObjectPolicy
    state: ObjectState | None
    stints: tuple[Stint, ...]  # the newest last: that is as it was when it was last read

    @property
    def key(self) -> Key:
        return Key(self.policy.org, self.policy.type.value, self.policy.id)

    @property
    def name(self) -> str:
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
    """Of these organizations, in the order of the configuration."""
    known = {one.key: one for one in objects.states(tx)}
    found = []
    for policy in settings.objects:
        if policy.org in orgs:
            key = Key(policy.org, policy.type.value, policy.id)
            found.append(ObjectStanding(policy, known.get(key), tuple(objects.stints(tx, key))))
    return found
