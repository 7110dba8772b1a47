"""What every command of `rollbackctl` works with."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from receiver.ctl import render
from receiver.ctl.api import Api


@dataclass(frozen=True, slots=True)
class Session:
    """One receiver, and how its answers are shown."""

    api: Api
    as_json: bool

    def show(self, document: Mapping[str, Any], text: Callable[[render.Clock], str]) -> None:
        """Print the one or the other, as --output says."""
        click.echo(json.dumps(document, indent=2) if self.as_json else text(render.Clock(datetime.now(UTC))))
