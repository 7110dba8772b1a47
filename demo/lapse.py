"""Time-lapse: Prometheus' and Alertmanager's files with every duration divided by one factor.

Rules are not another set of rules: the shipped files are read, and only durations
change, in the keys that hold one, in PromQL ranges and offsets, and in numbers that
say of themselves that they are seconds (`>= 120  # seconds: why`).
"""

import re
from pathlib import Path
from typing import Any

import yaml

DURATION_KEYS = frozenset(
    {
        "evaluation_interval",
        "for",
        "group_interval",
        "group_wait",
        "interval",
        "keep_firing_for",
        "repeat_interval",
        "scrape_interval",
        "scrape_timeout",
    }
)
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(\d+)(ms|[smhdw])")
# A range, a subquery or an offset; label values stand in quotes and are never touched.
_IN_PROMQL = re.compile(r"(\[|:|\boffset\s+)((?:\d+(?:ms|[smhdw]))+)")
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)(\s*)$")


def shorten_duration(text: str, factor: float) -> str:
    """`3m` divided by 10 is `18000ms`; the unit keeps fractions of a second exact. Raises ValueError."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"not a duration: {text!r}")
    whole_ms = sum(int(number) * _UNIT_MS[unit] for number, unit in parts)
    return f"{round(whole_ms / factor)}ms" if whole_ms else text


def shorten_promql(expression: str, factor: float) -> str:
    """The same expression, faster."""
    return "\n".join(_shorten_line(line, factor) for line in expression.split("\n"))


def shorten_file(source: Path, target: Path, factor: float) -> None:
    """Write a rule or configuration file whose durations are all divided by `factor`."""
    content = yaml.safe_load(source.read_text(encoding="utf-8"))
    target.write_text(yaml.safe_dump(_shorten(content, factor), sort_keys=False, width=1000), encoding="utf-8")


def _shorten(node: Any, factor: float) -> Any:
    if isinstance(node, list):
        return [_shorten(item, factor) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _shorten_value(key, value, factor) for key, value in node.items()}


def _shorten_value(key: str, value: Any, factor: float) -> Any:
    if key in DURATION_KEYS and isinstance(value, str):
        return shorten_duration(value, factor)
    if key == "expr":
        return shorten_promql(value, factor)
    return _shorten(value, factor)


def _shorten_line(line: str, factor: float) -> str:
    code, comment = _split_comment(line)
    if comment.startswith("# seconds:"):
        code = _SECONDS.sub(lambda found: f"{float(found[1]) / factor:g}{found[2]}", code)
    pieces = re.split(r'("(?:[^"\\]|\\.)*")', code)
    for position in range(0, len(pieces), 2):  # every second piece is a string
        pieces[position] = _IN_PROMQL.sub(lambda found: found[1] + shorten_duration(found[2], factor), pieces[position])
    return "".join(pieces) + comment


def _split_comment(line: str) -> tuple[str, str]:
    inside = False
    for position, character in enumerate(line):
        if character == '"':
            inside = not inside
        elif character == "#" and not inside:
            return line[:position], line[position:]
    return line, ""
