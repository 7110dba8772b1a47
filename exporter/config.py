"""`exporter.yml`: when to poll, where to listen, and what applies to which flow."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from genesys.evidence import Signal
from genesys.excess import THRESHOLD_CAP
from genesys.flows import Flow
from genesys.organizations import Analytics, Organizations
from genesys.selectors import Match, Selectors, first_match
from genesys.settings import Address, Listen, Problem, Seconds, Settings
from genesys.thresholds import Judging


class FlowPolicy(Judging):
    """One entry of `flows`: how the flows that it selects are judged, and whose they are."""

    # Errors per conversation above which a flow fails; five times its own earlier ratio counts where that is more,
    # unless the entry names the flow by `id`.
    threshold_ratio: Annotated[float, Field(strict=True, gt=0, le=THRESHOLD_CAP)] = 0.05
    owner: str = ""  # the label `owner`; an empty label is none to Prometheus
    act_on: frozenset[Signal] = frozenset({Signal.ERROR_EXIT})  # signals that may cause a rollback; none: it only pages
    # Signals that page where they do not act. What callers want changes as well as what flows do, and so do hang-ups:
    # those page only who has asked for them.
    watch: frozenset[Signal] = frozenset(Signal) - {Signal.FLOW_DISCONNECT, Signal.CALLER_HANGUP}

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What is counted: what is watched, and what acts."""
        return tuple(signal for signal in Signal if signal in self.watch | self.act_on)


class ExporterConfig(Settings):
    """The whole of `exporter.yml`."""

    listen: Listen = Address("127.0.0.1", 9742)  # where `/metrics` is served; it tells names of flows
    poll_interval_s: Seconds = 60.0  # between two polls; not longer than `analytics.bucket_s`
    # For so long the last good poll is served; then its samples are dropped. Three polls: one lost poll leaves no gap,
    # an outage soon does.
    stale_after_s: Seconds = 180.0
    baseline_interval_s: Seconds = 3600.0  # between two readings of the flows' earlier ratios; they come by the hour
    # What applies to which flow, in order; without it, the defaults apply to all.
    flows: Selectors[FlowPolicy] = (FlowPolicy(match=Match.model_construct()),)

    @model_validator(mode="after")
    def _samples_outlive_a_poll(self) -> Self:
        if self.stale_after_s <= self.poll_interval_s:
            raise ValueError(
                f"stale_after_s ({self.stale_after_s:g}) must be longer than poll_interval_s "
                f"({self.poll_interval_s:g}), or samples would be dropped between two good polls"
            )
        return self

    def policy_for(self, flow: Flow) -> FlowPolicy:
        return first_match(self.flows, flow)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What is counted of any flow."""
        return tuple(signal for signal in Signal if any(signal in policy.signals for policy in self.flows))


_TOLD_WITH: Mapping[Signal, tuple[str, Callable[[Analytics], bool]]] = {
    Signal.ROUTING_SHIFT: ("transfers: true", lambda analytics: analytics.transfers),
    Signal.OUTCOME_FAILED: ("outcomes: true", lambda analytics: analytics.outcomes),
    Signal.ACTION_FAILURE: ("data_actions", lambda analytics: bool(analytics.data_actions)),
    Signal.ACTION_SLOW: ("data_actions", lambda analytics: bool(analytics.data_actions)),
}
"""What `analytics` of an organization must have for a signal to be told."""


def asked_for(analytics: Analytics) -> frozenset[Signal]:
    """The signals that are told only where somebody wants them, and that somebody wants of this organization."""
    return frozenset(signal for signal, (_, is_told) in _TOLD_WITH.items() if is_told(analytics))


def disagreements(config: ExporterConfig, organizations: Organizations, config_file: Path) -> list[Problem]:
    """What is wrong with the two files together."""
    problems = [
        Problem(
            config_file,
            f"flows[{position}].act_on",
            f"{signal} is never told: no organization has analytics.{key}; set it in organizations.yml",
        )
        for position, policy in enumerate(config.flows)
        for signal, (key, is_told) in _TOLD_WITH.items()
        if signal in policy.act_on
        and not any(is_told(organization.analytics) for organization in organizations.organizations)
    ]
    return problems + [
        Problem(
            config_file,
            "poll_interval_s",
            f"{config.poll_interval_s:g} is longer than analytics.bucket_s ({organization.analytics.bucket_s}) of "
            f"organization {organization.name}; make it as short, because the rules wait for a new bucket with each "
            "poll and would never fire",
        )
        for organization in organizations.organizations
        if config.poll_interval_s > organization.analytics.bucket_s
    ]
