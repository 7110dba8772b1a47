"""Simulated organizations for campaigns: each is a simulator process of its own, where a minute lasts a second.

What was written is counted there, by those who were written to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import SimulatorProcess, StartSimulator

FACTOR = 60.0
GOOD = "13.0"  # the version to go back to
BAD_RATIO = 0.9  # of the callers of a bad version
CALLS_PER_MIN = 6.0  # as few as show it: what is simulated costs time
PUBLISH = {"method": "POST", "path_prefix": "/api/v2/flows/actions/publish"}
UPLOAD = {"method": "PUT", "path_prefix": "/storage/uploads/"}


@dataclass(frozen=True)
class Publish:
    """One publish, or file, that arrived, whoever sent it; `effect_at` is when its version became live, if it did.

    `job_id` is a file's. One that was not taken as a whole names no flow.
    """

    at: float
    flow_id: str | None
    version: str | None
    status: int | None
    effect_at: float | None
    job_id: str | None = None


class Cloud:
    """One organization with its flows; all have the same history, and are healthy at first."""

    def __init__(
        self,
        org: str,
        flow_count: int,
        start: StartSimulator,
        folder: Path,
        *,
        seed: int,
        objects: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.org = org
        self.flows = tuple(f"{org}-flow-{number}" for number in range(1, flow_count + 1))
        file = folder / f"{org}.scenario.yml"
        file.write_text(yaml.safe_dump(_scenario(self.flows) | {"objects": list(objects)}))
        self._simulator: SimulatorProcess = start(scenario=str(file), time_factor=FACTOR, seed=seed)

    def organization(self) -> dict[str, Any]:
        """Its entry in `organizations.yml`."""
        return {
            "name": self.org,
            "api_url": self._simulator.url,
            "login_url": self._simulator.url,
            "credentials": {"client_id": "simulator", "client_secret_env": "SIMULATOR_SECRET"},
            "timeout_s": 3.0,
            "deadline_s": 6.0,
            # A minute lasts a second; a day and a half of history is enough for a target that has earned it.
            "analytics": {"bucket_s": 1, "settle_s": 1.0, "history_bucket_s": 60, "history_s": 2160},
        }

    def deploy(self, flow_id: str, version: str, *, error_ratio: float) -> None:
        """The flow's own team publishes a version, which is live on return; no two flows are one deployment."""
        event = {"event": "publish", "flow": flow_id, "version": version, "error_ratio": error_ratio}
        self._simulator.control("POST", "events", event | {"by": f"owner-of-{flow_id}"})

    def change(self, object_type: str, object_id: str, **fields: Any) -> None:
        """Somebody changes a configuration object."""
        event = {"event": "change_object", "type": object_type, "id": object_id, "fields": fields}
        self._simulator.control("POST", "events", event)

    def objects(self) -> dict[str, dict[str, Any]]:
        """Each configuration object by its id: whether it is `changed`, and its `version`, one more for each change."""
        return {one["id"]: one for one in self._simulator.control("GET", "state")["objects"]}

    def object_writes(self) -> list[dict[str, Any]]:
        """Every write of a configuration object that arrived over the API, oldest first."""
        return [one for one in self._simulator.control("GET", "requests") if one.get("object_write")]

    def live(self) -> dict[str, str]:
        """Flow → the version that its callers meet now."""
        state = self._simulator.control("GET", "state")
        return {flow["id"]: flow["live_version"] for flow in state["flows"]}

    def publishes(self) -> list[Publish]:
        """Every publish that arrived over the API, oldest first."""
        sent = self._simulator.control("GET", "requests")
        return [
            Publish(
                one["at"],
                one.get("flow_id"),
                one.get("version"),
                one["status"],
                one.get("effect_at"),
                _job(one["path"]),
            )
            for one in sent
            if one.get("publish")
        ]

    def set(self, **settings: float) -> None:
        """Change how it behaves; simulated seconds."""
        self._simulator.control("PUT", "settings", settings)

    def fault(self, *faults: dict[str, Any]) -> None:
        """These are set from now on, and no other."""
        self._simulator.control("PUT", "faults", faults)


def _job(path: str) -> str | None:
    prefix = str(UPLOAD["path_prefix"])
    return path.removeprefix(prefix) if path.startswith(prefix) else None


def _scenario(flows: tuple[str, ...]) -> dict[str, Any]:
    versions = [
        {"version": "12.0", "published_ago": 777600},  # 9 days
        {"version": GOOD, "published_ago": 432000},  # 5 days
    ]
    return {
        "description": f"{len(flows)} healthy flows with few callers; others say what happens to them.",
        "flows": [
            {"id": flow, "name": flow, "type": "inboundcall", "calls_per_min": CALLS_PER_MIN, "versions": versions}
            for flow in flows
        ],
        # Receivers that are killed all the time ask for much more than the usual ones.
        "access": {"requests_per_min": 1_000_000, "tokens_per_min": 1_000_000},
        "settings": {"analytics_latency": 10.0, "analytics_jitter": 10.0, "analytics_late_ratio": 0.0},
        "switches": {"extra_group_keys": False},
        "conversation_error_ratio": 0.0,
    }
