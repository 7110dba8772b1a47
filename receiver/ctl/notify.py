"""The commands about notifications: notify test."""

import sys

import click

from receiver.ctl import render
from receiver.ctl.session import Session


@click.group()
def notify() -> None:
    """Whom the receiver tells."""


@notify.command("test")
@click.option("--sink", metavar="NAME", help="Only this one of receiver.yml; without it, every one.")
@click.pass_obj
def test_sinks(session: Session, sink: str | None) -> None:
    """Have the receiver send a test event now, and show what came back from each sink.

    PagerDuty gets an alert that is resolved at once, ServiceNow an incident, the others a message that says so.
    Exits with 1 if a sink did not take it.
    """
    document = session.api.post("notifications/test", {"sink": sink})
    session.show(document, lambda _: render.tried(document["results"]))
    if not all(one["taken"] for one in document["results"]):
        sys.exit(1)
