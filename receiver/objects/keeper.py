"""Reads every configured object now and then, at once when somebody has changed it or is about to, and keeps snapshots.

In a thread of its own, and nobody waits for it.
"""

import logging
from collections.abc import Callable
from threading import Event

from genesys.budget import PutOff, nothing
from genesys.errors import GenesysError, NotAllowed
from genesys.log import event
from receiver.config import Timing
from receiver.objects.kept import KeptObjects
from receiver.store import changes, objects
from receiver.store.database import Store, StoreUnavailable, Transaction, clock
from receiver.store.objects import Key

log = logging.getLogger(__name__)

RETRY_PART = 5  # a reading that failed is tried again after a fifth of the usual time


class Keeper:
    """One organization's objects, each read by one of all receivers at a time. Used by one thread."""

    def __init__(
        self,
        org: str,
        store: Store,
        kept: KeptObjects,
        timing: Timing,
        *,
        put_off_s: PutOff = nothing,
        clock: Callable[[Transaction], float] = clock,
    ) -> None:
        self._org = org
        self._store = store
        self._kept = kept
        self._timing = timing
        self._put_off_s = put_off_s
        self._clock = clock

    def run(self, stop: Event) -> None:
        """Read until `stop` is set, whatever goes wrong."""
        while not stop.is_set():
            try:
                self.read_due(stop)
            except StoreUnavailable as problem:
                cure = "bring the database back; see database_url in receiver.yml"
                event(log, logging.WARNING, "objects_not_stored", org=self._org, error=problem, cure=cure)
            except Exception:
                log.exception("objects_failed org=%s", self._org)
            stop.wait(self._timing.tick_s)

    def read_due(self, stop: Event | None = None) -> int:
        """Read the objects whose turn it is, and say how many that were. Raises StoreUnavailable."""
        read = 0
        for object_id, is_wanted in self._store.transact(self._due):
            if stop is not None and stop.is_set():
                break
            if not is_wanted and self._put_off_s("objects"):
                continue
            if self._store.transact(self._claim, object_id):
                read += 1
                self._read(object_id)
        return read

    def _due(self, tx: Transaction) -> list[tuple[str, bool]]:
        """Each with whether somebody wants it, or has changed it; a look that writes nothing but what is wanted."""
        now = self._clock(tx)
        states = objects.states(tx, self._org)
        self._kept.learn(states)
        known = {one.object_id: one for one in states}
        seen_at = changes.newest_seen(tx, self._org, self._kept.policies)
        due = []
        for object_id in (*self._kept.filters, *self._kept.policies):
            one = known.get(object_id)
            if one is None:
                due.append((object_id, True))
                continue
            is_changed = seen_at.get(object_id, 0.0) > max(one.asked_at, one.wanted_at or 0.0)
            if is_changed:
                objects.want(tx, self._org, now=now, object_ids=[object_id])
            is_wanted = is_changed or (one.wanted_at or 0.0) > one.asked_at
            if is_wanted or one.due_at <= now:
                due.append((object_id, is_wanted))
        return due

    def _claim(self, tx: Transaction, object_id: str) -> bool:
        now = self._clock(tx)
        return objects.claim(tx, self._key(object_id), now=now, next_at=now + self._timing.objects_s)

    def _key(self, object_id: str) -> Key:
        listing = self._kept.filters.get(object_id)
        return self._kept.key(object_id) if listing is None else Key(self._org, listing.type.value, object_id)

    def _read(self, object_id: str) -> None:
        """Read an object, or list what a filter matches."""
        key = self._key(object_id)
        try:
            if object_id in self._kept.filters:
                self._kept.find(object_id)
                return
            found = self._kept.read(object_id)
        except GenesysError as problem:
            refused = isinstance(problem, NotAllowed)
            text = str(problem)
        else:
            if not found.deleted:
                return
            refused, text = False, "it does not exist (any more)"
        about = {"org": self._org, "object_type": key.object_type, "object_id": object_id, "error": text}
        cure = (
            "give the OAuth client's role the permissions in docs/objects.md, over the object's division"
            if refused
            else "nothing, if it passes; else see `objects` in receiver.yml"
        )
        state = self._store.transact(objects.state, key)
        if state is None or not state.problem:  # once for as long as it lasts
            event(log, logging.WARNING, "object_not_read", **about, cure=cure)
        retry_s = self._timing.objects_s / RETRY_PART
        self._store.transact(lambda tx: objects.failed(tx, key, text, retry_at=self._clock(tx) + retry_s))
