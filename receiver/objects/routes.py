"""What leads callers to a flow, where `repoint` may lead them to another one: a call route, or an emergency group.

A flow whose callers were led elsewhere is shown with a version of its own, `flow:` and the other flow's id, and that
has the other one's figures: so its rollback is read back, measured and undone like any other.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from genesys.answers import Answer
from genesys.dialect import GenesysCloud
from genesys.errors import Gone, NotAllowed, Refused, Unavailable
from genesys.evidence import Columns, Evidence
from genesys.flows import Flow
from genesys.objects import Objects, ObjectType
from genesys.organizations import Organization, session_of
from genesys.selectors import first_match
from receiver.config import FlowPolicy, ReceiverSettings, Repoint
from receiver.objects.figures import together
from receiver.objects.snapshot import NOT_CONFIGURED

_SLOTS = ("openHoursFlow", "closedHoursFlow", "holidayHoursFlow")  # of a call route


def label_of(policy: Repoint) -> str:
    """The version of a flow whose callers are led to the other one."""
    return f"flow:{policy.flow_id}"


class Routes:
    """Of one organization; may be shared by threads."""

    def __init__(
        self,
        genesys: Objects,
        cloud: GenesysCloud,
        policies: Sequence[FlowPolicy],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._genesys = genesys
        self._cloud = cloud
        self._policies = policies
        self._monotonic = monotonic
        self._led_elsewhere: dict[str, Repoint] = {}  # by flow, as it was read last

    def close(self) -> None:
        """Close the connections."""
        self._genesys.close()

    def of(self, flow: Flow) -> Repoint | None:
        """Where its callers may be led; None if nowhere."""
        return first_match(self._policies, flow).repoint

    def shown(self, flow: Flow) -> Flow:
        """The flow as its callers meet it. Raises what `Objects.read` raises, but for these.

        What does not exist, in this organization or any more, leads nobody. What may not be read cannot have been
        written either, unless it has been read before: other ways back do not wait for it.
        """
        policy = self.of(flow)
        if policy is None:
            return flow
        try:
            now = self._genesys.read(policy.type, policy.id)
        except Gone:
            now = {}
        except NotAllowed:
            if flow.id in self._led_elsewhere:
                raise
            now = {}
        if not _leads_elsewhere(policy, now, flow.id):
            self._led_elsewhere.pop(flow.id, None)
            return flow
        self._led_elsewhere[flow.id] = policy
        return replace(flow, live_version=label_of(policy), live_published_at=None)

    def theirs(self, flow_ids: Sequence[str]) -> list[str]:
        """The flows to which callers of these are led; of all without any."""
        return [one.flow_id for flow_id, one in self._led_elsewhere.items() if not flow_ids or flow_id in flow_ids]

    def figures(self, evidence: Evidence) -> dict[tuple[str, str], Columns]:
        """What callers meet there, by flow id and version."""
        return {
            (flow_id, label_of(policy)): together(evidence, policy.flow_id)
            for flow_id, policy in list(self._led_elsewhere.items())
        }

    def check(self, policy: Repoint) -> None:
        """Raises what a read raises if nobody can tell where callers are led."""
        self._genesys.read(policy.type, policy.id)

    def problem(self, policy: Repoint, flow_id: str, *, back: bool) -> str:
        """Why callers cannot be led there, or back again; empty if they can. Raises what a read raises."""
        try:
            now = self._genesys.read(policy.type, policy.id)
            other = self._cloud.flow(policy.flow_id)
        except Gone as problem:
            return str(problem)
        if not back and (other.deleted or not other.active or other.live_version is None):
            return f"flow {policy.flow_id} is not in service"
        try:
            _led(policy, now, flow_id, back=back)
        except Refused as problem:
            return problem.message
        return ""

    def lead(self, policy: Repoint, flow_id: str, *, back: bool, within_s: float) -> None:
        """Lead callers of the flow to the other one, or back again, with the `version` that the object has now.

        Raises `Refused` if nothing was sent, because it does not lead to where it is thought to, or was not read within
        the time. Else what a write raises.
        """
        until = self._monotonic() + within_s
        try:
            now = self._genesys.read(policy.type, policy.id)
        except Unavailable as problem:
            raise Refused(f"not sent: {problem}") from problem
        body = _led(policy, now, flow_id, back=back)
        if self._monotonic() >= until:
            raise Refused("not sent: the permit had run out")
        self._genesys.write(policy.type, policy.id, body)


def open_routes(organization: Organization, settings: ReceiverSettings, cloud: GenesysCloud) -> Routes | None:
    """Those of an organization, over a connection of their own; None where callers are never led elsewhere."""
    if organization.dialect != "platform" or not any(one.repoint is not None for one in settings.flows):
        return None
    genesys = Objects(session_of(organization), api_url=organization.endpoints.api_url)
    return Routes(genesys, cloud, settings.flows)


def _leads_elsewhere(policy: Repoint, now: Mapping[str, Any], flow_id: str) -> bool:
    if policy.type is ObjectType.EMERGENCY_GROUP:
        return now.get("enabled") is True and policy.flow_id in _emergency_flows(now)
    slots = _slots(now)
    return policy.flow_id in slots.values() and flow_id not in slots.values()


def _led(policy: Repoint, now: Mapping[str, Any], flow_id: str, *, back: bool) -> dict[str, Any]:
    """The whole object as it is to be written. Raises `Refused`."""
    body = {key: value for key, value in now.items() if key not in NOT_CONFIGURED or key == "version"}
    if policy.type is ObjectType.EMERGENCY_GROUP:
        if policy.flow_id not in _emergency_flows(now):
            raise Refused(f"the emergency group {policy.id} does not lead to flow {policy.flow_id}")
        return body | {"enabled": not back}
    source, target = (policy.flow_id, flow_id) if back else (flow_id, policy.flow_id)
    slots = [name for name, leads_to in _slots(now).items() if leads_to == source]
    if not slots:
        raise Refused(f"the call route {policy.id} does not lead to flow {source}")
    return body | {name: {"id": target} for name in slots}


def _slots(now: Mapping[str, Any]) -> dict[str, str]:
    answer = Answer("architect/ivrs", dict(now))
    found = {name: answer.optional_object(name) for name in _SLOTS}
    return {name: one.text("id") for name, one in found.items() if one is not None}


def _emergency_flows(now: Mapping[str, Any]) -> set[str]:
    flows = [
        one.optional_object("emergencyFlow") for one in Answer("emergencygroups", dict(now)).items("emergencyCallFlows")
    ]
    return {one.text("id") for one in flows if one is not None}
