"""What must not stand in any file of the project: places of one machine, unknown hosts, work that is put off."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Somebody's folders; the README may say where we would install it.
MACHINE = re.compile(r"(?<![\w./:{}<>-])/(?:(?:home|root|srv|mnt|work|Users)\b|opt\b(?!/rollback-bridge)|tmp/\w)")
# In brackets, so that this file passes its own test.
PUT_OFF = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X)\b")
URL_HOST = re.compile(r"\b[a-z][a-z0-9+]*://(?:[^\s/@\"'`]+@)?(?![A-Za-z0-9.-]*\{)([A-Za-z0-9][A-Za-z0-9.-]*)")

# The hosts that the project may name. Above all: nobody's mirror of packages, and nothing that only we can reach.
HOSTS = re.compile(
    r"""
      (?:github\.com|www\.apache\.org|prometheus\.io|developer\.genesys\.cloud|help\.genesys\.cloud|docs\.genesys\.com)
    | (?:api|login|apps)\.[a-z0-9.-]*(?:mypurecloud\.(?:com|ie|de|jp|com\.au)|pure\.cloud)
    | (?:[a-z0-9-]+\.)*example(?:\.(?:com|org|net))?      # RFC 2606
    | (?:[a-z0-9-]+\.)*(?:invalid|test)
    | (?:events|api)(?:\.eu)?\.pagerduty\.com                # the service's own addresses
    | status\.mypurecloud\.com                             # Genesys Cloud's status page
    | www\.w3\.org                                        # the name of a namespace in SVG files
    | localhost | 127(?:\.\d+){3} | 0\.0\.0\.0
    | alertmanager | prometheus | receiver | exporter | simulator | grafana | database   # services beside each other
    | [a-z0-9-]+\.[a-z0-9-]+\.svc                          # a service of a Kubernetes cluster
    | host | [a-z]                                                                     # placeholders
    """,
    re.VERBOSE,
)


def files() -> Iterator[tuple[str, str]]:
    """Each text file that is, or is about to be, part of the project."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        reason = "not a git checkout: nobody can say which files belong to the project"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            yield name, content.decode()


def lines(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in files()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    assert not lines(MACHINE)


def test_no_file_names_this_checkout() -> None:
    assert not lines(re.compile(rf"(?<![\w.]){re.escape(str(ROOT))}(?![\w-])"))


def test_nothing_is_put_off() -> None:
    assert not lines(PUT_OFF)


def test_every_host_is_one_that_our_users_know() -> None:
    hosts = {(host.lower(), name) for name, text in files() for host in URL_HOST.findall(text)}
    assert not {(host, name) for host, name in hosts if not HOSTS.fullmatch(host.rstrip("."))}


def test_the_lock_says_nothing_about_where_packages_come_from() -> None:
    """Everybody installs from the index that their own pip knows."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    allowed = re.compile(r"[A-Za-z0-9._\[\],-]+==\S+.*|    --hash=sha256:[0-9a-f]{64}.*|    # +.*")
    assert not [line for line in lock.splitlines() if not allowed.fullmatch(line) or "://" in line]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see /" + "home/me/x", True),
        ("under /" + "opt", True),
        ("a/" + "opt/b", False),
        ("/" + "workflows", False),
        ("/api/v1/" + "work", False),
        ("/opt/rollback-bridge/bin", False),
        ("/" + "tmp", False),
        ("/" + "tmp/deb", True),
    ],
)
def test_what_a_folder_of_a_machine_is(text: str, found: bool) -> None:
    assert bool(MACHINE.search(text)) is found
