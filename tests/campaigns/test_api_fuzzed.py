"""Whatever is sent to a running receiver's API, it answers as its own document says, and never with an error of ours.

Requests are made up from the document, in its sense and against it; half of them name what there really is, so that
they get past the first look.
"""

import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from demo.processes import wait_until
from tests.campaigns.clouds import Cloud
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.fleet import SECRETS, fleet
from tests.campaigns.incidents import Incident, Kind, payload
from tests.campaigns.scene import SETTINGS
from tests.conftest import StartSimulator

ORG = "retail"
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
NAMES = ("org", "flow_id", "rollback_id", "window_id", "quarantine_id", "deployment_id")
IDS = {"/rollbacks": "rollback_id", "/maintenance": "window_id", "/deployments": "deployment_id"}


class Door:
    """The API of a running receiver, and what has been sent to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: Counter[int] = Counter()
        self.known = {"org": [ORG], "flow_id": [f"{ORG}-flow-1"]}
        self.session = requests.Session()
        load_all_checks()
        self._checks = CHECKS.get_by_names(CHECKED)

    def send(self, case: Any) -> None:
        """Raises what the checks find: an answer that is an error of ours, or that the document does not know."""
        self._name_what_there_is(case)
        role = "alertmanager" if (case.method, case.path) == ("POST", "/alerts") else "operator"
        headers = {"Authorization": f"Bearer {SECRETS[role]}"}
        answer = case.call(base_url=f"{self.url}/api/v1", session=self.session, headers=headers)
        self.answers[answer.status_code] += 1
        case.validate_response(answer, checks=self._checks)
        if answer.status_code == httpx.codes.CREATED and case.path in IDS:
            self.learn(IDS[case.path], answer.json()["id"])

    def learn(self, name: str, value: str) -> None:
        self.known.setdefault(name, []).append(value)

    def _name_what_there_is(self, case: Any) -> None:
        """Decided by what the request is, so that the same request is sent when it is made up again."""
        number = zlib.crc32(repr((case.path, case.path_parameters, case.query, case.body)).encode())
        for place in (case.path_parameters, case.query, case.body):
            if isinstance(place, dict) and number % 2:
                for name in NAMES:
                    if name in place and self.known.get(name):
                        place[name] = self.known[name][number % len(self.known[name])]


@contextmanager
def running(folder: Path, start: StartSimulator) -> Iterator[tuple[Door, list[str]]]:
    """A receiver in which something has happened; and the faults of its program, once it has ended."""
    faults: list[str] = []
    cloud = Cloud(ORG, 3, start, folder, seed=8)
    values = {**SETTINGS, "database_url": f"sqlite:///{folder / 'rollback.db'}"}
    with fleet(folder, organizations=[cloud.organization()], settings=values, count=1) as made:
        (member,) = made.members
        made.start(member)
        made.await_ready()
        door = Door(member.url)
        flow_id = cloud.flows[0]
        cloud.deploy(flow_id, "14.0", error_ratio=0.9)
        incident = Incident(ORG, flow_id, "14.0", Kind.BAD, time.time())
        sent = httpx.post(
            f"{member.url}/api/v1/alerts",
            content=payload([incident.alert(0, firing=True)]),
            headers={"Authorization": f"Bearer {SECRETS['alertmanager']}"},
        )
        assert sent.status_code == httpx.codes.ACCEPTED
        wait_until(lambda: bool(rollbacks_at(member.url)), "a rollback", within_s=90)
        for one in rollbacks_at(member.url):
            door.learn("rollback_id", one["id"])
        yield door, faults
        faults += made.faults_of_the_program()


def rollbacks_at(url: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{url}/api/v1/rollbacks", headers={"Authorization": f"Bearer {SECRETS['operator']}"})
    found: list[dict[str, Any]] = answer.json()["rollbacks"]
    return found


def fuzz(door: Door, operation: Any, mode: GenerationMode, *, examples: int, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def each(case: Any) -> None:
        door.send(case)

    with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
        each()  # a call without parameters cannot be made wrong


def test_every_answer_of_the_api_is_documented_and_none_an_error_of_ours(
    tmp_path: Path, start_simulator: StartSimulator, size: Size, figures: Figures
) -> None:
    wanted = size.of(short=300, full=10_000)
    with running(tmp_path, start_simulator) as (door, faults):
        document = schemathesis.openapi.from_url(f"{door.url}/openapi.json")
        document.config.generation.update(with_security_parameters=False)  # else a quarter of it is 401
        operations = [found.ok() for found in document.get_all_operations()]
        rounds = 0
        while sum(door.answers.values()) < wanted:
            for operation in operations:
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    fuzz(door, operation, mode, examples=size.of(short=4, full=20), number=rounds)
            rounds += 1
    sent = sum(door.answers.values())
    told = ", ".join(f"{count:,} × {status}" for status, count in sorted(door.answers.items()))
    figures(f"API: {sent:,} requests to {len(operations)} calls, {told}; {len(faults)} faults of the program")
    assert faults == []
