"""`rollbackctl` against a real receiver over HTTP: what it prints, and how it ends."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from werkzeug.wrappers import Request, Response

from receiver.ctl import render
from receiver.ctl.cli import main
from receiver.ctl.options import end_of, length, moment
from receiver.metrics import ReceiverMetrics
from receiver.policy import Decision, Guard, Verdict
from receiver.store import controls, decisions, quarantines, rollbacks
from receiver.store.database import Store
from receiver.store.rollbacks import Answer, State
from receiver.web import create_app
from tests.openapi_document import held_to_its_document
from tests.receiver_world import (
    ORGS,
    TOKENS,
    listening,
    opened,
    put_alert,
    put_decision,
    put_rollback,
    settings_of,
)

NOW = time.time()


@dataclass(frozen=True)
class Desk:
    """Somebody at a shell, with a receiver to talk to."""

    url: str
    store: Store
    worker_problems: list[str]

    def run(self, *arguments: str, token: str | None = TOKENS["operator"], color: bool = False) -> Result:
        environ: Mapping[str, str | None] = {
            "ROLLBACKCTL_URL": self.url,
            "ROLLBACKCTL_TOKEN": token,
            "ROLLBACKCTL_TOKEN_FILE": None,
        }
        return CliRunner().invoke(main, arguments, env=environ, color=color)

    def shows(self, *arguments: str, token: str = TOKENS["operator"]) -> str:
        """What is printed; the command succeeds."""
        done = self.run(*arguments, token=token)
        assert done.exit_code == 0, done.output
        assert done.stderr == ""
        return done.stdout


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    settings = settings_of(tmp_path)
    problems: list[str] = []
    with opened(settings) as store:
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: problems)
        held_to_its_document(app)
        with listening(app) as port:
            yield Desk(f"http://127.0.0.1:{port}", store, problems)


@pytest.fixture
def busy(desk: Desk) -> Desk:
    """One flow is being rolled back, another is held back."""
    with desk.store.begin() as tx:
        failing = put_alert(tx, now=NOW)
        put_rollback(tx, failing, "rollback-0", now=NOW - 90_000, state=State.FAILED, reason="no_effect", ended_at=NOW)
        rollback = put_rollback(tx, failing, "rollback-1", now=NOW, try_number=2)
        put_decision(tx, failing, Verdict.ROLL_BACK, now=NOW, rollback_id=rollback.id)
        rollbacks.add_step(tx, rollback, "permit", at=NOW, detail={"number": 1, "target": "13.0"})
        permit = rollbacks.issue_permit(tx, rollback, now=NOW, permit_s=5, strategy="republish")
        rollbacks.answer_permit(tx, permit, Answer.ACCEPTED)
        held = put_alert(tx, org="bank", flow_id="flow-2", now=NOW)
        put_decision(tx, held, Verdict.PAUSED, now=NOW)
    return desk


# Looking


def test_alerts_shows_the_open_ones_with_what_was_decided(busy: Desk) -> None:
    lines = busy.shows("alerts").splitlines()
    assert lines[0].split() == ["ORG", "FLOW", "VERSION", "SIGNAL", "STATE", "VERDICT", "SINCE", "SUMMARY"]
    assert [line.split()[:6] for line in lines[1:]] == [
        ["bank", "flow-2", "14.0", "error_exit", "open", "paused"],
        ["retail", "flow-1", "14.0", "error_exit", "open", "roll_back"],
    ]
    assert re.search(r"\(\d+ (min|h)\b.* ago\)", lines[1]), "the alert is minutes old, or more on a slow machine"
    assert lines[1].endswith("flow-2 fails")


def test_alerts_can_be_narrowed(busy: Desk) -> None:
    assert "flow-1" not in busy.shows("alerts", "--org", "bank", "--limit", "5", "--all")
    assert busy.shows("alerts", "--org", "other") == "no alerts\n"


def test_decisions_shows_the_reason(busy: Desk) -> None:
    first, second = busy.shows("decisions").splitlines()[1:]
    assert "paused" in first
    assert "what was found" in first
    assert second.endswith("rollback-1")


def test_decisions_can_be_narrowed(busy: Desk) -> None:
    shown = busy.shows("decisions", "--org", "bank", "--flow", "flow-2", "--verdict", "paused", "--limit", "1")
    assert len(shown.splitlines()) == 2
    assert busy.shows("decisions", "--verdict", "lockout") == "no decisions\n"


def test_guards_shows_each_with_what_was_found_and_what_is_allowed(busy: Desk) -> None:
    shown = busy.shows("decisions", "--guards", "--org", "bank").splitlines()
    assert shown[0].endswith("bank  flow-2  version 14.0: paused")
    assert shown[1].split() == ["GUARD", "FOUND", "ALLOWED"]
    assert shown[2].split("  ") == ["HOLDS BACK", "paused", "what was found", "what is allowed"]


def test_rollbacks_shows_from_which_version_to_which(busy: Desk) -> None:
    newest, older = busy.shows("rollbacks", "--org", "retail", "--flow", "flow-1").splitlines()[1:]
    assert "14.0 -> 13.0  publishing" in newest
    assert newest.endswith("rollback-1")
    assert "failed" in older
    assert "no_effect" in older


def test_a_list_tells_how_to_see_its_next_page(busy: Desk) -> None:
    newest = busy.shows("rollbacks", "--limit", "1")
    assert newest.count("rollback-") == 1
    found = re.search(r"^more: (--after) (\S+)$", newest, re.MULTILINE)
    assert found is not None
    older = busy.shows("rollbacks", "--limit", "1", *found.groups())
    assert "rollback-0" in older
    assert "more:" not in older
    for command in (["alerts"], ["decisions", "--guards"]):
        page = busy.shows(*command, "--limit", "1")
        following = busy.shows(*command, "--limit", "1", "--after", page.split()[-1])
        assert following != page


def test_a_rollback_is_told_with_its_steps_and_permits(busy: Desk) -> None:
    shown = busy.shows("rollback", "show", "rollback-1")
    assert shown.startswith("rollback rollback-1, try 2\nflow     flow-1 of retail: 14.0 -> 13.0\n")
    assert "flow_name: Main IVR" in shown
    assert "permit  number 1, target 13.0" in shown
    assert shown.splitlines()[-1].split()[:3] == ["1", "republish", "13.0"]
    assert shown.splitlines()[-1].endswith("accepted")


def test_status_is_one_look_at_everything(busy: Desk) -> None:
    busy.run("pause", "--org", "bank", "--reason", "incident 4711")
    busy.run("maintenance", "open", "--org", "retail", "--flow", "flow-3", "--for", "2h", "--reason", "release 12")
    busy.run("hold", "--org", "bank", "--flow", "flow-2", "--reason", "debugging")
    busy.worker_problems.append("the worker of retail has been silent for 200 s")

    shown = busy.shows("status")
    for expected in (
        "NOT READY: the worker of retail has been silent for 200 s",
        "incident 4711",
        "release 12",
        "debugging",
        "flow-2 fails",
        "14.0 -> 13.0  publishing",
    ):
        assert expected in shown
    assert "rollback-0" not in shown, "it has ended"


@pytest.fixture
def asking(busy: Desk) -> Desk:
    """And one waits for approval."""
    with busy.store.begin() as tx:
        alert = put_alert(tx, flow_id="flow-3", now=NOW)
        waits = {"state": State.AWAITING_APPROVAL, "reason": "mode approve", "started_at": None, "wrote": False}
        put_rollback(tx, alert, "rollback-3", now=NOW, deadline=NOW + 86_400, **waits)
    return busy


def test_status_shows_what_waits_for_approval_with_the_time_that_is_left(asking: Desk) -> None:
    shown = asking.shows("status")
    waiting, under_way = shown.split("WAITING FOR APPROVAL\n")[1].split("ROLLBACKS UNDER WAY\n")

    (line,) = waiting.strip().splitlines()[1:]
    assert re.search(r"^retail  flow-3  14\.0 -> 13\.0  .* \(in 2\d h.*\)  mode approve  rollback-3$", line)
    assert "rollback-3" not in under_way
    assert "rollback-1" in under_way


def test_a_rollback_is_approved_or_denied_by_its_id(asking: Desk) -> None:
    assert "planned" in asking.shows("approve", "rollback-3", "--reason", "seen it")
    refused = asking.run("deny", "rollback-3")
    assert refused.exit_code == 1
    assert "it does not wait for approval: it is planned, approved by the-operator (HTTP 409)" in refused.stderr
    assert "by the-operator, reason seen it" in asking.shows("rollback", "show", "rollback-3")


def test_a_denial_is_told(asking: Desk) -> None:
    assert "failed  denied" in asking.shows("deny", "rollback-3", "--reason", "it is the back end")


def test_an_undo_shows_the_rollback_that_it_is(busy: Desk) -> None:
    with busy.store.begin() as tx:
        alert = put_alert(tx, flow_id="flow-4", now=NOW)
        put_rollback(tx, alert, "rollback-4", now=NOW, state=State.VERIFYING, confirmed_at=NOW)
    shown = busy.shows("undo", "rollback-4", "--reason", "14.0 was right")
    assert "13.0 -> 14.0  planned" in shown
    undo_id = shown.split()[-1]
    assert busy.shows("rollback", "show", undo_id).startswith(f"undo {undo_id}, try 1\n")
    assert busy.run("undo", "rollback-4").exit_code == 2  # it needs a reason


def test_a_guard_that_a_person_has_overridden_is_shown_as_such(busy: Desk) -> None:
    with busy.store.begin() as tx:
        alert = put_alert(tx, flow_id="flow-5", now=NOW)
        guard = Guard(Verdict.PAUSED, True, "paused by bob", "not paused", overridden=True)
        decisions.add(
            tx, alert, Decision(Verdict.ROLL_BACK, (guard,)), at=NOW, facts={}, receiver="r1", rollback_id="r5"
        )
    assert "overridden  paused  paused by bob  not paused" in busy.shows("decisions", "--guards", "--flow", "flow-5")


def test_status_of_a_quiet_receiver_says_so(desk: Desk) -> None:
    shown = desk.shows("status", "--org", "retail")
    for expected in ("ready", "not paused", "no holds", "no maintenance windows", "no alerts", "no rollbacks"):
        assert f"\n{expected}\n" in f"{shown}\n"


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["status"], "alerts"),
        (["alerts"], "alerts"),
        (["decisions"], "decisions"),
        (["rollbacks"], "rollbacks"),
        (["rollback", "show", "rollback-1"], "steps"),
        (["maintenance", "list"], "windows"),
        (["pause", "--reason", "x"], "paused_by"),
        (["hold", "--org", "retail", "--reason", "x"], "holds"),
        (["holds"], "holds"),
        (["quarantine", "list"], "quarantines"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else part,
)
def test_output_json_is_the_receivers_own_document(busy: Desk, arguments: list[str], key: str) -> None:
    assert key in json.loads(busy.shows("--output", "json", *arguments))


# Changing


def paused(desk: Desk) -> list[tuple[str, str, str]]:
    with desk.store.begin() as tx:
        return [(pause.org, pause.paused_by, pause.reason) for pause in controls.list_pauses(tx)]


def test_pause_stops_all_and_resume_goes_on(desk: Desk) -> None:
    assert "every organization" in desk.shows("pause", "--reason", "incident 4711")
    assert paused(desk) == [("*", "the-operator", "incident 4711")]
    assert desk.shows("resume") == "not paused\n"
    assert paused(desk) == []


def test_pause_and_resume_of_one_organization(desk: Desk) -> None:
    desk.shows("pause", "--reason", "all")
    desk.shows("pause", "--org", "bank", "--reason", "bank")
    assert "every organization" in desk.shows("resume", "--org", "bank")
    assert paused(desk) == [("*", "the-operator", "all")]


def without_ages(text: str) -> list[list[str]]:
    """Its words, but for how long ago something was: that may be a second more the next time."""
    return [line.split() for line in re.sub(r" \(.*? ago\)", "", text).splitlines()]


def test_flows_are_held_and_released(desk: Desk) -> None:
    shown = desk.shows(
        "hold", "--org", "retail", "--flow", "f1", "--flow", "f2", "--owner", "team-voice", "--reason", "x"
    )
    assert re.search(r"retail  f1 +team-voice .* the-operator  x\n", shown)
    for listed in (desk.shows("holds"), desk.shows("holds", "--org", "retail")):
        assert without_ages(listed) == without_ages(shown)
    assert desk.shows("holds", "--org", "bank") == "no holds\n"

    assert "f1" not in desk.shows("release", "--org", "retail", "--flow", "f1")
    assert desk.shows("release", "--org", "retail", "--flow", "f2", "--owner", "team-voice") == "no holds\n"
    assert "every flow" in desk.shows("hold", "--org", "retail", "--reason", "x")
    assert desk.shows("release", "--org", "retail") == "no holds\n"


def test_a_quarantine_is_listed_and_lifted(desk: Desk) -> None:
    with desk.store.begin() as tx:
        quarantines.put(tx, put_rollback(tx, put_alert(tx, now=NOW), "rollback-1", now=NOW), now=NOW)
        (made,) = quarantines.newest(tx, org=None, limit=1)
    assert made.id in desk.shows("quarantine", "list", "--org", "retail", "--flow", "flow-1")

    assert desk.shows("quarantine", "lift", made.id) == "no version is in quarantine\n"
    assert "by the-operator" in desk.shows("quarantine", "list", "--lifted")


def test_a_window_is_opened_listed_and_closed(desk: Desk) -> None:
    opening = ["maintenance", "open", "--org", "retail", "--flow", "f1", "--flow", "f2", "--for", "1h30m"]
    shown = desk.shows(*opening, "--reason", "release", "--owner", "team-voice", "--kind", "incident")
    assert "f1, f2" in shown
    assert "(in 1 h 30 min)" in shown or "(in 1 h 29 min)" in shown
    with desk.store.begin() as tx:
        (window,) = controls.active_windows(tx, now=time.time() + 1)
    assert (window.flow_ids, window.kind, window.owner) == (("f1", "f2"), "incident", "team-voice")
    assert window.ends_at == pytest.approx(time.time() + 5400, abs=60)

    assert window.id in desk.shows("maintenance", "list", "--org", "retail")
    assert desk.shows("maintenance", "list", "--org", "bank") == "no maintenance windows\n"
    assert desk.shows("maintenance", "close", window.id) == "no maintenance windows\n"
    assert "ended" in desk.shows("maintenance", "list", "--ended")


def test_an_order_that_is_sent_again_with_its_key_has_one_effect(desk: Desk) -> None:
    window = ["maintenance", "open", "--org", "retail", "--until", "2199-01-01T00:00:00Z", "--reason"]
    for _ in range(2):
        desk.shows("--idempotency-key", "job-7", *window, "release 12")
    assert len(json.loads(desk.shows("--output", "json", "maintenance", "list"))["windows"]) == 1
    refused = desk.run("--idempotency-key", "job-7", *window, "release 13")
    assert (refused.exit_code, "belongs to another order" in refused.stderr) == (1, True)
    desk.shows(*window, "release 12")
    assert len(json.loads(desk.shows("--output", "json", "maintenance", "list"))["windows"]) == 2


def test_a_window_for_all_flows_can_begin_later_and_end_at_a_time(desk: Desk) -> None:
    opening = ["maintenance", "open", "--org", "bank", "--from", "2094-01-01T12:00:00+01:00"]
    assert "every flow" in desk.shows(*opening, "--until", "2094-01-01T12:00:00Z", "--reason", "x")
    assert "scheduled" in desk.shows(*opening, "--for", "1d", "--reason", "x")


# Ending


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rollback", "show", "other"], "there is no rollback other (HTTP 404)"),
        (["rollback", "show", "../pause"], "HTTP 404"),
        (["resume"], "* is not paused"),
        (["pause", "--org", "retial", "--reason", "x"], "known: *, bank, retail"),
        (["decisions", "--verdict", "guilty"], "verdict"),
        (["maintenance", "close", "other"], "no such window"),
        (["release", "--org", "retail", "--flow", "f1"], "held in retail: nothing"),
        (["hold", "--org", "retial", "--reason", "x"], "known: bank, retail"),
        (["quarantine", "lift", "other"], "no such quarantine"),
        (["maintenance", "open", "--org", "bank", "--until", "2024-01-01T12:00:00Z", "--reason", "x"], "#/ends_at"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else part,
)
def test_a_refusal_ends_with_1_and_the_receivers_own_words(desk: Desk, arguments: list[str], said: str) -> None:
    done = desk.run(*arguments)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert said in done.stderr


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (None, "ROLLBACKCTL_TOKEN"),
        ("unknown", "ROLLBACKCTL_TOKEN"),
        (TOKENS["viewer"], "has not the role operator"),
    ],
    ids=["none", "unknown", "another role"],
)
def test_a_token_that_does_not_do_is_a_refusal_that_says_which_is_needed(
    desk: Desk, token: str | None, said: str
) -> None:
    done = desk.run("pause", "--reason", "x", token=token)
    assert done.exit_code == 1
    assert said in done.stderr
    assert paused(desk) == []


def test_the_token_can_stand_in_a_file(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKENS['viewer']}\n")
    assert desk.run("--token-file", str(file), "alerts", token=None).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["pause"],
        ["alerts", "--limit", "0"],
        ["--output", "xml", "alerts"],
        ["--token-file", "/no/such/file", "alerts"],
        ["maintenance", "open", "--org", "bank", "--reason", "x"],
        ["maintenance", "open", "--org", "bank", "--reason", "x", "--for", "2h", "--until", "2094-01-01T12:00:00Z"],
        ["maintenance", "open", "--org", "bank", "--reason", "x", "--for", "2 hours"],
        ["maintenance", "open", "--org", "bank", "--reason", "x", "--for", "999999999d"],
        ["maintenance", "open", "--org", "bank", "--reason", "x", "--until", "2094-01-01T12:00:00"],
        ["maintenance", "open", "--org", "bank", "--reason", "x", "--until", "tomorrow"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_before_anything_is_sent(arguments: list[str]) -> None:
    done = CliRunner().invoke(main, ["--url", "http://127.0.0.1:1", *arguments])
    assert done.exit_code == 2, done.output


@pytest.mark.parametrize("arguments", [["status"], ["alerts"], ["pause", "--reason", "x"], ["resume"]], ids=" ".join)
def test_a_receiver_that_is_not_there_ends_with_3(arguments: list[str]) -> None:
    with listening(Response()) as port:
        pass
    done = CliRunner().invoke(main, ["--url", f"http://127.0.0.1:{port}", *arguments])
    assert done.exit_code == 3
    assert f"does the receiver run at --url http://127.0.0.1:{port}?" in done.stderr


@pytest.mark.parametrize("body", ["<html>welcome</html>", "[]"])
def test_somebody_else_at_the_address_ends_with_3(body: str) -> None:
    with listening(Response(body)) as port:
        done = CliRunner().invoke(main, ["--url", f"http://127.0.0.1:{port}", "alerts"])
    assert done.exit_code == 3
    assert "not as a receiver does" in done.stderr


@pytest.mark.parametrize("url", ["http://127.0.0.1:notaport", "127.0.0.1", "ftp://127.0.0.1"])
def test_an_address_that_is_none_ends_with_3(url: str) -> None:
    assert CliRunner().invoke(main, ["--url", url, "alerts"]).exit_code == 3


def test_a_token_that_no_header_can_carry_ends_without_showing_it(desk: Desk) -> None:
    done = desk.run("alerts", token="gehe\u00efm\u2026")
    assert done.exit_code == 3
    assert "gehe" not in done.output


def test_only_2xx_counts_as_done() -> None:
    def refuse(request: Request) -> Response:
        return Response(status=502)

    with listening(Request.application(refuse)) as port:
        done = CliRunner().invoke(main, ["--url", f"http://127.0.0.1:{port}", "resume"])
    assert done.exit_code == 1
    assert "HTTP 502" in done.stderr


@pytest.mark.parametrize(
    "command",
    [[], ["maintenance"], ["maintenance", "open"], ["rollback", "show"], ["pause"], ["decisions"]],
    ids=lambda command: " ".join(command) or "rollbackctl",
)
def test_help_needs_no_receiver(command: list[str]) -> None:
    done = CliRunner().invoke(main, [*command, "--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.output


# How it looks


def test_colours_are_for_terminals_only(busy: Desk) -> None:
    assert "\x1b[" in busy.run("status", color=True).stdout
    assert "\x1b[" not in busy.run("status").stdout


def test_columns_are_aligned_also_where_words_are_coloured() -> None:
    lines = render.table(("STATE", "ID"), [("failed", "1"), ("x", "2")], empty="none").splitlines()
    assert [click.unstyle(line) for line in lines] == ["STATE   ID", "failed  1", "x       2"]


def test_text_from_elsewhere_cannot_steer_the_terminal(desk: Desk) -> None:
    desk.run("pause", "--reason", "\x1b[2Jgone\nnew line\u202e")
    shown = desk.shows("status")
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "gone new line" in shown


CLOCK = render.Clock(datetime(2024, 1, 1, 12, tzinfo=UTC), timezone(timedelta(hours=1), "CET"))


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (None, "-"),
        ("2024-01-01T12:00:00.000Z", "13:00 CET (0 s ago)"),
        ("2024-01-01T11:55:30Z", "12:55 CET (4 min 30 s ago)"),
        ("2024-01-01T14:05:00Z", "15:05 CET (in 2 h 5 min)"),
        ("2023-12-31T23:30:00Z", "00:30 CET (12 h 30 min ago)"),  # the reader's day, not that of UTC
        ("2023-12-31T22:30:00Z", "2023-12-31 23:30 CET (13 h 30 min ago)"),
        ("2023-12-29T09:00:00Z", "2023-12-29 10:00 CET (3 d 3 h ago)"),
    ],
)
def test_times_are_local_and_relative(moment: str | None, shown: str) -> None:
    assert CLOCK.show(moment) == shown


def test_where_seconds_matter_they_are_shown() -> None:
    assert CLOCK.exact("2024-01-01T11:55:30Z") == "12:55:30 CET (4 min 30 s ago)"
    assert CLOCK.exact(None) == "-"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3600, "1 h"), (3661, "1 h 1 min"), (86400 * 2, "2 d")],
)
def test_a_duration_has_at_most_two_units(seconds: float, shown: str) -> None:
    assert render.duration(seconds) == shown


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("2h", 7200), ("1h30m", 5400), ("1d", 86400), ("45s", 45)]
)
def test_lengths_are_read(text: str, seconds: int) -> None:
    assert length(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("read", "text"),
    [(length, ""), (length, "2"), (length, "h"), (length, "-2h"), (length, "1.5h"), (moment, "now"), (moment, "")],
)
def test_what_is_no_length_or_time_is_refused_with_an_example(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(click.BadParameter, match="write "):
        read(text)


def test_a_window_has_exactly_one_end() -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    hour = timedelta(hours=1)
    assert end_of(start, hour, None) == start + hour
    assert end_of(start, None, start) == start
    for lasts, until in ((None, None), (hour, start)):
        with pytest.raises(click.UsageError, match="either --for or --until"):
            end_of(start, lasts, until)
