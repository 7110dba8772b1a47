"""The two configuration files of a command, or the end of the program with every problem in them."""

import sys
from pathlib import Path

import click

from exporter.config import ExporterConfig, disagreements
from genesys.organizations import Organizations
from genesys.settings import SettingsError, SettingsT, load

EXIT_UNUSABLE_CONFIGURATION = 2

EXISTING_FILE = click.Path(dir_okay=False, path_type=Path)


def both_of(organizations_file: Path, config_file: Path) -> tuple[Organizations, ExporterConfig]:
    """Both files, or every problem of both on stderr and exit 2."""
    try:
        return _load(organizations_file, config_file)
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_UNUSABLE_CONFIGURATION)


def _load(organizations_file: Path, config_file: Path) -> tuple[Organizations, ExporterConfig]:
    """Both files. Raises `SettingsError` with the problems of both."""
    organizations, config = _try(organizations_file, Organizations), _try(config_file, ExporterConfig)
    if isinstance(organizations, SettingsError) or isinstance(config, SettingsError):
        failed = [each for each in (organizations, config) if isinstance(each, SettingsError)]
        raise SettingsError(tuple(problem for each in failed for problem in each.problems))
    if problems := disagreements(config, organizations, config_file):
        raise SettingsError(tuple(problems))
    return organizations, config


def _try(path: Path, model: type[SettingsT]) -> SettingsT | SettingsError:
    try:
        return load(path, model)
    except SettingsError as error:
        return error
