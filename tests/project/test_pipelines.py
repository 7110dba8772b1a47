"""The pipelines' examples are what their CI systems expect, as far as that can be seen without them.

Nobody here runs GitHub Actions, GitLab or Jenkins: docs/pipelines.md says what is not checked. That the commands do
what they should is seen in tests/integration/test_pipelines.py.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline_jobs import EXAMPLES, JOBS, ROOT, SCRIPTS, documents

DOCUMENT = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8")
RUN = {path.name for path in EXAMPLES.glob("*.sh") if path.name != "flows.sh"}
STEPS = ["gate.sh", "deploy.sh", "register.sh", "watch.sh"]
EACH_JOB = pytest.mark.parametrize("name", JOBS)
SCHEMAS = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}


def test_there_is_an_example_for_each_system_with_each_way_to_deploy() -> None:
    assert set(JOBS) == {
        f"{system}/{way}" for system in ("github", "gitlab", "jenkins") for way in ("archy", "cx-as-code")
    }


@pytest.mark.parametrize("path", [path for path, _ in documents()], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_yaml_file_fits_the_schema_that_its_system_publishes(path: Path, tmp_path: Path) -> None:
    """The schemas are those of schemastore.org and of GitLab, as check-jsonschema brings them along."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[path.parent.name]]
    done = subprocess.run([*check, str(path)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / path.name
    wrong.write_text(path.read_text(encoding="utf-8").replace("environment: production", "environment: 1"))
    done = subprocess.run([*check, str(wrong)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, "the schema would take anything"


@EACH_JOB
def test_a_job_runs_the_scripts_in_their_order_and_deploys_only_within_one(name: str) -> None:
    commands = "\n".join(command for command, _ in JOBS[name].commands)
    called = re.findall(rf"{SCRIPTS}/([\w.]+)", commands)
    assert [script for script in called if script in STEPS] == STEPS
    assert set(called) <= RUN
    deploying = r"(?:archy\.sh|terraform apply)"
    assert (
        len(re.findall(deploying, commands)) == len(re.findall(rf"{SCRIPTS}/deploy\.sh .*{deploying}", commands)) == 1
    )


@EACH_JOB
def test_a_job_has_no_window(name: str) -> None:
    """Only work that is expected to fail needs one, and nobody should copy one by accident."""
    assert not [environ for _, environ in JOBS[name].commands if "WINDOW" in environ]


@pytest.mark.parametrize("path", sorted((EXAMPLES / "jenkins").iterdir()), ids=lambda path: path.stem)
def test_a_jenkinsfile_closes_what_it_opens_and_takes_its_secrets_from_the_store(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    code = re.sub(r"'[^'\n]*'|//.*", "", text)
    for opening, closing in ("{}", "()"):
        assert code.count(opening) == code.count(closing)
    assert "'" not in code
    assert '"' not in code, "Groovy would expand a secret into the command"
    for variable, value in re.findall(r"(\w+) = (.+)", text):
        assert value.startswith("credentials(") == bool(re.search("TOKEN|SECRET|CLIENT_ID", variable))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.sh")), ids=lambda path: path.name)
def test_a_script_is_one_that_the_shell_can_read_and_may_run(path: Path) -> None:
    done = subprocess.run(["sh", "-n", str(path)], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert (path.stat().st_mode & 0o111 != 0) == (path.name in RUN)
    assert (path.read_text(encoding="utf-8").startswith("#!/bin/sh\n")) == (path.name in RUN)


def test_shellcheck_finds_nothing() -> None:
    """A tool that no `make` brings: without it this is skipped, in CI as well, and says so."""
    tool = shutil.which("shellcheck")
    if tool is None:
        pytest.skip("shellcheck is not on PATH")
    scripts = sorted(str(path) for path in EXAMPLES.glob("*.sh"))
    done = subprocess.run(
        [tool, "--external-sources", *scripts], cwd=EXAMPLES, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == ""


def test_the_document_names_every_script_every_example_and_every_variable_that_is_read() -> None:
    scripts = "".join(path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.sh"))
    read = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", scripts))
    assert read >= {"ORG", "FLOWS", "COMMIT", "WATCH_FOR", "WINDOW", "UNSURE", "ARCHY_CLIENT_SECRET"}
    assert {name for name in read if f"`{name}`" not in DOCUMENT} == set()
    files = [*(path for path in EXAMPLES.rglob("*") if path.is_file())]
    assert {path.name for path in files if path.name not in DOCUMENT} == set()
