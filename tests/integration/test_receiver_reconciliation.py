"""The loop and Alertmanager's list: silenced alerts are decided, lost webhooks made good, stale alerts closed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from receiver.metrics import Outcome
from receiver.store.rollbacks import State
from tests.integration.receiver_world import ALERTMANAGER, Scene, alert_of, fingerprint, scene

LONG_S = 1500.0


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path, alertmanagers=[ALERTMANAGER]) as made:
        yield made


def reconciled(here: Scene) -> float:
    """How many alerts were counted as found in the list."""
    (family,) = [one for one in here.receiver.metrics.collect() if one.name == "genesys_rollback_alerts_received"]
    return next(one.value for one in family.samples if one.labels.get("outcome") == Outcome.RECONCILED)


def test_with_every_webhook_lost_the_flow_is_rolled_back_once(here: Scene) -> None:
    rollback = here.run_to_the_end()

    assert rollback.state is State.SUCCEEDED
    assert here.published() == ["13.0"]
    (alert,) = here.alerts()
    assert (alert.source, alert.fingerprint) == ("reconciliation", fingerprint())
    assert reconciled(here) == 1


def test_a_webhook_that_comes_late_adds_no_second_rollback(here: Scene) -> None:
    here.run(30)
    here.deliver()
    here.run(LONG_S, step_s=20)

    assert here.published() == ["13.0"]
    assert len(here.alerts()) == 1
    assert reconciled(here) == 1


def test_an_alert_whose_webhook_came_is_not_counted_as_found(here: Scene) -> None:
    here.deliver()
    here.run(60)
    assert [alert.source for alert in here.alerts()] == ["webhook"]
    assert reconciled(here) == 0


@pytest.mark.parametrize(
    ("suppression", "by", "verdict"), [("silenced", "s1", "silenced"), ("inhibited", "fp-maintenance", "inhibited")]
)
def test_an_alert_that_sends_no_webhook_because_it_is_suppressed_is_decided_and_not_acted_on(
    here: Scene, suppression: str, by: str, verdict: str
) -> None:
    getattr(here.alertmanager, suppression)[fingerprint()] = [by]
    here.run(60)
    assert here.verdicts() == [verdict]
    assert here.published() == []

    getattr(here.alertmanager, suppression).clear()  # the control: nothing else held it back
    here.run(60)
    assert here.published() == ["13.0"]


def test_an_alert_without_a_configured_organization_is_refused_by_one_worker(tmp_path: Path) -> None:
    with scene(tmp_path, orgs=("retail", "bank"), alertmanagers=[ALERTMANAGER]) as here:
        here.alertmanager.list(alert_of(org="elsewhere"))
        here.run(60)
        assert here.verdicts() == ["unknown_contract"]
        assert reconciled(here) == 1


def test_a_stale_firing_that_arrives_after_its_resolved_is_closed_and_rolls_nothing_back(here: Scene) -> None:
    here.genesys.of().error_ratio.clear()
    here.alertmanager.list()
    here.deliver(alert_of(firing=False))
    here.deliver(replace(alert_of(), starts_at=alert_of().starts_at - 60))
    assert [alert.is_open for alert in here.alerts()] == [True, False]

    here.run(LONG_S, step_s=10)
    assert [(alert.is_open, alert.closed_by) for alert in here.alerts()] == [
        (False, "reconciliation"),
        (False, "webhook"),
    ]
    assert here.verdicts()[-1] == "resolved"
    assert here.published() == []


def keep_open(here: Scene) -> None:
    """Open, and held back for as long as the test looks."""
    here.genesys.of().error_ratio.clear()
    here.deliver()
    here.alertmanager.list()


def test_the_control_of_the_next_ones_an_alert_that_is_not_listed_is_closed(here: Scene) -> None:
    keep_open(here)
    here.run(LONG_S, step_s=10)
    assert not here.alerts()[0].is_open


def test_a_peer_that_was_restarted_empty_closes_nothing(here: Scene) -> None:
    keep_open(here)
    here.alertmanager.watchdog = False
    here.run(LONG_S, step_s=10)
    assert here.alerts()[0].is_open


def test_a_peer_that_cannot_be_asked_closes_nothing(here: Scene) -> None:
    keep_open(here)
    here.alertmanager.down = True
    here.run(LONG_S, step_s=10)
    assert here.alerts()[0].is_open


def test_an_alert_that_was_closed_by_mistake_is_opened_again_and_rolled_back_once_at_most(here: Scene) -> None:
    """Closed because nobody listed it; then Alertmanager has it again, with the same start."""
    keep_open(here)
    here.run(LONG_S, step_s=10)
    assert here.verdicts()[-1] == "resolved"

    here.genesys.of().error_ratio["14.0"] = 0.5
    here.alertmanager.list(alert_of())
    here.run(LONG_S, step_s=10)
    assert here.published() == ["13.0"]


def test_a_list_that_is_older_than_the_resolved_opens_nothing_again(here: Scene) -> None:
    here.deliver()
    here.genesys.of().error_ratio.clear()
    here.run(4)
    here.deliver(alert_of(firing=False))
    here.run(60)  # for a while Alertmanager goes on listing it
    assert not here.alerts()[0].is_open


def test_while_nothing_is_open_alertmanager_is_asked_now_and_then(here: Scene) -> None:
    here.alertmanager.list()
    here.run(60, step_s=2)
    assert len(here.alertmanager.asked) == 4


def test_a_clock_that_is_set_back_does_not_keep_it_from_asking(here: Scene) -> None:
    """Without an open alert Alertmanager is asked now and then: not only once the clock shows again what it showed."""
    here.alertmanager.list()
    here.run(30)
    here.time.pass_(-3600)
    asked = len(here.alertmanager.asked)
    here.run(30)
    assert len(here.alertmanager.asked) > asked
