"""What the store promises about decisions, the same on both databases."""

from receiver.policy import Decision, Guard, Verdict
from receiver.store import alerts, decisions
from receiver.store.database import Store
from tests.receiver_world import put_alert, put_decision

NOW = 1_795_349_000.0


def decision_of(*holding_back: Verdict) -> Decision:
    guards = tuple(
        Guard(verdict, verdict in holding_back, "found", "allowed")
        for verdict in (Verdict.PAUSED, Verdict.MAINTENANCE, Verdict.LOCKOUT)
    )
    return Decision(next(iter(holding_back), Verdict.ROLL_BACK), guards)


def test_decisions_are_listed_newest_first_and_by_what_they_are_about(store: Store) -> None:
    with store.begin() as tx:
        one, other = put_alert(tx, now=NOW), put_alert(tx, org="bank", flow_id="flow-2", now=NOW)
        put_decision(tx, one, Verdict.PAUSED, now=NOW)
        put_decision(tx, other, Verdict.LOCKOUT, now=NOW - 5)
        put_decision(tx, one, Verdict.ROLL_BACK, now=NOW + 1, rollback_id="r1")

        def verdicts(
            *, org: str | None = None, flow_id: str | None = None, verdict: str | None = None, limit: int = 9
        ) -> list[str]:
            found = decisions.newest(tx, org=org, flow_id=flow_id, verdict=verdict, limit=limit)
            return [decision.verdict for decision in found]

        assert verdicts() == ["roll_back", "lockout", "paused"]
        assert verdicts(limit=2) == ["roll_back", "lockout"]
        assert verdicts(org="retail") == ["roll_back", "paused"]
        assert verdicts(flow_id="flow-2") == ["lockout"]
        assert verdicts(org="retail", verdict="paused") == ["paused"]
        assert decisions.newest_times(tx) == {
            ("retail", "flow-1", "paused"): NOW,
            ("retail", "flow-1", "roll_back"): NOW + 1,
            ("bank", "flow-2", "lockout"): NOW - 5,
        }


def test_a_decision_keeps_each_guard_with_its_value_and_limit(store: Store) -> None:
    with store.begin() as tx:
        alert = put_alert(tx, now=NOW)
        decision = decision_of(Verdict.MAINTENANCE)
        decisions.add(tx, alert, decision, at=NOW, facts={"errors": 9}, receiver="r1", rollback_id=None)
        (kept,) = decisions.newest(tx, org=None, flow_id=None, verdict=None, limit=9)

    assert kept.guards == [guard.as_json() for guard in decision.guards]
    assert (kept.alert_id, kept.verdict, kept.facts, kept.at) == (alert.id, "maintenance", {"errors": 9}, NOW)


def test_a_decision_is_new_when_its_verdict_or_what_holds_back_differs(store: Store) -> None:
    with store.begin() as tx:
        alert = put_alert(tx, now=NOW)
        first = decision_of(Verdict.PAUSED, Verdict.LOCKOUT)
        assert decisions.is_new(alert, first)

        decisions.add(tx, alert, first, at=NOW, facts={}, receiver="r1")
        known = alerts.get(tx, alert.id)
        assert known is not None
        assert not decisions.is_new(known, decision_of(Verdict.PAUSED, Verdict.LOCKOUT))
        assert decisions.is_new(known, decision_of(Verdict.PAUSED))
        assert decisions.is_new(known, decision_of())
