"""A receiver dies at every named step, while effects come at once, after 5 s and after 60 s.

The stories, and what is right, are those of tests/integration/test_crashes.py, where effects take the usual 3 s.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.campaigns.conftest import Figures, Size
from tests.integration.crashing import Run, crashes, run
from tests.integration.simulated_world import Simulated
from tests.integration.test_crashes import STORIES, Story, problems

EFFECT_DELAYS_S = (0.0, 5.0, 60.0)


def test_whoever_dies_at_any_step_another_one_finishes_however_late_the_effect_is(
    tmp_path: Path, size: Size, figures: Figures
) -> None:
    names = size.of(short=["it works"], full=list(STORIES))
    every = size.of(short=9, full=1)  # of the steps
    begun = time.monotonic()
    runs, found = [], []
    for delay_s in EFFECT_DELAYS_S:
        for name in names:
            story = STORIES[name]
            arrange = partial(_arranged, story.arrange, delay_s)
            undisturbed = run(_folder(tmp_path, len(runs), "undisturbed"), arrange)
            for crash in crashes(undisturbed.done)[::every]:
                runs.append(run(_folder(tmp_path, len(runs), "crashed"), arrange, crash))
                found += [f"{name}, effect after {delay_s:g} s: {one}" for one in problems(story, crash, runs[-1])]
    figures(f"named steps, {line(runs)}; {time.monotonic() - begun:.0f} s")

    assert not found
