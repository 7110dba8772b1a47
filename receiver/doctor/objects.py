"""Whether what is no flow can be read: objects of which snapshots are kept, what leads callers, who uses a module."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from genesys.dependencies import COMMON_MODULE
from genesys.errors import GenesysError, NotAllowed, Unavailable
from genesys.objects import Objects
from receiver.config import FlowPolicy
from receiver.doctor.cloud import Cloud
from receiver.doctor.examination import Found, Step, failed, not_proved, proved, skipped
from receiver.doctor.reaching import CREDENTIALS, FLOWS
from receiver.objects.settings import ObjectPolicy

_PERMISSIONS = "see docs/objects.md for the permissions, and check the ids and names in receiver.yml"


def steps(cloud: Cloud, kept: Sequence[ObjectPolicy], policies: Sequence[FlowPolicy]) -> list[Step]:
    """`kept` are the organization's own; `policies` those of all flows."""
    objects = Objects(cloud.session, api_url=cloud.settings.endpoints.api_url)
    own = [one for one in kept if one.org == cloud.settings.name]
    return [
        Step("objects", lambda: _objects(objects, own), needs=CREDENTIALS),
        Step("what leads callers", lambda: _routes(objects, policies), needs=CREDENTIALS),
        Step("who uses a module", lambda: _modules(cloud), needs=FLOWS),
    ]


def _objects(objects: Objects, kept: Sequence[ObjectPolicy]) -> Found:
    if not kept:
        return skipped("`objects` names none")
    read, matched, empty, problems = 0, 0, [], []
    for one in kept:
        try:
            if one.is_filter:
                found = [name for name in objects.names(one.type).values() if fnmatchcase(name, one.name)]
                matched += len(found)
                empty += [] if found else [f"{one.type} {one.name}"]
            else:
                objects.read(one.type, one.id)
                read += 1
        except GenesysError as problem:
            problems.append(f"{one.type} {one.id or one.name}: {problem}")
    seen = f"{read} read by id, {matched} found by name"
    if problems:
        return failed(f"{seen}; {'; '.join(problems)}", _PERMISSIONS)
    if empty:
        return not_proved(f"{seen}; no {', no '.join(empty)}", "check the names in receiver.yml")
    return proved(f"{seen}; that they may be written, nobody can prove without writing")


def _routes(objects: Objects, policies: Sequence[FlowPolicy]) -> Found:
    """A `repoint` is of no organization: one that another one has is missing here, which is no fault."""
    wanted = {(one.repoint.type, one.repoint.id) for one in policies if one.repoint is not None}
    if not wanted:
        return skipped("no flow has repoint")
    read, problems = 0, []
    for object_type, object_id in sorted(wanted):
        try:
            objects.read(object_type, object_id)
            read += 1
        except NotAllowed as problem:
            return failed(f"{object_type} {object_id}: {problem}", _PERMISSIONS)
        except GenesysError as problem:
            problems.append(f"{object_type} {object_id}: {problem}")
    if problems:
        cure = "check the ids in receiver.yml, if they are of this organization"
        return not_proved(f"{read} of {len(wanted)} read; {'; '.join(problems)}", cure)
    return proved(f"{read} read; that they may be written, nobody can prove without writing")


def _modules(cloud: Cloud) -> Found:
    modules = [flow for flow in cloud.live if flow.type == COMMON_MODULE]
    if not modules or cloud.genesys.dependencies is None:
        return skipped("no common module is live")
    try:
        users = cloud.genesys.dependencies.of_module(modules[0].id)
    except (NotAllowed, Unavailable) as problem:
        return not_proved(str(problem), "build dependency tracking in Architect; docs/security.md has the permission")
    return proved(f"{len(users)} published flows use {modules[0].name}")
