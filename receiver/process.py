"""The running receiver: the web application, one worker per organization, one sender per sink, one poller per feed."""

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from threading import Event, Lock, Thread

from flask import Flask

from genesys.audit import Audit
from genesys.budget import Budget, PutOff
from genesys.dialect import RateLimit
from genesys.organizations import Organization, open_organization, session_of
from receiver.changes import Changes
from receiver.config import ReceiverSettings
from receiver.contents import Contents
from receiver.desk import Desk
from receiver.feeds.polling import Poller
from receiver.feeds.settings import FeedSettings
from receiver.feeds.sources import source_of
from receiver.known_bad import Watch
from receiver.ledger import Ledger
from receiver.metrics import ReceiverMetrics
from receiver.notify.delivery import Deliverer
from receiver.notify.sinks import sinks_of
from receiver.objects.keeper import Keeper
from receiver.objects.kept import open_objects
from receiver.objects.routes import open_routes
from receiver.outbound import Outbound
from receiver.reader import NoteVersions, note_nothing
from receiver.roster import Roster
from receiver.store.database import Store
from receiver.tools import Tools, put_together, telling_of
from receiver.web.app import create_app
from receiver.worker import Worker

IN_TURN_S = 0.1  # from the first reading of one organization to that of the next
MAX_SILENCE_S = 180.0  # a round may wait for four reads of Genesys Cloud, each within its deadline


class Process:
    """Everything that lives as long as the process. `start` begins the threads, `stop` ends them."""

    def __init__(self, settings: ReceiverSettings, organizations: Sequence[Organization]) -> None:
        self._settings = settings
        self._name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._store = Store(settings.database_url, actor=self._name)
        self._http = Outbound(settings.timing.call_timeout_s)
        names = [organization.name for organization in organizations]
        self._metrics = ReceiverMetrics(self._store, settings, names)
        self._clouds = {organization.name: open_organization(organization) for organization in organizations}
        # With a token and connections of their own: what keeps the audit waiting keeps no rollback waiting.
        self._audits = {
            one.name: session_of(one) for one in organizations if settings.audit and one.dialect == "platform"
        }
        self._objects = {
            one.name: kept for one in organizations if (kept := open_objects(one, settings, self._store)) is not None
        }
        self._routes = {
            one.name: routes
            for one in organizations
            if (routes := open_routes(one, settings, self._clouds[one.name])) is not None
        }
        self._ledgers = {organization.name: self._ledger(organization) for organization in organizations}
        self._workers = [
            self._worker(organization, names, first=organization is organizations[0]) for organization in organizations
        ]
        sinks = sinks_of(settings, self._http)
        self._deliverer = Deliverer(self._store, sinks, self._metrics, settings.timing)
        self._stop = Event()
        self._threads = [Thread(target=worker.run, args=(self._stop,), name=worker.org) for worker in self._workers]
        self._threads += [
            Thread(target=self._in_turn, args=(number, self._roster(one).run), name=f"{one.name}-flows")
            for number, one in enumerate(organizations)
        ]
        self._threads += [
            Thread(target=self._in_turn, args=(number, ledger.run), name=f"{org}-ledger")
            for number, (org, ledger) in enumerate(self._ledgers.items())
        ]
        self._threads += [
            Thread(target=self._changes(one).run, args=(self._stop,), name=f"{one.name}-changes")
            for one in organizations
            if one.name in self._audits
        ]
        self._threads += [
            Thread(target=self._keeper(one).run, args=(self._stop,), name=f"{one.name}-objects")
            for one in organizations
            if one.name in self._objects
        ]
        self._threads.append(Thread(target=self._deliverer.run, args=(self._stop,), name="outbox"))
        self._threads += [
            Thread(target=self._poller(feed).run, args=(self._stop,), name=f"feed-{feed.name}")
            for feed in settings.feeds.all
        ]
        turn = Lock()
        desks = {one.name: Desk(self._tools(one, names), turn) for one in organizations}
        self.app: Flask = create_app(
            self._store, settings, names, self._metrics, self.problems, desks, sinks, self._hurry
        )

    def start(self) -> None:
        for ledger in self._ledgers.values():
            ledger.recall()
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def _in_turn(self, number: int, run: Callable[[Event], None]) -> None:
        """Begin one after the other: two hundred first lists at once would keep the database from all else."""
        if not self._stop.wait(number * IN_TURN_S):
            run(self._stop)

    def stop(self, within_s: float) -> None:
        """End the threads; a step under way is finished, if it can be within the time."""
        self._stop.set()
        self._hurry(worker.org for worker in self._workers)
        give_up_at = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))
        if not any(thread.is_alive() for thread in self._threads):  # else a publish under way would be cut off
            for cloud in self._clouds.values():
                cloud.close()
            for session in self._audits.values():
                session.connection.close()
            for kept in self._objects.values():
                kept.close()
            for routes in self._routes.values():
                routes.close()
        self._http.close()
        self._store.close()

    def problems(self) -> list[str]:
        """Why the receiver cannot do its work now; empty when it can."""
        found = []
        for worker in self._workers:
            silent_s = worker.silent_for_s()
            if silent_s is None:
                found.append(f"the worker of {worker.org} has not finished a round yet")
            elif silent_s > MAX_SILENCE_S:
                found.append(f"the worker of {worker.org} has been silent for {silent_s:.0f} s")
        return found + self._deliverer.problems()

    def _hurry(self, orgs: Iterable[str]) -> None:
        """The loops of these organizations; of one that nobody has configured, the loop that answers for strangers."""
        known = {worker.org: worker for worker in self._workers}
        for org in orgs:
            known.get(org, self._workers[0]).hurry()

    def _worker(self, organization: Organization, names: Sequence[str], *, first: bool) -> Worker:
        tools = self._tools(organization, names, self._ledgers[organization.name].note_versions)
        return Worker(organization.name, tools, responsible_for_strangers=names if first else ())

    def _tools(
        self, organization: Organization, names: Sequence[str], note_versions: NoteVersions = note_nothing
    ) -> Tools:
        """For one thread: what was read is remembered in them."""
        return put_together(
            organization,
            names,
            self._settings,
            store=self._store,
            genesys=self._clouds[organization.name],
            http=self._http,
            note_versions=note_versions,
            metrics=self._metrics,
            receiver=self._name,
            objects=self._objects.get(organization.name),
            routes=self._routes.get(organization.name),
        )

    def _poller(self, feed: FeedSettings) -> Poller:
        return Poller(feed, source_of(feed, self._http), self._store, self._settings.timing)

    def _changes(self, organization: Organization) -> Changes:
        return Changes(
            organization.name,
            self._store,
            Audit(self._audits[organization.name], api_url=organization.endpoints.api_url),
            self._settings.timing,
            own_client_id=organization.credentials.client_id,
            put_off_s=_put_off_s(organization, lambda: self._audits[organization.name].connection.rate_limit),
        )

    def _keeper(self, organization: Organization) -> Keeper:
        org = organization.name
        limit = self._clouds[org]  # one limit for all tokens, as far as anybody knows
        return Keeper(
            org,
            self._store,
            self._objects[org],
            self._settings.timing,
            put_off_s=_put_off_s(organization, lambda: limit.rate_limit),
        )

    def _ledger(self, organization: Organization) -> Ledger:
        org = organization.name
        credentials = partial(self._metrics.credentials, org)
        return Ledger(
            org,
            self._store,
            self._clouds[org],
            organization.analytics,
            self._settings.timing,
            credentials=credentials,
            put_off_s=_put_off_s(organization, lambda: self._clouds[org].rate_limit),
        )

    def _roster(self, organization: Organization) -> Roster:
        org, cloud = organization.name, self._clouds[organization.name]
        credentials = partial(self._metrics.credentials, org)
        watch = Watch(org, self._store, Contents(org, self._store, cloud), telling_of(self._settings))
        return Roster(
            org,
            self._store,
            cloud,
            self._settings.timing,
            credentials=credentials,
            look=watch.look,
            put_off_s=_put_off_s(organization, lambda: cloud.rate_limit),
        )


def _put_off_s(organization: Organization, limit: Callable[[], RateLimit | None]) -> PutOff:
    """For one thread that reads what can wait."""
    budget = Budget(organization.name, limit, reserve_ratio=organization.reserve_ratio, now=time.time)
    return budget.put_off_s
