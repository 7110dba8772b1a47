"""One figure of the benchmark, what it has to be, and the table of them all."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` in `unit`; with a `goal` it is at least or at most that, or the goal is missed."""

    section: str
    name: str
    value: float
    unit: str = ""
    goal: float | None = None
    bound: Literal["at most", "at least"] = "at most"

    @property
    def missed(self) -> bool:
        if self.goal is None:
            return False
        return self.value > self.goal if self.bound == "at most" else self.value < self.goal


@dataclass(frozen=True, slots=True)
class Section:
    """The figures of one part, and sentences that belong to them: what was left out, and why."""

    name: str
    figures: Sequence[Figure]
    notes: Sequence[str] = ()

    def without_goals(self) -> "Section":
        return replace(self, figures=tuple(replace(figure, goal=None) for figure in self.figures))


class Sheet:
    """Collects the figures of one section."""

    def __init__(self, section: str) -> None:
        self._section = section
        self._figures: list[Figure] = []
        self._notes: list[str] = []

    def add(
        self, name: str, value: float, unit: str = "", *, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        if at_least is not None:
            self._figures.append(Figure(self._section, name, value, unit, at_least, "at least"))
        else:
            self._figures.append(Figure(self._section, name, value, unit, at_most))

    def note(self, sentence: str) -> None:
        self._notes.append(sentence)

    def done(self) -> Section:
        return Section(self._section, tuple(self._figures), tuple(self._notes))


def table(sections: Iterable[Section]) -> str:
    """Every figure in a line, with its goal and whether it is met."""
    lines = []
    for section in sections:
        lines.append(f"\n{section.name}")
        lines += [f"  {figure.name:<74} {_told(figure):>14}  {_judged(figure)}".rstrip() for figure in section.figures]
        lines += [f"  ({note})" for note in section.notes]
    return "\n".join(lines).lstrip()


def as_json(sections: Iterable[Section]) -> str:
    """The same for programs: a list of figures."""
    figures = (asdict(figure) | {"missed": figure.missed} for section in sections for figure in section.figures)
    return json.dumps(list(figures), indent=1)


def _told(figure: Figure) -> str:
    value = figure.value
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {figure.unit}".rstrip()


def _judged(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    verdict = "MISSED" if figure.missed else "met"
    return f"{verdict}: {figure.bound} {figure.goal:g}"
