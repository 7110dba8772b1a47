"""`make demo`: a bad version is published, noticed, rolled back, and the proof is counted where it happened."""

import shutil
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from types import FrameType

import click

from demo.breaks import SCENARIOS, Break
from demo.plots import PLOTS, Plot
from demo.processes import ROOT, StackError
from demo.stack import Stack, World
from demo.story import Line, Story
from demo.verdict import Failed, left_alone

LAPSE = 10.0  # the usual time-lapse; buckets of six seconds are the shortest that scrapes still resolve
PATIENCE_S = 40 * 60.0  # simulated seconds until the demo gives up


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--scenario", type=click.Choice(list(PLOTS)), help="What happens in the simulated world. [default: bad-deploy]"
)
@click.option(
    "--break", "broken", type=click.Choice(Break, case_sensitive=False), help="Take one safety out: it must then fail."
)
@click.option("--real", is_flag=True, help="The shipped files unchanged, in real time: about fifteen minutes.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same callers.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=ROOT / ".demo",
    help="Where logs and data go; emptied first. [default: .demo]",
)
def main(scenario: str | None, broken: Break | None, real: bool, seed: int, folder: Path) -> None:
    """Show the bridge's main job from end to end, with real Prometheus and Alertmanager processes."""
    for ended_by in (signal.SIGINT, signal.SIGTERM):  # a shell in the background starts us with SIGINT ignored
        signal.signal(ended_by, _interrupt)
    plot = PLOTS[scenario or (SCENARIOS[broken] if broken else "bad-deploy")]
    switches = {"republish": "nothing"} if broken is Break.READBACK else {}
    factor = 1.0 if real else LAPSE
    world = World(
        scenario=plot.scenario,
        factor=factor,
        seed=seed,
        switches=switches,
        receivers=plot.receivers,
        broken=broken,
        **plot.world,
    )
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with Stack(folder.resolve(), world) as stack:
            _introduce(stack)
            print(_play(stack, plot))
    except (Failed, StackError) as problem:
        print(f"demo: failed: {problem}\nThe logs of all processes are in {folder}/*.log")
        sys.exit(1)
    except KeyboardInterrupt:
        print("\ndemo: interrupted; nothing is left running")
        sys.exit(130)


def _introduce(stack: Stack) -> None:
    factor = stack.world.factor
    pace = (
        "in real time"
        if factor == 1
        else f"in time-lapse: every duration of the shipped files is divided by {factor:g}"
    )
    print(f"A simulated Genesys Cloud, and the real exporter, Prometheus, Alertmanager and receiver, {pace}.")
    print("Look while it runs:")
    for name, path in (
        ("prometheus", "/alerts"),
        ("alertmanager", "/#/alerts"),
        ("exporter", "/metrics"),
        ("receiver", "/metrics"),
        ("simulator", "/sim/state"),
    ):
        print(f"  {name:<13} {stack.urls[name]}{path}")
    print(f"  rollbackctl   --url {stack.urls['receiver']} --token-file {stack.folder}/operator.secret status\n")


def _play(stack: Stack, plot: Plot) -> str:
    """Tell what happens until the plot is over, and give the last line. Raises Failed."""
    story = Story(stack)
    if plot.prepare is not None:
        plot.prepare(stack)
    if plot.why_not is None:
        over = partial(_over, alert=plot.alert)
        _tell(stack, story, PATIENCE_S, over, plot.meanwhile)
        if not over(stack):
            raise Failed(f"the rollback was not finished within {PATIENCE_S / 60:.0f} simulated minutes")
        return plot.proof(stack)
    _tell(stack, story, plot.watch_s, _wrote)
    return left_alone(stack, plot.why_not)


def _tell(
    stack: Stack,
    story: Story,
    simulated_s: float,
    over: Callable[[Stack], bool],
    meanwhile: Callable[[Stack], None] | None = None,
) -> None:
    """Print what happens until it is over, or the time is. Raises StackError if a program ends by itself."""
    until = time.monotonic() + stack.seconds(simulated_s)
    while not over(stack) and time.monotonic() < until:
        for line in story.news():
            _print(line)
        for name, process in stack.processes.items():
            if not process.running:
                raise StackError(f"{name} ended by itself:\n{process.tail()}")
        if meanwhile is not None:
            meanwhile(stack)
        time.sleep(0.5)
    for line in story.news():
        _print(line)


_BEGINNINGS = ("APPROVAL_REQUESTED", "AUTO_ROLLBACK_TRIGGERED")  # the end is told by others


def _wrote(stack: Stack) -> bool:
    """Something was written where nothing may be: there is nothing to wait for any more."""
    return bool(stack.publishes())


def _over(stack: Stack, *, alert: str) -> bool:
    """Every rollback of every receiver has ended and was told; the alert ends too, if one of them helped."""
    known = [stack.api("GET", "rollbacks", receiver=receiver)["rollbacks"] for receiver in stack.receivers]
    rollbacks = [one for listed in known for one in listed]
    if not all(known) or any(one["ended_at"] is None for one in rollbacks):
        return False
    told = {one["rollback_id"] for one in stack.sink.received if one["incident_type"] not in _BEGINNINGS}
    firing = stack.prometheus(f'ALERTS{{alertname="{alert}"}}')
    helped = any(one["state"] == "succeeded" for one in rollbacks)
    return all(one["id"] in told for one in rollbacks) and not (helped and firing)


def _print(line: Line) -> None:
    moment = datetime.fromtimestamp(line.at).astimezone().strftime("%H:%M:%S")
    print(f"{moment}  {line.source:<12}  {line.text}", flush=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
