"""An organization of any size for the benchmarks: its list of flows, and what analytics answer about it, as bytes.

Busy to the limit of what an answer can hold: every flow has outcomes in every bucket. A tenth of the flows has a
second version that still drains. Seeded, so that two runs measure the same; written from the API's reference, and
piece by piece, so that it takes no more room than the bytes.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

TRANSFER, ERROR = "TRANSFER", "FLOW_ERROR_DISCONNECT"
TARGETS = {"Sales": 0.5, "Service": 0.3, "Billing": 0.2}  # queues, and their shares of the transfers
LIVE, OLDER = "14.0", "13.0"
SHARE_DRAINING = 0.1
ERROR_RATIO = 0.02


@dataclass(frozen=True, slots=True)
class Organization:
    """`flows` flows with `calls_per_bucket` conversations each."""

    flows: int
    calls_per_bucket: int = 20
    seed: int = 1
    published_at: int = 1_795_000_000

    def flow_ids(self) -> list[str]:
        chance = random.Random(self.seed)
        return [str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(self.flows)]

    def versions(self) -> list[tuple[str, str]]:
        """(flow id, version) of everything that has outcomes."""
        chance = random.Random(self.seed + 1)
        ids = self.flow_ids()
        return [(each, LIVE) for each in ids] + [(each, OLDER) for each in ids if chance.random() < SHARE_DRAINING]

    def page_of_flows(self, number: int, size: int) -> bytes:
        """One page of `GET /api/v2/flows`; the first has number 1."""
        ids = self.flow_ids()
        entities = [self._flow(each) for each in ids[(number - 1) * size : number * size]]
        pages = -(-len(ids) // size)
        page = {"entities": entities, "pageNumber": number, "pageSize": size, "pageCount": pages, "total": len(ids)}
        return json.dumps(page).encode()

    def exits(self, start: int, buckets: int, bucket_s: int = 60, *, by_target: bool = False) -> bytearray:
        """The answer about `tFlow`, by exit reason, and if wanted by transfer target."""
        transfers = [
            _Kind(share, {"exitReason": TRANSFER, "transferType": "ACD", "transferTargetName": name})
            for name, share in TARGETS.items()
        ]
        kinds = (
            *(transfers if by_target else [_Kind(1, {"exitReason": TRANSFER})]),
            _Kind(ERROR_RATIO, {"exitReason": ERROR}),
        )
        return self._answer("tFlow", kinds, start, buckets, bucket_s)

    def entries(self, start: int, buckets: int, bucket_s: int = 60) -> bytearray:
        """The answer about `nFlow`."""
        return self._answer("nFlow", (_Kind(1, {}),), start, buckets, bucket_s)

    def conversations(self, start: int, buckets: int, bucket_s: int = 60) -> bytes:
        """The answer about the organization's own conversations."""
        counted = [
            {"metric": name, "stats": {"count": count}}
            for name, count in (("nError", self.flows // 10), ("nConversations", self.flows * self.calls_per_bucket))
        ]
        data = [{"interval": interval, "metrics": counted} for interval in intervals(start, buckets, bucket_s)]
        return json.dumps({"results": [{"group": {}, "data": data}]}).encode()

    def _flow(self, flow_id: str) -> dict[str, object]:
        return {
            "id": flow_id,
            "name": f"Flow {flow_id[:8]}",
            "type": "INBOUNDCALL",
            "active": True,
            "deleted": False,
            "division": {"id": "d62836e8-ff2a-43ee-bcf6-dc9d8b9e89a0", "name": "Home"},
            "publishedVersion": {"id": LIVE, "datePublished": iso(self.published_at)},
        }

    def _answer(self, metric: str, kinds: Sequence["_Kind"], start: int, buckets: int, bucket_s: int) -> bytearray:
        chance = random.Random(self.seed + 2)
        means = [self.calls_per_bucket * kind.share for kind in kinds]
        written = [list(_buckets(metric, int(mean), start, buckets, bucket_s)) for mean in means]
        answer = bytearray(b'{"results":[')
        # Nothing starts on the older versions: else the exporter would have to ask which one is live.
        versions = [each for each in self.versions() if metric != "nFlow" or each[1] == LIVE]
        for position, (flow_id, version) in enumerate(versions):
            for number, kind in enumerate(kinds):
                group = {"flowId": flow_id, "flowVersion": version} | kind.group
                share = means[number] % 1
                data = ",".join(more if chance.random() < share else fewer for fewer, more in written[number])
                answer += b"," if position or number else b""
                answer += f'{{"group":{json.dumps(group)},"data":[{data}]}}'.encode()
        return answer + b"]}"


@dataclass(frozen=True, slots=True)
class _Kind:
    """Outcomes that are told apart: their share of all, and what they are grouped by."""

    share: float
    group: dict[str, str]


def _buckets(metric: str, fewer: int, start: int, buckets: int, bucket_s: int) -> Iterator[tuple[str, str]]:
    """Each bucket with the whole number below the mean, and with the one above it."""
    for interval in intervals(start, buckets, bucket_s):
        low, high = (
            f'{{"interval":"{interval}","metrics":[{{"metric":"{metric}","stats":{{"count":{count}}}}}]}}'
            for count in (fewer, fewer + 1)
        )
        yield low, high


def intervals(start: int, buckets: int, bucket_s: int) -> Iterator[str]:
    for position in range(buckets):
        first = start + position * bucket_s
        yield f"{iso(first)}/{iso(first + bucket_s)}"


def iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
