"""`rollback-receiver`: the command line, and the one place where the program is wired together."""

import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from gunicorn.app.base import BaseApplication
from gunicorn.http.errors import ParseException

from genesys import log
from genesys.flows import Flow
from genesys.organizations import Organizations
from genesys.resolve import resolve as resolve_flows
from receiver.applied import apply_policy
from receiver.audit_commands import audit
from receiver.config import ReceiverSettings, Tls
from receiver.configured import both_of, settings_of
from receiver.doctor_command import doctor
from receiver.drill_command import drill
from receiver.feeds_command import feeds
from receiver.process import Process
from receiver.replay_command import replay
from receiver.snapshot_command import snapshot
from receiver.store.database import Store, StoreUnavailable
from receiver.store.migration import SchemaMismatch
from receiver.token_commands import token
from receiver.web.problems import broken_body

STOP_WITHIN_S = 20.0  # a publish under way gets its answer, so that nobody has to find out by reading
# Each statement gives the interpreter away, and with the usual 5 ms a webhook would wait so long for each of them while
# the loop works.
SWITCH_INTERVAL_S = 0.0005
# Through its socket whoever has our user could stop and reload the workers, beside the API and the audit; and two
# receivers of one user would contend for the file.
NO_CONTROL_SOCKET = "control_socket_disable"

_path = click.Path(path_type=Path, dir_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="genesys-rollback-bridge")
def main() -> None:
    """Take Alertmanager's alerts about Genesys Cloud flows and roll failing versions back."""


@main.command()
@click.option("--organizations", type=_path, required=True, help="Which Genesys Cloud organizations there are.")
@click.option("--config", type=_path, required=True, help="What the receiver may do, for which flows.")
@click.option("--check-config", is_flag=True, help="Only check both files: exit 0, or 2 with every problem.")
@click.option("--resolve", is_flag=True, help="With --check-config: also list every live flow with what applies to it.")
@click.option("--log-level", type=click.Choice(log.LEVELS), default="info", show_default=True)
def serve(organizations: Path, config: Path, check_config: bool, resolve: bool, log_level: str) -> None:
    """Serve the webhook and the API, and work on open alerts.

    Example: rollback-receiver serve --organizations organizations.yml --config receiver.yml

    The database is brought to this release's schema first. SIGTERM ends the
    receiver; a rollback under way is taken up by the next one.

    --check-config --resolve asks Genesys Cloud and exits with 1 if an
    organization cannot be read. It writes nothing anywhere.
    """
    if resolve and not check_config:
        raise click.UsageError("--resolve needs --check-config")
    settings, known = both_of(organizations, config)
    if check_config:
        for warning in known.warnings():
            click.echo(f"warning: {organizations}: {warning}", err=True)
        click.echo(f"{organizations} and {config}: fine, {len(known.organizations)} organization(s): {known.told}")
        if resolve:
            _resolve(settings, known)
        return
    log.configure(log_level, "receiver", "genesys")
    with _database(settings, config) as store:
        store.migrate()
    _Server(settings, known).run()


@main.group()
def db() -> None:
    """The schema of the database that --config names; no receiver has to run."""


@db.command()
@click.option("--config", type=_path, required=True, help="The receiver's configuration, for its database_url.")
def migrate(config: Path) -> None:
    """Bring the database to this release's schema, as every receiver does at its start.

    Exits with 1 if it cannot be reached, or is not for this release.
    """
    with _database(settings_of(config), config) as store:
        store.migrate()
        click.echo(store.check_schema())


@db.command()
@click.option("--config", type=_path, required=True, help="The receiver's configuration, for its database_url.")
def check(config: Path) -> None:
    """Say whether this release works with the database as it is. Changes nothing.

    Exits with 1 if it does not, and says the cure.
    """
    with _database(settings_of(config), config) as store:
        click.echo(store.check_schema())


def _resolve(settings: ReceiverSettings, known: Organizations) -> None:
    """Print what applies to each live flow; exit 1 if an organization cannot be read."""

    def applies(flow: Flow) -> tuple[str, ...]:
        applied = apply_policy(settings, flow)
        return f"{applied.mode.value}{applied.note}", applied.policy.told, applied.policy.owner

    table, problems = resolve_flows(known.organizations, ("MODE", "THRESHOLD", "OWNER"), applies)
    click.echo(table)
    if problems:
        click.echo("\n".join(problems), err=True)
        sys.exit(1)


@contextmanager
def _database(settings: ReceiverSettings, config: Path) -> Iterator[Store]:
    """The settings' database; what is wrong with it ends the program with exit 1, one sentence and the cure."""
    is_file = settings.database_url.startswith("sqlite")
    cure = (
        "the folder must exist, and this user must be able to write the file and its folder"
        if is_file
        else "check that the server runs, that this host reaches it, and the URL's user, password, database and rights"
    )
    store = Store(settings.database_url)
    try:
        yield store
    except StoreUnavailable as problem:
        click.echo(f"{config}: database_url: the database cannot be used ({problem}); {cure}", err=True)
        sys.exit(1)
    except SchemaMismatch as problem:
        click.echo(f"{config}: database_url: {problem}", err=True)
        sys.exit(1)
    finally:
        store.close()


def _tls(tls: Tls) -> dict[str, Any]:
    """gunicorn's settings; the protocol is TLS 1.2 or newer, as Python has it."""
    if tls.client_ca is None:
        return {"certfile": str(tls.certificate), "keyfile": str(tls.key)}
    return {
        "certfile": str(tls.certificate),
        "keyfile": str(tls.key),
        "ca_certs": str(tls.client_ca),
        "cert_reqs": int(ssl.CERT_REQUIRED),
    }


class _Server(BaseApplication):
    """One worker process with threads: the loop runs beside the requests, and several receivers are several hosts."""

    def __init__(self, settings: ReceiverSettings, known: Organizations) -> None:
        self._settings = settings
        self._known = known
        self._process: Process | None = None
        super().__init__()

    def load_config(self) -> None:
        tls = self._settings.tls
        for name, value in {
            "bind": str(self._settings.listen),
            "workers": 1,
            "worker_class": "gthread",
            "threads": 8,
            "timeout": 60,
            "limit_request_line": 8190,  # its most: three names of 200 characters fit, however they are encoded
            "graceful_timeout": int(STOP_WITHIN_S),
            "loglevel": "warning",
            "proc_name": "rollback-receiver",
            "worker_exit": self._stop,
            **({} if tls is None else _tls(tls)),
        }.items():
            self.cfg.set(name, value)
        if NO_CONTROL_SOCKET in self.cfg.settings:  # since gunicorn 25.1
            self.cfg.set(NO_CONTROL_SOCKET, True)

    def load(self) -> Any:
        """Called in the worker process, after the fork: threads and connections belong there."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._process = Process(self._settings, self._known.organizations)
        self._process.app.register_error_handler(ParseException, lambda error: broken_body(str(error)).response())
        self._process.start()
        return self._process.app

    def _stop(self, _server: object, _worker: object) -> None:
        if self._process is not None:
            self._process.stop(STOP_WITHIN_S)


main.add_command(audit)
main.add_command(doctor)
main.add_command(drill)
main.add_command(feeds)
main.add_command(replay)
main.add_command(snapshot)
main.add_command(token)

if __name__ == "__main__":
    main()
