"""HTTPS and client certificates on a running receiver, with real certificates; and no secret where it can be read."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner, Result
from werkzeug.wrappers import Response

from genesys.settings import SettingsError
from receiver.ctl.cli import main as ctl
from receiver.doctor_command import doctor
from tests.openapi_document import Document
from tests.receiver_world import listening, settings_of

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {
    "SECRET": "genesys-client-secret-8d1f",
    "DELIVERS": "bearer-that-delivers-5b2e",
    "LOOKS": "bearer-that-looks-0c77",
    "SINK": "bearer-of-the-sink-41aa",
    "PASSWORD": "password-of-eve-93bd",
}


def openssl(folder: Path, *words: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("openssl is missing")
        pytest.skip("openssl is missing")
    subprocess.run([program, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA with certificates for the server and a client, and a client of another CA."""
    folder = tmp_path_factory.mktemp("certificates")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for ca, names in (("ca", ("server", "client")), ("other-ca", ("stranger",))):
        openssl(folder, "req", "-x509", *curve, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj", f"/CN={ca}")
        for name in names:
            openssl(folder, "req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
            (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
            by = ("-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-extfile", "names")
            openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *by)
    return folder


@dataclass
class Program:
    """A running `rollback-receiver serve`."""

    folder: Path
    port: int
    certificates: Path
    pid: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def client(self, name: str | None = None, **more: Any) -> httpx.Client:
        """With the certificate of this name, or with none."""
        context = ssl.create_default_context(cafile=str(self.certificates / "ca.pem"))
        if name is not None:
            context.load_cert_chain(self.certificates / f"{name}.pem", self.certificates / f"{name}.key")
        return httpx.Client(base_url=self.url, verify=context, trust_env=False, **more)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("program")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nowhere = {"name": "retail", "api_url": "http://127.0.0.1:1", "login_url": "http://127.0.0.1:1"}
    credentials = {"client_id": "c", "client_secret_env": "SECRET"}
    (folder / "organizations.yml").write_text(
        yaml.safe_dump({"organizations": [nowhere | {"credentials": credentials}]})
    )
    settings = {
        "listen": f"127.0.0.1:{port}",
        "database_url": f"sqlite:///{folder / 'rollback.db'}",
        "tls": {
            "certificate": str(certificates / "server.pem"),
            "key": str(certificates / "server.key"),
            "client_ca": str(certificates / "ca.pem"),
        },
        "tokens": [
            {"name": "am", "roles": ["alertmanager"], "token_env": "DELIVERS"},
            {"name": "desk", "roles": ["viewer", "operator", "ci"], "token_env": "LOOKS"},
        ],
        "people": [{"name": "eve", "roles": ["viewer"], "password_env": "PASSWORD"}],
        "webhooks": [{"name": "pager", "url": "http://127.0.0.1:1/hook", "token_env": "SINK"}],
        "flows": [{"match": "*", "mode": "observe"}],
    }
    (folder / "receiver.yml").write_text(yaml.safe_dump(settings))
    words = ["serve", "--organizations", "organizations.yml", "--config", "receiver.yml", "--log-level", "debug"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "receiver.cli", *words],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | SECRETS,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    made = Program(folder, port, certificates, process.pid)
    try:
        _await_start(made)
        yield made
    finally:
        process.kill()
        process.wait()


def _await_start(program: Program) -> None:
    end = time.monotonic() + 60
    with program.client("client") as client:
        while time.monotonic() < end:
            try:
                if client.get("/-/healthy").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
    pytest.fail(f"the receiver does not answer: {program.log}")


def test_only_a_certificate_of_our_ca_gets_an_answer(program: Program) -> None:
    with program.client("client") as client:
        answer = client.get("/-/healthy")
    assert (answer.status_code, answer.headers["Strict-Transport-Security"]) == (200, "max-age=31536000")
    for name in (None, "stranger"):
        with program.client(name) as client, pytest.raises(httpx.TransportError):
            client.get("/-/healthy")


def test_plain_http_gets_none(program: Program) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{program.port}/-/healthy", trust_env=False)


def test_a_certificate_is_no_token(program: Program) -> None:
    with program.client("client") as client:
        assert client.get("/api/v1/alerts").status_code == 401


# The commands that call it


def files(certificates: Path, ca: str = "ca", client: str | None = "client") -> list[str]:
    """The options with which a command gets in, or does not."""
    believed = ["--cacert", f"{certificates / ca}.pem"]
    if client is None:
        return believed
    return [*believed, "--client-cert", f"{certificates / client}.pem", "--client-key", f"{certificates / client}.key"]


def rollbackctl(program: Program, *options: str, **environ: str) -> Result:
    known = {"ROLLBACKCTL_URL": program.url, "ROLLBACKCTL_TOKEN": SECRETS["LOOKS"], "ROLLBACKCTL_TOKEN_FILE": None}
    return CliRunner().invoke(ctl, [*options, "alerts"], env=known | environ)


def test_rollbackctl_gets_in_with_the_ca_and_a_certificate(program: Program) -> None:
    done = rollbackctl(program, *files(program.certificates))
    assert (done.exit_code, done.stdout) == (0, "no alerts\n"), done.output
    folder = program.certificates
    environ = {
        "ROLLBACKCTL_CACERT": str(folder / "ca.pem"),
        "ROLLBACKCTL_CLIENT_CERT": str(folder / "client.pem"),
        "ROLLBACKCTL_CLIENT_KEY": str(folder / "client.key"),
    }
    assert rollbackctl(program, **environ).exit_code == 0


def test_a_certificate_and_its_key_may_be_in_one_file(program: Program, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text("".join((program.certificates / f"client.{end}").read_text() for end in ("pem", "key")))
    ca = ["--cacert", str(program.certificates / "ca.pem")]
    assert rollbackctl(program, *ca, "--client-cert", str(both)).exit_code == 0


@pytest.mark.parametrize(
    ("ca", "client"),
    [
        pytest.param("ca", None, id="no certificate"),
        pytest.param("ca", "stranger", id="that of another CA"),
        pytest.param("other-ca", "client", id="the receiver's CA is not believed"),
        pytest.param(None, "client", id="nor without --cacert"),
    ],
)
def test_rollbackctl_does_not_get_in_otherwise(program: Program, ca: str | None, client: str | None) -> None:
    options = files(program.certificates, ca or "ca", client)
    done = rollbackctl(program, *(options if ca else options[2:]))
    assert done.exit_code == 3
    assert "did not answer" in done.stderr


def test_a_usual_ca_is_believed_beside_a_certificate_of_ones_own(program: Program) -> None:
    environ = {"SSL_CERT_FILE": str(program.certificates / "ca.pem")}
    assert rollbackctl(program, *files(program.certificates)[2:], **environ).exit_code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--client-key", "client.key"], "--client-key needs --client-cert"),
        (["--cacert", "nothing.pem"], "--cacert cannot be used (No such file or directory)"),
        (["--cacert", "client.key"], "--cacert cannot be used"),
        (["--client-cert", "client.pem", "--client-key", "server.key"], "--client-cert cannot be used, with its key"),
        (["--client-cert", "nothing.pem"], "--client-cert cannot be used, with its key (No such file or directory)"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_files_that_no_connection_can_use_are_wrong_usage(program: Program, options: list[str], said: str) -> None:
    named = [str(program.certificates / word) if "." in word else word for word in options]
    done = rollbackctl(program, *named)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


@contextmanager
def alertmanager(certificates: Path) -> Iterator[str]:
    """An Alertmanager with TLS that wants a certificate of its callers; gives its URL."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    app = Response('{"versionInfo": {"version": "0.27.0"}}', content_type="application/json")
    with listening(app, ssl_context=context) as port:
        yield f"https://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("ca", "client", "expected"),
    [
        pytest.param("ca", "client", ["proved", "proved", "proved"], id="with them"),
        pytest.param("ca", None, ["failed", "skipped", "failed"], id="without a certificate"),
        pytest.param("other-ca", "client", ["failed", "skipped", "failed"], id="with another CA"),
    ],
)
def test_doctor_reaches_the_receiver_and_alertmanager_with_them(
    program: Program, tmp_path: Path, ca: str, client: str | None, expected: list[str]
) -> None:
    settings = yaml.safe_load((program.folder / "receiver.yml").read_text())
    config = tmp_path / "receiver.yml"
    organizations = ["--organizations", str(program.folder / "organizations.yml")]
    with alertmanager(program.certificates) as url:
        config.write_text(yaml.safe_dump(settings | {"alertmanagers": [url]}))
        words = [*organizations, "--config", str(config), *files(program.certificates, ca, client), "--output", "json"]
        done = CliRunner().invoke(doctor, words, env=SECRETS)
    found = {(one["subject"], one["step"]): one["state"] for one in json.loads(done.stdout)["findings"]}
    steps = [("receiver", "reached"), ("receiver", "takes alerts"), (url, "reached")]
    assert [found[step] for step in steps] == expected


def test_gunicorn_opens_no_socket_by_which_it_could_be_controlled(program: Program) -> None:
    """Of gunicorn 25.1 and later; those before have none."""
    inodes = {
        os.readlink(link).removeprefix("socket:[").removesuffix("]")
        for pid in (program.pid, *children(program.pid))
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if os.readlink(link).startswith("socket:")
    }
    assert inodes
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    listens = [row for row in rows if row[6] in inodes and int(row[3], 16) & 0x10000]  # __SO_ACCEPTCON
    assert listens == []


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_no_secret_is_in_any_answer_page_metric_log_or_table(program: Program) -> None:
    """Every call of the document, with good and bad credentials, bodies and bodies that are none."""
    # Three ways in which somebody may send one to the wrong place come with it: those are not ours to repeat either.
    said: list[tuple[str, str]] = []
    ways: list[Mapping[str, Any]] = [
        {},
        {"headers": {"Authorization": f"Bearer {SECRETS['LOOKS']}"}},
        {"headers": {"Authorization": f"Bearer {SECRETS['DELIVERS']}"}},
        {"headers": {"Authorization": f"Bearer {SECRETS['LOOKS']}x"}},
        {"headers": {"Authorization": f"Token {SECRETS['LOOKS']}"}},
        {"auth": ("eve", SECRETS["PASSWORD"])},
        {"auth": ("eve", f"{SECRETS['PASSWORD']}x")},
    ]
    with program.client("client") as client:
        document = Document(client.get("/openapi.json").json())
        for method, path in sorted(document.calls()):
            for way in ways:
                for body in (b"", b"{}", b"nonsense"):
                    answer = client.request(
                        method, "/api/v1" + path.replace("{", "").replace("}", ""), content=body, **way
                    )
                    said.append((f"{method} {path} {way}", f"{answer.headers}{answer.text}"))
                    assert answer.status_code != 500, answer.text
        for page in ("/", "/metrics", "/-/healthy", "/-/ready", "/no/such/page"):
            said += [(f"{page} {way}", client.get(page, **way).text) for way in ways]
        pages = dict(said)
    assert "genesys_rollback_" in pages["/metrics {}"]
    said.append(("the log", program.log))
    said += [(file.name, file.read_bytes().decode("latin-1")) for file in program.folder.glob("rollback.db*")]
    found = [(where, name) for where, text in said for name, secret in SECRETS.items() if secret in text]
    assert found == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "client.key"}, "cannot be used together"),
        ({"key": "nothing.key"}, "cannot be used together"),
        ({"certificate": "server.key"}, "cannot be used together"),
        ({"client_ca": "nothing.pem"}, "client_ca cannot be used"),
        ({"client_ca": "server.key"}, "client_ca cannot be used"),
        ({"key": 7}, "must be the path of a file"),
    ],
    ids=str,
)
def test_files_that_cannot_be_used_are_found_before_the_start(
    certificates: Path, tmp_path: Path, change: Mapping[str, Any], message: str
) -> None:
    usable = {"certificate": "server.pem", "key": "server.key", "client_ca": "ca.pem"}
    for name in ("server.pem", "server.key", "client.key", "ca.pem"):
        shutil.copy(certificates / name, tmp_path)
    assert settings_of(tmp_path, tls=usable).tls is not None  # relative to the file
    with pytest.raises(SettingsError, match=message):
        settings_of(tmp_path, tls=usable | change)


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(certificates: Path, tmp_path: Path) -> None:
    shutil.copy(certificates / "server.pem", tmp_path)
    key = str(certificates / "server.key")
    openssl(tmp_path, "ec", "-in", key, "-out", "locked.key", "-aes128", "-passout", "pass:x")
    with pytest.raises(SettingsError, match="cannot be used together"):
        settings_of(tmp_path, tls={"certificate": "server.pem", "key": "locked.key"})
