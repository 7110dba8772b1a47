"""A receiver dies at every named step, while effects come at once, after 5 s and after 60 s.

The stories, and what is right, are those of tests/integration/test_crashes.py, where effects take the usual 3 s.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaigns.conftest import Figures, Size
from tests.integration.crashing import Crash, Run, crashes, run
from tests.integration.simulated_world import Simulated
from tests.integration.test_crashes import STORIES, problems

EFFECT_DELAYS_S = (0.0, 5.0, 60.0)


@pytest.mark.parametrize("delay_s", EFFECT_DELAYS_S)
def test_whoever_dies_at_any_step_another_one_finishes_however_late_the_effect_is(
    tmp_path: Path, delay_s: float, size: Size, figures: Figures
) -> None:
    stories = size.of(short=["it works"], full=list(STORIES))
    every = size.of(short=12, full=1)  # step
    begun = time.monotonic()
    runs, found = [], []
    for name in stories:
        for after, wrong in died(tmp_path / name, name, delay_s, every):
            runs.append(after)
            found += wrong
    figures(f"named steps, effect after {delay_s:g} s, {line(runs)}; {time.monotonic() - begun:.0f} s")

    assert not found


def died(folder: Path, name: str, delay_s: float, every: int) -> Iterator[tuple[Run, list[str]]]:
    """What came of a story whenever somebody died in it, and what is wrong with that."""
    story = STORIES[name]

    def arrange(genesys: Simulated) -> None:
        genesys.set(effect_delay=delay_s)
        story.arrange(genesys)

    def tell(place: str, crash: Crash | None = None) -> Run:
        return run(made(folder / place), arrange, crash, people=story.people, **story.settings)

    undisturbed = tell("undisturbed")
    for number, crash in enumerate(crashes(undisturbed.done)[::every]):
        after = tell(str(number), crash)
        yield after, [f"{name}: {problem}" for problem in problems(story, crash, after)]


def made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def line(runs: list[Run]) -> str:
    """The campaign's figures."""
    publishes, effects = sum(one.publishes for one in runs), sum(one.effects for one in runs)
    ends = sorted({f"{one.end.state.value} {one.end.reason}".strip() for one in runs if not one.effects})
    without = f", {sum(not one.effects for one in runs)} without an effect ({', '.join(ends)})" if ends else ""
    return f"SQLite: {len(runs)} deaths, one a rollback; {publishes} publishes, {effects} effects{without}"
