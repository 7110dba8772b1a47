"""The table of `--check-config --resolve`, and what becomes of organizations that cannot be read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from genesys.dialect import RateLimit
from genesys.errors import GenesysError, NotAllowed
from genesys.evidence import Evidence
from genesys.flows import Flow, FlowVersion, Operation
from genesys.organizations import Organization, Organizations
from genesys.resolve import resolve
from genesys.settings import load


class Cloud:
    """An organization that can only list its flows."""

    rate_limit: RateLimit | None = None
    jobs = None
    dependencies = None

    def __init__(self, *listed: Flow, problem: GenesysError | None = None) -> None:
        self._listed = list(listed)
        self._problem = problem
        self.closed = False

    def flows(self, *, published_after: float | None = None) -> list[Flow]:
        if self._problem is not None:
            raise self._problem
        return self._listed

    def close(self) -> None:
        self.closed = True

    def evidence(self, start: int, end: int, *, bucket_s: int, flow_ids: Sequence[str] = ()) -> Evidence:
        raise NotImplementedError

    def conversations(self, start: int, end: int, *, bucket_s: int) -> Mapping[int, tuple[int, int]]:
        raise NotImplementedError

    def flow(self, flow_id: str) -> Flow:
        raise NotImplementedError

    def versions(self, flow_id: str) -> list[FlowVersion]:
        raise NotImplementedError

    def publish(self, flow_id: str, version: str) -> Operation:
        raise NotImplementedError


def flow(flow_id: str, name: str, *, live: str | None = "1.0", deleted: bool = False, division: str = "Home") -> Flow:
    return Flow(flow_id, name, "inboundcall", "d1", division, True, deleted, live, None, None, None, None)


def organizations(folder: Path, *names: str) -> Sequence[Organization]:
    credentials = {"client_id": "c", "client_secret_env": "SECRET"}
    listed = [{"name": name, "region": "mypurecloud.ie", "credentials": credentials} for name in names]
    file = folder / "organizations.yml"
    file.write_text(yaml.safe_dump({"organizations": listed}))
    return load(file, Organizations, environ={"SECRET": "s"}).organizations


def test_every_live_flow_has_a_line_by_organization_and_name(tmp_path: Path) -> None:
    clouds = {
        "retail": Cloud(
            flow("2", "Main"), flow("1", "Holidays"), flow("3", "Draft", live=None), flow("4", "Gone", deleted=True)
        ),
        "bank": Cloud(flow("9", "Loans\n\x1b[2J", division="")),
    }
    table, problems = resolve(
        organizations(tmp_path, "retail", "bank"),
        ("MODE",),
        lambda one: (f"mode of {one.id}",),
        open_=lambda one: clouds[one.name],
    )
    assert table.splitlines() == [
        "ORG     FLOW  NAME        TYPE         DIVISION  LIVE  MODE",
        "retail  1     Holidays    inboundcall  Home      1.0   mode of 1",
        "retail  2     Main        inboundcall  Home      1.0   mode of 2",
        "bank    9     Loans  [2J  inboundcall  -         1.0   mode of 9",
    ]
    assert problems == []
    assert all(cloud.closed for cloud in clouds.values())


def test_an_organization_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    clouds = {"retail": Cloud(problem=NotAllowed("no permission", 403)), "bank": Cloud(flow("9", "Loans"))}
    table, problems = resolve(
        organizations(tmp_path, "retail", "bank"), (), lambda _: (), open_=lambda one: clouds[one.name]
    )
    assert "Loans" in table
    assert problems == ["retail: the flows cannot be listed: no permission (HTTP 403)"]
    assert clouds["retail"].closed
