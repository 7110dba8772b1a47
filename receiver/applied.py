"""What of `receiver.yml` applies to a flow: its mode and thresholds, and the limits by which versions are judged."""

from dataclasses import dataclass
from functools import partial

from genesys.evidence import Signal
from genesys.flows import Flow
from genesys.probation import ProbationLimits
from genesys.selectors import first_match
from receiver.common_cause import CommonCauseLimits, survey
from receiver.config import FlowPolicy, ReceiverSettings, Timing
from receiver.objects.settings import ObjectPolicy, applying
from receiver.reader import Survey
from receiver.situation import ACTING, Mode
from receiver.strategy import Strategy

_BOTS = frozenset({"bot", "digitalbot", "voicesurvey"})  # they train for minutes on publish

# And a common module does not republish its callers: until these are proved, a person has to agree.
_APPROVED_TYPES = _BOTS | {"commonmodule"}

# Callers in a queue hang up, and leave it for an agent, for reasons that no version of its flow has.
_IN_QUEUE = "inqueue"  # how the names of these types begin: inqueuecall, inqueueemail, inqueueshortmessage
_NEVER_IN_QUEUE = frozenset({Signal.CALLER_HANGUP, Signal.ROUTING_SHIFT})


@dataclass(frozen=True, slots=True)
class Applied:
    """The mode that applies to a flow or an object, and why it is not the configured one."""

    policy: FlowPolicy | ObjectPolicy
    mode: Mode
    note: str


def apply_policy(settings: ReceiverSettings, flow: Flow, signal: Signal | None = None) -> Applied:
    """The selector that matches a flow, or the entry of an object, as it applies to an accusation by `signal`.

    `settings` are those of its organization: see `ReceiverSettings.of`.

    Types that are not proved are rolled back with approval at most; a signal that
    says nothing about the flow's version causes no rollback.
    """
    restored = applying(settings.objects, flow.type, flow.id, flow.name)
    if restored is not None:
        return Applied(restored, restored.mode, "")
    policy = first_match(settings.flows, flow)
    if policy.mode is Mode.AUTO and flow.type in _APPROVED_TYPES:
        return Applied(policy, Mode.APPROVE, f" (flows of type {flow.type} are not rolled back automatically)")
    if policy.mode in ACTING and flow.type.startswith(_IN_QUEUE) and signal in _NEVER_IN_QUEUE:
        return Applied(policy, Mode.OBSERVE, f" ({signal} never causes a rollback of a flow of type {flow.type})")
    return Applied(policy, policy.mode, "")


def publish_deadline_s(timing: Timing, flow_type: str | None, strategy: Strategy = Strategy.REPUBLISH) -> float:
    """How long Genesys Cloud may take for a publish that it has accepted, or that was lost.

    By `redeploy` a job comes before it.
    """
    job_s = timing.redeploy_deadline_s if strategy is Strategy.REDEPLOY else 0.0
    return job_s + (timing.bot_publish_deadline_s if flow_type in _BOTS else timing.publish_deadline_s)


def rollback_deadline_s(timing: Timing, flow_type: str | None, strategy: Strategy = Strategy.REPUBLISH) -> float:
    """From planned to confirmed: longer where a publish takes longer, so that a lost one can still be repeated."""
    longer_s = publish_deadline_s(timing, flow_type, strategy) - timing.publish_deadline_s
    return timing.rollback_deadline_s + max(0.0, longer_s)


def survey_with(settings: ReceiverSettings) -> Survey:
    """How a whole organization is judged, with what is configured for its flows."""
    return partial(
        survey,
        policy_for=partial(first_match, settings.flows),
        probation=probation_limits(settings),
    )


def probation_limits(settings: ReceiverSettings) -> ProbationLimits:
    """When a version has left probation."""
    timing = settings.timing
    return ProbationLimits(timing.probation_busy_s, timing.probation_quiet_s, timing.probation_max_s)


def common_cause_limits(settings: ReceiverSettings) -> CommonCauseLimits:
    """From when on it is not one deployment that fails."""
    return CommonCauseLimits(
        ratio=settings.common_cause_ratio,
        min_flows=settings.common_cause_min_flows,
        deployment_s=settings.timing.deployment_s,
    )
