"""Which flows use a common module: Architect's dependency tracking. Only dialect `platform` has it.

Paths, parameters and fields are those of the official SDK (`get_architect_dependencytracking_consumingresources`,
`_build`). Not proved: which permission the calls need (by the pattern of the others
`architect:dependencyTracking:view`), and how far behind a publish the tracking is.
"""

from dataclasses import dataclass

from genesys.access import Session
from genesys.answers import Answer
from genesys.errors import Unavailable
from genesys.http import Request

COMMON_MODULE = "commonmodule"
"""The type of a flow that others use, in lower case as analytics have it."""

BUILD, CONSUMING = "architect/dependencytracking/build", "architect/dependencytracking/consumingresources"
PAGE_SIZE = 100
MOST_PAGES = 5  # five hundred flows; nobody reads more of them
_CURRENT = "operational"


@dataclass(frozen=True, slots=True)
class Dependent:
    """A published version of a flow that uses the module; `type` as `genesys.flows.Flow` has it."""

    id: str
    name: str
    type: str
    version: str | None


class Dependencies:
    """Safe to be shared by threads; raises a `GenesysError` like `GenesysCloud`."""

    def __init__(self, session: Session, *, api_url: str) -> None:
        self._session = session
        self._api = f"{api_url}/api/v2"

    def of_module(self, flow_id: str) -> list[Dependent]:
        """The published flows that use a common module, by name: two calls where there are up to a hundred.

        Raises `Unavailable` while the tracking is not built or is behind: an empty list would say that nobody uses it.
        """
        status = Answer(BUILD, self._read(Request("GET", f"{self._api}/{BUILD}", BUILD))).text("status")
        if status.lower() != _CURRENT:
            raise Unavailable(f"dependency tracking is {status}: build it in Architect")
        found: dict[str, Dependent] = {}
        for number in range(1, MOST_PAGES + 1):
            params: dict[str, str | int] = {
                "id": flow_id,
                "objectType": f"{COMMON_MODULE.upper()}FLOW",
                "flowFilter": "published",
                "pageNumber": number,
                "pageSize": PAGE_SIZE,
            }
            told = Answer(CONSUMING, self._read(Request("GET", f"{self._api}/{CONSUMING}", CONSUMING, params=params)))
            users = list(told.items("entities"))
            found |= {
                one.text("id"): Dependent(
                    one.text("id"), one.optional_text("name") or "", _type_of(one), one.optional_text("version")
                )
                for one in users
                if not one.optional_flag("deleted") and _type_of(one)
            }
            if len(users) < PAGE_SIZE:
                break
        return sorted(found.values(), key=lambda one: (one.name, one.id))

    def _read(self, request: Request) -> object:
        return self._session.read(request, deadline=self._session.deadline())


def _type_of(user: Answer) -> str:
    """`inboundcall` of INBOUNDCALLFLOW; empty for what is no flow."""
    told = (user.optional_text("type") or "").lower()
    return told.removesuffix("flow") if told.endswith("flow") else ""
