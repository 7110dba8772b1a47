"""Every row of the fault table, as what is done to the simulator before, or while, a rollback goes on."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from tests.integration.receiver_world import FLOW_ID
from tests.integration.simulated_world import ACCUSED, PUBLISH, READS, TARGET, Simulated

Arrange = Callable[[Simulated], None]

CALL_TIMES_OUT_S = 10.5  # a little longer than one call may take
ANALYTICS = {"path_prefix": "/api/v2/analytics"}
VERSIONS = {"method": "GET", "path_prefix": f"/api/v2/flows/{FLOW_ID}/versions"}
NEWER = {"event": "publish", "flow": FLOW_ID, "version": "15.0", "error_ratio": 0.0, "by": "ann"}
SAME = {"event": "publish", "flow": FLOW_ID, "version": TARGET, "by": "ann"}
AGAIN = {"event": "publish", "flow": FLOW_ID, "version": ACCUSED, "by": "ann"}
OLDER = {"event": "publish", "flow": FLOW_ID, "version": "12.0", "by": "ann"}
LOCK = {"event": "lock", "flow": FLOW_ID}
UNLOCK = {"event": "unlock", "flow": FLOW_ID}
DEACTIVATE = {"event": "deactivate", "flow": FLOW_ID}
DELETE = {"event": "delete_flow", "flow": FLOW_ID}
DELETE_TARGET = {"event": "delete_version", "flow": FLOW_ID, "version": TARGET}
UNSENT = {"kind": "drop_before", "times": 1}
DROPPED = {"kind": "drop_after", "times": 1}


def publish_meets(fault: dict[str, Any], **settings: float) -> Arrange:
    """The publish meets a fault; without other settings its effect shows at once."""

    def arrange(genesys: Simulated) -> None:
        genesys.fault({"match": PUBLISH, **fault})
        genesys.set(**({"publish_time": 0.0, "effect_delay": 0.0} | settings))

    return arrange


def before_choice(event: dict[str, Any]) -> Arrange:
    return lambda genesys: genesys.happen(event)


def after_choice(event: dict[str, Any]) -> Arrange:
    """The target has been chosen; before the publish everything is read anew, the versions first."""
    return lambda genesys: genesys.cue({"match": VERSIONS, "when": "before", "skip": 1, "do": event})


def before_write(event: dict[str, Any], *then: Arrange) -> Arrange:
    """Between the last read and the write."""

    def arrange(genesys: Simulated) -> None:
        genesys.cue({"match": PUBLISH, "when": "before", "do": event})
        for one in then:
            one(genesys)

    return arrange


def after_write(event: dict[str, Any], delay_s: float, *then: Arrange) -> Arrange:
    def arrange(genesys: Simulated) -> None:
        genesys.cue({"match": PUBLISH, "when": "after", "delay_s": delay_s, "do": event})
        for one in then:
            one(genesys)

    return arrange


def reads_meet(fault: dict[str, Any], *, publish: dict[str, Any] | None = None) -> Arrange:
    """From the write on, every read of flows and versions meets a fault; the write itself another one, or none."""
    faults = [{"match": READS, **fault}, *([] if publish is None else [{"match": PUBLISH, **publish}])]

    def arrange(genesys: Simulated) -> None:
        genesys.cue({"match": PUBLISH, "when": "before", "do": {"event": "faults", "faults": faults}})

    return arrange


def switch(**switches: Any) -> Arrange:
    return lambda genesys: genesys.switch(**switches)


def settings(**settings: float) -> Arrange:
    return lambda genesys: genesys.set(**settings)


def both(*parts: Arrange) -> Arrange:
    def arrange(genesys: Simulated) -> None:
        for part in parts:
            part(genesys)

    return arrange


LATE_S = (0, 5, 60)

LOST: dict[str, Arrange] = {
    "timeout-unsent": publish_meets({"kind": "hang", "delay_s": CALL_TIMES_OUT_S, "times": 1}),
    "dropped-unsent": publish_meets(UNSENT),
    "5xx-unsent": publish_meets({"kind": "status", "status": 503, "times": 1}),
    "timeout-after-effect": publish_meets({"kind": "slow", "delay_s": CALL_TIMES_OUT_S, "times": 1}),
    **{
        f"timeout-effect-{late_s}s": publish_meets(
            {"kind": "slow", "delay_s": CALL_TIMES_OUT_S, "times": 1}, effect_delay=CALL_TIMES_OUT_S + late_s
        )
        for late_s in LATE_S
    },
    **{f"dropped-effect-{late_s}s": publish_meets(DROPPED, effect_delay=late_s) for late_s in LATE_S},
    **{
        f"5xx-effect-{late_s}s": publish_meets({"kind": "status_after", "status": 502, "times": 1}, effect_delay=late_s)
        for late_s in LATE_S
    },
    "truncated": publish_meets({"kind": "truncated", "times": 1}),
    "executed-5s-late": publish_meets({"kind": "publish_late", "delay_s": 5.0, "times": 1}),
    "executed-60s-late": publish_meets({"kind": "publish_late", "delay_s": 60.0, "times": 1}),
    "executed-after-the-proof": publish_meets({"kind": "publish_late", "delay_s": 300.0, "times": 1}),
    "lost-twice": publish_meets({"kind": "drop_before", "times": 2}),
    "lost-and-operation-slow": publish_meets(DROPPED, publish_time=60.0),
}

REFUSED: dict[str, Arrange] = {
    "throttled": publish_meets({"kind": "throttle", "retry_after": 20.0, "times": 2}),
    "throttled-beyond-the-deadline": publish_meets({"kind": "throttle", "retry_after": 3600.0, "times": 1}),
    "throttled-then-lost": lambda genesys: genesys.fault(
        {"match": PUBLISH, "kind": "throttle", "retry_after": 20.0, "times": 2}, {"match": PUBLISH, **UNSENT}
    ),
    "throttled-for-ever": publish_meets({"kind": "throttle", "retry_after": 120.0}),
    "token-expired": before_write({"event": "expire_tokens"}),
    "token-refused-for-ever": publish_meets({"kind": "status", "status": 401}),
    "permission-missing": publish_meets({"kind": "status", "status": 403}),
    "republish-refused": switch(republish="refused"),
}

ACCEPTED: dict[str, Arrange] = {
    "ok-nothing": publish_meets({"kind": "publish_nothing"}),
    "ok-success-without-effect": switch(republish="nothing"),
    "operation-60s": settings(publish_time=60.0),
    "operation-never-completes": publish_meets({"kind": "publish_hangs"}),
    "operation-fails": publish_meets({"kind": "publish_fails"}),
}

SOMEBODY: dict[str, Arrange] = {
    "newer-before-read": both(settings(effect_delay=0.0), before_choice(NEWER)),
    "newer-before-read-unseen": before_choice(NEWER),
    "newer-after-choice": both(settings(effect_delay=0.0), after_choice(NEWER)),
    "newer-before-write": before_write(NEWER),
    "newer-before-lost-write": before_write(NEWER, publish_meets(UNSENT)),
    "newer-before-late-write": before_write(
        NEWER, publish_meets({"kind": "publish_late", "delay_s": 60.0, "times": 1})
    ),
    "newer-before-failing-write": before_write(NEWER, publish_meets({"kind": "publish_fails"})),
    "newer-before-hanging-write": before_write(NEWER, publish_meets({"kind": "publish_hangs"})),
    "newer-while-publishing": after_write(NEWER, 1.0, settings(publish_time=20.0)),
    "newer-after-effect": after_write(NEWER, 5.0, settings(publish_time=4.0, effect_delay=0.0)),
    "newer-while-verifying": after_write(NEWER, 60.0),
    "newer-after-lost-effect": after_write(NEWER, 5.0, publish_meets(DROPPED)),
    "older-before-write": before_write(OLDER, switch(date_published="stays")),
    "target-before-read": both(settings(effect_delay=0.0), before_choice(SAME)),
    "target-after-choice": both(settings(effect_delay=0.0), after_choice(SAME)),
    "target-before-write": before_write(SAME),
    "target-before-lost-write": before_write(SAME, publish_meets(UNSENT)),
    "target-after-write": after_write(SAME, 10.0),
    "accused-before-write": before_write(AGAIN),
    "accused-after-effect": after_write(AGAIN, 10.0),
    "accused-after-lost-effect": after_write(AGAIN, 1.0, publish_meets(DROPPED)),
    "accused-while-verifying-undated": after_write(AGAIN, 60.0, switch(date_published="stays")),
    "accused-after-lost-effect-undated": after_write(
        AGAIN, 1.0, publish_meets(DROPPED), switch(date_published="stays")
    ),
}

FLOW: dict[str, Arrange] = {
    "locked-before-choice": before_choice(LOCK),
    "locked-after-choice": after_choice(LOCK),
    "locked-before-write": before_write(LOCK),
    "unlocked-again": lambda genesys: genesys.cue(
        {"match": PUBLISH, "when": "before", "do": LOCK},
        {"match": PUBLISH, "when": "after", "delay_s": 5.0, "do": UNLOCK},
    ),
    "deactivated-before-choice": before_choice(DEACTIVATE),
    "deactivated-after-choice": after_choice(DEACTIVATE),
    "deactivated-before-write": before_write(DEACTIVATE),
    "deleted-before-choice": before_choice(DELETE),
    "deleted-after-choice": after_choice(DELETE),
    "deleted-before-write": before_write(DELETE),
    "deleted-after-write": after_write(DELETE, 1.0),
    "target-deleted-before-choice": before_choice(DELETE_TARGET),
    "target-deleted-after-choice": after_choice(DELETE_TARGET),
    "target-deleted-before-write": before_write(DELETE_TARGET),
    "target-deleted-after-write": after_write(DELETE_TARGET, 1.0),
}

READING: dict[str, Arrange] = {
    "reads-429": reads_meet({"kind": "throttle", "retry_after": 30.0}),
    "reads-5xx": reads_meet({"kind": "status", "status": 503}),
    "reads-timeout": reads_meet({"kind": "hang", "delay_s": CALL_TIMES_OUT_S}),
    "reads-5xx-for-a-while": reads_meet({"kind": "status", "status": 503, "for_s": 300.0}),
    "reads-60s-old": reads_meet({"kind": "stale_reads", "age_s": 60.0}),
    "reads-300s-old": reads_meet({"kind": "stale_reads", "age_s": 300.0}),
    "reads-frozen": reads_meet({"kind": "frozen_reads"}),
    "reads-older-after-confirmation": after_write(
        {"event": "faults", "faults": [{"kind": "stale_reads", "age_s": 240.0}]}, 20.0
    ),
    "lost-reads-5xx": reads_meet({"kind": "status", "status": 503}, publish=DROPPED),
    "lost-reads-timeout": reads_meet({"kind": "hang", "delay_s": CALL_TIMES_OUT_S}, publish=DROPPED),
    "lost-reads-60s-old": reads_meet({"kind": "stale_reads", "age_s": 60.0}, publish=DROPPED),
    "lost-reads-frozen": reads_meet({"kind": "frozen_reads"}, publish=DROPPED),
    "lost-reads-frozen-analytics-5xx": before_write(
        {
            "event": "faults",
            "faults": [
                {"match": READS, "kind": "frozen_reads"},
                {"match": PUBLISH, **DROPPED},
                {"match": ANALYTICS, "kind": "status", "status": 503, "for_s": 300.0},
            ],
        }
    ),
    "versions-5xx": before_write({"event": "faults", "faults": [{"kind": "status", "status": 503, "match": VERSIONS}]}),
    "analytics-silent": before_write({"event": "faults", "faults": [{"kind": "silent_analytics"}]}),
    "analytics-5xx": before_write(
        {"event": "faults", "faults": [{"kind": "status", "status": 503, "match": ANALYTICS}]}
    ),
}

DOWN: dict[str, Arrange] = {
    "down-before-choice": lambda genesys: genesys.fault({"kind": "down"}),
    "down-after-choice": after_choice({"event": "faults", "faults": [{"kind": "down"}]}),
    "down-from-the-write": before_write({"event": "faults", "faults": [{"kind": "down"}]}),
    "down-after-the-write": after_write({"event": "faults", "faults": [{"kind": "down"}]}, 1.0),
}

UPLOAD = {"method": "PUT", "path_prefix": "/storage/uploads/"}
EXPORT = {"method": "POST", "path_prefix": "/api/v2/flows/export/jobs"}
REGISTER = {"method": "POST", "path_prefix": "/api/v2/flows/jobs"}
NEWEST = NEWER | {"version": "21.0"}  # whatever label a redeployment gets
STATE = {"method": "GET", "path_prefix": "/api/v2/flows/jobs"}


def meets(match: dict[str, Any], fault: dict[str, Any]) -> Arrange:
    return lambda genesys: genesys.fault({"match": match, **fault})


def at_upload(event: dict[str, Any], *, when: str = "before", delay_s: float = 0.0) -> Arrange:
    return lambda genesys: genesys.cue({"match": UPLOAD, "when": when, "do": event, "delay_s": delay_s})


def reads_after_upload(fault: dict[str, Any], *, upload: dict[str, Any] | None = None) -> Arrange:
    faults = [{"match": READS, **fault}, *([] if upload is None else [{"match": UPLOAD, **upload}])]
    return at_upload({"event": "faults", "faults": faults})


REDEPLOYED: dict[str, Arrange] = {
    "redeploy": lambda _: None,
    "redeploy-undated": switch(date_published="stays"),
    "redeploy-content-labelled": switch(configuration="labelled"),
    "redeploy-content-refused": switch(configuration="refused"),
    "redeploy-export-fails": meets(EXPORT, {"kind": "export_fails"}),
    "redeploy-export-hangs": meets(EXPORT, {"kind": "export_hangs"}),
    "redeploy-export-lost": meets(EXPORT, UNSENT),
    "redeploy-export-forbidden": meets(EXPORT, {"kind": "status", "status": 403}),
    "redeploy-export-of-a-deleted-version": lambda genesys: genesys.cue(
        {"match": EXPORT, "when": "before", "do": DELETE_TARGET}
    ),
    "redeploy-job-forbidden": meets(REGISTER, {"kind": "status", "status": 403}),
    "redeploy-upload-refused": meets(UPLOAD, {"kind": "upload_refused"}),
    "redeploy-upload-unsent": meets(UPLOAD, UNSENT),
    "redeploy-upload-lost-twice": meets(UPLOAD, {"kind": "drop_before", "times": 2}),
    "redeploy-upload-answer-lost": meets(UPLOAD, DROPPED),
    "redeploy-upload-60s-late": meets(UPLOAD, {"kind": "upload_late", "delay_s": 60.0, "times": 1}),
    "redeploy-job-fails": meets(UPLOAD, {"kind": "deploy_fails"}),
    "redeploy-job-hangs": meets(UPLOAD, {"kind": "deploy_hangs"}),
    "redeploy-job-without-effect": meets(UPLOAD, {"kind": "deploy_nothing"}),
    "redeploy-job-takes-600s": settings(deploy_time=600.0),
    "redeploy-job-unreadable": meets(STATE, {"kind": "status", "status": 503}),
    "redeploy-locked-meanwhile": at_upload(LOCK),
    "redeploy-deleted-meanwhile": at_upload(DELETE, when="after", delay_s=1.0),
    "redeploy-newer-before-upload": at_upload(NEWEST),
    "redeploy-newer-while-the-job-runs": at_upload(NEWEST, when="after", delay_s=5.0),
    "redeploy-newer-after-effect": at_upload(NEWEST, when="after", delay_s=31.0),
    "redeploy-accused-after-effect": at_upload(AGAIN, when="after", delay_s=31.0),
    "redeploy-reads-5xx": reads_after_upload({"kind": "status", "status": 503}),
    "redeploy-reads-frozen": reads_after_upload({"kind": "frozen_reads"}),
    "redeploy-lost-reads-60s-old": reads_after_upload({"kind": "stale_reads", "age_s": 60.0}, upload=DROPPED),
}

NEXT: dict[str, Arrange] = {
    "next-republish-works": lambda _: None,
    "next-republish-refused": switch(republish="refused"),
    "next-republish-without-effect": switch(republish="nothing"),
    "next-republish-does-nothing-at-all": publish_meets({"kind": "publish_nothing"}),
    "next-republish-fails": publish_meets({"kind": "publish_fails", "times": 1}),
    "next-republish-lost-twice": publish_meets({"kind": "drop_before", "times": 2}),
    "next-republish-never-completes": publish_meets({"kind": "publish_hangs"}),
    "next-republish-shows-while-exporting": both(
        publish_meets({"kind": "publish_late", "delay_s": 430.0, "times": 2}), settings(export_time=120.0)
    ),
    "next-republish-forbidden": publish_meets({"kind": "status", "status": 403}),
    "next-both-without-effect": both(
        switch(republish="nothing"), meets(UPLOAD, {"kind": "deploy_nothing"}), settings(effect_delay=0.0)
    ),
}

CASES = MappingProxyType({**LOST, **REFUSED, **ACCEPTED, **SOMEBODY, **FLOW, **READING, **DOWN, **REDEPLOYED, **NEXT})


def ways(*strategies: str) -> dict[str, Any]:
    """Settings with which a flow goes these ways back."""
    return {"flows": [{"match": "*", "mode": "auto", "owner": "team-voice", "ways_back": list(strategies)}]}


SETTINGS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(REDEPLOYED, ways("redeploy")),
    **dict.fromkeys(NEXT, ways("republish", "redeploy")),
}
"""Of the cases that need others than the usual ones."""
