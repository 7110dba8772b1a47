"""The little PromQL reader of these tests reads what the shipped rules are made of."""

import pytest

from tests.project.promql import Selector, groupings, selectors, tokens


@pytest.mark.parametrize(
    ("expression", "metrics"),
    [
        pytest.param("up == 0", ["up"], id="a name"),
        pytest.param("max by (org, flow_id) (genesys_up) > 1", ["genesys_up"], id="an aggregation"),
        pytest.param("max(genesys_up) by (org)", ["genesys_up"], id="an aggregation that says at its end by what"),
        pytest.param("rate(a_total[5m] offset 1h) / on (org) group_left () b:c", ["a_total", "b:c"], id="two operands"),
        pytest.param('a{x="b{c}"} unless b', ["a", "b"], id="brackets in a string"),
        pytest.param("time() - a # b\n> 3", ["a"], id="a comment"),
        pytest.param("max(avg_over_time(a[7d:5m])) or b:c", ["a", "b:c"], id="a subquery"),
        pytest.param("clamp(a, 0.5, 1e3) or -b", ["a", "b"], id="numbers"),
    ],
)
def test_selectors(expression: str, metrics: list[str]) -> None:
    assert [name for selector in selectors(expression) for name in selector.metrics] == metrics


def test_matchers_and_names_that_are_matchers() -> None:
    assert selectors('a{b="c",d=~"e|f"}') == [Selector(("a",), (("b", "=", "c"), ("d", "=~", "e|f")))]
    assert selectors('{__name__=~"a|b", c!=""}') == [Selector(("a", "b"), (("c", "!=", ""),))]


def test_groupings_know_what_they_group() -> None:
    ((labels, inner),) = groupings("min by (org, window) (a / b) > 0 and c")
    assert labels == {"org", "window"}
    assert inner == [Selector(("a",), ()), Selector(("b",), ())]


def test_nothing_is_lost_between_tokens() -> None:
    expression = 'sum by (a) (\n  increase(b{c=~"d|e"}[1m30s])  # f\n) > 0'
    assert "".join(token.text for token in tokens(expression)) == expression
    with pytest.raises(ValueError, match="not PromQL"):
        tokens("a ; b")
