"""Who changed what: the audit entries of the organization. Times are Unix seconds."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.ids import id_of
from simulator.vocabulary import Change

ENTRIES_KEPT = 10_000  # the oldest go
PUBLISH = "Publish"
ARCHITECT, FLOW = "Architect", "Flow"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that somebody changed; a read shows it from `shown_from` on."""

    id: str
    at: float
    shown_from: float
    change: Change
    version: str | None = None  # of a flow

    def values(self, clients: Mapping[str, str]) -> dict[str, str]:
        """What a filter can ask for, by the name of the property."""
        who = "UserId" if self.change.person else "ClientId"
        return {
            who: id_of_author(self.change, clients),
            "Action": self.change.action,
            "EntityType": self.change.entity_type,
            "EntityId": id_of_entity(self.change),
        }


@dataclass
class AuditTrail:
    """The entries, earliest first; `clients` has the id of each OAuth client by its name."""

    clients: Mapping[str, str]
    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=ENTRIES_KEPT))
    _count: int = 0

    def add(self, change: Change, at: float, *, late_s: float, version: str | None = None) -> None:
        """Somebody changed something at a time; it shows `late_s` real seconds later."""
        self._count += 1
        entry_id = id_of(f"audit entry {self._count}")
        self.entries.append(Entry(entry_id, at, at + late_s, change, version))

    def published(
        self, flow_id: str, name: str, label: str, by: str, at: float, *, person: bool, late_s: float
    ) -> None:
        """A version became live."""
        change = Change(
            event="change",
            service=ARCHITECT,
            entity_type=FLOW,
            entity_id=flow_id,
            entity_name=name,
            action=PUBLISH,
            by=by,
            person=person,
        )
        self.add(change, at, late_s=late_s, version=label)


def id_of_author(change: Change, clients: Mapping[str, str]) -> str:
    """Of the user, or of the OAuth client."""
    return id_of(change.by) if change.person else clients.get(change.by, id_of(change.by))


def id_of_entity(change: Change) -> str:
    """Of what was changed."""
    return change.entity_id or id_of(f"{change.entity_type} {change.entity_name}")
