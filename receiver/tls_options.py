"""The options of commands that call over TLS: whose certificates they believe, and which one they show."""

from collections.abc import Callable
from pathlib import Path
from ssl import SSLContext
from typing import Any

import click

from receiver.outbound import trusting

_file = click.Path(path_type=Path, dir_okay=False)

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def tls_options(prefix: str | None = None) -> Decorator:
    """Decorates a command with `cacert`, `client_cert` and `client_key`; with a prefix also from the environment."""

    def variable(name: str) -> str | None:
        return None if prefix is None else f"{prefix}_{name}"

    def option(name: str, help_text: str) -> Decorator:
        envvar = variable(name.removeprefix("--").upper().replace("-", "_"))
        return click.option(name, type=_file, envvar=envvar, show_envvar=envvar is not None, help=help_text)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for one in (
            option("--client-key", "The key of --client-cert, if it is in a file of its own."),
            option("--client-cert", "A certificate to show to whoever asks for one."),
            option("--cacert", "Believe certificates of this CA (PEM), and of no other."),
        ):
            command = one(command)
        return command

    return decorate


def context_of(cacert: Path | None, client_cert: Path | None, client_key: Path | None) -> SSLContext | None:
    """What the three options ask for; None if they ask for nothing.

    Raises click.UsageError for files that cannot be used. A key with a password is one: nobody is asked for it.
    """
    if client_key is not None and client_cert is None:
        raise click.UsageError("--client-key needs --client-cert")
    if cacert is None and client_cert is None:
        return None
    try:
        context = trusting(cacert)
    except (OSError, ValueError) as problem:
        named = "SSL_CERT_FILE" if cacert is None else "--cacert"
        raise click.UsageError(f"{named} cannot be used ({_reason(problem)})") from None
    if client_cert is not None:
        try:
            context.load_cert_chain(client_cert, client_key, password=lambda: "")
        except (OSError, ValueError) as problem:
            raise click.UsageError(f"--client-cert cannot be used, with its key ({_reason(problem)})") from None
    return context


def _reason(problem: Exception) -> str:
    return getattr(problem, "reason", None) or getattr(problem, "strerror", None) or "the key may need a password"
