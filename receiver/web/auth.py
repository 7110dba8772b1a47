"""Who calls: bearer tokens (RFC 6750), kept as digests and compared in constant time."""

import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from hashlib import sha256
from http import HTTPStatus
from typing import ParamSpec, TypeVar

from flask import g, request

from receiver.config import Role, Token
from receiver.web.problems import Problem

P = ParamSpec("P")
R = TypeVar("R")

_REALM = 'Bearer realm="genesys-rollback-bridge"'
_HEADER = re.compile(r"bearer +([!-~]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of a token."""

    name: str
    roles: frozenset[Role]


class Tokens:
    """The configured tokens."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._callers = [
            (_digest(token.token.get_secret_value()), Caller(token.name, frozenset(token.roles))) for token in tokens
        ]

    def requires(self, *roles: Role) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorates a view: 401 without a known token, 403 if it has none of `roles`; `caller()` is set inside."""

        def decorate(view: Callable[P, R]) -> Callable[P, R]:
            @wraps(view)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
                g.caller = self._admit(request.headers.get("Authorization"), frozenset(roles))
                return view(*args, **kwargs)

            return guarded

        return decorate

    def _admit(self, header: str | None, roles: frozenset[Role]) -> Caller:
        if header is None:
            raise _denied(HTTPStatus.UNAUTHORIZED, "a token is needed: Authorization: Bearer …", _REALM)
        found = _HEADER.fullmatch(header)
        caller = self._owner(found[1]) if found else None
        if caller is None:
            challenge = f'{_REALM}, error="invalid_token"'
            raise _denied(HTTPStatus.UNAUTHORIZED, "the token is not among `tokens` in receiver.yml", challenge)
        if not caller.roles & roles:
            wanted = " or ".join(sorted(roles))
            challenge = f'{_REALM}, error="insufficient_scope"'
            raise _denied(HTTPStatus.FORBIDDEN, f"the token {caller.name} has not the role {wanted}", challenge)
        return caller

    def _owner(self, token: str) -> Caller | None:
        given, owner = _digest(token), None
        for digest, caller in self._callers:  # every one of them, so that the time tells nothing
            if hmac.compare_digest(digest, given):
                owner = caller
        return owner


def caller() -> Caller:
    """Who makes the request that is being answered."""
    found: Caller = g.caller
    return found


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _denied(status: HTTPStatus, detail: str, challenge: str) -> Problem:
    return Problem(status, detail, headers={"WWW-Authenticate": challenge})
