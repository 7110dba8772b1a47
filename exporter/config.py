"""`exporter.yml`: when to poll, where to listen, and what applies to which flow."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from genesys.evidence import Signal
from genesys.excess import THRESHOLD_CAP
from genesys.flows import Flow
from genesys.organizations import Organizations
from genesys.selectors import Match, Selectors, first_match
from genesys.settings import Address, Listen, Problem, Seconds, Settings
from genesys.thresholds import Judging


class FlowPolicy(Judging):
    """One entry of `flows`: how the flows that it selects are judged, and whose they are."""

    threshold_ratio: Annotated[float, Field(strict=True, gt=0, le=THRESHOLD_CAP)] = 0.05
    owner: str = ""  # an empty label is none to Prometheus
    act_on: frozenset[Signal] = frozenset({Signal.ERROR_EXIT})
    # What callers want changes as well as what flows do, and so do hang-ups: those page only who has asked for them.
    watch: frozenset[Signal] = frozenset({Signal.ERROR_EXIT, Signal.RECOGNITION, Signal.STUCK, Signal.OUTCOME_FAILED})

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What is counted: what is watched, and what acts."""
        return tuple(signal for signal in Signal if signal in self.watch | self.act_on)


class ExporterConfig(Settings):
    """The whole of `exporter.yml`."""

    listen: Listen = Address("127.0.0.1", 9742)
    poll_interval_s: Seconds = 60.0
    stale_after_s: Seconds = 180.0  # three polls: one lost poll leaves no gap, an outage soon does
    baseline_interval_s: Seconds = 3600.0  # the history comes by the hour
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


def disagreements(config: ExporterConfig, organizations: Organizations, config_file: Path) -> list[Problem]:
    """What is wrong with the two files together."""
    problems = [
        Problem(
            config_file,
            f"flows[{position}].act_on",
            "outcome_failed is never told: no organization has analytics.outcomes: true; set it in organizations.yml",
        )
        for position, policy in enumerate(config.flows)
        if Signal.OUTCOME_FAILED in policy.act_on
        and not any(organization.analytics.outcomes for organization in organizations.organizations)
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
