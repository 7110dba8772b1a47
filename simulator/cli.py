"""`genesys-simulator`: a simulated Genesys Cloud on one port, login and API alike."""

import signal
import sys
import time
from collections.abc import Mapping
from types import FrameType, MappingProxyType
from typing import get_args

import click
from pydantic import ValidationError

from simulator import scenario as scenarios
from simulator.app import create_app
from simulator.server import listen
from simulator.simulation import Simulation
from simulator.vocabulary import Switches

_SCENARIOS = ", ".join(scenarios.names())
_BOOLEANS: Mapping[str, bool] = MappingProxyType({"true": True, "false": False})
_SWITCHES = "; ".join(
    f"{name}: {' | '.join(get_args(field.annotation) or _BOOLEANS)}" for name, field in Switches.model_fields.items()
)


@click.command(context_settings={"show_default": True, "max_content_width": 110})
@click.option("--scenario", "name", default="calm", help=f"{_SCENARIOS}, or the path of a scenario file.")
@click.option("--listen", "address", default="127.0.0.1:9744", metavar="HOST:PORT", help="Port 0 takes a free one.")
@click.option(
    "--time-factor",
    default=1.0,
    type=click.FloatRange(min=0.0, min_open=True),
    help="Divides every duration and multiplies every rate; 10 lets a day pass in 2.4 hours.",
)
@click.option("--seed", default=1, help="Same seed, same callers.")
@click.option(
    "--switch",
    "switches",
    multiple=True,
    metavar="NAME=VALUE",
    help=f"How a fact that is unproven is here, over what the scenario says; repeatable. {_SWITCHES}.",
)
def main(name: str, address: str, time_factor: float, seed: int, switches: tuple[str, ...]) -> None:
    """Simulate a Genesys Cloud CX organization.

    Serves the login (POST /oauth/token; client `simulator`, secret `simulator`), the Platform API and the calls of the
    dialect `guide` on one port, over plain HTTP. The first line on stdout says where. Flows get callers, versions get
    published, analytics lag behind.

    \b
    What was really sent   GET    /sim/requests
    What is true           GET    /sim/state
    Let something happen   POST   /sim/events    {"event": "lock", "flow": ID}
    Set faults             PUT    /sim/faults    [{"kind": "throttle", "retry_after": 20, "times": 2}]
    Clear them             DELETE /sim/faults
    Change its behaviour   PUT    /sim/settings  {"effect_delay": 5, "publish_time": 3, "analytics_latency": 20}
    Decide unproven facts  PUT    /sim/switches  {"republish": "nothing", "n_flow_exit_reason": true}

    Every duration in scenario files and control requests is in simulated seconds.
    """
    try:
        scenario = scenarios.load(name)
    except scenarios.ScenarioError as error:
        raise click.UsageError(f"--scenario: {error}") from error
    scenario = scenario.model_copy(update={"switches": _switched(scenario.switches, switches)})
    host, port = _split(address)
    simulation = Simulation(scenario, factor=time_factor, seed=seed, clock=time.time)
    try:
        server = listen(host, port, create_app(simulation, scenario_name=name))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {address}: {error.strerror}") from error
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    print(f"listening on http://{host}:{server.server_address[1]}", flush=True)
    with server:
        server.serve_forever()


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise click.UsageError(f"--listen: {address!r} is not HOST:PORT")
    return host, int(port)


def _switched(switches: Switches, given: tuple[str, ...]) -> Switches:
    """The switches with what was given, each as NAME=VALUE."""
    parted = (text.partition("=") for text in given)
    values = {name: _BOOLEANS.get(value, value) for name, _, value in parted}
    try:
        return Switches.model_validate({**switches.model_dump(), **values})
    except ValidationError as error:
        raise click.UsageError(f"--switch: {scenarios.explain(error)}") from error


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
