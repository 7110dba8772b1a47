"""What the console's pages are made of: times, links, the chart, and a word for every verdict and state."""

import pytest

from receiver.config import Links
from receiver.policy import Verdict
from receiver.store.rollbacks import State
from receiver.web.console import words
from receiver.web.console.chart import FULL, chart_of, percent
from receiver.web.console.links import elsewhere, is_web, relative
from receiver.web.console.times import lasting, machine, utc
from receiver.web.console.times import relative as ago

FACTS = {
    "errors": 41,
    "volume": 96,
    "window": "5m",
    "error_ratio": 41 / 96,
    "threshold_ratio": 0.05,
    "baseline_ratio": 0.01,
    "windows": [
        {"window": "1m", "errors": 0, "volume": 0},
        {"window": "5m", "errors": 41, "volume": 96},
        {"window": "60m", "errors": 41, "volume": 400},
    ],
    "verification": {"errors": 0, "ended": 22, "threshold_ratio": 0.05},
}


def test_times_are_utc_and_relative() -> None:
    assert utc(1795748327.9) == "2026-11-27 02:58:47 UTC"
    assert machine(1795748327.9) == "2026-11-27T02:58:47Z"
    assert ago(1000.0, 1180.0) == "3 min ago"
    assert ago(1180.0, 1000.0) == "in 3 min"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (7500, "2 h 5 min"),
        (180000, "2 d 2 h"),
    ],
)
def test_how_long_something_lasts_is_told_in_two_units(seconds: float, said: str) -> None:
    assert lasting(seconds) == said


@pytest.mark.parametrize(
    ("here", "there", "link"),
    [
        ("/console", "/console/flows", "console/flows"),
        ("/console/flows", "/console", "../console"),
        ("/console/flows/retail/f1", "/console/rollbacks/r", "../../../console/rollbacks/r"),
        ("/api/v1/rollbacks/r", "/console/rollbacks/r", "../../../console/rollbacks/r"),
    ],
)
def test_links_are_relative_so_that_they_hold_below_a_proxys_path(here: str, there: str, link: str) -> None:
    assert relative(here, there) == link


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "/d/flow", "//evil.example", "http://", "https://[", ""]
)
def test_what_is_no_address_of_the_web_is_not_linked(url: str) -> None:
    assert not is_web(url)
    assert elsewhere(Links(), "retail", "f", {"runbook_url": url, "dashboard_url": url}) == []


def test_an_alert_leads_to_its_runbook_and_its_dashboard() -> None:
    told = {"runbook_url": "https://runbook.example/#a", "dashboard_url": "https://grafana.example/d/x"}
    assert [tuple(one) for one in elsewhere(Links(), "retail", "f", told)] == [
        ("Dashboard", "https://grafana.example/d/x"),
        ("Runbook", "https://runbook.example/#a"),
    ]


def test_the_shipped_dashboard_is_found_below_the_configured_grafana() -> None:
    links = Links(grafana="https://grafana.example/sub/", prometheus="https://prometheus.example")
    found = dict(elsewhere(links, "re tail", 'f"1', {"dashboard_url": "/d/genesys-flow?var-org=x"}))
    assert found["Dashboard"] == "https://grafana.example/sub/d/genesys-flow?var-org=re+tail&var-flow_id=f%221"
    assert "flow_id%3D%22f%5C%221%22" in found["Prometheus"]


def test_the_chart_has_a_bar_for_each_window_with_calls_for_what_was_usual_and_for_the_target() -> None:
    chart = chart_of(FACTS, accused="14.0", target="13.0")
    assert chart is not None
    assert [(bar.label, bar.counted, bar.share, bar.kind) for bar in chart.bars] == [
        ("14.0, last 5m", "41 of 96", "42.7 %", "accused"),
        ("14.0, last 60m", "41 of 400", "10.2 %", "accused"),
        ("earlier versions", "", "1 %", "usual"),
        ("13.0, since it is live", "0 of 22", "0 %", "target"),
    ]
    assert max(bar.length for bar in chart.bars) < FULL
    five, sixty, usual, target = (bar.length for bar in chart.bars)
    assert five / sixty == pytest.approx((41 / 96) / (41 / 400), rel=0.01)
    assert (chart.allowed, target) == ("5 %", 0.0)
    assert chart.allowed_at == pytest.approx(5 * usual, abs=0.05)


def test_records_of_earlier_releases_have_one_bar_and_strange_ones_none() -> None:
    one = chart_of({name: FACTS[name] for name in ("errors", "volume", "window")}, accused="14.0")
    assert one is not None
    assert [(bar.label, bar.counted) for bar in one.bars] == [("14.0, last 5m", "41 of 96")]
    assert one.allowed == ""
    for strange in ({}, {"errors": "many", "volume": None}, {"windows": ["x"]}, {"errors": True, "volume": 3}):
        assert chart_of(strange, accused="14.0") is None


def test_shares_are_told_with_three_digits() -> None:
    assert [percent(ratio) for ratio in (0.0, 0.05, 1 / 3, 0.0033333, 1.0)] == [
        "0 %",
        "5 %",
        "33.3 %",
        "0.333 %",
        "100 %",
    ]


def test_there_are_words_for_every_verdict_and_every_state() -> None:
    assert words.VERDICTS.keys() == set(Verdict)
    assert words.STATES.keys() == set(State)
    assert {words.tone(state) for state in State} == {"good", "bad", "busy", "plain"}
