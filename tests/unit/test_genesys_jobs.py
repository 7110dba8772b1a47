"""Export and deploy jobs, and the storage of their files, which is another host."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from genesys.errors import GenesysError, NotAllowed, Refused, Unavailable
from genesys.http import PIECE_BYTES, Connection
from genesys.jobs import MAX_FILE_BYTES, Job, Jobs, JobStatus, Upload, flow_named_in
from tests.genesys_wire import API_URL, Wire, ok

STORAGE = "https://bucket.storage.example"
SIGNED = f"{STORAGE}/file?X-Amz-Signature=s3cr3t"
REGISTERED = {"id": "j1", "presignedUrl": SIGNED, "headers": {"x-amz-meta-job": "j1"}}


class _Streaming(httpx.BaseTransport):
    """Takes the body of a request piece by piece."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.handle_request = answer  # type: ignore[method-assign]


def jobs_of(wire: Wire) -> Jobs:
    return Jobs(wire.session(), api_url=API_URL)


def file(content: bytes = b"inboundCall: {}", status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, content=content, headers=headers)


def test_an_export_asks_for_one_version_as_yaml() -> None:
    wire = Wire([ok({"id": "j1", "status": "Registered"})])

    assert jobs_of(wire).export("flow-1", "13.0") == "j1"

    (asked,) = wire.requests
    assert (asked.method, str(asked.url)) == ("POST", f"{API_URL}/api/v2/flows/export/jobs")
    assert json.loads(asked.content) == {"flows": [{"flow": {"id": "flow-1", "version": "13.0"}, "exportType": "Yaml"}]}


@pytest.mark.parametrize(
    ("told", "job"),
    [
        ({"status": "Registered"}, Job("j1", JobStatus.REGISTERED)),
        ({"status": "STARTED"}, Job("j1", JobStatus.STARTED)),
        ({"status": "Success", "downloadUrl": SIGNED}, Job("j1", JobStatus.SUCCESS, url=SIGNED)),
        (
            {"status": "Failure", "messages": [{"type": "Error", "text": "a\nb"}, {"text": "c"}]},
            Job("j1", JobStatus.FAILURE, problem="a b c"),
        ),
    ],
    ids=lambda value: value["status"] if isinstance(value, dict) else "",
)
def test_an_export_is_followed(told: dict[str, Any], job: Job) -> None:
    wire = Wire([ok({"id": "j1"} | told)])

    assert jobs_of(wire).exported("j1") == job
    assert str(wire.requests[0].url) == f"{API_URL}/api/v2/flows/export/jobs/j1?expand=messages"


@pytest.mark.parametrize("told", [{"status": "Paused"}, {}, {"status": "Success"}], ids=["unknown", "none", "no file"])
def test_a_state_that_is_not_as_documented_is_no_state(told: dict[str, Any]) -> None:
    wire = Wire()
    wire.answer_always(ok({"id": "j1"} | told))
    with pytest.raises(Unavailable, match="unexpected answer"):
        jobs_of(wire).exported("j1")


def test_a_file_is_fetched_and_put_without_our_token_and_with_the_headers_that_belong_to_it() -> None:
    wire = Wire([file(), ok(REGISTERED), file(b"")])
    jobs = jobs_of(wire)

    content = jobs.fetch(SIGNED)
    jobs.upload(jobs.register(), content)

    fetched, registered, put = wire.requests
    assert (content, put.content) == (b"inboundCall: {}", b"inboundCall: {}")
    assert (fetched.method, put.method) == ("GET", "PUT")
    assert str(fetched.url) == str(put.url) == SIGNED
    assert "Authorization" in registered.headers
    assert put.headers["x-amz-meta-job"] == "j1"
    assert not {"Authorization", "Cookie"} & {name.title() for one in (fetched, put) for name in one.headers}
    assert "s3cr3t" not in repr(Upload("j1", SIGNED, {"a": "s3cr3t"})) + repr(Job("j1", JobStatus.SUCCESS, url=SIGNED))


@pytest.mark.parametrize(
    "url",
    ["http://bucket.storage.example/file", "ftp://127.0.0.1/file", "https://u:p@storage.example/", "/file"],
)
def test_an_address_that_is_not_safe_is_neither_asked_nor_given_a_file(url: str) -> None:
    wire = Wire([ok(REGISTERED | {"presignedUrl": url})])
    jobs = jobs_of(wire)

    for call in (lambda: jobs.fetch(url), jobs.register):
        with pytest.raises(Unavailable, match="the storage's address"):
            call()
    assert [one.url.host for one in wire.requests] == ["api.genesys.example"]


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080"])
def test_http_will_do_on_our_own_host(host: str) -> None:
    assert jobs_of(Wire([file()])).fetch(f"http://{host}/file") == b"inboundCall: {}"


def test_a_file_that_is_too_large_is_not_taken() -> None:
    wire = Wire()
    wire.answer_always(file(b"x" * (MAX_FILE_BYTES + 1)))
    connection = Wire.connection(wire, max_kept_bytes=2 * MAX_FILE_BYTES, max_answer_bytes=4 * MAX_FILE_BYTES)
    with pytest.raises(Refused, match="larger than"):
        Jobs(wire.session(connection=connection), api_url=API_URL).fetch(SIGNED)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (file(b"<Error/>", 403), NotAllowed),
        (file(b"", 307, Location="https://elsewhere.example/"), Unavailable),
        (file(b"", 503), Unavailable),
        (httpx.ReadTimeout("late"), Unavailable),
    ],
    ids=["refused", "redirected", "unavailable", "late"],
)
def test_an_upload_is_sent_once_whatever_is_answered(
    answer: httpx.Response | Exception, error: type[GenesysError]
) -> None:
    wire = Wire([ok(REGISTERED), answer])
    jobs = jobs_of(wire)
    upload = jobs.register()

    with pytest.raises(error) as told:
        jobs.upload(upload, b"x")

    assert len(wire.requests) == 2
    assert "s3cr3t" not in str(told.value)


def test_a_file_that_takes_too_long_is_broken_off() -> None:
    """Otherwise it could arrive when nobody counts on it any more."""
    wire = Wire()
    taken = []

    def slowly(request: httpx.Request) -> httpx.Response:
        for piece in request.stream:  # type: ignore[union-attr]
            taken.append(piece)
            wire.time.at += 6
        return file(b"")

    connection = Connection(transport=_Streaming(slowly), clock=wire.time.clock())
    jobs = Jobs(wire.session(connection=connection), api_url=API_URL)
    with pytest.raises(Unavailable, match="in time"):
        jobs.upload(Upload("j1", SIGNED, {}), b"x" * 10 * PIECE_BYTES)
    assert len(taken) == 2


@pytest.mark.parametrize(
    ("file", "name"),
    [
        pytest.param("inboundCall:\n  name: Main IVR\n  description: x\n", "Main IVR", id="plain"),
        pytest.param("workflow:\n    description: x\n    name: 'It''s: ours'\n", "It's: ours", id="quoted"),
        pytest.param('# made by\n\nbot:\n  name: "M\\u00e4in"  # so\n', "M\u00e4in", id="escaped, with comments"),
        pytest.param("workflow:\n  name: 42\n", "42", id="a number"),
        pytest.param("workflow:\n  variables:\n    name: another\n  name: ours\n", "ours", id="another name before"),
        pytest.param("workflow:\n  variables:\n    name: another\n", None, id="only another name"),
        pytest.param("workflow:\n  x: y\nother:\n  name: another\n", None, id="the name of something else"),
        pytest.param("name: ours\n", None, id="no type"),
        pytest.param("workflow:\n  name: {\n", None, id="no YAML"),
        pytest.param("PK\x03\x04", None, id="an archive"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_a_file_says_of_which_flow_it_is(file: str, name: str | None) -> None:
    assert flow_named_in(file.encode()) == name


def test_what_was_deployed_is_told() -> None:
    wire = Wire([ok({"id": "j1", "status": "Success", "command": "Publish", "flow": {"id": "flow-1"}})])

    assert jobs_of(wire).deployed("j1") == Job("j1", JobStatus.SUCCESS, flow_id="flow-1")
    assert str(wire.requests[0].url) == f"{API_URL}/api/v2/flows/jobs/j1?expand=messages"
