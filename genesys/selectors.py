"""Ordered selectors: which entry of a configuration applies to which flow.

The first entry that matches wins; the last one matches everything, so that every
flow has exactly one. Exporter and receiver add their own keys by subclassing
`Selector`.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, ModelWrapValidatorHandler, model_validator

from genesys.flows import Flow
from genesys.settings import Settings, Text

EVERYTHING = "*"


class Match(Settings):
    """`"*"`, or a mapping of which everything given must hold.

    `division` is a division's id or name. `type` is compared without regard to
    case, because Genesys Cloud writes it both ways; `name` is a glob in which
    `*` and `?` stand for any text and any character.
    """

    id: Text | None = None  # the flow's id
    type: Text | None = None  # the flow's type, without regard to case
    division: Text | None = None  # its id or its name
    name: Text | None = None  # a glob: `*` any text, `?` any character

    @model_validator(mode="wrap")
    @classmethod
    def _everything_is_said_outright(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if data == EVERYTHING:
            return cls.model_construct()
        if isinstance(data, str):
            raise ValueError('must be "*" or a mapping, for example {type: inboundcall, name: "Main*"}')  # noqa: TRY004
        match = handler(data)
        if match.everything and not isinstance(data, Match):
            raise ValueError('is empty; give id, type, division or name, or "*" for every flow')
        return match

    @property
    def everything(self) -> bool:
        return self.id is None and self.type is None and self.division is None and self.name is None

    def matches(self, flow: Flow) -> bool:
        return (
            (self.id is None or self.id == flow.id)
            and (self.type is None or self.type.lower() == flow.type.lower())
            and (self.division is None or self.division in (flow.division_id, flow.division_name))
            and (self.name is None or fnmatchcase(flow.name, self.name))
        )


class Selector(Settings):
    """Base of the entries of an ordered list of selectors."""

    match: Match  # which flows; the first entry that matches a flow applies, the last is `"*"`


SelectorT = TypeVar("SelectorT", bound=Selector)


def _covers_every_flow(selectors: tuple[SelectorT, ...]) -> tuple[SelectorT, ...]:
    everything = [position for position, selector in enumerate(selectors) if selector.match.everything]
    if not everything:
        raise ValueError('the last entry must have match: "*", so that every flow has one')
    if everything[0] < len(selectors) - 1:
        raise ValueError(f'entry [{everything[0]}] has match: "*", so nothing after it can apply; move it to the end')
    return selectors


Selectors = Annotated[tuple[SelectorT, ...], AfterValidator(_covers_every_flow)]
"""Type of a field like `flows: Selectors[FlowPolicy]`: the last entry, and only that, has `match: "*"`."""


def first_match(selectors: Sequence[SelectorT], flow: Flow) -> SelectorT:
    """The entry that applies to a flow. Raises `LookupError` if none does, which `Selectors` rules out."""
    for selector in selectors:
        if selector.match.matches(flow):
            return selector
    raise LookupError(f"no selector matches flow {flow.id}")
