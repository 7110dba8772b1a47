"""The evidence as a small chart: what was found, beside what is allowed and what was usual. Pure geometry.

Each bar is a drawing of its own beside its numbers, so that it fits a phone, and says nothing that the numbers do not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

FULL = 100.0  # length of the longest bar that there is room for
_ROOM = 1.1  # the longest one ends before the edge: it can be seen that it does


@dataclass(frozen=True, slots=True)
class Bar:
    """One ratio, and how it was counted; `kind` names its colour."""

    label: str
    counted: str
    share: str
    length: float
    kind: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of one scale, and where on it the line is that they must not reach; `allowed` is empty without one."""

    bars: tuple[Bar, ...]
    allowed: str
    allowed_at: float


def chart_of(facts: Mapping[str, Any], *, accused: str, target: str = "") -> Chart | None:
    """Of the facts of a decision or a rollback, of whatever release; None where they have no figures."""
    found = list(_ratios(facts, accused, target))
    if not found:
        return None
    allowed = _number(facts.get("threshold_ratio")) or 0.0
    scale = FULL / (_ROOM * max(allowed, 0.01, *(ratio for _, _, ratio, _ in found)))
    bars = tuple(
        Bar(label, counted, percent(ratio), round(ratio * scale, 2), kind) for label, counted, ratio, kind in found
    )
    return Chart(bars, percent(allowed) if allowed else "", round(allowed * scale, 2))


def _ratios(facts: Mapping[str, Any], accused: str, target: str) -> Iterator[tuple[str, str, float, str]]:
    windows = facts.get("windows")
    counted = windows if isinstance(windows, list) else [facts]  # earlier releases have told of one window only
    for one in counted:
        if isinstance(one, dict):
            yield from _counted(f"{accused}, last {one.get('window')}", one, "accused")
    usual = _number(facts.get("baseline_ratio"))
    if usual is not None:
        yield "earlier versions", "", usual, "usual"
    measured = facts.get("verification")
    if isinstance(measured, dict):
        yield from _counted(f"{target}, since it is live", measured | {"volume": measured.get("ended")}, "target")


def _counted(label: str, counts: Mapping[str, Any], kind: str) -> Iterator[tuple[str, str, float, str]]:
    errors, volume = _number(counts.get("errors")), _number(counts.get("volume"))
    if errors is not None and volume:
        yield label, f"{errors:.0f} of {volume:.0f}", min(1.0, errors / volume), kind


def percent(ratio: float) -> str:
    """`5 %`, `0.333 %`."""
    return f"{ratio * 100:.3g} %"


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e12 else None
