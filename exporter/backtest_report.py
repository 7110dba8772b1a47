"""What a backtest found, for people and for programs. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exporter.backtest import Alert, Judged, Outcome
from exporter.past import Found, Span

DAY_S = 86400

NOT_REPLAYED = (
    "not replayed: common cause, maintenance, holds, locks, lockout, budget and modes, which can only make fewer "
    "rollbacks; a version that was live more than once is judged by its last time"
)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a backtest has to tell; `judged` has every publish that was found."""

    org: str
    span: Span
    found: Found
    judged: tuple[Judged, ...]
    calls: int

    def of(self, outcome: Outcome) -> list[Judged]:
        return [one for one in self.judged if one.outcome is outcome]

    @property
    def summary(self) -> str:
        flows = len({one.publish.flow.id for one in self.judged})
        return (
            f"would have asked for a rollback {len(self.of(Outcome.ACCUSED))} times in {len(self.judged)} publishes "
            f"of {flows} flows in {(self.span.end - self.span.start) / DAY_S:.1f} days"
        )


def as_text(report: Report) -> str:
    """A block for each publish that would have been accused, then what was counted, then what is not known."""
    accused = [_block(one) for one in report.of(Outcome.ACCUSED)]
    return "\n".join([*accused, f"{report.org}: {report.summary}", *(f"  {line}" for line in _remarks(report))])


def as_json(report: Report) -> str:
    document = {
        "org": report.org,
        "since": _iso(report.span.start),
        "until": _iso(report.span.end),
        "flows": report.found.flows,
        "publishes": [_document(one) for one in report.judged],
        "accused": len(report.of(Outcome.ACCUSED)),
        "summary": report.summary,
        "undated_versions": [{"flow_id": flow.id, "version": label} for flow, label in report.found.undated],
        "api_calls": report.calls,
        "remarks": _remarks(report),
    }
    return json.dumps(document, indent=2)


def _block(one: Judged) -> str:
    publish, alert = one.publish, one.alert
    target = "none that was live for a day: a person is asked"
    if publish.target is not None:
        target = f"{_plain(publish.target)}, by its dates"
    lines = [
        f"{_plain(publish.flow.name)} ({publish.flow.id}) version {_plain(publish.version.id)}",
        f"  published  {_iso(publish.at)} by {_plain(publish.version.published_by or 'unknown')}",
        *([] if alert is None else _evidence(alert, publish.at)),
        f"  target     {target}",
    ]
    return "\n".join([*lines, ""])


def _evidence(alert: Alert, published_at: float) -> list[str]:
    found = alert.found
    past = "unknown" if alert.baseline_ratio is None else f"at most {alert.baseline_ratio:.1%}"
    scatter = "unknown" if alert.scatter is None else f"{alert.scatter:.1f}"
    after_min = (alert.fires_at - published_at) / 60
    signal = alert.signal if alert.target is None else f"{alert.signal} to {_plain(alert.target.describe())}"
    evidence = (
        f"{signal}: {found.errors} of {found.volume} ({found.errors / found.volume:.1%}) in {found.window}, "
        f"{found.breach_minutes} minutes breached; threshold {alert.threshold_ratio:.1%}, earlier ratio {past}, "
        f"scatter {scatter}"
    )
    return [f"  fires      {_iso(alert.fires_at)}, {after_min:.0f} min later", f"  evidence   {evidence}"]


def _remarks(report: Report) -> list[str]:
    established, silent = report.of(Outcome.ESTABLISHED), report.of(Outcome.SILENT)
    lines = [
        f"{len(report.of(Outcome.FINE))} publishes did not ask for one until they had left probation or were replaced"
    ]
    if established:
        lines.append(f"{len(established)} failed when they had just left probation: {_names(established)}")
    if silent:
        lines.append(
            f"{len(silent)} could not be judged, no conversation is known (none came, or it is longer ago than "
            f"Genesys Cloud keeps): {_names(silent)}"
        )
    if report.found.undated:
        told = ", ".join(f"{_plain(flow.name)} {_plain(label)}" for flow, label in report.found.undated)
        lines.append(f"{len(report.found.undated)} versions have no date of publication, and were left out: {told}")
    return [*lines, NOT_REPLAYED, f"{report.found.flows} flows were looked at with {report.calls} API calls"]


def _names(judged: Sequence[Judged]) -> str:
    return ", ".join(f"{_plain(one.publish.flow.name)} {_plain(one.publish.version.id)}" for one in judged)


def _document(one: Judged) -> dict[str, Any]:
    publish, alert = one.publish, one.alert
    return {
        "flow_id": publish.flow.id,
        "flow_name": publish.flow.name,
        "version": publish.version.id,
        "published_at": _iso(publish.at),
        "published_by": publish.version.published_by,
        "replaced_at": _iso(publish.until),
        "outcome": one.outcome.value,
        "target": publish.target,
        "alert": None if alert is None else _alert(alert),
    }


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "signal": alert.signal.value,
        "transfer_type": None if alert.target is None else alert.target.type,
        "transfer_target": None if alert.target is None else alert.target.name,
        "fires_at": _iso(alert.fires_at),
        "data_end": _iso(alert.data_end),
        "window": alert.found.window,
        "errors": alert.found.errors,
        "volume": alert.found.volume,
        "breach_minutes": alert.found.breach_minutes,
        "threshold_ratio": alert.threshold_ratio,
        "baseline_ratio": alert.baseline_ratio,
        "scatter": alert.scatter,
        "probation": alert.probation.because,
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _plain(text: str) -> str:
    """Names from elsewhere in one line, without anything that a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text) or "-"
