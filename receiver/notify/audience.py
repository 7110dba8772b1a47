"""Which events a sink is told of. Pure."""

from collections.abc import Mapping
from typing import Any

from genesys.settings import Settings, Text
from receiver.notify.kinds import IncidentType


class Audience(Settings):
    """What a sink wants to hear of; what is left out narrows nothing."""

    events: tuple[IncidentType, ...] = ()  # only these
    orgs: tuple[Text, ...] = ()  # only of these organizations
    divisions: tuple[Text, ...] = ()  # only of flows in these divisions, by name
    owners: tuple[Text, ...] = ()  # only of flows of these owners (`flows[].owner`)


def wants(audience: Audience, event: Mapping[str, Any]) -> bool:
    """Whether the sink is to be told. What an event does not say cannot keep it from anybody: better told than lost."""
    asked = (
        (audience.events, event.get("incident_type")),
        (audience.orgs, event.get("org")),
        (audience.divisions, event.get("division")),
        (audience.owners, event.get("owner")),
    )
    return all(not wanted or found in (None, "") or found in wanted for wanted, found in asked)
