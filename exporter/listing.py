"""The list of an organization's flows, kept up to date with few calls.

Small organizations are read whole at every poll. In large ones a poll asks for
what was published since, and reads the whole list at every tenth poll, or so seldom
that it costs no more than a page per poll; between two of these a deleted,
deactivated or renamed flow is seen late.
"""

from collections.abc import Mapping
from types import MappingProxyType

from genesys.dialect import GenesysCloud
from genesys.flows import Flow

WHOLE_UP_TO_FLOWS = 1000  # two pages of 500: with them a poll still needs five calls
WHOLE_EVERY_POLLS = 10
PAGE_FLOWS = 500  # of the dialect `platform`; where pages are larger the list is read more seldom than it could be
OVERLAP_S = 300.0  # two clocks and a list that lags behind: rather read a publication twice than never


class Listing:
    """Every flow of one organization that is not deleted, as last read. For one thread."""

    def __init__(self) -> None:
        self._flows: dict[str, Flow] = {}
        self._read_at: float | None = None
        self._polls_since_whole = 0

    @property
    def flows(self) -> Mapping[str, Flow]:
        return MappingProxyType(dict(self._flows))

    def refresh(self, cloud: GenesysCloud, *, now: float) -> None:
        """Read what may have changed. Raises `GenesysError` and keeps the list as it was."""
        large = len(self._flows) > WHOLE_UP_TO_FLOWS
        every_polls = max(WHOLE_EVERY_POLLS, len(self._flows) // PAGE_FLOWS)
        if self._read_at is None or not large or self._polls_since_whole >= every_polls - 1:
            self._flows = {flow.id: flow for flow in cloud.flows() if not flow.deleted}
            self._polls_since_whole = 0
        else:
            for flow in cloud.flows(published_after=self._read_at - OVERLAP_S):
                self.correct(flow)
            self._polls_since_whole += 1
        self._read_at = now

    def correct(self, flow: Flow) -> None:
        """Take over one flow that was read later than the list."""
        if flow.deleted:
            self.forget(flow.id)
        else:
            self._flows[flow.id] = flow

    def forget(self, flow_id: str) -> None:
        """The flow does not exist any more."""
        self._flows.pop(flow_id, None)
