"""Versions that the bridge has made of others: a copy is as good as what it is a copy of. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from genesys.evidence import total
from receiver.service import NO_SERVICE, Record, Service, whole
from receiver.store.rollbacks import COPY_OF, Rollback


def copies(rolled_back: Iterable[Rollback]) -> dict[str, str]:
    """What each copy among the targets is a copy of, the oldest copy first."""
    confirmed = sorted((one for one in rolled_back if one.confirmed_at), key=lambda one: one.confirmed_at or 0.0)
    return {one.target_version: one.facts[COPY_OF] for one in confirmed if COPY_OF in one.facts}


def carried(records: Mapping[str, Record], made: Mapping[str, str]) -> dict[str, Record]:
    """The records, with what was known of the originals added to those of their copies."""
    found = dict(records)
    for copy, original in made.items():
        own, other = found.get(copy, Record()), found.get(original)
        if other is not None:
            stints = whole(replace(stint, version=copy) for stint in (*other.stints, *own.stints))
            found[copy] = Record(stints, _sum(own.service, other.service))
    return found


def carried_services(services: Mapping[str, Service], made: Mapping[str, str]) -> dict[str, Service]:
    """The same of what versions did in the history."""
    found = dict(services)
    for copy, original in made.items():
        if original in found:
            found[copy] = _sum(found.get(copy, NO_SERVICE), found[original])
    return found


def _sum(own: Service, other: Service) -> Service:
    return Service(total((own.tally, other.tally)), own.served_s + other.served_s)


def vouched_for(good: Collection[str], made: Mapping[str, str]) -> frozenset[str]:
    """What people have called good, and its copies."""
    found = set(good)
    for copy, original in made.items():
        if original in found:
            found.add(copy)
    return frozenset(found)
