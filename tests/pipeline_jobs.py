"""The pipelines' examples as jobs that can be run here: their own commands, in a repository of somebody's flows.

What CI systems do is left out: a job is its commands one after the other until one fails, in a fresh checkout, with its
own environment. Archy and Terraform are stand-ins that run what the test wants published.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "deploy" / "pipelines"
SCRIPTS = "rollback-bridge"  # the folder of somebody's repository into which they are copied
SOURCE = "flows/main-ivr.yaml"

# What a CI system would put in the place of its expressions.
GITHUB = {
    "github.sha": "c0ffee",
    "github.actor": "ann",
    "github.server_url": "https://github.com",
    "github.repository": "voice/flows",
    "github.run_id": "4711",
    "github.run_attempt": "2",
}
FROM_CI = {
    "CI_COMMIT_SHA": "c0ffee",
    "GITLAB_USER_LOGIN": "ann",
    "CI_JOB_URL": "https://gitlab.example.org/jobs/4711",
    "GIT_COMMIT": "c0ffee",
    "JOB_NAME": "ann",
    "BUILD_URL": "https://jenkins.example.org/4711",
}

ARCHY = """#!/bin/sh
# Stands in for Archy: it keeps what it was given.
printf '%s\\n' "$@" > archy.arguments
while [ "$1" != --optionsFile ]; do shift; done
cp -p "$2" archy.options
exec "$PUBLISH"
"""
TERRAFORM = f"""#!/bin/sh
# Stands in for Terraform, with one flow in its state.
case $1 in
    output) printf '%s {SOURCE}\\n' "$FLOW_ID" ;;
    apply) exec "$PUBLISH" ;;
esac
"""


# What a runner of GitHub gives to no step that does not name it; other systems have it in every job.
KEPT = (
    "ROLLBACKCTL_TOKEN",
    "ARCHY_CLIENT_ID",
    "ARCHY_CLIENT_SECRET",
    "ARCHY_LOCATION",
    "GENESYSCLOUD_OAUTHCLIENT_ID",
    "GENESYSCLOUD_OAUTHCLIENT_SECRET",
    "GENESYSCLOUD_REGION",
)


@dataclass(frozen=True)
class Job:
    """One example: its commands in their order, each with what its environment has besides that of the CI system."""

    name: str
    commands: tuple[tuple[str, Mapping[str, str]], ...]


def _github(path: Path) -> Job:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    (job,) = content["jobs"].values()
    steps = [step for step in job["steps"] if "run" in step]
    environs = [content["env"] | step.get("env", {}) for step in steps]
    return Job(
        "github/" + path.stem,
        tuple(
            (step["run"], {name: _expanded(str(value)) for name, value in environ.items()})
            for step, environ in zip(steps, environs, strict=True)
        ),
    )


def _expanded(text: str) -> str:
    """A GitHub expression becomes its value; of secrets and variables, the variable of their name."""

    def value(found: re.Match[str]) -> str:
        scope, _, name = found[1].partition(".")
        return f"${name}" if scope in ("secrets", "vars") else GITHUB[found[1]]

    return re.sub(r"\$\{\{ ([a-zA-Z_.]+) \}\}", value, text)


def _gitlab(path: Path) -> Job:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    (job,) = content.values()
    return Job("gitlab/" + path.stem, tuple((command, job["variables"]) for command in job["script"]))


def _jenkins(path: Path) -> Job:
    text = path.read_text(encoding="utf-8")
    environ = dict(re.findall(r"(\w+) = '([^']*)'", text))
    return Job("jenkins/" + path.stem, tuple((command, environ) for command in re.findall(r"\bsh '([^']*)'", text)))


JOBS: Mapping[str, Job] = {
    job.name: job
    for job in (
        *(_github(path) for path in sorted((EXAMPLES / "github").iterdir())),
        *(_gitlab(path) for path in sorted((EXAMPLES / "gitlab").iterdir())),
        *(_jenkins(path) for path in sorted((EXAMPLES / "jenkins").iterdir())),
    )
}


@dataclass(frozen=True)
class Checkout:
    """Somebody's repository of flows with the scripts in it, on a runner that has the programs on PATH."""

    folder: Path
    environ: Mapping[str, str]

    def run(self, job: Job, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run the commands of a job until one fails; the answer is that of the last one, with all that was said."""
        kept = KEPT if job.name.startswith("github/") else ()
        given = {name: value for name, value in self.environ.items() if name not in kept}
        said = ""
        for command, environ in job.commands:
            named = {name: self._value(text) for name, text in environ.items() if name not in given}
            done = self._run(command, {**given, **named, **changes})
            said += done.stdout
            if done.returncode != 0:
                break
        return subprocess.CompletedProcess(job.name, done.returncode, said)

    def sh(self, command: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """One command, in the environment of the CI system."""
        return self._run(command, {**self.environ, **changes})

    def change(self, source: str) -> None:
        """Somebody has written another version."""
        (self.folder / SOURCE).write_text(source)

    def _run(self, command: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-e", "-c", command],
            cwd=self.folder,
            env=dict(environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )

    def _value(self, text: str) -> str:
        """What the CI system puts in the place of the variables and secrets of an example."""
        return re.sub(r"\$(\w+)", lambda found: self.environ[found[1]], text)


def checkout(folder: Path, *, url: str, token: str, flow_id: str, publish: str) -> Checkout:
    """A repository with one flow; `publish` is the shell script that the deployment comes down to."""
    repository, programs = folder / "repository", folder / "bin"
    shutil.copytree(EXAMPLES, repository / SCRIPTS, ignore=shutil.ignore_patterns("*.yml", "*.tf", "*Jenkinsfile"))
    (repository / "flows").mkdir()
    (repository / SOURCE).write_text("inboundCall: {name: Main IVR}\n")
    (repository / "flows.txt").write_text(f"# the flows of this repository\n\n{flow_id} {SOURCE}\n")
    programs.mkdir()
    for name, text in {"archy": ARCHY, "terraform": TERRAFORM, "publish": f"#!/bin/sh\n{publish}\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    scripts = Path(sys.executable).parent
    environ = {
        "PATH": f"{programs}{os.pathsep}{scripts}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "ROLLBACKCTL_URL": url,
        "ROLLBACKCTL_TOKEN": token,
        "ROLLBACK_BRIDGE_TOKEN": token,
        "ARCHY_CLIENT_ID": "client-of-archy",
        "ARCHY_CLIENT_SECRET": "secret-of-archy",
        "ARCHY_LOCATION": "mypurecloud.ie",
        "GENESYSCLOUD_OAUTHCLIENT_ID": "client-of-terraform",
        "GENESYSCLOUD_OAUTHCLIENT_SECRET": "secret-of-terraform",
        "GENESYSCLOUD_REGION": "eu-west-1",
        "PUBLISH": str(programs / "publish"),
        "FLOW_ID": flow_id,
        "RETRY_PAUSE": "0",
        **FROM_CI,
    }
    return Checkout(repository, environ)


def documents() -> Iterator[tuple[Path, Any]]:
    """Each YAML file of the examples."""
    for path in sorted(EXAMPLES.rglob("*.yml")):
        yield path, yaml.safe_load(path.read_text(encoding="utf-8"))
