"""One organization as the doctor has it: settings, calls that can only read, and the flows that were listed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from genesys.access import Session
from genesys.dialect import GenesysCloud
from genesys.flows import Flow
from genesys.http import Clock, Connection
from genesys.organizations import Organization, open_organization, session_of
from genesys.probe import Probe, is_read

HOUR_S = 3600


@dataclass
class Cloud:
    """`flows` are filled in by the step that lists them; `watch_s` is for how long minutes are watched.

    `redeploys`: a way back of some flow needs the permissions for it.
    """

    settings: Organization
    session: Session
    genesys: GenesysCloud
    probe: Probe
    clock: Clock
    watch_s: float = 0.0
    redeploys: bool = False
    flows: list[Flow] = field(default_factory=list)

    @property
    def connection(self) -> Connection:
        return self.session.connection

    @property
    def live(self) -> list[Flow]:
        return [flow for flow in self.flows if flow.live_version is not None and not flow.deleted]


@contextmanager
def opened_to_read(
    settings: Organization, *, watch_s: float = 0.0, redeploys: bool = False, clock: Clock | None = None
) -> Iterator[Cloud]:
    """Connections that send nothing but reads, whatever is asked of them."""
    with _opened(settings, Connection(permits=is_read, clock=clock), watch_s, redeploys) as cloud:
        yield cloud


@contextmanager
def opened_to_publish(settings: Organization, *, clock: Clock | None = None) -> Iterator[Cloud]:
    """The same, for the drill: it may publish."""
    with _opened(settings, Connection(clock=clock), 0.0, redeploys=False) as cloud:
        yield cloud


@contextmanager
def _opened(settings: Organization, connection: Connection, watch_s: float, redeploys: bool) -> Iterator[Cloud]:
    session = session_of(settings, connection=connection)
    genesys = open_organization(settings, session=session)
    try:
        probe = Probe(session, api_url=settings.endpoints.api_url)
        yield Cloud(settings, session, genesys, probe, connection.clock, watch_s, redeploys)
    finally:
        genesys.close()
