"""Time-lapse changes durations and nothing else, and it finds every one of the shipped files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.lapse import shorten_duration, shorten_file, shorten_promql
from tests.project.promql import Token, tokens

SHIPPED = Path(__file__).resolve().parents[2] / "alert_rules"
FILES = sorted(SHIPPED.glob("*.yml"))
UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")

Leaf = tuple[tuple[str | int, ...], Any]
"""Where a value stands in a file, and the value."""


@pytest.mark.parametrize(
    ("duration", "factor", "shorter"),
    [
        pytest.param("3m", 10, "18000ms", id="minutes"),
        pytest.param("15s", 10, "1500ms", id="a fraction of a second"),
        pytest.param("1h30m", 60, "90000ms", id="two units"),
        pytest.param("500ms", 5, "100ms", id="milliseconds"),
        pytest.param("1w", 7, "86400000ms", id="weeks"),
        pytest.param("0s", 10, "0s", id="nothing stays nothing"),
    ],
)
def test_a_duration(duration: str, factor: float, shorter: str) -> None:
    assert shorten_duration(duration, factor) == shorter


@pytest.mark.parametrize("text", ["", "m", "3", "3 m", "3m!", "1y", "-3m", "1.5m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        shorten_duration(text, 10)


@pytest.mark.parametrize(
    ("expression", "shorter"),
    [
        pytest.param("rate(a_total[1m])", "rate(a_total[6000ms])", id="a range"),
        pytest.param("a offset 3m", "a offset 18000ms", id="an offset"),
        pytest.param("max_over_time(a[10m:1m])", "max_over_time(a[60000ms:6000ms])", id="a subquery"),
        pytest.param('a{window="5m"}', 'a{window="5m"}', id="a label value"),
        pytest.param('a{b="[1m]",c=~"x offset 1m"}[1m]', 'a{b="[1m]",c=~"x offset 1m"}[6000ms]', id="in a string"),
        pytest.param(r'a{b="\"[1m]"}[1m]', r'a{b="\"[1m]"}[6000ms]', id="a string with a quote in it"),
        pytest.param("a # [1m] and offset 1m", "a # [1m] and offset 1m", id="a comment"),
        pytest.param('a{b="#"}[1m] # [1m]', 'a{b="#"}[6000ms] # [1m]', id="a comment's sign in a string"),
        pytest.param("  > 120  # seconds: why", "  > 12  # seconds: why", id="seconds"),
        pytest.param("  > 7  # seconds: why", "  > 0.7  # seconds: why", id="seconds that become a fraction"),
        pytest.param("  > 120  # not in seconds", "  > 120  # not in seconds", id="another number"),
        pytest.param("a > 120\n  > 60  # seconds: x\nb[1m]", "a > 120\n  > 6  # seconds: x\nb[6000ms]", id="lines"),
        pytest.param("a1m + b:c5m > 3", "a1m + b:c5m > 3", id="names that end like durations"),
    ],
)
def test_an_expression(expression: str, shorter: str) -> None:
    assert shorten_promql(expression, 10) == shorter


# The shipped files ---------------------------------------------------------------------------------------------------


def shortened(file: Path, factor: float, folder: Path) -> Any:
    shorten_file(file, folder / file.name, factor)
    return yaml.safe_load((folder / file.name).read_text(encoding="utf-8"))


def leaves(node: Any, at: tuple[str | int, ...] = ()) -> Iterator[Leaf]:
    """Every value of a file with its place."""
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(value, (*at, key))
    else:
        yield at, node


def pairs(file: Path, factor: float, folder: Path) -> list[tuple[Leaf, Leaf]]:
    """Every value of a shipped file beside what time-lapse makes of it."""
    before = list(leaves(yaml.safe_load(file.read_text(encoding="utf-8"))))
    after = list(leaves(shortened(file, factor, folder)))
    assert [at for at, _ in before] == [at for at, _ in after]
    return list(zip(before, after, strict=True))


def milliseconds(duration: str) -> int:
    return sum(int(number) * UNIT_MS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdw])", duration))


def is_duration(value: object) -> bool:
    return isinstance(value, str) and DURATION.fullmatch(value) is not None


def judged(expression: str) -> list[tuple[Token, bool]]:
    """Each word of an expression, and whether it is a time: a duration, or a number that a time is compared with."""
    words = tokens(expression)
    found = []
    for position, word in enumerate(words):
        meant = [token for token in words[:position] if token.kind not in ("space", "comment")]
        compared = word.kind == "number" and bool(meant) and meant[-1].text in ("==", "!=", "<", "<=", ">", ">=")
        found.append((word, word.kind == "duration" or (compared and is_time(operand(meant[:-1])))))
    return found


def operand(words: list[Token]) -> list[Token]:
    """The left side of a comparison that comes next: back to an open bracket or a set operator."""
    depth = 0
    for position in range(len(words) - 1, -1, -1):
        text = words[position].text
        depth += (text in (")", "]", "}")) - (text in ("(", "[", "{"))
        if depth < 0 or (depth == 0 and text in ("and", "or", "unless")):
            return words[position + 1 :]
    return words


def is_time(words: list[Token]) -> bool:
    return any(word.kind == "name" and (word.text == "time" or word.text.endswith("_seconds")) for word in words)


def test_how_a_number_is_judged() -> None:
    expression = "(max by (a) (b) == 1 unless (time() - c_seconds > 20)) or (d_seconds[1m] >= 30 and e > 40)"
    assert [word.text for word, time in judged(expression) if time] == ["20", "1m", "30"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_divided_by_one_a_shipped_file_means_the_same(file: Path, tmp_path: Path) -> None:
    for (at, value), (_, other) in pairs(file, 1, tmp_path):
        if at[-1] == "expr":
            assert same_time(value, other)
        else:
            assert other == value or milliseconds(other) == milliseconds(value)


def same_time(expression: str, other: str) -> bool:
    def canonical(text: str) -> list[str | float]:
        return [
            milliseconds(word.text) if word.kind == "duration" else float(word.text) if time else word.text
            for word, time in judged(text)
        ]

    return canonical(expression) == canonical(other)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_divided_by_ten_every_duration_of_a_shipped_file_is_a_tenth_and_nothing_else_changes(
    file: Path, tmp_path: Path
) -> None:
    changed = 0
    for (at, value), (_, other) in pairs(file, 10, tmp_path):
        if at[-1] == "expr":
            changed += tenths(value, other)
        elif is_duration(value) and "labels" not in at and "annotations" not in at:
            assert milliseconds(other) * 10 == milliseconds(value), at
            changed += 1
        else:
            assert other == value, at
    assert changed, "there is nothing to shorten"


def tenths(expression: str, other: str) -> int:
    """How many times there are; each must have become a tenth, and every other word must be the same."""
    words, others = judged(expression), tokens(other)
    assert len(words) == len(others)
    for (word, time), after in zip(words, others, strict=True):
        if not time:
            assert after == word, expression
        elif word.kind == "duration":
            assert milliseconds(after.text) * 10 == milliseconds(word.text), expression
        else:
            assert float(after.text) * 10 == pytest.approx(float(word.text)), expression
    return sum(time for _, time in words)
