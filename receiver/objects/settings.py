"""`objects` of receiver.yml: of which configuration objects snapshots are kept, and what may be done with them."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from genesys.evidence import ACTION_SIGNALS, Signal
from genesys.excess import is_relative, relative_threshold, threshold_for
from genesys.objects import ObjectType
from genesys.settings import Ratio, Settings, Text
from receiver.objects.restoration import RESTORABLE
from receiver.situation import Mode
from receiver.strategy import Strategy

# Whose callers meet it is told by nothing but the configuration; a call route names its flow itself.
_NEED_A_FLOW = frozenset({ObjectType.DATA_TABLE, ObjectType.SCHEDULE, ObjectType.SCHEDULE_GROUP})


def _never_by_itself(mode: Mode) -> Mode:
    if mode is Mode.AUTO:
        raise ValueError("must be ignore, observe or approve: objects are restored with approval at most")
    return mode


FILTER = "name:"
"""How the id begins under which a filter is kept."""


class ObjectPolicy(Settings):
    """A data table, a data action, a call route …: the bridge keeps what it was like; Genesys Cloud does not."""

    org: Text  # the organization, by its name in organizations.yml
    type: ObjectType  # what it is
    id: Text = ""  # the object's id; or
    name: Text = ""  # every object of this type by its name, a glob: `*` any text, `?` any character
    flow_id: Text | None = None  # the flow whose callers meet it; of a call route without it, the one it leads to
    mode: Annotated[Mode, AfterValidator(_never_by_itself)]  # keep snapshots only, say what would be done, or ask
    threshold_ratio: Ratio = 0.05  # as for flows
    owner: str = ""  # whose the object is, in notifications

    @model_validator(mode="after")
    def _is_coherent(self) -> Self:
        problems = []
        if bool(self.id) == bool(self.name):
            problems.append("id: give the id of one object, or name, a glob, for those of this type; not both")
        if self.id.startswith(FILTER):
            problems.append(f"id: {FILTER} is how the bridge names a filter; give name instead")
        if self.type not in RESTORABLE and self.mode is not Mode.IGNORE:
            problems.append(f"mode: must be ignore: a {self.type} is only read and compared")
        if self.type in _NEED_A_FLOW and self.flow_id is None and self.mode is not Mode.IGNORE:
            problems.append(f"flow_id: name the flow whose callers meet the {self.type}: else nothing shows its fault")
        if self.type is ObjectType.DATA_ACTION and self.flow_id is not None:
            problems.append("flow_id: remove it: analytics.data_actions in organizations.yml names the action's flow")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def is_filter(self) -> bool:
        return not self.id

    @property
    def kept_as(self) -> str:
        """The id under which it is kept; a filter under one of its own, with what came of the listings."""
        return self.id or f"{FILTER}{self.type}:{self.name}"

    def of(self, object_id: str) -> Self:
        """The entry as it applies to one object that it names."""
        return self if self.id else self.model_copy(update={"id": object_id})

    @property
    def ways_back(self) -> tuple[Strategy, ...]:
        return (Strategy.RESTORE,)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Those by which it may be accused: a data action by its own executions, else whatever callers meet."""
        is_action = self.type is ObjectType.DATA_ACTION
        return tuple(signal for signal in Signal if (signal in ACTION_SIGNALS) == is_action)

    @property
    def told(self) -> str:
        """The threshold, for people."""
        return f"{self.threshold_ratio:g}"

    def threshold_of(
        self, signal: Signal, baseline_ratio: float | None, spread_ratio: float | None = None
    ) -> float | None:
        """What a ratio is compared with, as of a flow; None if there is nothing to compare with."""
        if is_relative(signal):
            return relative_threshold(baseline_ratio, spread_ratio)
        return threshold_for(self.threshold_ratio, baseline_ratio, explicit="threshold_ratio" in self.model_fields_set)


def applying(policies: Iterable[ObjectPolicy], object_type: str, object_id: str, name: str) -> ObjectPolicy | None:
    """The entry, of one organization's, that applies to an object: the one with its id, else the first filter."""
    of_type = [one for one in policies if one.type.value == object_type]
    found = next((one for one in of_type if one.id == object_id), None)
    if found is None and name:
        found = next((one for one in of_type if one.is_filter and fnmatchcase(name, one.name)), None)
    return None if found is None else found.of(object_id)
