"""Each answer that a step of a way back may get, one at a time: one effect, and the way back is gone if it can be.

`test_answers` lets everything happen at random; here nothing is left to chance, and every case says how it must end.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from receiver.store.rollbacks import ENDS, State
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.memory import in_memory
from tests.campaigns.test_answers import Fate, Incident, check, live_through
from tests.integration.fault_cases import EXPORT, REGISTER, STATE, UPLOAD, ways
from tests.integration.simulated_world import PUBLISH, SimulatedScene, simulated_scene

# Ordered before the permit, so that none of them may have an effect; then the write, and how it is read back.
STEPS = {
    "export": EXPORT,
    "export's state": {"method": "GET", "path_prefix": "/api/v2/flows/export/jobs/"},
    "exported file": {"method": "GET", "path_prefix": "/storage/exports/"},
    "registration": REGISTER,
    "upload": UPLOAD,
    "job's state": STATE,
}
BEFORE_THE_WRITE = ("export", "export's state", "exported file", "registration")
ANSWERS: dict[str, dict[str, Any]] = {
    "503": {"kind": "status", "status": 503},
    "502 after the effect": {"kind": "status_after", "status": 502},
    "dropped before the effect": {"kind": "drop_before"},
    "dropped after the effect": {"kind": "drop_after"},
    "429": {"kind": "throttle", "retry_after": 20.0},
    "truncated": {"kind": "truncated"},
}
WITHOUT_EFFECT = ("503", "dropped before the effect")

SUCCEEDED = "succeeded"
OF_ONE_STEP: dict[tuple[str, str], tuple[dict[str, Any], str]] = {
    ("export", "fails"): ({"kind": "export_fails"}, "failed (export_failed)"),
    ("export", "hangs"): ({"kind": "export_hangs"}, "failed (export_unfinished)"),
    ("upload", "refused"): ({"kind": "upload_refused"}, "failed (publish_refused)"),
    ("upload", "a minute late"): ({"kind": "upload_late", "delay_s": 60.0}, SUCCEEDED),
    ("upload", "job fails"): ({"kind": "deploy_fails"}, "failed (publish_failed)"),
    ("upload", "job hangs"): ({"kind": "deploy_hangs"}, "failed (publish_unfinished)"),
    ("upload", "job does nothing"): ({"kind": "deploy_nothing"}, "failed (no_effect)"),
}
OF_A_PUBLISH: dict[str, tuple[dict[str, Any], str]] = {
    "200, and nothing is done": ({"kind": "publish_nothing"}, SUCCEEDED),
    "operation fails": ({"kind": "publish_fails"}, SUCCEEDED),
    "a minute late": ({"kind": "publish_late", "delay_s": 60.0}, SUCCEEDED),
    "operation hangs": ({"kind": "publish_hangs"}, "failed (publish_unfinished)"),  # it may take effect yet
}


@dataclass(frozen=True)
class Case:
    """One fault, how the attempt that meets it must end, and what the republish before it does, if there is one."""

    name: str
    fault: dict[str, Any]
    end: str
    republish: str = "works"


def of_a_redeployment(*, republish: str) -> Iterator[Case]:
    for step, match in STEPS.items():
        for name, answer in ANSWERS.items():
            for often, times in (("once", {"times": 1}), ("always", {})):
                fault = {"match": match, **answer, **times}
                yield Case(f"{step}: {name}, {often}", fault, _end(step, name, often), republish)
    for (step, name), (answer, end) in OF_ONE_STEP.items():
        yield Case(f"{step}: {name}", {"match": STEPS[step], **answer}, end, republish)


def of_a_publish() -> Iterator[Case]:
    """Whatever is proved to have had no effect, the next way back makes good."""
    for name, answer in ANSWERS.items():
        for often, times in (("once", {"times": 1}), ("always", {})):
            end = "failed (rate_limited)" if (name, often) == ("429", "always") else SUCCEEDED
            yield Case(f"publish: {name}, {often}", {"match": PUBLISH, **answer, **times}, end)
    for name, (answer, end) in OF_A_PUBLISH.items():
        yield Case(f"publish: {name}", {"match": PUBLISH, **answer}, end)


def _end(step: str, name: str, often: str) -> str:
    """By the fault table: what happens once is made good, but for half a file, which the storage refuses for good."""
    if (step, name) == ("exported file", "truncated"):
        return "failed (publish_refused)"
    if often == "once" or step == "job's state":
        return SUCCEEDED
    if step in BEFORE_THE_WRITE:
        return "failed (export_unfinished)"
    if name == "429":
        return "failed (rate_limited)"
    return "failed (no_effect)" if name in WITHOUT_EFFECT else SUCCEEDED


CASES = {
    ("redeploy",): tuple(of_a_redeployment(republish="works")),
    ("republish", "redeploy"): (*of_a_publish(), *of_a_redeployment(republish="nothing")),
}


def incident(case: Case, *strategies: str) -> Incident:
    """The fault lasts for as long as the first attempt; afterwards Genesys Cloud is well, and may be tried again."""
    with in_memory() as folder, simulated_scene(folder, **ways(*strategies)) as here:
        here.deliver()
        here.genesys.switch(republish=case.republish)
        here.genesys.fault(case.fault)
        return _lived_through(here)


def _lived_through(here: SimulatedScene) -> Incident:
    receiver = here.receiver()
    rollback = here.run_to_the_end(receiver)
    assert rollback is not None
    assert rollback.state in ENDS
    here.genesys.fault()
    return live_through(here, receiver)


def problems(case: Case, one: Incident) -> Iterator[str]:
    """What has not come as it must."""
    try:
        check(one)
    except AssertionError as broken:
        yield f"{case.name}: {broken}"
    first, *others = one.attempts
    if first.end != case.end:
        yield f"{case.name}: {first.end}, not {case.end}"
    if (first.rollback.state is State.SUCCEEDED) != (Fate.EFFECTIVE in first.fates):
        yield f"{case.name}: {first.end}, fates {first.fates}"
    if any(attempt.end != SUCCEEDED for attempt in others[-1:]):
        yield f"{case.name}: tried again in vain, {[attempt.end for attempt in others]}"


def line_of(incidents: dict[str, Incident], *strategies: str) -> str:
    ends = Counter(one.attempts[0].end for one in incidents.values())
    fates = Counter(fate for one in incidents.values() for fate in one.fates)
    return (
        f"answers at each step, {' then '.join(strategies)}: {len(incidents)} cases; "
        f"{', '.join(f'{count} {end}' for end, count in ends.most_common())}; {fates.total()} writes "
        f"({', '.join(f'{count} {fate.value}' for fate, count in fates.most_common())}), "
        f"{sum(len(one.unproved) for one in incidents.values())} without proof, "
        f"{sum(one.changes > 1 for one in incidents.values())} second effects"
    )


@pytest.mark.parametrize("strategies", CASES, ids=" then ".join)
def test_whatever_a_step_is_answered_there_is_one_effect(
    size: Size, figures: Figures, strategies: tuple[str, ...]
) -> None:
    every = size.of(short=9, full=1)  # no step has nine in a row, so that each has its turn
    incidents = {case.name: incident(case, *strategies) for case in CASES[strategies][::every]}
    figures(line_of(incidents, *strategies))

    assert not [problem for case in CASES[strategies][::every] for problem in problems(case, incidents[case.name])]
