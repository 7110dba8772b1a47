"""`rollback-receiver audit`: checks the chain and gives it out, beside the database and without a receiver.

Both read one moment of the database, change nothing, and keep no receiver waiting.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from receiver.chain import Verified, line, verify
from receiver.configured import settings_of
from receiver.ctl.options import moment
from receiver.store import audit as store
from receiver.store.database import Store, StoreUnavailable, Transaction
from receiver.store.migration import SchemaMismatch

_config = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The receiver's, for its database."
)


@click.group()
def audit() -> None:
    """Check the audit, or give it out."""


@audit.command("verify")
@_config
@click.option("--head", metavar="HASH", help="Also show that this `audit_head` of a notification is in the chain.")
def verify_audit(config: Path, head: str | None) -> None:
    """Read the whole chain and say whether it holds: exit 0, or 1 with the first broken row.

    Whoever can write to the database can write the whole chain anew: --head
    with the `audit_head` of a notification shows that nobody did.

    \b
    Example: rollback-receiver audit verify --config receiver.yml
    """
    with _reading(config) as tx:
        latest = store.head(tx)
        checked = verify(store.rows(tx), latest, sought=head)
    click.echo(_report(checked, head))
    sys.exit(0 if checked.broken is None and (head is None or checked.found is not None) else 1)


def _report(checked: Verified, head: str | None) -> str:
    if checked.broken is not None:
        broken = checked.broken
        return f"row {broken.number}: {broken.fault.value}: {broken.detail}; {checked.last.number} rows before it hold"
    lines = [f"{checked.last.number} rows, head {checked.last.hash}: the chain holds"]
    if head is not None and checked.found is None:
        lines.append(f"head {head} is not in it: rows were removed or written anew, or it is of another database")
    elif checked.found is not None:
        lines.append(f"head {head} is row {checked.found.number}, of {datetime.fromtimestamp(checked.found.at, UTC)}")
    return "\n".join(lines)


@audit.command("export")
@_config
@click.option("--since", type=moment, metavar="TIME", help="From the first row at or after it: RFC 3339 with offset.")
@click.option("--output", type=click.Choice(["jsonl"]), default="jsonl", show_default=True)
def export(config: Path, since: datetime | None, output: str) -> None:  # noqa: ARG001 - the one form that there is
    """Print the rows, oldest first, each with its own hash and the one before.

    \b
    Example: rollback-receiver audit export --config receiver.yml --since 2024-01-01T00:00:00Z
    """
    with _reading(config) as tx:
        for row, previous in store.rows_since(tx, 0.0 if since is None else since.timestamp()):
            click.echo(line(row, previous))


@contextmanager
def _reading(config: Path) -> Iterator[Transaction]:
    """One moment of the configured database; ends the program if it cannot be read: 2 for the file, 1 for the rest."""
    opened = Store(settings_of(config).database_url, read_only=True)
    try:
        opened.check_schema()
        with opened.begin() as tx:
            yield tx
    except (StoreUnavailable, SchemaMismatch) as problem:
        click.echo(f"database_url: {problem}", err=True)
        sys.exit(1)
    finally:
        opened.close()
