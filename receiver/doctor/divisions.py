"""Whether the divisions to which somebody is limited exist: a mistyped one reaches nothing, and says nothing."""

from collections.abc import Sequence

from receiver.config import Group, Person, Token
from receiver.doctor.cloud import Cloud
from receiver.doctor.examination import Found, Step, not_proved, proved, skipped
from receiver.doctor.reaching import FLOWS


def steps(cloud: Cloud, granted: Sequence[Token | Person | Group]) -> list[Step]:
    return [Step("divisions of roles", lambda: _divisions(cloud, granted), needs=FLOWS)]


def _divisions(cloud: Cloud, granted: Sequence[Token | Person | Group]) -> Found:
    org = cloud.settings.name
    limited = [one for one in granted if one.divisions and (one.organizations is None or org in one.organizations)]
    named = {division: _who(one) for one in limited for division in one.divisions or ()}
    if not named:
        return skipped("nobody is limited to divisions")
    known = {division for flow in cloud.flows for division in (flow.division_id, flow.division_name)}
    missing = [f"{division} ({named[division]})" for division in sorted(named.keys() - known)]
    if missing:
        cure = "check the spelling in receiver.yml; a division of another organization needs `organizations` beside it"
        return not_proved(f"no flow that is seen here is of {', '.join(missing)}", cure)
    return proved(f"flows of {', '.join(sorted(named))} are seen")


def _who(one: Token | Person | Group) -> str:
    return f"group {one.group}" if isinstance(one, Group) else one.name
