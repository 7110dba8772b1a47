"""What can wait is put off before the reserve of a rate limit is touched."""

import pytest

from genesys.budget import Budget
from genesys.dialect import RateLimit

NOW = 1_795_349_000.0


def put_off_s(limit: RateLimit | None, *, reserve_ratio: float = 0.3, now: float = NOW) -> float:
    return Budget("retail", lambda: limit, reserve_ratio=reserve_ratio, now=lambda: now).put_off_s("poll")


@pytest.mark.parametrize(
    ("limit", "waits_s"),
    [
        pytest.param(None, 0.0, id="no headers"),
        pytest.param(RateLimit(300, 209, 40.0, NOW), 0.0, id="more than the reserve is left"),
        pytest.param(RateLimit(300, 210, 40.0, NOW), 40.0, id="the reserve is left"),
        pytest.param(RateLimit(300, 900, 40.0, NOW), 40.0, id="more than is allowed"),
        pytest.param(RateLimit(300, 210, 40.0, NOW - 15), 25.0, id="told a while ago"),
        pytest.param(RateLimit(300, 210, 40.0, NOW - 41), 0.0, id="that minute is over"),
        pytest.param(RateLimit(300, 210, 0.0, NOW), 0.0, id="that minute ends"),
        pytest.param(RateLimit(300, 210, 86_400.0, NOW), 60.0, id="a limit by the day is none that we know"),
        pytest.param(RateLimit(300, 210, 40.0, NOW + 500), 40.0, id="our clock was set back"),
        pytest.param(RateLimit(0, 5, 40.0, NOW), 0.0, id="nothing is allowed, and yet it was answered"),
    ],
)
def test_reading_waits_for_the_next_minute_of_the_limit(limit: RateLimit | None, waits_s: float) -> None:
    assert put_off_s(limit) == waits_s


def test_the_reserve_is_what_is_configured() -> None:
    limit = RateLimit(300, 160, 40.0, NOW)
    assert (put_off_s(limit, reserve_ratio=0.5), put_off_s(limit, reserve_ratio=0.4)) == (40.0, 0.0)


def test_it_is_said_once_a_minute_with_the_count(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    now = NOW
    limits = {"newest": RateLimit(300, 250, 40.0, NOW)}
    budget = Budget("retail", lambda: limits["newest"], reserve_ratio=0.3, now=lambda: now)
    for _ in range(5):
        budget.put_off_s("flows")
    now = NOW + 41
    limits["newest"] = RateLimit(300, 280, 50.0, now)
    budget.put_off_s("flows")
    said = [message for message in caplog.messages if message.startswith("put_off")]
    assert len(said) == 2
    assert 'org=retail what=flows used="250 of 300" wait_s=40' in said[0]
