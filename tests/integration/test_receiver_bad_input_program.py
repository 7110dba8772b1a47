"""The receiver as a program: what reaches it over a socket, and a log without a single traceback."""

import gzip
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from tests.integration.webhook_door import RECORDED, alert, body
from tests.receiver_world import TOKENS

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 200_000
AUTHORIZATION = {"Authorization": f"Bearer {TOKENS['alertmanager']}"}


@dataclass
class Program:
    """A running `rollback-receiver serve`."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1/alerts"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")

    def fingerprints(self) -> list[str]:
        with closing(sqlite3.connect(self.folder / "rollback.db")) as database:
            return [row[0] for row in database.execute("SELECT fingerprint FROM alerts ORDER BY id")]

    def says(self, sent: bytes, *, within_s: float = 10) -> bytes:
        """What it answers to these bytes on a connection of their own, until it closes it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=within_s) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(65536):
                answer += part
            return answer


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("program")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    credentials = {"client_id": "c", "client_secret_env": "SECRET"}
    nowhere = {"name": "retail", "api_url": "http://127.0.0.1:1", "login_url": "http://127.0.0.1:1"}
    (folder / "organizations.yml").write_text(
        yaml.safe_dump({"organizations": [nowhere | {"credentials": credentials}]})
    )
    settings = {
        "listen": f"127.0.0.1:{port}",
        "database_url": f"sqlite:///{folder / 'rollback.db'}",
        "tokens": [{"name": "am", "roles": ["alertmanager"], "token_env": "TOKEN"}],
        "flows": [{"match": "*", "mode": "observe"}],
        "max_body_bytes": LIMIT,
    }
    (folder / "receiver.yml").write_text(yaml.safe_dump(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "receiver.cli",
                "serve",
                "--organizations",
                "organizations.yml",
                "--config",
                "receiver.yml",
            ],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "SECRET": "s", "TOKEN": TOKENS["alertmanager"]},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    made = Program(process, folder, port)
    try:
        _await_start(made)
        yield made
        assert "traceback" not in made.log.lower()
    finally:
        process.kill()
        process.wait()


def _await_start(program: Program) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if httpx.get(f"http://127.0.0.1:{program.port}/-/healthy").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the receiver does not answer: {program.log}")


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    assert found, answer[:200]
    return int(found[1])


def request(headers: str, content: bytes) -> bytes:
    """One request as it goes over the wire."""
    head = (
        f"POST /api/v1/alerts HTTP/1.1\r\nHost: x\r\nAuthorization: {AUTHORIZATION['Authorization']}\r\n{headers}\r\n"
    )
    return head.encode() + content


def chunks(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end


def test_every_recorded_payload_is_stored(program: Program) -> None:
    for path in RECORDED:
        assert httpx.post(program.url, content=path.read_bytes(), headers=AUTHORIZATION).status_code == 202
    sent = {one["fingerprint"] for path in RECORDED for one in json.loads(path.read_bytes())["alerts"]}
    assert set(program.fingerprints()) >= sent - {"7de0eceef52316fa"}, "all but the watchdog"


def test_a_body_in_chunks_is_stored_and_one_beyond_the_limit_is_413_however_it_is_sent(program: Program) -> None:
    def in_parts(data: bytes) -> Iterator[bytes]:
        yield from (data[at : at + 1000] for at in range(0, len(data), 1000))

    small = body(alert("in chunks"))
    large = body(alert("too large", annotations={"summary": "x" * LIMIT}))
    assert httpx.post(program.url, content=in_parts(small), headers=AUTHORIZATION).status_code == 202
    for content in (large, in_parts(large)):
        refused = httpx.post(program.url, content=content, headers=AUTHORIZATION)
        assert (refused.status_code, "max_body_bytes" in refused.text) == (413, True)
    packed = httpx.post(program.url, content=gzip.compress(small), headers=AUTHORIZATION | {"Content-Encoding": "gzip"})
    assert (packed.status_code, "compressed" in packed.text) == (400, True)
    assert "in chunks" in program.fingerprints()
    assert "too large" not in program.fingerprints()


def test_after_a_refusal_the_next_delivery_on_the_same_connection_is_read_from_its_beginning(program: Program) -> None:
    """A body that nobody has read must not be taken for the next request."""
    smuggled = request("Content-Length: 2\r\n", b"{}")
    with httpx.Client(headers=AUTHORIZATION) as client:
        for number, content in enumerate((b"no JSON", smuggled, b"", b"x" * 20_000)):
            headers = {"Authorization": "Bearer unknown"} if number % 2 else None
            assert client.post(program.url, content=content, headers=headers).status_code in (400, 401, 413)
            assert client.post(program.url, content=body(alert(f"next {number}"))).status_code == 202
    assert [name for name in program.fingerprints() if name.startswith("next")] == [f"next {n}" for n in range(4)]


GOOD = body(alert("wire"))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(request("Content-Length: -1\r\n", GOOD), 400, id="a negative length"),
        pytest.param(request("Content-Length: many\r\n", GOOD), 400, id="a length that is no number"),
        pytest.param(request("Content-Length: 5\r\nContent-Length: 6\r\n", GOOD), 400, id="two lengths"),
        pytest.param(request("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunks(GOOD)), 400, id="both"),
        pytest.param(request("", b""), 400, id="no body"),
        pytest.param(request("Content-Length: 9999\r\n", GOOD[:-20]), 400, id="a body that ends too early"),
        pytest.param(request("Transfer-Encoding: chunked\r\n", chunks(GOOD, end=b"")), 400, id="no last chunk"),
        pytest.param(request("Transfer-Encoding: chunked\r\n", b"zz\r\n" + GOOD), 400, id="a chunk without length"),
        pytest.param(request("Transfer-Encoding: gzip, chunked\r\n", chunks(gzip.compress(GOOD))), 400, id="gzip"),
        pytest.param(request("A b: c\r\n", GOOD), 400, id="a header name with a blank"),
        pytest.param(request(f"X: {'x' * 20_000}\r\n", GOOD), 431, id="a header that is too long"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9 + b"\r\n\r\n", 400, id="TLS on a plain port"),
        pytest.param(b"hello\r\n\r\n", 400, id="no HTTP"),
    ],
)
def test_what_is_broken_on_the_wire_is_refused_and_not_stored(program: Program, sent: bytes, status: int) -> None:
    answer = program.says(sent)
    assert b"raceback" not in answer
    assert status_of(answer) == status
    assert "wire" not in program.fingerprints()


def test_a_request_line_has_room_for_three_names_however_they_are_encoded(program: Program) -> None:
    name = "\N{TELEPHONE RECEIVER}" * 200  # twelve characters each, once it is encoded
    url = program.url.replace("/alerts", "/holds")
    assert httpx.delete(url, params={"org": name, "flow_id": name, "owner": name}).status_code == 401
    assert httpx.delete(url, params={"org": name * 4}).status_code == 414


def test_each_refusal_of_ours_is_one_line_in_the_log_with_sender_and_reason(program: Program) -> None:
    before = len(program.log.splitlines())
    httpx.post(program.url, content=b"\x00\x01\n\x1b[31m", headers=AUTHORIZATION)
    httpx.post(program.url, content=b"{}")
    lines = [line for line in program.log.splitlines()[before:] if "delivery_rejected" in line]
    assert len(lines) == 2
    assert "outcome=malformed sender=127.0.0.1 detail=" in lines[0]
    assert "outcome=unauthorized sender=127.0.0.1 detail=" in lines[1]
    assert all(line.isprintable() for line in lines)
