"""What one organization's rollbacks work with; put together in one place."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from genesys.dialect import GenesysCloud
from genesys.organizations import Organization
from receiver.alertmanager import Alertmanagers
from receiver.applied import survey_with
from receiver.config import ReceiverSettings, Timing
from receiver.gather import Surroundings
from receiver.metrics import ReceiverMetrics
from receiver.notify.events import Telling
from receiver.objects.cloud import WithObjects
from receiver.objects.kept import KeptObjects
from receiver.objects.routes import Routes
from receiver.outbound import Outbound
from receiver.policy import Limits
from receiver.reader import NoteVersions, Reader, note_nothing
from receiver.store.database import Store, Transaction, clock


@dataclass(frozen=True, slots=True)
class Tools:
    """Everything that a step may touch; `clock` and `monotonic` are the only times it knows."""

    store: Store
    genesys: GenesysCloud
    reader: Reader
    alertmanagers: Alertmanagers
    around: Surroundings
    telling: Telling
    metrics: ReceiverMetrics
    receiver: str  # name of this process, for the records
    call_timeout_s: float  # of one call to Genesys Cloud
    objects: KeptObjects | None = None  # those other than flows; None where none is configured
    routes: Routes | None = None  # by which callers may be led elsewhere; None where they never are
    monotonic: Callable[[], float] = time.monotonic
    clock: Callable[[Transaction], float] = clock

    @property
    def limits(self) -> Limits:
        settings = self.around.settings
        return Limits(
            evidence_max_age_s=self.timing.evidence_max_age_s,
            budget_s=self.timing.budget_s,
            budget_per_flow=settings.budget_per_flow,
            budget_per_org=settings.budget_per_org,
        )

    @property
    def timing(self) -> Timing:
        return self.around.settings.timing


def telling_of(settings: ReceiverSettings) -> Telling:
    """Whom the settings name to be told."""
    return Telling(
        [sink.name for sink in settings.sinks], settings.external_url, {sink.name: sink for sink in settings.sinks}
    )


def put_together(
    organization: Organization,
    orgs: Collection[str],
    settings: ReceiverSettings,
    *,
    store: Store,
    genesys: GenesysCloud,
    http: Outbound,
    metrics: ReceiverMetrics,
    receiver: str,
    note_versions: NoteVersions = note_nothing,
    objects: KeptObjects | None = None,
    routes: Routes | None = None,
    clock: Callable[[Transaction], float] = clock,
) -> Tools:
    """The tools of one organization; `orgs` are all that are configured."""
    timing, own = settings.timing, settings.of(organization.name)
    if objects is not None or routes is not None:
        genesys = WithObjects(genesys, objects, routes, store)
    return Tools(
        store=store,
        genesys=genesys,
        reader=Reader(
            genesys,
            organization.analytics,
            retry_s=timing.retry_s,
            survey=survey_with(settings),
            credentials=partial(metrics.credentials, organization.name),
            note_versions=note_versions,
        ),
        alertmanagers=Alertmanagers(settings.alertmanagers, http, max_age_s=timing.alertmanager_max_age_s),
        around=Surroundings(own, frozenset(orgs), alertmanager_configured=bool(settings.alertmanagers)),
        telling=telling_of(settings),
        metrics=metrics,
        receiver=receiver,
        call_timeout_s=organization.timeout_s,
        objects=objects,
        routes=routes,
        clock=clock,
    )
