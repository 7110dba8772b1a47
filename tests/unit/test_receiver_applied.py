"""What applies to a flow by its type: the highest mode, and how long its publish may take."""

from dataclasses import replace
from pathlib import Path

import pytest

from genesys.evidence import Signal
from receiver.applied import apply_policy, publish_deadline_s, rollback_deadline_s
from receiver.config import Timing
from receiver.situation import Mode
from tests.receiver_world import settings_of
from tests.unit.policy_world import FLOW

PROVED = ["inboundcall", "inboundchat", "inboundemail", "inboundshortmessage", "inqueuecall", "workflow"]
BOTS = ["bot", "digitalbot", "voicesurvey"]


@pytest.mark.parametrize(
    ("kind", "configured", "mode"),
    [
        *((kind, Mode.AUTO, Mode.AUTO) for kind in PROVED),
        *((kind, Mode.AUTO, Mode.APPROVE) for kind in (*BOTS, "commonmodule")),
        *(("bot", mode, mode) for mode in (Mode.APPROVE, Mode.OBSERVE, Mode.IGNORE)),
    ],
)
def test_a_type_that_is_not_proved_has_a_highest_mode(tmp_path: Path, kind: str, configured: Mode, mode: Mode) -> None:
    settings = settings_of(tmp_path, flows=[{"match": "*", "mode": configured.value}])
    applied = apply_policy(settings, replace(FLOW, type=kind))

    assert applied.mode is mode
    assert bool(applied.note) == (mode is not configured)


@pytest.mark.parametrize(
    ("kind", "signal", "mode"),
    [
        ("inqueuecall", Signal.CALLER_HANGUP, Mode.OBSERVE),
        ("inqueueemail", Signal.CALLER_HANGUP, Mode.OBSERVE),
        ("inqueuecall", Signal.ROUTING_SHIFT, Mode.OBSERVE),
        ("inboundcall", Signal.ROUTING_SHIFT, Mode.AUTO),
        ("inqueuecall", Signal.ERROR_EXIT, Mode.AUTO),
        ("inqueuecall", Signal.STUCK, Mode.AUTO),
        ("inboundcall", Signal.CALLER_HANGUP, Mode.AUTO),
    ],
)
def test_callers_who_leave_a_queue_never_cause_a_rollback(
    tmp_path: Path, kind: str, signal: Signal, mode: Mode
) -> None:
    settings = settings_of(tmp_path, flows=[{"match": "*", "mode": "auto"}])
    applied = apply_policy(settings, replace(FLOW, type=kind), signal)

    assert applied.mode is mode
    assert bool(applied.note) == (mode is Mode.OBSERVE)


@pytest.mark.parametrize(
    ("kind", "publish_s", "rollback_s"),
    [
        *((kind, 180, 900) for kind in (*PROVED, "commonmodule", None)),
        *((kind, 900, 1620) for kind in BOTS),
    ],
)
def test_bots_have_longer_to_publish_and_as_long_as_others_beside_it(
    kind: str | None, publish_s: float, rollback_s: float
) -> None:
    assert publish_deadline_s(Timing(), kind) == publish_s
    assert rollback_deadline_s(Timing(), kind) == rollback_s


def test_a_bot_is_never_given_less_time_than_others() -> None:
    assert rollback_deadline_s(Timing(bot_publish_deadline_s=60), "bot") == 900
