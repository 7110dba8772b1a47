"""Thirty days of alerts: what the receiver keeps, in memory and in its database, stops growing; the audit does not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from receiver.chain import verify
from receiver.store import audit
from receiver.store.rollbacks import State
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.days import ROLLBACKS_A_DAY, deeds
from tests.campaigns.memory import in_memory
from tests.campaigns.month import HOUR_S, Left, Month, month
from tests.integration.receiver_world import BAD_PUBLISH_AT, DAY_S

MOST_DRIFT = 0.05


@dataclass(frozen=True)
class Length:
    """`keep_days` is the retention: some days after it everything has its full size."""

    days: int
    keep_days: float
    step_s: float
    round_s: float
    compared_days: int  # the last so many of either half

    def timing(self) -> dict[str, float]:
        return {"keep_days": self.keep_days, "step_s": self.step_s, "round_s": self.round_s}

    def halves(self, left: Sequence[Left]) -> tuple[Sequence[Left], Sequence[Left]]:
        half = self.days // 2
        return left[half - self.compared_days : half], left[-self.compared_days :]


SHORT = Length(days=4, keep_days=0.5, step_s=300.0, round_s=300.0, compared_days=1)
FULL = Length(days=30, keep_days=5.0, step_s=60.0, round_s=120.0, compared_days=5)


def live_through(here: Month, days: int) -> Iterator[Left]:
    """What is left at the end of every day."""
    for day in range(days):
        midnight = BAD_PUBLISH_AT + day * DAY_S
        to_come = sorted(deeds(here, day), key=lambda deed: deed[0])
        while here.time.now < midnight + DAY_S:
            while to_come and here.time.now >= midnight + to_come[0][0] * HOUR_S:
                to_come.pop(0)[1]()
            here.pass_()
        yield here.left(day)


def drift(early: Sequence[float], late: Sequence[float]) -> float:
    """How far the late ones are above the early ones, as a ratio of these; below is no drift."""
    if not mean(early):
        return 0.0 if not mean(late) else 1.0
    return max(0.0, mean(late) / mean(early) - 1)


def test_after_the_plateau_nothing_grows_but_the_audit(size: Size, figures: Figures) -> None:
    length = size.of(short=SHORT, full=FULL)
    with in_memory() as folder, month(folder, **length.timing()) as here:
        left = list(live_through(here, length.days))
        published = sum(len(cloud.published) for cloud in here.clouds.values())
        attempts = here.ended()
        with here.store.begin() as tx:
            checked = verify(audit.rows(tx), audit.head(tx))

    early, late = length.halves(left)
    tables = {name: drift([one.rows[name] for one in early], [one.rows[name] for one in late]) for name in left[0].rows}
    grown = {name: ratio for name, ratio in tables.items() if name != "audit" and ratio > MOST_DRIFT}
    resident = drift([one.resident_bytes for one in early], [one.resident_bytes for one in late])
    objects = drift([one.objects for one in early], [one.objects for one in late])
    rows = [one.rows["audit"] for one in left]
    per_half = (rows[length.days // 2 - 1], rows[-1] - rows[length.days // 2 - 1])
    figures(
        f"{length.days} days: {here.deliveries:,} deliveries, {published} publishes, "
        f"{', '.join(f'{count} {state.value}' for state, count in attempts.items())}; rows but the audit's "
        f"{sum(left[0].rows.values()) - rows[0]:,} after a day, {sum(early[-1].rows.values()) - rows[early[-1].day]:,} "
        f"after {early[-1].day + 1} days, {sum(late[-1].rows.values()) - rows[-1]:,} at the end; worst table "
        f"{max(tables[name] for name in tables if name != 'audit'):+.1%}, memory {resident:+.1%} "
        f"({late[-1].resident_bytes / 1e6:.0f} MB), objects {objects:+.1%}; audit {per_half[0]:,} rows in the first "
        f"half, {per_half[1]:,} in the second, verified"
    )
    assert published == ROLLBACKS_A_DAY * length.days
    assert attempts[State.SUCCEEDED] == published
    for event, times in (("ROLLBACK_SUCCEEDED", published), ("WOULD_HAVE_ROLLED_BACK", length.days)):
        assert here.sinks.told[event] == times * len(here.settings.webhooks)
    assert not grown
    assert resident <= MOST_DRIFT
    assert objects <= MOST_DRIFT
    assert drift(per_half[:1], per_half[1:]) <= MOST_DRIFT
    assert checked.broken is None
    assert checked.last.number == rows[-1]
