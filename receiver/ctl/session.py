"""What every command of `rollbackctl` works with."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

import click

from receiver.ctl import render
from receiver.ctl.api import Api
from receiver.outbound import Outbound


@dataclass(frozen=True, slots=True)
class Session:
    """One receiver, and how its answers are shown; `http` is for those whom a command asks besides."""

    api: Api
    http: Outbound
    as_json: bool
    zone: tzinfo | None  # of the times that people read; None: the machine's own

    def show(self, document: Mapping[str, Any], text: Callable[[render.Clock], str]) -> None:
        """Print the one or the other, as --output says."""
        shown = json.dumps(document, indent=2) if self.as_json else text(render.Clock(datetime.now(UTC), self.zone))
        click.echo(shown)

    def show_page(self, document: Mapping[str, Any], text: Callable[[render.Clock], str]) -> None:
        """The same, and how to see the next page, if there is one."""
        more = "" if document["next"] is None else f"\nmore: --after {document['next']}"
        self.show(document, lambda clock: text(clock) + more)
