"""`rollback-receiver token`: makes and ends tokens of the API, beside the database and without a receiver."""

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from receiver import bearer
from receiver.callers import SHELL
from receiver.config import ReceiverSettings, Role, token_name
from receiver.configured import settings_of
from receiver.ctl.options import length
from receiver.store import tokens
from receiver.store.database import Store, StoreUnavailable, clock
from receiver.store.migration import SchemaMismatch
from receiver.store.tokens import NotPossible, StoredToken

_config = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The receiver's, for its database."
)


@click.group()
def token() -> None:
    """Make, list and end tokens of the API. Every change works with the next request, and is in the audit."""


@token.command()
@click.argument("name")
@_config
@click.option("--role", "roles", type=click.Choice([role.value for role in Role]), multiple=True, required=True)
@click.option("--org", "orgs", multiple=True, help="Only for this organization; as often as there are. [default: all]")
@click.option("--expires-in", type=length, metavar="LENGTH", help="90d or 12h. [default: never]")
def create(
    name: str, config: Path, roles: tuple[str, ...], orgs: tuple[str, ...], expires_in: timedelta | None
) -> None:
    """Make a token and print it, once: only its digest is kept.

    \b
    Example: rollback-receiver token create pipeline --config receiver.yml --role ci --org retail --expires-in 90d
    """
    settings = settings_of(config)
    if name in {one.name for one in settings.tokens}:
        raise click.ClickException(f"{name} is the name of a token in {config}: take another one")
    try:
        token_name(name)
    except ValueError as problem:
        raise click.ClickException(str(problem)) from None
    made = bearer.make()
    with _changing(settings) as change:
        change(
            tokens.create,
            made,
            name,
            roles=[Role(role) for role in roles],
            orgs=orgs or None,
            expires_in_s=None if expires_in is None else expires_in.total_seconds(),
        )
    click.echo(made.text)


@token.command()
@click.argument("name")
@_config
@click.option(
    "--overlap", type=length, metavar="LENGTH", default="1d", show_default=True, help="Both are valid meanwhile."
)
def rotate(name: str, config: Path, overlap: timedelta) -> None:
    """Make a token's successor and print it, once; the old one ends by itself after --overlap.

    \b
    Example: rollback-receiver token rotate pipeline --config receiver.yml --overlap 2h
    """
    made = bearer.make()
    with _changing(settings_of(config)) as change:
        change(tokens.rotate, made, name, overlap_s=overlap.total_seconds())
    click.echo(made.text)


@token.command()
@click.argument("name")
@_config
@click.option("--id", "token_id", help="Only the one with this id, of two.")
def revoke(name: str, config: Path, token_id: str | None) -> None:
    """End the tokens of a name at once, on every receiver.

    \b
    Example: rollback-receiver token revoke pipeline --config receiver.yml
    """
    with _changing(settings_of(config)) as change:
        ended: list[StoredToken] = change(tokens.revoke, name, token_id=token_id)
    click.echo(f"revoked: {', '.join(one.id for one in ended)}")


@token.command("list")
@_config
def list_tokens(config: Path) -> None:
    """Show the tokens in the database; those in receiver.yml stand there.

    \b
    Example: rollback-receiver token list --config receiver.yml
    """
    with _store(settings_of(config)) as store, store.begin() as tx:
        found, now = tokens.listed(tx), clock(tx)
    for one in found:
        orgs = "*" if one.orgs is None else ",".join(one.orgs)
        click.echo(f"{one.id}  {one.name}  {','.join(one.roles)}  {orgs}  {_state(one, now)}")


def _state(one: StoredToken, now: float) -> str:
    if one.revoked_at is not None:
        return f"revoked {_time(one.revoked_at)} by {one.revoked_by}"
    if one.expires_at is None:
        return "valid"
    return f"{'valid until' if one.is_valid(now) else 'expired'} {_time(one.expires_at)}"


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def _changing(settings: ReceiverSettings) -> Iterator[Callable[..., Any]]:
    """Has one change made in a transaction, by whoever runs the program, now."""
    with _store(settings) as store:

        def change(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            def at_once(tx: Any) -> Any:
                now, more = clock(tx), dict(kwargs)
                if "expires_in_s" in more:
                    lasts = more.pop("expires_in_s")
                    more["expires_at"] = None if lasts is None else now + lasts
                return work(tx, *args, **more, by=_who(), now=now)

            return store.transact(at_once)

        yield change


@contextmanager
def _store(settings: ReceiverSettings) -> Iterator[Store]:
    """The settings' database; ends the program with exit 1 and a sentence if it cannot be used, or must not."""
    store = Store(settings.database_url)
    try:
        store.check_schema()
        yield store
    except (StoreUnavailable, SchemaMismatch) as problem:
        raise click.ClickException(f"database_url: {problem}") from None
    except NotPossible as problem:
        raise click.ClickException(str(problem)) from None
    finally:
        store.close()


def _who() -> str:
    """The user by the system's own word: what the environment says could be anything."""
    try:
        return f"{SHELL}{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # a container without a user of this number
        return f"{SHELL}{os.getuid()}"
