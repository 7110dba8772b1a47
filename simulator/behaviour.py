"""How the calls on a flow version go: how they leave the flow, what they achieve, which data actions they run.

A version may be bad without a single error exit: it sends everybody to one queue,
hangs up, never lets go, or its data actions fail. Here are the words for that, and
what a good version does. Who fails with an error exit is `error_ratio`'s business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, model_validator

from simulator.strict import Ratio, Text, Words

ExitReason = Literal[
    "DISCONNECT",
    "FLOW_DISCONNECT",
    "TRANSFER",
    "SESSION_EXPIRE_DISCONNECT",
    "RECOGNITION_FAILURE_DISCONNECT",
    "RECOGNITION_FAILURE_EXIT",
    "USER_EXIT",
    "FLOW_EXIT",
]
TransferType = Literal[
    "ACD",
    "USER",
    "NUMBER",
    "ACD_VOICEMAIL",
    "USER_VOICEMAIL",
    "GROUP_VOICEMAIL",
    "GROUP",
    "FLOW",
    "SECURE_FLOW",
    "RETURN_TO_AGENT",
]


class Exit(Words):
    """A way out of the flow; `share` is compared with those of the other exits, whatever they add up to.

    A transfer has a type, and the name of its target.
    """

    reason: ExitReason
    share: Annotated[float, Field(gt=0.0)]
    transfer_type: TransferType | None = None
    transfer_target: Text | None = None

    @model_validator(mode="after")
    def _a_transfer_goes_somewhere(self) -> "Exit":
        for word in ("transfer_type", "transfer_target"):
            if (getattr(self, word) is not None) != (self.reason == "TRANSFER"):
                raise ValueError(f"{word} belongs to reason TRANSFER, which needs it")
        return self


class Action(Words):
    """A data action that each call runs once; `duration` is the mean of one execution, in simulated seconds.

    No source lists the values of `errorType` and `responseStatus`: what failed ones say here is made up.
    """

    id: Text
    name: Text
    duration: Annotated[float, Field(gt=0.0)] = 0.4
    failed_ratio: Ratio = 0.0
    error_type: Text = "REQUEST_FAILED"
    response_status: Text = "500"


class BehaviourWords(Words):
    """How the calls of a version go; what is left out is as in another version.

    exits                 of the calls that do not fail
    stuck_ratio           share of those that find no way out: they end long after, when the session
                          expires or the caller gives up
    outcome_failed_ratio  share of the calls that leave without error whose outcome is FAILURE nevertheless; those
                          that fail or are stuck never achieve it
    actions               the data actions that each call runs
    """

    exits: Annotated[tuple[Exit, ...], Field(min_length=1)] | None = None
    stuck_ratio: Ratio | None = None
    outcome_failed_ratio: Ratio | None = None
    actions: tuple[Action, ...] | None = None

    def behaviour(self, other: "Behaviour") -> "Behaviour":
        """How the calls go: as said here, and else as in `other`."""
        said = {name: getattr(self, name) for name in BehaviourWords.model_fields}
        return replace(other, **{name: value for name, value in said.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the calls of a version go; the words are explained at `BehaviourWords`."""

    exits: tuple[Exit, ...]
    stuck_ratio: float = 0.0
    outcome_failed_ratio: float = 0.05
    actions: tuple[Action, ...] = ()


GOOD = Behaviour(
    (
        Exit(reason="TRANSFER", share=0.45, transfer_type="ACD", transfer_target="Service"),
        Exit(reason="TRANSFER", share=0.15, transfer_type="ACD", transfer_target="Sales"),
        Exit(reason="DISCONNECT", share=0.25),
        Exit(reason="FLOW_DISCONNECT", share=0.15),
    )
)
ERROR_REASONS: Mapping[str, float] = MappingProxyType({"FLOW_ERROR_DISCONNECT": 0.85, "FLOW_ERROR_EXIT": 0.15})
STUCK_EXITS = (Exit(reason="SESSION_EXPIRE_DISCONNECT", share=0.7), Exit(reason="DISCONNECT", share=0.3))
