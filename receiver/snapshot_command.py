"""`rollback-receiver snapshot`: a configuration object as it is now, and how it differs from a kept one."""

import json
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel, ConfigDict, ValidationError

from genesys.errors import GenesysError, Gone
from genesys.objects import Objects, ObjectType
from genesys.organizations import Organization, Organizations, session_of
from genesys.settings import SettingsError, load
from receiver.ctl import render
from receiver.doctor_command import chosen_of
from receiver.objects.snapshot import ABSENT, Difference, Snapshot, differences, snapshot_of

DIFFERENT = 3  # the exit status

_path = click.Path(path_type=Path, dir_okay=False)


class _Kept(BaseModel):
    """A file that this command has written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    org: str
    object_type: ObjectType
    object_id: str
    sha256: str
    content: dict[str, Any]


@click.command()
@click.option("--organizations", type=_path, required=True, help="Which Genesys Cloud organizations there are.")
@click.option("--org", required=True, help="The organization, by its name in that file.")
@click.option("--type", "type_", type=click.Choice([one.value for one in ObjectType]), required=True)
@click.option("--id", "object_id", required=True, help="The object's id.")
@click.option("--against", type=_path, help="A snapshot that was kept: show what differs from it instead.")
def snapshot(organizations: Path, org: str, type_: str, object_id: str, against: Path | None) -> None:
    """Show a data table with its rows, a data action, a call route … as it is now, without secrets.

    Needs no running receiver and no database, and changes nothing anywhere. The
    output is JSON, to be kept before a change and given to --against after it.

    Exits with 0, with 1 if the object cannot be read as a whole, with 2 for wrong
    usage or a wrong file, and with 3 if it differs from the kept snapshot.

    \b
    Example: rollback-receiver snapshot --organizations organizations.yml --org retail --type data_table --id ID
    """
    try:
        known = load(organizations, Organizations)
    except SettingsError as problem:
        click.echo(str(problem), err=True)
        sys.exit(2)
    (organization,) = chosen_of(known.organizations, [org])
    if organization.dialect != "platform":
        raise click.UsageError("only an organization of dialect platform has objects that can be read")
    kept = None if against is None else _kept(against, org, ObjectType(type_), object_id)
    now = _read(organization, ObjectType(type_), object_id)
    if kept is None:
        told = {"org": org, "object_type": type_, "object_id": object_id, "sha256": now.sha256, "content": now.content}
        click.echo(json.dumps(told, indent=2, sort_keys=True))
        return
    found = list(differences(kept.content, now.content))
    click.echo(_told(found))
    sys.exit(DIFFERENT if found else 0)


def _kept(file: Path, org: str, object_type: ObjectType, object_id: str) -> Snapshot:
    """The snapshot in a file; exits with 2 for one that is another object's, or was changed since."""
    try:
        told = _Kept.model_validate_json(file.read_bytes())
    except OSError as problem:
        raise click.UsageError(f"--against: {file} cannot be read: {problem.strerror}") from problem
    except ValidationError as problem:
        raise click.UsageError(f"--against: {file} is no snapshot; keep the output of this command") from problem
    if (told.org, told.object_type, told.object_id) != (org, object_type, object_id):
        its = f"{told.object_type.value} {render.plain(told.object_id)} of {render.plain(told.org)}"
        raise click.UsageError(f"--against: {file} is of {its}, not of the object that is asked for")
    kept = Snapshot(object_type, object_id, told.content)
    if kept.sha256 != told.sha256:
        raise click.UsageError(f"--against: {file} was changed since it was written: its sha256 is another one")
    return kept


def _read(organization: Organization, object_type: ObjectType, object_id: str) -> Snapshot:
    """The object as it is now; exits with 1 if it is gone, or not known as a whole."""
    session = session_of(organization)
    with closing(session.connection):
        try:
            answer = Objects(session, api_url=organization.endpoints.api_url).read(object_type, object_id)
        except Gone:
            click.echo(f"gone: there is no {object_type.value} {render.plain(object_id)}", err=True)
        except GenesysError as problem:
            click.echo(f"unknown: {object_type.value} {render.plain(object_id)} was not read: {problem}", err=True)
        else:
            return snapshot_of(object_type, object_id, answer)
    sys.exit(1)


def _told(found: Iterable[Difference]) -> str:
    rows = [(one.path, _shown(one.before), _shown(one.after)) for one in found]
    return render.table(("PATH", "KEPT", "NOW"), rows, empty="no difference")


def _shown(value: object) -> str:
    return "-" if value is ABSENT else json.dumps(value, sort_keys=True, ensure_ascii=False)
