"""The configuration files of a command, or the end of the program with every problem in them."""

import sys
from pathlib import Path
from typing import Any

import click

from genesys.objects import ObjectType
from genesys.organizations import Organization, Organizations
from genesys.settings import SettingsError, load
from receiver.config import ReceiverSettings
from receiver.situation import Mode


def settings_of(config: Path) -> ReceiverSettings:
    """`receiver.yml`, or every problem of it on stderr and exit 2."""
    settings: ReceiverSettings = _loaded((config, ReceiverSettings))[0]
    return settings


def both_of(organizations: Path, config: Path) -> tuple[ReceiverSettings, Organizations]:
    """Both files, or every problem of both on stderr and exit 2."""
    settings, known = _loaded((config, ReceiverSettings), (organizations, Organizations))
    names = {organization.name for organization in known.organizations}
    strangers = sorted({cover.org for feed in settings.feeds.all for cover in feed.covers} - names)
    if strangers:
        cure = f"write names of {organizations}: {', '.join(sorted(names))}"
        click.echo(f"{config}: feeds: unknown organization {', '.join(strangers)}; {cure}", err=True)
        sys.exit(2)
    if problems := _problems_with_objects(settings, known):
        click.echo("\n".join(f"{config}: {problem}" for problem in problems), err=True)
        sys.exit(2)
    return settings, known


def _problems_with_objects(settings: ReceiverSettings, known: Organizations) -> list[str]:
    """Every object is in an organization that has such, and of a data action it is known which flow runs it."""
    organizations = {one.name: one for one in known.organizations}
    problems = []
    for position, one in enumerate(settings.objects):
        organization = organizations.get(one.org)
        if organization is None:
            cure = f"write a name of organizations.yml: {', '.join(sorted(organizations))}"
            problems.append(f"objects[{position}].org: unknown organization {one.org}; {cure}")
        elif organization.dialect != "platform":
            problems.append(f"objects[{position}].org: dialect {organization.dialect} has no objects; remove the entry")
        elif (
            one.type is ObjectType.DATA_ACTION
            and not one.is_filter
            and one.mode is not Mode.IGNORE
            and one.id not in _actions(organization)
        ):
            cure = f"name it in analytics.data_actions of {one.org} in organizations.yml, or say mode: ignore"
            problems.append(f"objects[{position}].id: nothing shows whether data action {one.id} fails; {cure}")
    return problems


def _actions(organization: Organization) -> set[str]:
    """Of which it is known which flow runs them."""
    return {action.action_id for action in organization.analytics.data_actions}


def _loaded(*files: tuple[Path, type[Any]]) -> list[Any]:
    problems = []
    loaded: list[Any] = []
    for path, model in files:
        try:
            loaded.append(load(path, model))
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        click.echo("\n".join(problems), err=True)
        sys.exit(2)
    return loaded
