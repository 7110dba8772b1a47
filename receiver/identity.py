"""Which versions of a flow are the same thing under another label, and which of them are known bad.

Two versions are the same if they were registered with the same source digest, or
if Genesys Cloud gives the same content for both. What is not known is the same as
nothing: it never keeps anybody from anything.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from receiver.store import contents, deployments, quarantines
from receiver.store.database import Transaction
from receiver.store.quarantines import Quarantine

_SOURCE = "registered with the source digest of"
_CONTENT = "the same content as"


@dataclass(frozen=True, slots=True)
class KnownBad:
    """Why a version is known bad from its first minute: it is the same as one that is in quarantine."""

    version: str
    quarantine: Quarantine
    how: str

    def describe(self) -> str:
        return f"{self.how} {self.quarantine.version}, in quarantine since rollback {self.quarantine.rollback_id}"


@dataclass(frozen=True, slots=True)
class Identities:
    """What is known of the versions of one flow, each by its label."""

    sources: Mapping[str, Collection[str]] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)
    quarantined: tuple[Quarantine, ...] = ()
    good: frozenset[str] = frozenset()

    def same(self, version: str, other: str) -> str:
        """How two versions are the same thing, in words that end before the other's label; empty if they are not."""
        if set(self.sources.get(version, ())) & set(self.sources.get(other, ())):
            return _SOURCE
        content = self.contents.get(version)
        return _CONTENT if content is not None and content == self.contents.get(other) else ""

    def known_bad(self, version: str) -> KnownBad | None:
        """Whether another version in quarantine is the same as this one."""
        for one in self.quarantined:
            how = "" if one.version == version else self.same(version, one.version)
            if how:
                return KnownBad(version, one, how)
        return None

    def against(self, version: str, accused: str) -> str:
        """Why a version is no target for the accused one; empty if nothing is known against it."""
        how = self.same(version, accused)
        if how:
            return f"{how} the accused version"
        if any(one.version == version for one in self.quarantined):
            return "in quarantine"
        known = self.known_bad(version)
        return "" if known is None else f"known bad: {known.describe()}"

    def compared(self, version: str, accused: str) -> bool:
        """Whether the contents of both are known."""
        return version in self.contents and accused in self.contents


def of_flow(tx: Transaction, org: str, flow_id: str) -> Identities:
    """What the store knows of the versions of one flow."""
    return Identities(
        sources=deployments.source_digests(tx, org, flow_id),
        contents=contents.of(tx, org, flow_id),
        quarantined=tuple(quarantines.in_force(tx, org, flow_id)),
        good=deployments.good_versions(tx, org, flow_id),
    )
