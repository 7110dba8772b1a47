"""The cases of GenesysFlowFailing: what happens to a flow, and when the alert must fire.

A case says in minutes when the alert fires; at every other evaluation it must be silent.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.rules.exporter_model import SCRAPE_S, Exporter, Flow, calls, input_series, steadily

RULES = Path(__file__).resolve().parents[2] / "alert_rules" / "rollback.rules.yml"
EVALUATION_S = 30  # the rule group's interval
LONG_AGO = -1_000_000.0
FIRING = (
    "max by (org, flow_id, flow_version, signal, genesys_action)"
    ' (ALERTS{alertname="GenesysFlowFailing", alertstate="firing"})'
)


@dataclass(frozen=True)
class Firing:
    """The alert fires at the evaluations from `start` up to, but not including, `end` (minutes)."""

    start: float
    end: float = math.inf
    version: str = "14.0"
    flow_id: str = "f1"
    org: str = "retail"
    action: str = "rollback"
    signal: str = "error_exit"

    def labels(self) -> dict[str, str]:
        return {
            "org": self.org,
            "flow_id": self.flow_id,
            "flow_version": self.version,
            "signal": self.signal,
            "genesys_action": self.action,
        }


@dataclass(frozen=True)
class Notification:
    """Exactly what Alertmanager is sent for one alert at a time (minutes)."""

    at: float
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True)
class Case:
    name: str
    flows: Sequence[Flow]
    firing: Sequence[Firing] = ()
    exporters: Sequence[Exporter] = (Exporter(),)
    minutes: int = 30
    sent: Sequence[Notification] = ()
    external_labels: Mapping[str, str] = field(default_factory=dict)  # of the Prometheus that evaluates

    def document(self) -> dict[str, Any]:
        """The case as a file for `promtool test rules`."""
        return {
            "rule_files": [str(RULES)],
            "evaluation_interval": f"{EVALUATION_S}s",
            "tests": [
                {
                    "name": self.name,
                    "interval": f"{SCRAPE_S}s",
                    "external_labels": dict(self.external_labels),
                    "input_series": input_series(self.exporters, self.flows, until_s=self.minutes * 60),
                    "promql_expr_test": list(self._timeline()),
                    "alert_rule_test": self._notifications(),
                }
            ],
        }

    def _timeline(self) -> Iterator[dict[str, Any]]:
        for at in range(0, self.minutes * 60 + 1, EVALUATION_S):
            expected = [firing for firing in self.firing if firing.start * 60 <= at < firing.end * 60]
            samples = [{"labels": _selector(firing.labels()), "value": 1} for firing in expected]
            yield {"expr": FIRING, "eval_time": f"{at}s", "exp_samples": samples}

    def _notifications(self) -> list[dict[str, Any]]:
        silent = [{"alertname": "GenesysFlowFailing", "eval_time": "0s", "exp_alerts": []}]
        if not self.firing:
            silent[0]["eval_time"] = f"{self.minutes}m"
        return silent + [
            {
                "alertname": "GenesysFlowFailing",
                "eval_time": f"{sent.at * 60:.0f}s",
                "exp_alerts": [{"exp_labels": sent.labels, "exp_annotations": sent.annotations}],
            }
            for sent in self.sent
        ]


def _selector(labels: dict[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


GOOD, BAD, NONE = calls(20, 0), calls(20, 20), calls(0, 0)
PUBLISH_S = 600.0  # 10 min
ROLLBACK_S = 1261.0  # 21 min, and one second too late for the poll: the worst case
FIRES = 17.5  # settle 1, three bad minutes 3, scrape and evaluation 0.5, `for` 3 after the publish
MINUTE_S = 60
UNTIL_NEVER = 10**9


def deployed(good: int = 20, bad: int = 20, **more: Any) -> Flow:
    """13.0 has `good` calls a minute without errors; 14.0, published at 10 min, has `bad` errors among as many."""
    behaviour = steadily({"13.0": calls(good, 0), "14.0": calls(good, bad)})
    return Flow({LONG_AGO: "13.0", PUBLISH_S: "14.0"}, more.pop("calls", behaviour), **more)


def rolled_back(at: float = ROLLBACK_S, **more: Any) -> Flow:
    """As `deployed`, and 13.0 is made live again."""
    behaviour = steadily({"13.0": GOOD, "14.0": BAD})
    publishes = {LONG_AGO: "13.0", PUBLISH_S: "14.0", at: "13.0"}
    return Flow(publishes, more.pop("calls", behaviour), **more)


def burst(volume: int, minutes: int) -> Flow:
    """One version, long live and healthy, fails totally for some minutes from 5 min on."""
    start_s = 5 * MINUTE_S
    end_s = start_s + minutes * MINUTE_S
    return Flow({LONG_AGO: "13.0"}, lambda _, start: calls(volume, volume if start_s <= start < end_s else 0))


def failed_polls(first: int, last: int = UNTIL_NEVER) -> range:
    """Polls at the full minutes `first` to `last`."""
    return range(first * MINUTE_S, last * MINUTE_S + 1, MINUTE_S)


def missed_scrapes(first_s: int, last_s: int = UNTIL_NEVER) -> range:
    return range(first_s, last_s + 1, SCRAPE_S)


RUNBOOK = "https://github.com/genesys-rollback-bridge/genesys-rollback-bridge/blob/main/alert_rules/RUNBOOK.md"
BAD_DEPLOY = Notification(
    at=18,
    labels={
        "org": "retail",
        "flow_id": "f1",
        "flow_version": "14.0",
        "signal": "error_exit",
        "severity": "critical",
        "genesys_action": "rollback",
        "genesys_contract": "1",
    },
    annotations={
        "summary": "Flow Main IVR version 14.0 fails: 100% error_exit",
        "description": (
            "In organization retail the last 15m of version 14.0 of flow f1 show more error_exit than the threshold"
            " and than chance, and it goes on. The receiver checks Genesys Cloud's own figures and decides whether to"
            " roll back: see `rollbackctl decisions`."
        ),
        "runbook_url": f"{RUNBOOK}#genesysflowfailing",
        "dashboard_url": "/d/genesys-flow?var-org=retail&var-flow_id=f1",
        "error_ratio": "1.0000",
        "threshold_ratio": "0.0500",
        "errors": "120",
        "volume": "120",
        "window": "15m",
        "data_end": "960",
        "live_since": "600",
    },
)
PAGE = Notification(
    at=21,
    labels=BAD_DEPLOY.labels | {"genesys_action": "page"},
    annotations=BAD_DEPLOY.annotations
    | {
        "description": (
            "In organization retail the last 15m of version 14.0 of flow f1 show more error_exit than the threshold"
            " and than chance, and it goes on. This signal does not act on this flow: nothing is rolled back by itself."
        ),
        "errors": "180",
        "volume": "180",
        "data_end": "1140",
    },
)


def _healed(start: int) -> bool:
    return not PUBLISH_S <= start < PUBLISH_S + 4 * MINUTE_S


_DEPLOYMENTS = (
    Case(
        "a bad deploy fires once, with exact labels and annotations", [deployed()], [Firing(FIRES)], sent=[BAD_DEPLOY]
    ),
    Case("the rollback ends it within 90 s and nothing follows", [rolled_back()], [Firing(FIRES, 22.5)], minutes=45),
    Case(
        "a good deploy is silent",
        [deployed(bad=0)],
    ),
    Case(
        "two flows: only the failing one is accused",
        [deployed(flow_id="f1"), deployed(flow_id="f2", bad=0)],
        [Firing(FIRES)],
    ),
    Case(
        "two organizations with the same flow id do not mix",
        [deployed(org="retail"), deployed(org="bank", bad=0)],
        [Firing(FIRES)],
    ),
    Case(
        "two organizations with the same flow id: each has its own alert, here five minutes apart",
        [deployed(org="retail"), deployed(org="bank", calls=lambda version, start: GOOD if start < 900 else BAD)],
        [Firing(FIRES), Firing(22.5, org="bank")],
    ),
    Case(
        "a version that is live again and good is not accused of its past",
        [
            Flow(
                {LONG_AGO: "13.0", PUBLISH_S: "14.0", ROLLBACK_S: "13.0", 1500.0: "14.0"},
                lambda version, start: calls(1, 0) if version == "13.0" or start >= 1500 else calls(1, 1),
            )
        ],
        [Firing(20.5, 22.5)],
        minutes=60,
    ),
    Case(
        "a version that is live again and bad is accused",
        [
            rolled_back(
                calls=lambda version, start: BAD if start >= ROLLBACK_S else steadily({"13.0": GOOD})(version, 0)
            )
        ],
        [Firing(29.5, version="13.0")],
        minutes=35,
    ),
    Case(
        "failing calls of the replaced version do not accuse the new one",
        [deployed(bad=0, draining=lambda version, start: BAD if version == "13.0" and start >= PUBLISH_S else NONE)],
    ),
    Case(
        "failing calls of a version that was rolled back do not go on accusing it",
        [rolled_back(draining=lambda version, start: BAD if version == "14.0" and start >= ROLLBACK_S else NONE)],
        [Firing(FIRES, 22.5)],
    ),
)

_LIVE_VERSION_CHANGED = (
    Case(
        "the live version changes while its alert is pending: neither it nor its successor is accused",
        [
            Flow(
                {LONG_AGO: "13.0", PUBLISH_S: "14.0", 840.0: "15.0"},
                steadily({"13.0": GOOD, "14.0": BAD, "15.0": GOOD}),
            )
        ],
    ),
    Case(
        "the live version changes to one that fails too: its three minutes begin anew",
        [Flow({LONG_AGO: "13.0", PUBLISH_S: "14.0", 840.0: "15.0"}, steadily({"14.0": BAD, "15.0": BAD}))],
        [Firing(21.5, version="15.0")],
    ),
    Case(
        "the live version changes while it is accused, and calls that it still has go on failing",
        [
            Flow(
                {LONG_AGO: "13.0", PUBLISH_S: "14.0", ROLLBACK_S: "15.0"},
                steadily({"13.0": GOOD, "14.0": BAD, "15.0": GOOD}),
                draining=lambda version, start: BAD if version == "14.0" and start >= ROLLBACK_S else NONE,
            )
        ],
        [Firing(FIRES, 22.5)],
    ),
)

_MISSING_DATA = (
    Case(
        "a missed scrape while pending changes nothing",
        [deployed()],
        [Firing(FIRES)],
        [Exporter(missed_scrapes=missed_scrapes(900, 930))],
    ),
    Case(
        "a missed scrape while firing changes nothing",
        [deployed()],
        [Firing(FIRES)],
        [Exporter(missed_scrapes=missed_scrapes(1200, 1230))],
    ),
    Case("a failed poll changes nothing", [deployed()], [Firing(FIRES)], [Exporter(failed_polls=failed_polls(15, 15))]),
    Case(
        "a poll in every other minute, as while others use up the rate limit, is enough",
        [deployed()],
        [Firing(FIRES + 1)],
        [Exporter(failed_polls=range(0, UNTIL_NEVER, 2 * MINUTE_S))],
    ),
    Case(
        "a failed poll while firing changes nothing",
        [deployed()],
        [Firing(FIRES)],
        [Exporter(failed_polls=failed_polls(20, 20))],
    ),
    Case(
        "failed polls do not count as failing calls: the samples are dropped, the alert ends",
        [deployed()],
        [Firing(FIRES, 21.5)],
        [Exporter(failed_polls=failed_polls(20))],
    ),
    Case(
        "polls that fail after four bad minutes: never",
        [deployed()],
        exporters=[Exporter(failed_polls=failed_polls(16))],
    ),
    Case("frozen on three bad minutes: never", [deployed()], exporters=[Exporter(frozen_from=14 * MINUTE_S)]),
    Case("frozen on four bad minutes: never", [deployed()], exporters=[Exporter(frozen_from=15 * MINUTE_S)]),
    Case(
        "frozen on six bad minutes: fires on what it has seen, and ends",
        [deployed()],
        [Firing(FIRES, 19.5)],
        [Exporter(frozen_from=17 * MINUTE_S)],
    ),
    Case(
        "frozen while firing: ends",
        [deployed()],
        [Firing(FIRES, 22.5)],
        [Exporter(frozen_from=20 * MINUTE_S)],
    ),
    Case(
        "an exporter that dies while pending: never",
        [deployed()],
        exporters=[Exporter(missed_scrapes=missed_scrapes(960))],
    ),
    Case(
        "an exporter that dies while firing: ends within 90 s",
        [deployed()],
        [Firing(FIRES, 21)],
        [Exporter(missed_scrapes=missed_scrapes(1200))],
    ),
)

_SETTLE = (
    Case("settle 120 s: one minute later", [deployed()], [Firing(FIRES + 1)], [Exporter(settle_s=120)]),
    Case("data that are ten minutes old do not judge", [deployed()], exporters=[Exporter(settle_s=600)], minutes=40),
)

_CHANCE = (
    *(
        Case(f"a burst of {minutes} min at {volume} calls/min that healed", [burst(volume, minutes)], minutes=40)
        for minutes in (1, 2)
        for volume in (2, 10, 50)
    ),
    Case("a burst of 3 min at 50 calls/min that healed", [burst(50, 3)], minutes=40),
    Case("no calls at all", [deployed(good=0, bad=0)]),
    Case(
        "one failed call at 3 a.m.",
        [deployed(calls=lambda version, start: calls(1, 1) if start == 720 else NONE)],
        minutes=40,
    ),
    Case("4.9 % is within the threshold", [deployed(good=1000, bad=49)]),
    Case(
        "4.9 % and 5.1 % in turn for ten minutes",
        [
            deployed(
                calls=lambda version, start: calls(1000, 10 if not 720 <= start < 1320 else 49 if start % 120 else 51)
            )
        ],
        minutes=40,
    ),
    Case("5.1 % is above the threshold", [deployed(good=1000, bad=51)], [Firing(FIRES)]),
    Case("6 % after 1 %, the guide's example", [deployed(good=200, bad=12)], [Firing(FIRES)]),
    Case("6 % after 1 % takes a minute more at a quarter of the calls", [deployed(good=50, bad=3)], [Firing(18.5)]),
    Case(
        "a flow that always had 8 % errors is silent: its threshold is 40 %",
        [deployed(good=100, bad=8, threshold_ratio=0.4, baseline_ratio=0.08)],
    ),
    Case(
        "a flow that always had 8 % errors is accused at 45 %",
        [deployed(good=100, bad=45, threshold_ratio=0.4, baseline_ratio=0.08)],
        [Firing(FIRES)],
    ),
    Case(
        "nothing known of the flow, 6 %: must exceed the threshold itself",
        [deployed(good=200, bad=12, baseline_ratio=None)],
    ),
    Case("nothing known of the flow, total failure", [deployed(baseline_ratio=None)], [Firing(FIRES)]),
    Case(
        "no errors ever before: 1 % is the least that chance is measured from",
        [deployed(good=50, bad=3, baseline_ratio=0.0)],
        [Firing(18.5)],
    ),
    Case(
        "6 % of 50 calls a minute, where callers used to dial again: later",
        [deployed(good=50, bad=3, scatter=1.7)],
        [Firing(22.5)],
    ),
    Case(
        "nobody knows how errors used to come: as late as with the largest scatter that counts",
        [
            deployed(good=50, bad=3, scatter=None),
            deployed(good=50, bad=3, scatter=2.0, flow_id="f2"),
            deployed(good=50, bad=3, scatter=40.0, flow_id="f3"),
        ],
        [Firing(24.5), Firing(24.5, flow_id="f2"), Firing(24.5, flow_id="f3")],
    ),
    Case("a scatter below 1 counts as 1", [deployed(good=50, bad=3, scatter=0.2)], [Firing(18.5)]),
    Case(
        "a capped threshold can still be exceeded",
        [deployed(threshold_ratio=0.9, baseline_ratio=0.4)],
        [Firing(FIRES)],
    ),
    Case(
        "four bad minutes after a deploy that heal end the wait",
        [deployed(calls=lambda version, start: GOOD if _healed(start) else BAD)],
    ),
)

_TWO_EXPORTERS = (
    Case(
        "two exporters, one sees the deploy half a minute late and counts one minute less: both must agree",
        [rolled_back()],
        [Firing(19, 22)],
        [Exporter("a"), Exporter("b", poll_second=30)],
        minutes=45,
    ),
    Case(
        "two exporters, one sees the rollback half a minute late: it cannot go on accusing",
        [rolled_back(at=1259)],
        [Firing(19, 21.5)],
        [Exporter("a"), Exporter("b", poll_second=30)],
    ),
    Case(
        "two exporters, one misses scrapes",
        [rolled_back()],
        [Firing(FIRES, 22.5)],
        [Exporter("a"), Exporter("b", missed_scrapes=missed_scrapes(900, 1020))],
    ),
    Case(
        "two exporters, one frozen on a healthy flow cannot acquit",
        [rolled_back()],
        [Firing(FIRES, 22.5)],
        [Exporter("a"), Exporter("b", frozen_from=PUBLISH_S - 1)],
    ),
    Case(
        "two exporters, one frozen on three bad minutes that healed cannot accuse",
        [burst(50, 3)],
        exporters=[Exporter("a"), Exporter("b", frozen_from=9 * MINUTE_S)],
    ),
    Case(
        "two exporters, only one knows the flow's earlier ratio: both must agree",
        [deployed(good=50, bad=3)],
        exporters=[Exporter("a"), Exporter("b", sees=[deployed(good=50, bad=3, baseline_ratio=None)])],
    ),
    Case(
        "two exporters, only one knows the flow's scatter: both must agree",
        [deployed(good=50, bad=3)],
        [Firing(24.5)],
        [Exporter("a"), Exporter("b", sees=[deployed(good=50, bad=3, scatter=None)])],
    ),
    Case(
        "two exporters, one is down",
        [deployed()],
        [Firing(FIRES)],
        [Exporter("a"), Exporter("b", missed_scrapes=missed_scrapes(0))],
    ),
)

_MIXED = (
    Case(
        "an exporter that polls late and one that is frozen on bad minutes that healed: never",
        [burst(50, 3)],
        exporters=[Exporter("late", poll_second=45), Exporter("frozen", frozen_from=9 * MINUTE_S)],
    ),
    *(
        Case(
            f"two Prometheus servers, each with its label replica, send the same alert: {replica}",
            [deployed()],
            [Firing(FIRES)],
            sent=[BAD_DEPLOY],
            external_labels={"replica": replica},
        )
        for replica in ("a", "b")
    ),
    Case(
        "a target label org that replaces ours: nothing is judged",
        [deployed(org="retail")],
        exporters=[Exporter(target_org="production")],
    ),
    Case(
        "a target label org with the name of another organization: that one is not accused",
        [deployed(org="bank"), deployed(org="retail", bad=0)],
        exporters=[Exporter(target_org="retail")],
    ),
)

_NO_NUMBERS = (
    tuple(
        Case(f"{metric} is {value}: never", [deployed()], exporters=[Exporter(spoilt={metric: value})])
        for metric in (
            "genesys_flow_errors",
            "genesys_flow_volume",
            "genesys_flow_threshold_ratio",
            "genesys_flow_breach_minutes",
            "genesys_data_end_timestamp_seconds",
            "genesys_flow_live_since_timestamp_seconds",
        )
        for value in (math.nan, math.inf, -math.inf)
    )
    + tuple(
        Case(
            f"genesys_flow_baseline_ratio is {value}: as if nothing were known of the flow",
            [deployed(good=200, bad=12)],
            exporters=[Exporter(spoilt={"genesys_flow_baseline_ratio": value})],
        )
        for value in (math.nan, math.inf, -math.inf)
    )
    + tuple(
        Case(
            f"genesys_flow_scatter_ratio is {value}: as if it were unknown",
            [deployed(good=50, bad=3)],
            [Firing(24.5)],
            exporters=[Exporter(spoilt={"genesys_flow_scatter_ratio": value})],
        )
        for value in (math.nan, math.inf, -math.inf)
    )
)

_PAGES = (
    Case(
        "a signal that does not act pages three minutes later: without its short windows, it needs six bad minutes",
        [deployed(acts=False)],
        [Firing(FIRES + 3, action="page")],
        sent=[PAGE],
    ),
    Case(
        "two exporters that disagree on act_on: it pages, by the windows that both tell",
        [deployed()],
        [Firing(FIRES + 3, action="page")],
        [Exporter("a"), Exporter("b", sees=[deployed(acts=False)])],
    ),
)


def _by(signal: str, usual: float, threshold: float, **more: Any) -> Flow:
    """As `deployed`, of another signal, and of 40 conversations each minute the usual share ended so before."""
    before = calls(40, round(40 * usual))
    share = more.pop("share")
    behaviour = steadily({"13.0": before, "14.0": calls(40, round(40 * share))})
    return deployed(calls=behaviour, signal=signal, baseline_ratio=usual, threshold_ratio=threshold, **more)


_SIGNALS = (
    *(
        case
        for signal, usual, threshold in (
            ("flow_disconnect", 0.15, 0.35),
            ("caller_hangup", 0.25, 0.45),
            ("recognition", 0.05, 0.25),
            ("stuck", 0.0, 0.05),
            ("outcome_failed", 0.05, 0.25),
            ("routing_shift", 0.0, 0.05),
            ("action_failure", 0.05, 0.25),
            ("action_slow", 0.05, 0.25),
        )
        for case in (
            Case(
                f"{signal}: much more than usual, where it acts",
                [_by(signal, usual, threshold, share=0.9)],
                [Firing(FIRES, signal=signal)],
            ),
            Case(
                f"{signal}: much more than usual pages, by the long windows alone",
                [_by(signal, usual, threshold, share=0.9, acts=False)],
                [Firing(FIRES + 3, signal=signal, action="page")],
            ),
            Case(f"{signal}: as usual", [_by(signal, usual, threshold, share=usual, acts=False)]),
            Case(f"{signal}: more, within the threshold", [_by(signal, usual, threshold, share=threshold, acts=False)]),
            Case(
                f"{signal}: nobody knows what is usual",
                [deployed(signal=signal, baseline_ratio=None, threshold_ratio=None)],
            ),
        )
    ),
    Case(
        "a signal that does not act, and one of two exporters does not find it bad enough to tell it: never",
        [_by("flow_disconnect", 0.15, 0.35, share=0.9, acts=False)],
        exporters=[Exporter("a"), Exporter("b", sees=[_by("flow_disconnect", 0.15, 0.35, share=0.2, acts=False)])],
    ),
    Case(
        "error_exit acts and flow_disconnect pages, of the same flow: each is an alert",
        [deployed(), _by("flow_disconnect", 0.15, 0.35, share=0.9, acts=False)],
        [Firing(FIRES), Firing(FIRES + 3, signal="flow_disconnect", action="page")],
    ),
)

CASES = (
    *_DEPLOYMENTS,
    *_LIVE_VERSION_CHANGED,
    *_MISSING_DATA,
    *_SETTLE,
    *_CHANCE,
    *_TWO_EXPORTERS,
    *_MIXED,
    *_NO_NUMBERS,
    *_PAGES,
    *_SIGNALS,
)
