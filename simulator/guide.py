"""The dialect `guide`: three calls that guides to automated rollback name and the public API does not have.

Word for word as the guide has them, and where it is silent this is our reading:

- `conversation.duration.total` counts 60 seconds for each conversation, however
  long it was, because the guide divides it by 60 and calls that the volume.
- A conversation counts in the interval in which it ended: earlier its duration
  is not known, and so no interval has more errors than conversations.
- The errors of a flow are the calls that it ended with an error; those of the
  organization are all errors, also outside of flows.
- Nothing happened is 0; both values are always numbers.
- Versions come in pages as in `platform`, newest first; `active` is the live
  one, `published` each other that was live before.
- `PATCH` answers as `publish` in `platform` does, and is as asynchronous.
"""

from typing import Annotated, Literal, TypeVar

from flask import Blueprint, request
from pydantic import Field, ValidationError, model_validator

from simulator.behaviour import ERROR_REASONS
from simulator.bounds import RangeBound
from simulator.callers import Key, Kind
from simulator.errors import bad_request
from simulator.reports import Group, Span, Table
from simulator.representation import published_dates
from simulator.scenario import explain
from simulator.simulation import Simulation
from simulator.strict import Text, Words
from simulator.views import page, publish, read_world, tabulated
from simulator.world import Flow

ERRORS = "conversation.errors.total"
DURATION = "conversation.duration.total"
SECONDS_COUNTED = 60  # for each conversation

Milliseconds = Annotated[int, Field(ge=0)]


class Interval(Words):
    start: Milliseconds
    end: Milliseconds

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> "Interval":
        if self.start >= self.end:
            raise ValueError("end must be after start")
        return self


class Entity(Words):
    type: Literal["org", "flow"]
    id: Text

    @model_validator(mode="after")
    def _the_organization_is_all(self) -> "Entity":
        if self.type == "org" and self.id != "all":
            raise ValueError("the id of the org is all")
        return self


class Measure(Words):
    """The body of a question about conversations."""

    interval: Interval
    metric: Literal["conversation.errors.total", "conversation.duration.total"]
    entity: Entity

    @property
    def span(self) -> Span:
        """One bucket."""
        return Span(self.interval.start, self.interval.end, self.interval.end - self.interval.start)


class NamedVersion(Words):
    id: Text
    description: str


class Activation(Words):
    """The body of a deployment."""

    version: NamedVersion
    status: Literal["active"]


class Ended:
    """Groups conversations that have ended by flow and exit reason; all questions share its tables."""

    bounds: tuple[RangeBound, ...] = ()

    def group(self, key: Key) -> Group | None:
        return (key.flow_id, key.exit_reason) if key.kind in (Kind.EXIT, Kind.ERROR) else None


ENDED = Ended()

_Body = TypeVar("_Body", bound=Words)


def blueprint(simulation: Simulation) -> Blueprint:
    guide = Blueprint("guide", __name__)
    _measures(guide, simulation)
    _deployments(guide, simulation)
    return guide


def _measures(guide: Blueprint, simulation: Simulation) -> None:
    @guide.get("/api/v2/analytics/measures/conversations")
    def measures() -> dict[str, object]:
        asked = _read(Measure)
        with tabulated(simulation, asked.span, ENDED) as table:
            flow_id = None if asked.entity.type == "org" else simulation.world.flow(asked.entity.id).spec.id
            values = _values(table, flow_id)
            if simulation.world.switches.guide_metrics == "one":
                values = {asked.metric: values[asked.metric]}
        return {"data": [{"values": values}]}


def _deployments(guide: Blueprint, simulation: Simulation) -> None:
    @guide.get("/api/v2/architect/flows/<flow_id>/versions")
    def versions(flow_id: str) -> dict[str, object]:
        with read_world(simulation) as (world, at):
            flow = world.flow(flow_id)
            return page(
                flow.existing(), lambda known: _version(flow, known.label, at, dates=world.switches.guide_dates)
            )

    @guide.patch("/api/v2/architect/deployments/<flow_id>/versions/<label>")
    def deployment(flow_id: str, label: str) -> dict[str, object]:
        named = _read(Activation).version.id
        if named != label:
            raise bad_request(f"version.id: {named} is not the version {label} of the path")
        return publish(simulation, flow_id, label)


def _values(table: Table, flow_id: str | None) -> dict[str, int]:
    """Both metrics, of one flow or of the organization."""
    errors = conversations = 0
    for groups in table.values():
        for (of_flow, exit_reason), kinds in groups.items():
            if flow_id in (None, of_flow):
                ended = kinds[Kind.EXIT].count if Kind.EXIT in kinds else 0
                conversations += ended
                if flow_id is None:
                    errors += kinds[Kind.ERROR].count if Kind.ERROR in kinds else 0
                elif exit_reason in ERROR_REASONS:
                    errors += ended
    return {ERRORS: errors, DURATION: conversations * SECONDS_COUNTED}


def _version(flow: Flow, label: str, at: float, *, dates: bool) -> dict[str, object]:
    stints = flow.shown(at)
    active = bool(stints) and stints[-1].version == label
    status = {"id": label, "status": "active" if active else "published"}
    return {**status, **(published_dates(flow, label, at) if dates else {})}


def _read(shape: type[_Body]) -> _Body:
    """The body of this request. Raises a 400 `ApiError` that tells every problem."""
    try:
        return shape.model_validate_json(request.get_data())
    except ValidationError as error:
        raise bad_request(explain(error)) from error
