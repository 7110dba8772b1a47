"""What one organization's rollbacks work with; put together once, in `worker`."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from genesys.dialect import GenesysCloud
from receiver.alertmanager import Alertmanagers
from receiver.config import Timing
from receiver.gather import Surroundings
from receiver.metrics import ReceiverMetrics
from receiver.notify.events import Telling
from receiver.policy import Limits
from receiver.reader import Reader
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
