"""The pipelines' examples, with their own commands and scripts, against a real receiver over HTTP."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from receiver.metrics import ReceiverMetrics
from receiver.store import controls, deployments, quarantines, watchdog
from receiver.store.controls import Window
from receiver.store.database import Store
from receiver.store.deployments import Deployment, Member, Registration
from receiver.store.rollbacks import State
from receiver.web import create_app
from tests.openapi_document import held_to_its_document
from tests.pipeline_jobs import EXAMPLES, JOBS, SCRIPTS, SOURCE, Checkout, checkout
from tests.receiver_world import ORGS, TOKENS, list_live, listening, opened, put_alert, put_rollback, settings_of

LIVE = {"flow-0": "7.0", "flow-1": "14.0"}
FLOW = "flow-1"
PUBLISHED = "echo published >> published"
EACH_JOB = pytest.mark.parametrize("name", JOBS)
QUIET = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}  # nobody is asked for a newer Terraform
ANY_JOB = "gitlab/archy"  # where all of them do the same


@dataclass(frozen=True)
class World:
    """A receiver in mode auto, and the repository of a team that deploys one flow."""

    store: Store
    url: str
    repository: Checkout

    def run(self, name: str = ANY_JOB, **changes: str) -> subprocess.CompletedProcess[str]:
        """One job; what it watches is watched for two seconds, while the versions that it deploys are found."""
        with self._versions_are_found():
            return self.repository.run(JOBS[name], **{"WATCH_FOR": "2s"} | changes)

    def registered(self) -> list[Deployment]:
        with self.store.begin() as tx:
            return deployments.newest(tx, org=None, limit=10)

    def windows(self) -> list[Window]:
        """Those that are open, or to come."""
        with self.store.begin() as tx:
            return controls.list_windows(tx, now=time.time())

    @property
    def published(self) -> int:
        file = self.repository.folder / "published"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def publishes(self, script: str) -> None:
        """From now on a deployment comes down to this script."""
        Path(self.repository.environ["PUBLISH"]).write_text(f"#!/bin/sh\n{script}\n")

    def rollbackctl(self, script: str) -> None:
        """From now on that is called instead; the program itself is "$REAL"."""
        real = shutil.which("rollbackctl", path=self.repository.environ["PATH"])
        stand_in = Path(self.repository.environ["PUBLISH"]).with_name("rollbackctl")
        stand_in.write_text(f"#!/bin/sh\nREAL={real}\n{script}\n")
        stand_in.chmod(0o755)

    @contextmanager
    def _versions_are_found(self) -> Iterator[None]:
        """What a worker does that lists the flows: what is live is what was deployed."""
        over = threading.Event()

        def find() -> None:
            while not over.wait(0.1):
                with self.store.begin() as tx:
                    deployments.resolve(tx, "retail", LIVE, since=0, asked_at=time.time())

        finder = threading.Thread(target=find)
        finder.start()
        try:
            yield
        finally:
            over.set()
            finder.join()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    settings = settings_of(
        tmp_path,
        flows=[{"match": "*", "mode": "auto"}],
        tokens=[
            {"name": "alertmanager", "roles": ["alertmanager"], "token_env": "ALERTMANAGER"},
            {"name": "pipeline", "roles": ["ci", "viewer"], "organizations": ["retail"], "token_env": "CI"},
        ],
    )
    with opened(settings) as store:
        with store.begin() as tx:
            list_live(tx, *LIVE.values(), now=time.time())
            for org in ("", "retail"):
                watchdog.arrived(tx, now=time.time(), org=org)
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())
        held_to_its_document(app)
        with listening(app) as port:
            url = f"http://127.0.0.1:{port}"
            yield World(store, url, checkout(tmp_path, url=url, token=TOKENS["ci"], flow_id=FLOW, publish=PUBLISHED))


def digest_of(world: World) -> str:
    return sha256((world.repository.folder / SOURCE).read_bytes()).hexdigest()


def roll_back(world: World) -> None:
    """The version that was deployed is rolled back, and its source is in quarantine."""
    with world.store.begin() as tx:
        alert = put_alert(tx, flow_id=FLOW, now=time.time())
        done = put_rollback(tx, alert, "r1", now=time.time(), state=State.SUCCEEDED, ended_at=time.time())
        quarantines.put(tx, done, now=time.time())


def register(world: World, version: str) -> None:
    with world.store.begin() as tx:
        told = Registration("retail", (Member(FLOW, digest_of(world), version),), commit="earlier")
        deployments.register(tx, told, by="pipeline", now=time.time(), repeat_s=600, resolve_s=3600)


# Good and bad


@EACH_JOB
def test_a_job_asks_deploys_registers_and_watches(world: World, name: str) -> None:
    done = world.run(name)
    assert done.returncode == 0, done.stdout
    assert world.published == 1
    (deployment,) = world.registered()
    assert deployment.flows == (Member(FLOW, digest_of(world), "14.0"),)
    assert (deployment.commit, deployment.actor, deployment.url[:8]) == ("c0ffee", "ann", "https://")
    asked, watched = done.stdout.index("allowed"), done.stdout.index("1 flow of retail, for 2 s")
    assert asked < watched
    assert done.stdout.endswith("good: nothing was rolled back, and the bridge was armed\n")
    assert world.windows() == []


@EACH_JOB
def test_a_job_ends_before_it_deploys_what_was_rolled_back(world: World, name: str) -> None:
    register(world, "14.0")
    roll_back(world)
    done = world.run(name)
    assert done.returncode == 1
    assert "quarantined" in done.stdout
    assert "the bridge refuses it: nothing is deployed" in done.stdout
    assert (world.published, len(world.registered())) == (0, 1)
    world.repository.change("inboundCall: {name: Main IVR, greeting: another}\n")
    assert world.repository.sh(f"{SCRIPTS}/gate.sh", ORG="retail").returncode == 0


@EACH_JOB
def test_a_job_ends_as_its_deployment_ends_and_registers_nothing(world: World, name: str) -> None:
    world.publishes("exit 3")
    assert world.run(name).returncode == 3
    assert world.registered() == []


@EACH_JOB
def test_a_job_fails_when_what_it_deployed_is_rolled_back(world: World, name: str) -> None:
    def bridge() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and not (found := world.registered()):
            time.sleep(0.05)
        assert found
        roll_back(world)

    at_work = threading.Thread(target=bridge)
    at_work.start()
    done = world.run(name, WATCH_FOR="60s")
    at_work.join()
    assert done.returncode == 1, done.stdout
    assert "ROLLED BACK: Main IVR 14.0 -> 13.0 succeeded" in done.stdout


# Nobody can tell


@EACH_JOB
def test_a_job_deploys_nothing_when_the_receiver_cannot_be_asked(world: World, name: str) -> None:
    with listening(lambda *_: []) as port:
        pass
    done = world.run(name, ROLLBACKCTL_URL=f"http://127.0.0.1:{port}")
    assert done.returncode == 2
    assert "does the receiver run at" in done.stdout
    assert "nobody can tell whether it may be published: nothing is deployed" in done.stdout
    assert world.published == 0


def test_a_program_that_is_not_there_is_nobody_who_can_tell(world: World) -> None:
    done = world.run(PATH=os.defpath)
    assert done.returncode == 2
    assert world.published == 0


def test_a_bridge_that_is_not_armed_fails_the_job_unless_it_says_that_this_will_do(world: World) -> None:
    with world.store.begin() as tx:
        controls.hold(tx, "retail", [FLOW], owner="ann", reason="debugging", by="ann", now=time.time())
    register = f"COMMIT=c0ffee {SCRIPTS}/register.sh"
    assert world.repository.sh(register, ORG="retail").returncode == 0
    watch = f"{SCRIPTS}/watch.sh"
    done = world.repository.sh(watch, ORG="retail", WATCH_FOR="1s")
    assert done.returncode == 2
    assert "Main IVR was not armed: held by ann: debugging" in done.stdout
    done = world.repository.sh(watch, ORG="retail", WATCH_FOR="1s", UNSURE="pass")
    assert done.returncode == 0
    assert "nobody can tell whether it is good" in done.stdout


WATCHING, ENDED = "echo '02:41:07  watching   1 flow'", "echo '02:48:37  ended      CANNOT TELL: paused'"


@pytest.mark.parametrize(
    ("program", "unsure"),
    [
        ("exit 1", "fail"),
        ("exit 0", "fail"),
        ("exit 127", "pass"),
        (f"{WATCHING}; kill -9 $$", "pass"),
        (f"{WATCHING}; exit 2", "pass"),
        (f"{ENDED}; exit 2", "pass"),
        (f"{WATCHING}; {ENDED}; exit 2", "fail"),
        (f"{WATCHING}; {ENDED}; exit 1", "pass"),
    ],
    ids=[
        "Python's own 1",
        "0 without a word",
        "it is not there",
        "it is killed",
        "2 without an end",
        "2 of a watch that did not begin",
        "2 where this will not do",
        "1 of a watch that says something else",
    ],
)
def test_an_exit_code_is_believed_only_with_what_was_said(world: World, program: str, unsure: str) -> None:
    (world.repository.folder / "deployment.id").write_text("d1\n")
    world.rollbackctl(program)
    done = world.repository.sh(f"{SCRIPTS}/watch.sh", ORG="retail", UNSURE=unsure)
    assert done.returncode == 2
    assert "nobody can tell whether it is good" in done.stdout


def test_a_registration_is_tried_again_while_the_receiver_is_restarted(world: World) -> None:
    world.rollbackctl('echo >> tries; [ "$(wc -l < tries)" -gt 5 ] || exit 3; exec "$REAL" "$@"')
    done = world.repository.sh(f"COMMIT=c0ffee {SCRIPTS}/register.sh", ORG="retail")
    assert done.returncode == 0, done.stdout
    assert "try 6 of 6" in done.stdout
    assert len(world.registered()) == 1


def test_a_registration_is_not_tried_for_ever_nor_where_it_was_refused(world: World) -> None:
    for code, tries in ((3, 6), (1, 1)):
        world.rollbackctl(f"echo >> tries; exit {code}")
        done = world.repository.sh(f"COMMIT=c0ffee {SCRIPTS}/register.sh", ORG="retail")
        assert done.returncode == 2
        assert "deployed, but not registered" in done.stdout
        file = world.repository.folder / "tries"
        assert len(file.read_text().splitlines()) == tries
        file.unlink()


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("", "flows.txt names no flow"),
        ("# nothing yet\n", "flows.txt names no flow"),
        (f"{FLOW}\n", f"flows.txt: no file is named for {FLOW}"),
        (f"{FLOW} flows/other.yaml\n", f"flows.txt: the files of {FLOW} cannot be read"),
    ],
    ids=["empty", "only a comment", "no file", "no such file"],
)
@pytest.mark.parametrize("script", ["gate.sh", "register.sh"])
def test_a_list_that_does_not_say_what_is_deployed_is_a_mistake(
    world: World, script: str, listed: str, said: str
) -> None:
    (world.repository.folder / "flows.txt").write_text(listed)
    done = world.repository.sh(f"COMMIT=c0ffee {SCRIPTS}/{script}", ORG="retail")
    assert done.returncode == 2
    assert said in done.stdout
    assert world.registered() == []


def test_what_was_not_registered_is_not_watched(world: World) -> None:
    done = world.repository.sh(f"{SCRIPTS}/watch.sh", ORG="retail")
    assert done.returncode == 2
    assert "register.sh has not run" in done.stdout


# Of what source a flow is


def options(world: World, listed: str) -> list[str]:
    (world.repository.folder / "flows.txt").write_text(listed)
    done = world.repository.sh(f". {SCRIPTS}/flows.sh; flow_options", ORG="retail")
    assert done.returncode == 0, done.stdout
    return done.stdout.split()


def test_the_digest_of_one_file_is_its_own(world: World) -> None:
    assert options(world, f"{FLOW} {SOURCE}") == ["--flow", f"{FLOW}={digest_of(world)}"]


def test_the_digest_of_several_files_changes_with_each_of_them_and_not_with_their_place(world: World) -> None:
    flows = world.repository.folder / "flows"
    (flows / "values.yaml").write_text("greeting: hello\n")
    first = options(world, f"{FLOW} {SOURCE} flows/values.yaml\nflow-2 {SOURCE}\n")
    assert [part.partition("=")[0] for part in first] == ["--flow", FLOW, "--flow", "flow-2"]
    assert len(first[1]) == len(f"{FLOW}=") + 64
    (flows / "values.yaml").rename(flows / "others.yaml")
    assert options(world, f"{FLOW} {SOURCE} flows/others.yaml") == first[:2]
    (flows / "others.yaml").write_text("greeting: goodbye\n")
    assert options(world, f"{FLOW} {SOURCE} flows/others.yaml") != first[:2]


# The window


def test_a_window_is_open_while_the_command_runs_and_closed_before_the_watch(world: World) -> None:
    world.publishes(f"rollbackctl --output json maintenance list --org retail > windows\n{PUBLISHED}")
    done = world.run(WINDOW="30m", WINDOW_REASON="new queue")
    assert done.returncode == 0, done.stdout
    (window,) = json.loads((world.repository.folder / "windows").read_text())["windows"]
    assert (window["flow_ids"], window["reason"], window["state"]) == ([FLOW], "new queue", "active")
    assert world.windows() == []


def test_a_window_is_closed_also_when_the_deployment_fails(world: World) -> None:
    world.publishes("exit 3")
    assert world.run(WINDOW="30m").returncode == 3
    assert world.windows() == []


# Whoever runs the tests in the background (`&`, nohup) has these ignored, and a shell leaves it so.
_HEEDS_SIGNALS = (
    "import os, signal, sys; [signal.signal(one, signal.SIG_DFL) for one in (signal.SIGINT, signal.SIGHUP)]; "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def start(world: World) -> subprocess.Popen[bytes]:
    """A deployment with a window that has got as far as the file `running`."""
    deploying = subprocess.Popen(
        [sys.executable, "-c", _HEEDS_SIGNALS, f"{SCRIPTS}/deploy.sh", world.repository.environ["PUBLISH"]],
        cwd=world.repository.folder,
        env={**world.repository.environ, "ORG": "retail", "WINDOW": "30m"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 60
    while time.monotonic() < end and not (world.repository.folder / "running").exists():
        time.sleep(0.05)
    return deploying


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_window_is_closed_also_when_the_job_is_ended_from_outside(world: World, number: signal.Signals) -> None:
    world.publishes("touch running; exec sleep 1")
    deploying = start(world)
    assert world.windows() != []
    deploying.send_signal(number)
    assert deploying.wait(60) == 128 + number
    assert world.windows() == []


def test_a_window_that_cannot_be_closed_fails_the_job_and_says_how_to_close_it(world: World) -> None:
    # Nobody is reached any more once the command has run.
    world.rollbackctl(
        '[ ! -e published ] || ROLLBACKCTL_URL=http://127.0.0.1:1; export ROLLBACKCTL_URL; exec "$REAL" "$@"'
    )
    done = world.run(WINDOW="30m")
    assert done.returncode == 2
    (window,) = world.windows()
    assert f"rollbackctl maintenance close {window.id}" in done.stdout
    assert "not registered" not in done.stdout, "the job ends here"


@pytest.mark.parametrize("answer", ["exit 3", "exit 1", "exit 0"], ids=["lost", "of a proxy", "empty"])
def test_a_window_whose_id_has_not_arrived_is_closed_all_the_same(world: World, answer: str) -> None:
    now = time.time()
    with world.store.begin() as tx:
        others = controls.open_window(
            tx,
            org="retail",
            flow_ids=[FLOW],
            kind="maintenance",
            starts_at=now,
            ends_at=now + 3600,
            reason="deployment",
            owner="somebody else",
            created_by="ann",
            now=now,
        )
    world.rollbackctl(
        f'''case $* in *"maintenance open"*) "$REAL" "$@" > opened; {answer} ;; esac; exec "$REAL" "$@"'''
    )
    done = world.run(WINDOW="30m")
    assert done.returncode == 2
    assert "nothing is deployed" in done.stdout
    assert "id" in json.loads((world.repository.folder / "opened").read_text())
    assert [window.id for window in world.windows()] == [others.id]
    assert world.published == 0


def test_a_window_is_closed_also_when_the_job_is_ended_while_it_is_opened(world: World) -> None:
    world.rollbackctl(
        """case $* in *"maintenance open"*) "$REAL" "$@" > /dev/null; touch running; sleep 1; exit 143 ;; esac"""
        '''; exec "$REAL" "$@"'''
    )
    deploying = start(world)
    assert world.windows() != []
    deploying.send_signal(signal.SIGTERM)
    assert deploying.wait(60) == 128 + signal.SIGTERM
    assert (world.windows(), world.published) == ([], 0)


def test_a_window_is_closed_by_a_receiver_that_was_restarted(world: World) -> None:
    world.rollbackctl(
        """case $* in *"maintenance close"*) echo >> tries; [ "$(wc -l < tries)" -gt 3 ] || exit 3 ;; esac"""
        '''; exec "$REAL" "$@"'''
    )
    done = world.run(WINDOW="30m")
    assert done.returncode == 0, done.stdout
    assert world.windows() == []


def test_a_window_that_has_ended_by_itself_is_no_fault(world: World) -> None:
    world.publishes(f"sleep 1.2; {PUBLISHED}")
    done = world.run(WINDOW="1s")
    assert done.returncode == 0, done.stdout


def test_without_a_window_nothing_is_deployed_that_asked_for_one(world: World) -> None:
    done = world.run(WINDOW="3h")  # more than a pipeline may
    assert done.returncode == 2
    assert "no window could be opened: nothing is deployed" in done.stdout
    assert world.published == 0


# Terraform

# What `flows.tf` names, with a resource that Terraform has built in: its output is the flow's id.
RESOURCES = f"""
resource "terraform_data" "main_ivr" {{
  input            = "{FLOW}"
  triggers_replace = filesha256("{SOURCE}")
  provisioner "local-exec" {{
    command = "$PUBLISH"
  }}
}}

resource "terraform_data" "support" {{
  input = "flow-0"
}}
"""


def test_terraform_itself_names_the_flows_and_deploys_them_in_a_job(world: World) -> None:
    tool = shutil.which("terraform")
    if tool is None:
        pytest.skip("terraform is not on PATH, and no make brings it")
    folder = world.repository.folder
    example = (EXAMPLES / "flows.tf").read_text(encoding="utf-8")
    named = re.sub(r"genesyscloud_flow\.(\w+)\.id", r"terraform_data.\1.output", example)
    (folder / "flows.tf").write_text(named + RESOURCES)
    (folder / "flows" / "support.yaml").write_text("inboundCall: {name: Support}\n")
    stand_in = Path(world.repository.environ["PUBLISH"]).with_name("terraform")
    stand_in.unlink()
    stand_in.symlink_to(tool)
    by_hand = world.repository.sh("terraform init -input=false && terraform apply -input=false -auto-approve", **QUIET)
    assert by_hand.returncode == 0, by_hand.stdout

    world.repository.change("inboundCall: {name: Main IVR, greeting: another}\n")
    done = world.run("gitlab/cx-as-code", **QUIET)
    assert done.returncode == 0, done.stdout
    assert world.published == 2
    (deployment,) = world.registered()
    assert {flow.flow_id: flow.version for flow in deployment.flows} == LIVE
    assert digest_of(world) in {flow.source_digest for flow in deployment.flows}
    assert "2 flows of retail" in done.stdout


# Secrets


def test_archy_gets_its_secret_from_a_file_that_only_the_user_can_read_and_that_is_gone(world: World) -> None:
    (world.repository.folder / "mine.yaml").write_text("greeting: hello")
    done = world.run("github/archy", ARCHY_OPTIONS="mine.yaml")
    assert done.returncode == 0, done.stdout
    arguments = (world.repository.folder / "archy.arguments").read_text().splitlines()
    assert arguments[:3] == ["publish", "--file", SOURCE]
    kept = world.repository.folder / "archy.options"
    assert kept.stat().st_mode & 0o077 == 0
    assert yaml.safe_load(kept.read_text()) == {
        "greeting": "hello",
        "clientId": "client-of-archy",
        "clientSecret": "secret-of-archy",
        "location": "mypurecloud.ie",
    }
    assert not Path(arguments[arguments.index("--optionsFile") + 1]).exists()


def test_a_quote_in_a_secret_of_archy_arrives_as_it_is(world: World) -> None:
    secret = "it's \"one\": #{}\\n''"
    done = world.run("github/archy", ARCHY_CLIENT_SECRET=secret)
    assert done.returncode == 0, done.stdout
    assert yaml.safe_load((world.repository.folder / "archy.options").read_text())["clientSecret"] == secret


@EACH_JOB
def test_no_secret_stands_on_a_command_line_or_in_what_is_said(world: World, name: str) -> None:
    said = world.run(name).stdout
    commands = " ".join(command for command, _ in JOBS[name].commands)
    for variable, value in world.repository.environ.items():
        if "TOKEN" in variable or "SECRET" in variable:
            assert value not in said
            assert variable not in commands
