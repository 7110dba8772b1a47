"""The configuration files of a command, or the end of the program with every problem in them."""

import sys
from pathlib import Path
from typing import Any

import click

from genesys.organizations import Organizations
from genesys.settings import SettingsError, load
from receiver.config import ReceiverSettings


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
    return settings, known


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
