"""The token, and how reads and writes differ."""

import base64
import logging
import threading
import traceback

import httpx
import pytest

from genesys.access import Access, Session
from genesys.errors import GenesysError, Gone, NotAllowed, Refused, Throttled, Unavailable
from genesys.http import Request
from tests.genesys_wire import API_URL, CLIENT_ID, LOGIN_URL, SECRET, Wire, ok, refused, tokens

READ = Request("GET", f"{API_URL}/api/v2/flows/x", "flows/{id}")
WRITE = Request("POST", f"{API_URL}/api/v2/flows/actions/publish", "flows/actions/publish", params={"flow": "x"})


def session(wire: Wire, *, timeout_s: float = 10, deadline_s: float = 30) -> Session:
    connection = wire.connection()
    access = Access(connection, login_url=LOGIN_URL, client_id=CLIENT_ID, client_secret=SECRET)
    return Session(connection, access, timeout_s=timeout_s, deadline_s=deadline_s)


def read(calls: Session) -> object:
    return calls.read(READ, deadline=calls.deadline())


def bearers(wire: Wire) -> list[str]:
    return [request.headers["Authorization"] for request in wire.requests]


def test_the_token_is_asked_for_as_documented():
    wire = Wire([ok({})])
    read(session(wire))
    request = wire.token_requests[0]
    assert (request.method, str(request.url)) == ("POST", f"{LOGIN_URL}/oauth/token")
    assert request.content == b"grant_type=client_credentials"
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(f"{CLIENT_ID}:{SECRET}".encode()).decode()
    assert bearers(wire) == ["Bearer token-1"]


def test_one_token_serves_many_calls():
    wire = Wire([ok({})] * 5)
    calls = session(wire)
    for _ in range(5):
        read(calls)
    assert len(wire.token_requests) == 1


@pytest.mark.parametrize(
    ("expires_in", "good_for_s"),
    [(86399, 86339), (300, 270)],
    ids=["a minute before a long one ends", "a tenth before a short one ends"],
)
def test_the_token_is_renewed_before_it_expires(expires_in, good_for_s):
    wire = Wire([ok({})] * 3, token=tokens(expires_in))
    calls = session(wire)
    read(calls)
    wire.time.at += good_for_s - 1
    read(calls)
    wire.time.at += 1
    read(calls)
    assert bearers(wire) == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


def test_a_read_that_gets_a_401_is_repeated_once_with_a_new_token():
    wire = Wire([refused(401), ok({"id": "x"})])
    assert read(session(wire)) == {"id": "x"}
    assert bearers(wire) == ["Bearer token-1", "Bearer token-2"]


def test_a_read_that_gets_a_401_twice_is_not_allowed():
    wire = Wire([refused(401), refused(401)])
    with pytest.raises(NotAllowed):
        read(session(wire))
    assert wire.time.slept == []


def test_a_missing_permission_does_not_cost_the_token():
    wire = Wire([refused(403), ok({})])
    calls = session(wire)
    with pytest.raises(NotAllowed):
        read(calls)
    read(calls)
    assert bearers(wire) == ["Bearer token-1", "Bearer token-1"]


def test_a_read_is_repeated_until_it_succeeds():
    wire = Wire([refused(503), httpx.ReadTimeout("slow"), refused(429, Retry_After="2"), ok({"id": "x"})])
    assert read(session(wire)) == {"id": "x"}
    assert wire.time.slept == [0.5, 1.0, 4.0]


def test_a_read_ends_at_its_deadline_with_the_last_error():
    wire = Wire()
    wire.answer_always(lambda _: refused(503))
    with pytest.raises(Unavailable) as caught:
        read(session(wire))
    assert caught.value.status == 503
    assert wire.time.at <= 1030


def test_a_read_whose_deadline_is_past_sends_nothing():
    wire = Wire([ok({})])
    calls = session(wire)
    with pytest.raises(Unavailable):
        calls.read(READ, deadline=wire.time.at)
    assert (wire.requests, wire.token_requests) == ([], [])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused(429, Retry_After="1"), Throttled),
        (refused(500), Unavailable),
        (refused(502), Unavailable),
        (refused(503, Retry_After="1"), Unavailable),
        (httpx.ReadTimeout("slow"), Unavailable),
        (httpx.RemoteProtocolError("dropped"), Unavailable),
        (httpx.Response(200, content=b'{"id": "cut'), Unavailable),
        (httpx.Response(302, headers={"Location": "/elsewhere"}), Unavailable),
        (refused(401), NotAllowed),
        (refused(403), NotAllowed),
        (refused(404), Gone),
        (refused(409), Refused),
    ],
    ids=lambda value: getattr(value, "status_code", None) or getattr(value, "__name__", None) or repr(value),
)
def test_a_write_is_never_sent_twice(answer, error):
    wire = Wire([answer])
    with pytest.raises(error):
        session(wire).write(WRITE)
    assert len(wire.requests) == 1
    assert wire.time.slept == []


def test_after_a_401_the_next_write_brings_a_new_token():
    wire = Wire([refused(401), ok({})])
    calls = session(wire)
    with pytest.raises(NotAllowed):
        calls.write(WRITE)
    calls.write(WRITE)
    assert bearers(wire) == ["Bearer token-1", "Bearer token-2"]


def test_a_write_without_a_token_is_not_sent():
    wire = Wire([], token=refused(503))
    with pytest.raises(Unavailable):
        session(wire).write(WRITE)
    assert len(wire.token_requests) == 1


def test_a_write_whose_token_took_too_long_is_not_sent():
    wire = Wire([])

    def slow(_: httpx.Request) -> httpx.Response:
        wire.time.at += 9.9
        answer = ok({"access_token": "late", "expires_in": 86399})
        wire.time.at += 0.1
        return answer

    wire.token = slow
    with pytest.raises(Unavailable):
        session(wire).write(WRITE)
    assert wire.requests == []


def test_the_limit_of_the_token_endpoint_is_a_limit_although_it_says_400():
    said = {"error": "invalid_request", "description": "Rate limit exceeded the maximum"}
    wire = Wire([], token=httpx.Response(400, json=said))
    with pytest.raises(Throttled) as caught:
        read(session(wire))
    assert (caught.value.code, caught.value.retry_after_s) == ("invalid_request", 60)
    assert len(wire.token_requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403])
def test_wrong_credentials_are_not_allowed_and_not_tried_again(status):
    said = {"error": "invalid_client", "description": "client not found: x"}
    wire = Wire([], token=httpx.Response(status, json=said))
    with pytest.raises(NotAllowed, match="client not found"):
        read(session(wire))
    assert len(wire.token_requests) == 1


def test_any_other_refusal_of_a_token_stays_one():
    wire = Wire([], token=refused(405))
    with pytest.raises(Refused):
        read(session(wire))


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"access_token": "", "expires_in": 60},
        {"access_token": "with space", "expires_in": 60},
        {"access_token": "with\nnewline", "expires_in": 60},
        {"access_token": "ümlaut", "expires_in": 60},
        {"access_token": 5, "expires_in": 60},
        {"access_token": "t"},
        {"access_token": "t", "expires_in": "60"},
        {"access_token": "t", "expires_in": -1},
        {"access_token": "t", "expires_in": True},
    ],
)
def test_a_token_answer_that_is_not_as_documented_gives_no_token(answer):
    wire = Wire([], token=lambda _: ok(answer))
    with pytest.raises(Unavailable, match="unexpected answer"):
        read(session(wire, deadline_s=0.1))


def test_the_token_endpoint_does_not_overwrite_the_rate_limit_of_the_api():
    limits = {"inin-ratelimit-count": "1", "inin-ratelimit-allowed": "10", "inin-ratelimit-reset": "5"}
    wire = Wire([ok({})], token=ok({"access_token": "t", "expires_in": 60}, limits))
    calls = session(wire)
    read(calls)
    assert calls.connection.rate_limit is None


def test_threads_that_need_a_token_at_once_share_one_renewal():
    both_wait = threading.Barrier(9)
    wire = Wire([ok({})] * 8)
    issue = wire.token

    def slow(request: httpx.Request) -> httpx.Response:
        threading.Event().wait(0.05)
        return issue(request)

    wire.token = slow
    calls = session(wire)
    threads = [threading.Thread(target=lambda: (both_wait.wait(), read(calls))) for _ in range(8)]
    for thread in threads:
        thread.start()
    both_wait.wait()
    for thread in threads:
        thread.join()
    assert len(wire.token_requests) == 1
    assert len(wire.requests) == 8


def test_nobody_waits_beyond_a_deadline_for_a_renewal_of_another_thread():
    asked, answered = threading.Event(), threading.Event()
    wire = Wire([ok({})])
    issue = wire.token

    def held(request: httpx.Request) -> httpx.Response:
        asked.set()
        answered.wait(timeout=5)
        return issue(request)

    wire.token = held
    calls = session(wire)
    renewing = threading.Thread(target=read, args=[calls])
    renewing.start()
    asked.wait(timeout=5)
    with pytest.raises(Unavailable, match="still asking"):
        calls.read(READ, deadline=wire.time.at)
    answered.set()
    renewing.join()
    assert len(wire.token_requests) == 1


def test_a_401_for_an_old_token_does_not_cost_the_one_that_was_fetched_since():
    wire = Wire([])
    connection = wire.connection()
    access = Access(connection, login_url=LOGIN_URL, client_id=CLIENT_ID, client_secret=SECRET)
    first = access.token(timeout_s=10, deadline=2000)
    access.forget(first)
    second = access.token(timeout_s=10, deadline=2000)
    access.forget(first)
    assert access.token(timeout_s=10, deadline=2000) == second


def echo_credentials(request: httpx.Request) -> httpx.Response:
    seen = request.headers["Authorization"]
    return refused(400, seen.split()[1], f"cannot understand {seen}")


FAILURES = {
    "refused": [refused(400)],
    "echoed": [echo_credentials],
    "not allowed": [refused(401), refused(401)],
    "throttled": [refused(429)],
    "dropped": [httpx.ReadError("gone")],
    "not JSON": [httpx.Response(200, content=b"<html>")],
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
@pytest.mark.parametrize("action", ["read", "write", "token"])
def test_no_secret_gets_into_a_log_an_error_or_a_repr(failure, action, caplog):
    caplog.set_level(logging.DEBUG)
    token = "t0k3n-of-tests"
    issue = ok({"access_token": token, "expires_in": 86399})
    wire = Wire([], token=failure[0]) if action == "token" else Wire(failure, token=issue)
    calls = session(wire, deadline_s=0.1)
    with pytest.raises(GenesysError) as caught:
        calls.write(WRITE) if action == "write" else read(calls)
    basic = base64.b64encode(f"{CLIENT_ID}:{SECRET}".encode()).decode()
    shown = [str(caught.value), repr(caught.value), *traceback.format_exception(caught.value)]
    shown += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    shown += [repr(value) for value in (calls, calls.__dict__, calls._access, calls._access._request)]
    assert caplog.records
    assert not [text for text in shown if token in text or SECRET in text or basic in text]
