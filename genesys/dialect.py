"""What every dialect of the Genesys Cloud API can do for us."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from genesys.evidence import Evidence
from genesys.flows import Flow, FlowVersion, Operation
from genesys.stints import Stint

if TYPE_CHECKING:
    from genesys.dependencies import Dependencies
    from genesys.jobs import Jobs  # which needs what is defined here


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Genesys Cloud's own count of our requests, from the `inin-ratelimit-*` headers of its newest answer."""

    allowed: int
    used: int
    reset_s: float
    read_at: float


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it went over the wire, for metrics; `code` is the HTTP status or `error` without an answer."""

    endpoint: str
    code: str
    duration_s: float


Observer = Callable[[Call], None]


class GenesysCloud(Protocol):
    """One organization. Reads are repeated within their deadline; `publish` is sent exactly once.

    Every method raises a `GenesysError` when it cannot give a whole answer: half
    an answer is none. Safe to be shared by threads.
    """

    @property
    def rate_limit(self) -> RateLimit | None:
        """None until Genesys Cloud has sent the headers; their absence is normal."""

    def evidence(self, start: int, end: int, *, bucket_s: int, flow_ids: Sequence[str] = ()) -> Evidence:
        """Outcomes of all flows (or of `flow_ids`) in [start, end), both Unix seconds on a bucket's edge."""

    def conversations(self, start: int, end: int, *, bucket_s: int) -> Mapping[int, tuple[int, int]]:
        """The organization's (errors, conversations) by bucket start; no flow dimension."""

    def flows(self, *, published_after: float | None = None) -> list[Flow]:
        """Every flow that is not deleted, over all pages; or those published after a time."""

    def flow(self, flow_id: str) -> Flow:
        """One flow, deleted ones included. Raises `Gone` if Genesys Cloud does not know it."""

    def versions(self, flow_id: str) -> list[FlowVersion]:
        """All versions of a flow, over all pages."""

    def configuration(self, flow_id: str, version: str) -> str | None:
        """What a version contains, as a digest: the same for versions of a flow that are the same thing.

        None if Genesys Cloud tells nothing about it. It may refuse the call.
        """

    def stints(self) -> Mapping[str, Sequence[Stint]]:
        """Which version of which flow this process has seen live when; none where Genesys Cloud can tell."""

    def recall(self, stints: Mapping[str, Sequence[Stint]]) -> None:
        """Count what was seen before a restart, or by others, as seen; replaces what was recalled before."""

    def publish(self, flow_id: str, version: str) -> Operation:
        """Ask Genesys Cloud to make `version` live: one POST, never repeated here.

        Raises `Throttled`, `NotAllowed`, `Gone` or `Refused` when it had no
        effect; `Unavailable` when only `read_back` can tell.
        """

    @property
    def jobs(self) -> "Jobs | None":
        """Export and deploy jobs; None in a dialect that has none."""

    @property
    def dependencies(self) -> "Dependencies | None":
        """Which flows use a common module; None in a dialect that cannot tell."""

    def close(self) -> None:
        """Close the connections."""
