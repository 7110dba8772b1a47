"""What Alertmanager's API says about an alert, from several peers and for how long it is believed."""

from collections.abc import Mapping
from typing import Any

import pytest

from receiver.alertmanager import Alertmanagers, Listing
from receiver.outbound import OutboundError
from receiver.situation import Suppression

NOW = 1_795_349_000.0
A, B = "http://a:9093", "http://b:9093"


class Peers:
    """Answers by URL; an exception is raised. What is not known is not found."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = answers
        self.asked: list[tuple[str, Mapping[str, str] | None]] = []

    def get_json(self, url: str, params: Mapping[str, str] | None = None) -> Any:
        self.asked.append((url, params))
        answer = self.answers.get(url, OutboundError("HTTP 404"))
        if isinstance(answer, Exception):
            raise answer
        return answer


def alert(
    fingerprint: str,
    *,
    silenced_by: tuple[str, ...] = (),
    inhibited_by: tuple[str, ...] = (),
    starts_at: str = "2026-11-23T09:00:00Z",
    **labels: str,
) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "labels": {"alertname": f"Alert{fingerprint}"} | labels,
        "annotations": {"summary": "fails"},
        "startsAt": starts_at,
        "status": {"state": "suppressed", "silencedBy": list(silenced_by), "inhibitedBy": list(inhibited_by)},
    }


def asked(peers: Peers, *urls: str) -> Alertmanagers:
    made = Alertmanagers(urls, peers, max_age_s=60)
    made.refresh(NOW)
    return made


def test_a_silence_is_told_with_its_author_and_end() -> None:
    peers = Peers()
    peers.answers = {
        f"{A}/api/v2/alerts": [alert("1", silenced_by=("s1",))],
        f"{A}/api/v2/silence/s1": {"createdBy": "ann", "endsAt": "2026-11-23T10:00:00Z"},
    }
    assert asked(peers, f"{A}/").suppression("1", NOW) == Suppression(("silence s1 by ann until 2026-11-23T10:00:00Z",))


def test_a_silence_that_cannot_be_described_silences_all_the_same() -> None:
    peers = Peers()
    peers.answers = {f"{A}/api/v2/alerts": [alert("1", silenced_by=("s1",))]}
    assert asked(peers, A).suppression("1", NOW) == Suppression(("silence s1",))


def test_what_inhibits_is_told_by_its_name_if_it_has_one() -> None:
    peers = Peers()
    peers.answers = {f"{A}/api/v2/alerts": [alert("1", inhibited_by=("2", "3")), alert("2")]}
    assert asked(peers, A).suppression("1", NOW) == Suppression((), ("Alert2", "alert 3"))


def test_alerts_are_asked_for_by_what_makes_them_ours_and_not_by_their_name() -> None:
    peers = Peers()
    peers.answers = {f"{A}/api/v2/alerts": []}
    asked(peers, A)
    assert peers.asked == [(f"{A}/api/v2/alerts", {"filter": 'genesys_action=~"rollback|watchdog"'})]


def test_one_silence_over_many_alerts_is_asked_for_once() -> None:
    peers = Peers()
    peers.answers = {f"{A}/api/v2/alerts": [alert(str(number), silenced_by=("s1",)) for number in range(50)]}
    asked(peers, A)
    assert len(peers.asked) == 2


def test_an_alert_that_alertmanager_does_not_know_is_not_suppressed() -> None:
    peers = Peers()
    peers.answers = {f"{A}/api/v2/alerts": []}
    assert asked(peers, A).suppression("1", NOW) == Suppression()


def test_what_any_peer_says_counts_and_one_that_is_down_does_not_hide_it() -> None:
    peers = Peers()
    peers.answers = {
        f"{A}/api/v2/alerts": [alert("1", inhibited_by=("9",))],
        f"{B}/api/v2/alerts": [alert("1", silenced_by=("s1",))],
    }
    both = Suppression(("silence s1",), ("alert 9",))
    assert asked(peers, A, B).suppression("1", NOW) == both
    assert asked(peers, B, A).suppression("1", NOW) == both

    peers.answers[f"{A}/api/v2/alerts"] = OutboundError("down")
    assert asked(peers, A, B).suppression("1", NOW) == Suppression(("silence s1",))
    assert asked(peers, B, A).suppression("1", NOW) == Suppression(("silence s1",))


def test_while_no_peer_answers_the_newest_answer_counts_up_to_its_maximal_age() -> None:
    peers = Peers()
    peers.answers = {f"{A}/api/v2/alerts": [alert("1", silenced_by=("s1",))]}
    manager = asked(peers, A)
    peers.answers = {f"{A}/api/v2/alerts": OutboundError("a did not answer")}

    problem = manager.refresh(NOW + 60)
    assert str(problem) == "a did not answer"
    assert manager.suppression("1", NOW + 60) == Suppression(("silence s1",))
    assert manager.suppression("1", NOW + 60.1) is None


def test_an_answer_from_before_the_clock_was_set_back_is_not_believed() -> None:
    peers = Peers()
    peers.answers = {f"{A}/api/v2/alerts": []}
    manager = asked(peers, A)
    assert manager.suppression("f1", NOW - 60) is not None
    assert manager.suppression("f1", NOW - 61) is None


def test_before_the_first_answer_nothing_is_known() -> None:
    assert asked(Peers(), A).suppression("1", NOW) is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="null"),
        pytest.param({"data": []}, id="an object"),
        pytest.param(["alert"], id="texts"),
        pytest.param([{"fingerprint": "1", "labels": {}}], id="no status"),
        pytest.param([{"fingerprint": "1", "labels": None, "status": {}}], id="no labels"),
        pytest.param(
            [{"fingerprint": "1", "labels": {}, "status": {"silencedBy": None, "inhibitedBy": []}}],
            id="null for a list",
        ),
    ],
)
def test_an_answer_that_is_not_as_documented_is_none(answer: object) -> None:
    peers = Peers()
    peers.answers = {f"{A}/api/v2/alerts": answer}
    manager = Alertmanagers([A], peers, max_age_s=60)

    assert isinstance(manager.refresh(NOW), OutboundError)
    assert manager.suppression("1", NOW) is None


def test_without_an_address_nothing_is_asked() -> None:
    manager = Alertmanagers([], Peers(), max_age_s=60)
    assert not manager.configured
    assert manager.refresh(NOW) is None


# What is listed

WATCHDOG = alert("9", genesys_action="watchdog")


def listed(*answers: object) -> Listing:
    """What is known once each peer has answered so."""
    peers = Peers()
    urls = [f"http://peer-{number}:9093" for number in range(len(answers))]
    peers.answers = {f"{url}/api/v2/alerts": answer for url, answer in zip(urls, answers, strict=True)}
    newest = asked(peers, *urls).newest
    assert newest is not None
    return newest


def test_a_listed_alert_is_as_the_webhook_would_have_told_it() -> None:
    (found,) = listed([alert("1", org="retail"), WATCHDOG]).alerts
    assert (found.fingerprint, found.firing, found.ends_at) == ("1", True, None)
    assert found.starts_at == 1_795_424_400.0
    assert found.labels == {"alertname": "Alert1", "org": "retail"}
    assert found.annotations == {"summary": "fails"}


def test_an_alert_of_two_peers_is_listed_once_with_its_earliest_start() -> None:
    early, late = alert("1"), alert("1", starts_at="2026-11-23T09:00:10Z")
    for answers in ([early], [late]), ([late], [early]):
        (found,) = listed(*answers).alerts
        assert found.starts_at == 1_795_424_400.0


@pytest.mark.parametrize(
    "unusable",
    [
        pytest.param(alert("1", starts_at="yesterday"), id="no time"),
        pytest.param(alert("1", flow_id="x" * 200), id="a label that is too long"),
        pytest.param(alert("1", org="a\x00b"), id="a label that cannot be stored"),
    ],
)
def test_an_alert_that_cannot_be_stored_is_known_to_fire_and_left_out(unusable: dict[str, Any]) -> None:
    found = listed([unusable, alert("2"), WATCHDOG])
    assert [one.fingerprint for one in found.alerts] == ["2"]
    assert found.fingerprints == {"1", "2"}
    assert found.whole


@pytest.mark.parametrize(
    ("answers", "whole"),
    [
        pytest.param(([WATCHDOG],), True, id="one peer with the watchdog"),
        pytest.param(([WATCHDOG], [alert("1"), WATCHDOG]), True, id="two"),
        pytest.param(([alert("1")],), False, id="a peer that Prometheus does not reach"),
        pytest.param(([],), False, id="a peer that was restarted empty"),
        pytest.param(([WATCHDOG], []), False, id="one of two was restarted empty"),
        pytest.param(([WATCHDOG], OutboundError("down")), False, id="one of two is down"),
        pytest.param((OutboundError("down"), [WATCHDOG]), False, id="the other one is down"),
    ],
)
def test_a_listing_is_whole_if_every_peer_answers_and_lists_the_watchdog(
    answers: tuple[object, ...], whole: bool
) -> None:
    assert listed(*answers).whole is whole


def test_the_watchdog_is_no_rollback_alert() -> None:
    found = listed([WATCHDOG])
    assert (found.alerts, found.fingerprints) == ((), frozenset())


def test_a_reading_that_failed_leaves_the_newest_listing() -> None:
    peers = Peers()
    peers.answers = {f"{A}/api/v2/alerts": [alert("1"), WATCHDOG]}
    manager = asked(peers, A)
    peers.answers = {}
    manager.refresh(NOW + 5)
    assert manager.newest is not None
    assert manager.newest.at == NOW
