"""`rollbackctl watch` against a real receiver over HTTP; time passes only while it waits for its next look."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from werkzeug.wrappers import Request, Response

from receiver.ctl.api import Api, Refused
from receiver.ctl.cli import main
from receiver.ctl.watch import follow, look_at
from receiver.ctl.watched import Event, Happening, Lost, Outcome, Watch
from receiver.ctl.watched import Result as Ended
from receiver.metrics import ReceiverMetrics
from receiver.outbound import Outbound
from receiver.policy import Verdict
from receiver.store import controls, deployments, flows, rollbacks, watchdog
from receiver.store.database import Store
from receiver.store.rollbacks import State
from receiver.web import create_app
from tests.openapi_document import held_to_its_document
from tests.receiver_world import (
    ORGS,
    TOKENS,
    list_live,
    listening,
    opened,
    put_alert,
    put_decision,
    put_rollback,
    settings_of,
)

FLOW = "flow-1"  # the second of those that are listed
DIGEST = "a" * 64
REGISTER = ("deployments", "register", "--org", "retail", "--flow", f"{FLOW}={DIGEST}", "--commit", "c0ffee")


@dataclass
class Vigil:
    """Somebody who watches, a receiver to look at, and what happens meanwhile: at a number of seconds, a change."""

    url: str
    store: Store
    not_ready: list[str]
    told: list[Event] = field(default_factory=list)
    happens: dict[float, Callable[[], object]] = field(default_factory=dict)
    now_s: float = 0.0

    def run(self, *arguments: str, token: str = TOKENS["viewer"]) -> Result:
        """A command of the program itself."""
        environ: Mapping[str, str | None] = {
            "ROLLBACKCTL_URL": self.url,
            "ROLLBACKCTL_TOKEN": token,
            "ROLLBACKCTL_TOKEN_FILE": None,
        }
        return CliRunner().invoke(main, arguments, env=environ)

    def registered(self) -> str:
        """The id of a deployment that was just registered, with its version."""
        done = self.run("--output", "json", *REGISTER, "--version", f"{FLOW}=14.0", token=TOKENS["ci"])
        return str(json.loads(done.stdout)["id"])

    def watch(self, *, deployment: str | None = None, url: str | None = None) -> Outcome:
        """Ten minutes of it, with a minute's patience."""
        http = Outbound(5.0)
        api = Api(http, url or self.url, TOKENS["viewer"])
        try:
            return follow(
                Watch(lasts_s=600, patience_s=60),
                lambda: look_at(api, "retail", () if deployment else (FLOW,), deployment),
                self.told.append,
                every_s=10,
                monotonic=lambda: self.now_s,
                sleep=self._sleep,
            )
        finally:
            http.close()

    def words(self) -> list[str]:
        return [event.what.value for event in self.told]

    def texts(self, what: Happening) -> list[str]:
        return [event.text for event in self.told if event.what is what]

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds
        for at_s in sorted(self.happens):
            if at_s <= self.now_s:
                self.happens.pop(at_s)()


@pytest.fixture
def vigil(tmp_path: Path) -> Iterator[Vigil]:
    settings = settings_of(tmp_path, flows=[{"match": "*", "mode": "auto"}])
    problems: list[str] = []
    with opened(settings) as store:
        with store.begin() as tx:
            list_live(tx, "7.0", "14.0", now=time.time())
            for org in ("", "retail"):
                watchdog.arrived(tx, now=time.time(), org=org)
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: problems)
        held_to_its_document(app)
        with listening(app) as port:
            yield Vigil(f"http://127.0.0.1:{port}", store, problems)


def plan(vigil: Vigil, **changes: object) -> None:
    with vigil.store.begin() as tx:
        alert = put_alert(tx, flow_id=FLOW, now=time.time())
        put_decision(tx, alert, Verdict.ROLL_BACK, now=time.time(), rollback_id="r1")
        put_rollback(tx, alert, "r1", now=time.time(), **changes)


def end(vigil: Vigil, state: State) -> None:
    with vigil.store.begin() as tx:
        rollback = rollbacks.get(tx, "r1")
        assert rollback is not None
        rollbacks.change(tx, rollback, state=state.value, reason="0 of 22", ended_at=time.time())


def pause(vigil: Vigil) -> None:
    with vigil.store.begin() as tx:
        controls.pause(tx, "retail", by="ann", reason="storm", now=time.time())


def resume(vigil: Vigil) -> None:
    with vigil.store.begin() as tx:
        controls.resume(tx, "retail", by="ann", now=time.time())


def test_a_quiet_flow_with_the_bridge_armed_is_good(vigil: Vigil) -> None:
    assert vigil.watch().result is Ended.HELD
    assert vigil.words() == ["watching", "armed", "ended"]
    assert vigil.now_s == 600


def test_a_rollback_is_told_from_its_decision_to_its_end_and_ends_the_watch(vigil: Vigil) -> None:
    vigil.happens = {100: lambda: plan(vigil), 150: lambda: end(vigil, State.SUCCEEDED)}
    outcome = vigil.watch()
    assert outcome.result is Ended.ROLLED_BACK
    assert outcome.reasons[0].startswith("Main IVR 14.0 -> 13.0 succeeded (0 of 22)")
    assert vigil.words() == ["watching", "armed", "decision", "rollback", "rollback", "ended"]
    assert vigil.now_s == 150


def test_a_rollback_that_is_under_way_at_the_end_is_waited_for(vigil: Vigil) -> None:
    vigil.happens = {590: lambda: plan(vigil), 900: lambda: end(vigil, State.UNVERIFIED)}
    assert vigil.watch().result is Ended.ROLLED_BACK
    assert vigil.now_s == 900
    assert vigil.texts(Happening.WAITING) == ["the time is over; waits for the end of Main IVR 14.0 -> 13.0"]


def test_a_pause_in_between_leaves_nobody_able_to_tell(vigil: Vigil) -> None:
    vigil.happens = {200: lambda: pause(vigil), 210: lambda: resume(vigil)}
    outcome = vigil.watch()
    assert outcome.result is Ended.CANNOT_TELL
    assert outcome.reasons == ("Main IVR was not armed: paused by ann: storm",)
    assert vigil.now_s == 600, "a rollback could still come"


def test_a_version_that_is_accused_and_not_rolled_back_is_not_good(vigil: Vigil) -> None:
    def accuse() -> None:
        with vigil.store.begin() as tx:
            put_decision(tx, put_alert(tx, flow_id=FLOW, now=time.time()), Verdict.BUDGET_SPENT, now=time.time())

    vigil.happens = {500: accuse}
    outcome = vigil.watch()
    assert outcome.result is Ended.CANNOT_TELL
    (reason,) = outcome.reasons
    assert reason.startswith("Main IVR 14.0 is accused of error_exit, and not rolled back")


def test_what_happened_since_the_registration_counts(vigil: Vigil) -> None:
    deployment = vigil.registered()
    plan(vigil, state=State.SUCCEEDED, ended_at=time.time())
    outcome = vigil.watch(deployment=deployment)
    assert outcome.result is Ended.ROLLED_BACK
    assert (vigil.now_s, vigil.words()[-3:]) == (0, ["decision", "rollback", "ended"])


def test_the_flows_of_a_deployment_are_watched_and_it_must_be_what_is_live(vigil: Vigil) -> None:
    deployment = vigil.registered()
    assert vigil.watch(deployment=deployment).result is Ended.HELD
    with vigil.store.begin() as tx:
        list_live(tx, "7.0", "15.0", now=time.time())
    outcome = vigil.watch(deployment=deployment)
    assert outcome == Outcome(Ended.CANNOT_TELL, ("Main IVR: 15.0 is live, not 14.0, which was deployed",))


def test_a_version_that_becomes_known_meanwhile_is_the_one_that_was_deployed(vigil: Vigil) -> None:
    done = vigil.run("--output", "json", *REGISTER, token=TOKENS["ci"])
    deployment = str(json.loads(done.stdout)["id"])
    assert vigil.watch(deployment=deployment).reasons == ("Main IVR: which version was deployed is not known",)

    def resolve() -> None:
        with vigil.store.begin() as tx:
            deployments.resolve(tx, "retail", {FLOW: "14.0"}, since=0, asked_at=time.time())

    vigil.now_s, vigil.happens = 0, {30: resolve}
    assert vigil.watch(deployment=deployment).result is Ended.HELD


def test_a_deployment_that_nobody_has_registered_ends_it_at_once(vigil: Vigil) -> None:
    with pytest.raises(Refused, match="no deployment other of retail is registered"):
        vigil.watch(deployment="other")
    assert vigil.now_s == 0


def test_a_receiver_that_is_not_ready_for_long_ends_it(vigil: Vigil) -> None:
    vigil.happens = {300: lambda: vigil.not_ready.append("the worker of retail has been silent for 200 s")}
    outcome = vigil.watch()
    assert outcome.result is Ended.CANNOT_TELL
    assert "out of reach for 1 min: the worker of retail has been silent for 200 s" in outcome.reasons[0]
    assert vigil.now_s == 360


def test_a_receiver_that_is_restarted_is_looked_at_again(vigil: Vigil, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, flows=[{"match": "*", "mode": "auto"}])
    app = create_app(vigil.store, settings, ORGS, ReceiverMetrics(vigil.store, settings, ORGS), lambda: ())
    with listening(app) as port:
        pass
    with ExitStack() as opened_later:
        vigil.happens = {30: lambda: opened_later.enter_context(listening(app, port))}
        assert vigil.watch(url=f"http://127.0.0.1:{port}").result is Ended.HELD
    assert vigil.words() == ["lost", "back", "watching", "armed", "ended"]
    assert vigil.now_s == 630


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_answer_of_a_proxy_whose_receiver_is_away_shows_nothing(status: int) -> None:
    def answer(request: Request) -> Response:
        return Response(status=200 if request.path == "/-/ready" else status)

    http = Outbound(5.0)
    try:
        with listening(Request.application(answer)) as port:
            assert isinstance(look_at(Api(http, f"http://127.0.0.1:{port}", None), "retail", (FLOW,), None), Lost)
    finally:
        http.close()


@pytest.mark.parametrize(
    ("org", "said"),
    [
        pytest.param("", "the watchdog has not arrived for 3 min", id="no alert arrives"),
        pytest.param("retail", "GenesysDataWatchdog has not arrived for 3 min", id="the exporter is dead"),
    ],
)
def test_without_a_watchdog_nobody_can_tell(vigil: Vigil, org: str, said: str) -> None:
    with vigil.store.begin() as tx:
        watchdog.arrived(tx, now=time.time() - 200, org=org)
    outcome = vigil.watch()
    assert outcome.result is Ended.CANNOT_TELL
    assert said in outcome.reasons[0]


def test_a_listing_that_has_failed_leaves_nobody_able_to_tell(vigil: Vigil) -> None:
    with vigil.store.begin() as tx:
        flows.failed(tx, "retail", "HTTP 503", retry_at=time.time())
    assert vigil.watch().reasons == ("Main IVR: Genesys Cloud could not be listed: HTTP 503",)


@pytest.mark.parametrize("consent", ["ask", "never"])
def test_what_was_registered_so_that_nothing_is_rolled_back_by_itself_is_told_at_once(
    vigil: Vigil, consent: str
) -> None:
    version = ("--version", f"{FLOW}=14.0", "--rollback", consent)
    done = vigil.run("--output", "json", *REGISTER, *version, token=TOKENS["ci"])
    outcome = vigil.watch(deployment=str(json.loads(done.stdout)["id"]))
    assert outcome == Outcome(
        Ended.CANNOT_TELL, (f"Main IVR was not armed: it was registered with rollback: {consent}",)
    )
    assert vigil.words() == ["watching", "not_armed", "ended"]


def test_nothing_that_happens_to_other_flows_hides_what_happens_to_this_one(vigil: Vigil) -> None:
    """More open alerts, decisions and rollbacks than a page has."""

    def storm() -> None:
        plan(vigil, state=State.SUCCEEDED, ended_at=time.time())
        with vigil.store.begin() as tx:
            for number in range(110):
                alert = put_alert(tx, flow_id=f"other-{number}", now=time.time())
                put_decision(tx, alert, Verdict.LOCKOUT, now=time.time())
                put_rollback(tx, alert, f"other-{number}", now=time.time())

    vigil.happens = {100: storm}
    assert vigil.watch().result is Ended.ROLLED_BACK
    assert vigil.texts(Happening.DECISION) == ["Main IVR 14.0: roll_back (what was found)"]


def test_an_accusation_is_found_among_more_open_alerts_than_a_page_has(vigil: Vigil) -> None:
    with vigil.store.begin() as tx:
        for flow_id in (FLOW, *(f"other-{number}" for number in range(1000))):
            put_alert(tx, flow_id=flow_id, now=time.time())
    assert vigil.watch().reasons == ("Main IVR 14.0 is accused of error_exit, and not rolled back: not decided yet",)


# The program


@pytest.mark.parametrize("flow", [{}, {"name": 4}], ids=["fields are missing", "a field is another type"])
def test_an_answer_that_nobody_expected_ends_it_with_2(flow: dict[str, int]) -> None:
    """Python itself would end with 1, as if something had been rolled back."""

    def answer(request: Request) -> Response:
        empty = {"alerts": [], "decisions": [], "rollbacks": [], "next": None}
        return Response(json.dumps(flow if "/flows/" in request.path else empty), content_type="application/json")

    with listening(Request.application(answer)) as port:
        watch = ("watch", "--org", "retail", "--flow", FLOW, "--for", "1h")
        done = CliRunner().invoke(main, ["--url", f"http://127.0.0.1:{port}", *watch])
    assert done.exit_code == 2
    assert "nobody can tell" in done.stderr


def test_the_program_tells_in_lines_and_ends_with_its_code(vigil: Vigil) -> None:
    done = vigil.run("watch", "--org", "retail", "--flow", FLOW, "--for", "1s", "--every", "1s")
    assert done.exit_code == 0, done.output
    first, second, last = done.stdout.splitlines()
    assert first.split("  ", 1)[1] == "watching   1 flow of retail, for 1 s"
    assert second.split("  ", 1)[1] == "armed      Main IVR 14.0"
    assert last.endswith("ended      good: nothing was rolled back, and the bridge was armed")


def test_the_program_tells_programs_in_json(vigil: Vigil) -> None:
    pause(vigil)
    watch = ("watch", "--org", "retail", "--flow", FLOW, "--for", "1s", "--every", "1s")
    done = vigil.run("--output", "json", *watch)
    assert done.exit_code == 2
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["watching", "not_armed", "ended"]
    assert lines[1]["facts"] == {"flow_id": FLOW, "live_version": "14.0", "because": "paused by ann: storm"}
    assert lines[-1]["facts"]["exit_code"] == 2


def test_the_program_ends_with_1_after_a_rollback(vigil: Vigil) -> None:
    deployment = vigil.registered()
    plan(vigil, state=State.SUCCEEDED, ended_at=time.time())
    done = vigil.run("watch", "--org", "retail", "--deployment", deployment, "--for", "1h")
    assert done.exit_code == 1
    assert "ROLLED BACK: Main IVR 14.0 -> 13.0 succeeded" in done.stdout


@pytest.mark.parametrize("token", ["unknown", TOKENS["ci"]], ids=["unknown", "ci alone"])
def test_a_token_that_may_not_look_ends_it_at_once_with_2(vigil: Vigil, token: str) -> None:
    done = vigil.run("watch", "--org", "retail", "--flow", FLOW, "--for", "1h", token=token)
    assert done.exit_code == 2
    assert "HTTP 40" in done.stderr


def test_a_receiver_that_is_not_there_ends_it_with_2() -> None:
    with listening(Response()) as port:
        pass
    watch = ("watch", "--org", "retail", "--flow", FLOW, "--for", "1h", "--patience", "0s")
    done = CliRunner().invoke(main, ["--url", f"http://127.0.0.1:{port}", *watch])
    assert done.exit_code == 2
    assert "does the receiver run at" in done.stdout


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--flow", FLOW],
        ["--for", "1m"],
        ["--flow", FLOW, "--deployment", "x", "--for", "1m"],
        ["--flow", FLOW, "--for", "15 minutes"],
        ["--flow", FLOW, "--for", "1m", "--every", "0s"],
        ["--flow", FLOW, "--for", "1m", "--patience", "1m"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_before_anything_is_sent(options: list[str]) -> None:
    done = CliRunner().invoke(main, ["--url", "http://127.0.0.1:1", "watch", "--org", "retail", *options])
    assert done.exit_code == 2, done.output
    assert "Usage:" in done.stderr
