"""As much of PromQL as it takes to compare the shipped rules with the programs: tokens, selectors, groupings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

_KINDS = {
    "comment": r"#[^\n]*",
    "string": r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`',
    "duration": r"(?:\d+(?:ms|[smhdwy]))+",
    "number": r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?",
    "name": r"(?:[A-Za-z_]|:(?=[A-Za-z_:]))[A-Za-z0-9_:]*",  # any other colon is a subquery's
    "operator": r"==|!=|=~|!~|>=|<=|[-+*/%^<>=(){}\[\],:@]",
    "space": r"\s+",
}
_TOKEN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS.items()))
_GROUPINGS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_DEPTH = {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}
_WORDS = _GROUPINGS | {"and", "or", "unless", "offset", "bool", "atan2", "start", "end", "inf", "nan"}


class Token(NamedTuple):
    """One word of an expression; `kind` is a key of the table above."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Selector:
    """One vector selector: which metric, and what each matcher compares a label with."""

    metrics: tuple[str, ...]  # more than one, or none, if it is given as a matcher on __name__
    matchers: tuple[tuple[str, str, str], ...]  # label, operator, value

    @property
    def labels(self) -> frozenset[str]:
        return frozenset(label for label, _, _ in self.matchers)


def tokens(expression: str) -> list[Token]:
    """Every word of an expression, comments and spaces included. Raises ValueError at what it does not know."""
    found, position = [], 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            raise ValueError(f"not PromQL: {expression[position:]!r}")
        found.append(Token(str(match.lastgroup), match[0]))
        position = match.end()
    return found


def code(expression: str) -> list[Token]:
    """The words of an expression that mean something."""
    return [token for token in tokens(expression) if token.kind not in ("comment", "space")]


def selectors(expression: str) -> list[Selector]:
    """The vector selectors of an expression, in their order."""
    words = [*code(expression), Token("end", ""), Token("end", "")]
    found, position = [], 0
    while words[position].kind != "end":
        here, after = words[position], words[position + 1]
        position += 1
        if here.kind == "name" and here.text in _GROUPINGS and after.text == "(":
            position = _closing(words, position) + 1
        elif here.kind == "name" and here.text not in _WORDS and after.text not in ("(", "{"):
            if not (after.kind == "name" and after.text in ("by", "without")):  # that is an aggregation
                found.append(Selector((here.text,), ()))
        elif here.text == "{" or (here.kind == "name" and after.text == "{"):
            start = position if here.text == "{" else position + 1
            position = _closing(words, start - 1) + 1
            named = () if here.text == "{" else (here.text,)
            found.append(_selector(named, words[start : position - 1]))
    return found


def groupings(expression: str) -> Iterator[tuple[frozenset[str], list[Selector]]]:
    """Each `by (labels) (inner)`: the labels, and the selectors that it groups."""
    words = code(expression)
    for position, word in enumerate(words):
        if word == Token("name", "by"):
            end = _closing(words, position + 1)
            inner = words[end + 1 : _closing(words, end + 1)]
            labels = frozenset(token.text for token in words[position + 1 : end] if token.kind == "name")
            yield labels, selectors(" ".join(token.text for token in inner))


def _closing(words: list[Token], opening: int) -> int:
    """Position of the bracket that closes the one at `opening`."""
    depth = 0
    for position in range(opening, len(words)):
        depth += _DEPTH.get(words[position].text, 0)  # a string's text has its quotes
        if depth == 0:
            return position
    raise ValueError("a bracket is not closed")


def _selector(named: tuple[str, ...], words: list[Token]) -> Selector:
    matchers = []
    for position in range(0, len(words), 4):  # label, operator, value, comma
        label, operator, value = (word.text for word in words[position : position + 3])
        if label == "__name__":
            named = tuple(value[1:-1].split("|"))
        else:
            matchers.append((label, operator, value[1:-1]))
    return Selector(named, tuple(matchers))
