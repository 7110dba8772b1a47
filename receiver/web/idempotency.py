"""`Idempotency-Key`: the same order, sent again by the same token with the same key, has one effect and one answer.

What was refused had no effect: it is decided anew when it comes again.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from flask import Response, g, request

from receiver.store import idempotency
from receiver.store.database import Store, Transaction, clock
from receiver.store.idempotency import Answer, KeyReused, Order
from receiver.web.auth import caller
from receiver.web.problems import Problem, bad_request

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_CHARS = 200
KEY = f"^[!-~]{{1,{MAX_CHARS}}}$"
_KEY = re.compile(KEY)
_NO_BODY = sha256(b"").hexdigest()

Work = Callable[[Transaction], tuple[Any, HTTPStatus]]
"""Has the effect, and gives the answer's document and status."""


@dataclass(frozen=True, slots=True)
class Request:
    """The request that is being answered, once its body was read; `order` is None without a key."""

    order: Order | None

    def answer(self, store: Store, work: Work) -> Response:
        """What `work` gives, in one transaction with its being kept. Raises Problem 422, and what `work` raises."""
        return self.respond(store.transact(self.once, work))

    def answered(self, store: Store) -> Answer | None:
        """The answer if it was given before, for who has much to do before the transaction. Raises Problem 422."""
        if self.order is None:
            return None
        try:
            return store.transact(idempotency.find, self.order)
        except KeyReused:
            raise _reused() from None

    def once(self, tx: Transaction, work: Work) -> Answer:
        """The same as `answer`, in a transaction that somebody else has begun."""
        if self.order is None:
            return _answer(work, tx)
        try:
            return idempotency.once(tx, self.order, lambda tx: _answer(work, tx), now=clock(tx))
        except KeyReused:
            raise _reused() from None

    def respond(self, answer: Answer) -> Response:
        headers = {REPLAYED: "true"} if answer.again else {}
        return Response(answer.content, answer.status, headers, mimetype="application/json")


def this_request() -> Request:
    """Raises Problem 400 for a key that cannot be one."""
    key = request.headers.get(HEADER)
    return Request(None) if key is None else request_with(key)


def request_with(key: str) -> Request:
    """The same where the key has come another way than in the header. Raises Problem 400."""
    if _KEY.fullmatch(key) is None:
        detail = f"must be 1 to {MAX_CHARS} printable ASCII characters without spaces"
        raise bad_request([{"detail": detail, "parameter": HEADER}])
    asked = f"{request.method} {request.path} {g.get('body_digest', _NO_BODY)}"
    return Request(Order(caller().name, key, sha256(asked.encode()).hexdigest()))


def _answer(work: Work, tx: Transaction) -> Answer:
    document, status = work(tx)
    return Answer(status.value, json.dumps(document) + "\n")


def _reused() -> Problem:
    detail = f"this {HEADER} belongs to another order of yours: give each order its own, and send each as it was"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
