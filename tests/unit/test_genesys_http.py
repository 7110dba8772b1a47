"""One request, its bounds and its errors; and how reads are repeated."""

import contextlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.dialect import RateLimit
from genesys.errors import GenesysError, Gone, NotAllowed, Refused, Throttled, Unavailable
from genesys.http import Request, repeat
from tests.genesys_wire import NOON, FakeTime, Wire, ok, refused

GET = Request("GET", "https://api.genesys.example/api/v2/flows/x", "flows/{id}", authorization="Bearer t0k3n-of-tests")


def send(step, **options):
    wire = Wire([step])
    return wire, wire.connection(**options).send(GET, within_s=10)


def error_of(step, **options) -> GenesysError:
    with pytest.raises(GenesysError) as caught:
        send(step, **options)
    return caught.value


def expected_class(status: int) -> type[GenesysError]:
    """Written from the table of the issue, not from the code."""
    named = {401: NotAllowed, 403: NotAllowed, 404: Gone, 410: Gone, 408: Unavailable, 429: Throttled}
    return named.get(status, Refused if 400 <= status <= 499 else Unavailable)


BODIES = {
    "documented": b'{"message": "No", "code": "no.way", "status": 0, "contextId": "ctx-9", "details": []}',
    "empty": b"",
    "html": b"<html><body>502 Bad Gateway</body></html>",
    "cut off": b'{"message": "No',
    "not an object": b"[1, 2]",
    "wrong types": b'{"message": 5, "code": [], "contextId": {}}',
    "not UTF-8": b"\xff\xfe{}",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_every_status_that_is_no_success_has_its_class_whatever_the_body(body):
    for status in (*range(100, 200), *range(300, 600)):
        error = error_of(httpx.Response(status, content=body))
        assert (error.status, type(error)) == (status, expected_class(status))


def test_a_success_without_whole_json_is_no_answer():
    for status in range(200, 300):
        assert type(error_of(httpx.Response(status, content=b'{"id": "x"'))) is Unavailable
        assert type(error_of(httpx.Response(status))) is Unavailable
        assert send(httpx.Response(status, content=b'{"id": "x"}'))[1] == {"id": "x"}


@pytest.mark.parametrize("body", [b"NaN", b'{"count": Infinity}', b"[" * 100_000, b"<html>"])
def test_what_is_not_json_is_no_answer(body):
    assert type(error_of(httpx.Response(200, content=body))) is Unavailable


def test_an_error_carries_what_support_asks_for():
    error = error_of(refused(409, "flow.locked", "The flow is\nlocked"))
    assert (error.code, error.context_id, str(error)) == (
        "flow.locked",
        "ctx-1",
        "The flow is locked (HTTP 409, flow.locked, contextId ctx-1)",
    )
    assert error_of(httpx.Response(500, headers={"ININ-Correlation-Id": "corr-1"})).context_id == "corr-1"


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.WriteTimeout("slow"),
        httpx.PoolTimeout("busy"),
        httpx.RemoteProtocolError("gone"),
        httpx.ReadError("gone"),
        httpx.DecodingError("bad gzip"),
        httpx.ProxyError("no"),
        httpx.UnsupportedProtocol("what"),
        httpx.TooManyRedirects("many"),
        httpx.InvalidURL("what"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_no_exception_of_httpx_gets_out(failure):
    error = error_of(failure)
    assert type(error) is Unavailable
    assert "api.genesys.example" in str(error)
    assert type(failure).__name__ in str(error)


def test_a_redirect_is_not_followed():
    wire = Wire([httpx.Response(302, headers={"Location": "https://elsewhere.example/"})])
    with pytest.raises(Unavailable, match="redirected"):
        wire.connection().send(GET, within_s=10)
    assert len(wire.requests) == 1


def test_an_answer_that_is_too_large_is_given_up():
    for bound in ("max_kept_bytes", "max_answer_bytes"):
        assert "larger than 100 bytes" in str(error_of(ok({"text": "x" * 200}), **{bound: 100}))


def test_an_answer_that_trickles_past_its_time_is_given_up():
    wire = Wire()

    def trickle():
        for _ in range(100):
            wire.time.at += 1
            yield b" "

    wire.answer_always(httpx.Response(200, content=trickle()))
    with pytest.raises(Unavailable, match="not complete in time"):
        wire.connection().send(GET, within_s=10)
    assert wire.time.at == 1011


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "42"}, 42),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "Sun, 22 Nov 2026 14:00:30 GMT", "Date": "Sun, 22 Nov 2026 14:00:00 GMT"}, 30),
        ({"Retry-After": "Sun, 22 Nov 2026 13:00:00 GMT", "Date": "Sun, 22 Nov 2026 14:00:00 GMT"}, 0),
        ({"Retry-After": "soon", "inin-ratelimit-reset": "17"}, 17),
        ({"inin-ratelimit-reset": "17"}, 17),
        ({"Retry-After": "-5"}, 60),
        ({"Retry-After": "nan"}, 60),
        ({"Retry-After": "inf"}, 60),
        ({"Retry-After": "Sun, 99 Nov 2026 14:00:30 GMT"}, 60),
        ({}, 60),
    ],
)
def test_the_time_to_wait_is_read_from_whichever_header_names_it(headers, seconds):
    error = error_of(httpx.Response(429, headers=headers))
    assert isinstance(error, Throttled)
    assert error.retry_after_s == seconds


def test_a_date_to_wait_for_is_compared_with_our_clock_if_the_answer_has_none():
    half_a_minute_later = httpx.Response(429, headers={"Retry-After": "Sun, 22 Nov 2026 12:03:50 GMT"})
    error = error_of(half_a_minute_later)
    assert isinstance(error, Throttled)
    assert error.retry_after_s == 30
    assert NOON == 1_795_349_000


@given(st.text(max_size=40).filter(lambda text: text.isascii() and text.isprintable()))
def test_any_retry_after_gives_a_wait_that_is_finite_and_not_negative(text):
    error = error_of(httpx.Response(429, headers={"Retry-After": text}))
    assert isinstance(error, Throttled)
    assert 0 <= error.retry_after_s <= 86_400


def test_the_rate_limit_is_kept_from_the_newest_answer_that_tells_it():
    wire = Wire(
        [
            ok({}, {"inin-ratelimit-count": "7", "inin-ratelimit-allowed": "300", "inin-ratelimit-reset": "42"}),
            ok({}),
            ok({}, {"inin-ratelimit-count": "many", "inin-ratelimit-allowed": "300", "inin-ratelimit-reset": "1"}),
        ]
    )
    connection = wire.connection()
    assert connection.rate_limit is None
    for _ in range(3):
        connection.send(GET, within_s=10)
        assert connection.rate_limit == RateLimit(allowed=300, used=7, reset_s=42.0, read_at=NOON)


def test_every_request_is_observed_under_the_template_of_its_endpoint():
    wire = Wire([ok({}), refused(503), httpx.ConnectError("no")])
    connection = wire.connection()
    connection.send(GET, within_s=10)
    for _ in range(2):
        with pytest.raises(Unavailable):
            connection.send(GET, within_s=10)
    assert [(call.endpoint, call.code) for call in wire.calls] == [
        ("flows/{id}", "200"),
        ("flows/{id}", "503"),
        ("flows/{id}", "error"),
    ]


def test_a_credential_that_is_echoed_is_not_repeated_in_the_error():
    error = error_of(refused(400, "t0k3n-of-tests", "bad token t0k3n-of-tests"))
    assert "t0k3n" not in f"{error} {error!r} {error.code}"


class Failing:
    """Raises each error once, then succeeds; every call takes a second."""

    def __init__(self, time: FakeTime, *errors: Exception) -> None:
        self.time, self.errors, self.calls = time, list(errors), 0

    def __call__(self) -> str:
        self.calls += 1
        self.time.at += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_what_may_pass_is_repeated_with_growing_pauses():
    time = FakeTime()
    call = Failing(time, *(Unavailable("no") for _ in range(6)))
    assert repeat(call, deadline=time.at + 60, clock=time.clock()) == "done"
    assert time.slept == [0.5, 1, 2, 4, 8, 8]


def test_chance_halves_a_pause_at_most():
    time = FakeTime(chance=0.0)
    repeat(Failing(time, Unavailable("no")), deadline=time.at + 60, clock=time.clock())
    assert time.slept == [0.25]


@pytest.mark.parametrize("error", [NotAllowed("no"), Gone("no"), Refused("no"), ValueError("a mistake of ours")])
def test_what_cannot_pass_is_not_repeated(error):
    time = FakeTime()
    call = Failing(time, error)
    with pytest.raises(type(error)):
        repeat(call, deadline=time.at + 60, clock=time.clock())
    assert call.calls == 1


def test_a_throttled_read_waits_as_long_as_it_was_told_and_then_some():
    time = FakeTime()
    repeat(Failing(time, Throttled("slow down", retry_after_s=12)), deadline=time.at + 30, clock=time.clock())
    assert time.slept == [12.5]


def test_a_wait_beyond_the_deadline_is_left_to_the_caller():
    time = FakeTime()
    call = Failing(time, Throttled("slow down", retry_after_s=42))
    with pytest.raises(Throttled) as caught:
        repeat(call, deadline=time.at + 30, clock=time.clock())
    assert (caught.value.retry_after_s, call.calls, time.slept) == (42, 1, [])


@given(st.lists(st.one_of(st.just(None), st.floats(0, 100)), max_size=50), st.floats(0, 1), st.floats(0.1, 60))
def test_a_repetition_never_begins_after_the_deadline(waits, chance, deadline_s):
    time = FakeTime(chance=chance)
    deadline = time.at + deadline_s
    started = []
    errors = [Unavailable("no") if wait is None else Throttled("no", retry_after_s=wait) for wait in waits]

    def call() -> None:
        started.append(time.at)
        if errors:
            raise errors.pop(0)

    with contextlib.suppress(Throttled, Unavailable):
        repeat(call, deadline=deadline, clock=time.clock())
    assert all(at < deadline for at in started)
