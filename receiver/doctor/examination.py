"""An examination: steps, what each has found, and how what goes wrong in one of them is told.

Pure but for what the steps themselves ask.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from genesys.errors import GenesysError, Gone, NotAllowed, Throttled, Unavailable
from receiver.outbound import OutboundError
from receiver.store.database import StoreUnavailable
from receiver.store.migration import SchemaMismatch


class State(StrEnum):
    """What a step says of its subject."""

    PROVED = "proved"  # seen, just now
    NOT_PROVED = "not proved"  # nobody can tell yet; the bridge works, as far as it can without
    FAILED = "failed"  # seen to be wrong: somebody has to do something
    SKIPPED = "skipped"  # not looked at, because of an earlier step or because nobody asked for it


@dataclass(frozen=True, slots=True)
class Found:
    """What a step has seen, and what to do about it; nothing is to be done about what is proved."""

    state: State
    seen: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to look at. With `needs` it is skipped unless that step of the same subject has passed."""

    name: str
    look: Callable[[], Found]
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A step's outcome; `subject` is an organization, or what else was looked at."""

    subject: str
    step: str
    state: State
    seen: str
    cure: str


def proved(seen: str) -> Found:
    return Found(State.PROVED, seen)


def not_proved(seen: str, cure: str) -> Found:
    return Found(State.NOT_PROVED, seen, cure)


def failed(seen: str, cure: str) -> Found:
    return Found(State.FAILED, seen, cure)


def skipped(seen: str, cure: str = "") -> Found:
    return Found(State.SKIPPED, seen, cure)


def examine(subject: str, steps: Sequence[Step], begin: Callable[[str, str], None]) -> Iterator[Finding]:
    """Look at one thing after the other; `begin` is told before each. What goes wrong in a look is its finding."""
    passed: set[str] = set()
    for step in steps:
        begin(subject, step.name)
        in_vain = step.needs and step.needs not in passed
        found = skipped(f"needs {step.needs}") if in_vain else _look(step)
        if found.state in (State.PROVED, State.NOT_PROVED):
            passed.add(step.name)
        yield Finding(subject, step.name, found.state, found.seen, found.cure)


def _look(step: Step) -> Found:
    try:
        return step.look()
    except GenesysError as problem:
        return failed(str(problem), _cure(problem))
    except OutboundError as problem:
        return failed(str(problem), "check that it runs, and that this host reaches it")
    except (StoreUnavailable, SchemaMismatch) as problem:
        return failed(str(problem), "check database_url, and that `rollback-receiver db check` passes")


def _cure(problem: GenesysError) -> str:
    if isinstance(problem, NotAllowed):
        if problem.status == 403:
            return "give the OAuth client's role the permission, in the divisions of the flows"
        return "check client_id and client_secret, that the client's grant is client credentials, and the region"
    if isinstance(problem, Throttled):
        return "others use up this client's limit: give the bridge an OAuth client of its own, and run this again"
    if isinstance(problem, Unavailable):
        return "check region, api_url, login_url, proxy and firewall; run this again"
    if isinstance(problem, Gone):
        return "run this again: the flow or version was deleted meanwhile, or Genesys Cloud has no such call"
    return "this release asks in a way that Genesys Cloud refuses: tell its makers what stands here"
