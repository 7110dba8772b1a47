"""What can be asked of analytics: the metrics and dimensions of flows, conversations and data actions."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from simulator.callers import Execution, Key, Kind, Transfer
from simulator.ids import id_of
from simulator.scenario import FlowSpec
from simulator.vocabulary import Switches

Dimensions = Mapping[str, Callable[[Key], str | None]]
Metrics = Mapping[str, Kind | None]

# None: known to Genesys Cloud, but nothing of the kind is counted here, so that it is always absent.
FLOW_METRICS: Metrics = MappingProxyType(
    {
        "nFlow": Kind.ENTRY,
        "tFlow": Kind.EXIT,
        "nFlowMilestone": None,
        "nFlowOutcome": Kind.OUTCOME,
        "nFlowOutcomeFailed": Kind.OUTCOME_FAILED,
        "oFlowMilestone": None,
        "tFlowDisconnect": None,
        "tFlowExit": None,
        "tFlowOutcome": None,
    }
)
CONVERSATION_METRICS: Metrics = MappingProxyType(
    {"nConversations": Kind.ENTRY, "nOffered": Kind.ENTRY, "nConnected": Kind.ENTRY, "nError": Kind.ERROR}
)
CONVERSATION_DIMENSIONS: Dimensions = MappingProxyType({"mediaType": lambda key: key.media})
ACTION_METRICS: Metrics = MappingProxyType({"tTotalExecution": Kind.EXECUTION})


def _of_execution(value_of: Callable[[Execution], str | None]) -> Callable[[Key], str | None]:
    return lambda key: None if key.execution is None else value_of(key.execution)


def _of_transfer(value_of: Callable[[Transfer], str | None]) -> Callable[[Key], str | None]:
    return lambda key: None if key.transfer is None else value_of(key.transfer)


# All that there are: an execution does not tell in which flow it was, let alone in which version.
ACTION_DIMENSIONS: Dimensions = MappingProxyType(
    {
        "actionCategory": lambda _: None,
        "actionId": _of_execution(lambda execution: execution.action_id),
        "actionName": _of_execution(lambda execution: execution.action_name),
        "correlationId": lambda _: None,
        "errorType": _of_execution(lambda execution: execution.error_type),
        "integrationId": lambda _: None,
        "integrationName": lambda _: None,
        "responseStatus": _of_execution(lambda execution: execution.response_status),
    }
)


def flow_dimensions(flows: Mapping[str, FlowSpec]) -> Dimensions:
    """What flow aggregates can be grouped and filtered by."""
    return {
        "flowId": lambda key: key.flow_id,
        "flowVersion": lambda key: key.version,
        "flowName": lambda key: flows[key.flow_id].name,
        "flowType": lambda key: flows[key.flow_id].type,
        "divisionId": lambda key: flows[key.flow_id].division.id,
        "exitReason": lambda key: key.exit_reason,
        "transferType": _of_transfer(lambda transfer: transfer.type),
        "transferTargetName": _of_transfer(lambda transfer: transfer.target),
        "transferTargetAddress": _of_transfer(lambda transfer: transfer.address),
        "flowOutcomeId": lambda key: None if key.outcome is None else id_of(f"outcome of {key.flow_id}"),
        "flowOutcomeValue": lambda key: key.outcome,
        "mediaType": lambda key: key.media,
    }


def told(key: Key, switches: Switches) -> Key:
    """What analytics tell of something that happened; what they are not sure to tell is the switches' to decide."""
    if key.kind is Kind.ENTRY and not switches.n_flow_exit_reason:
        return key._replace(exit_reason=None, transfer=None)
    if key.transfer is not None and switches.transfer_target != "named":
        address = key.transfer.address if switches.transfer_target == "address" else None
        return key._replace(transfer=key.transfer._replace(target=None, address=address))
    if key.kind in (Kind.OUTCOME, Kind.OUTCOME_FAILED) and not switches.outcome_version:
        return key._replace(version=None)
    if key.execution is not None and key.execution.error_type is None and switches.action_no_error == "none":
        return key._replace(execution=key.execution._replace(error_type="NONE"))
    return key
