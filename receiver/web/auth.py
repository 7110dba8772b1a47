"""Who calls: bearer tokens (RFC 6750), kept as digests and compared in constant time.

Those of receiver.yml are known without the database; the others are looked up with every request, so that a revoked
one is of no use from then on, whichever receiver it is shown to.
"""

import hmac
import re
from collections.abc import Callable, Iterable
from functools import wraps
from hashlib import sha256
from http import HTTPStatus
from typing import ParamSpec, TypeVar

from flask import g, request

from receiver import bearer
from receiver.callers import Caller
from receiver.config import Role, Token
from receiver.store import divisions, tokens
from receiver.store.database import Store, clock
from receiver.web.documented import ROLES
from receiver.web.people import People, grant_of
from receiver.web.problems import Problem

P = ParamSpec("P")
R = TypeVar("R")

_REALM = 'Bearer realm="genesys-rollback-bridge"'
_BASIC = 'Basic realm="genesys-rollback-bridge", charset="UTF-8"'
_HEADER = re.compile(r"bearer +([!-~]+)", re.IGNORECASE)


class Tokens:
    """The tokens that are known here."""

    def __init__(self, configured: Iterable[Token], store: Store, people: People) -> None:
        self._store = store
        self._people = people
        self._callers = [(_digest(token.token.get_secret_value()), _caller_of(token)) for token in configured]

    def requires(self, *roles: Role) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorates a view: 401 without a known token, 403 if it has none of `roles`.

        Inside, `caller()` is set, and what it may reach with these roles (`receiver.web.reach`). Who is limited to
        divisions needs the database: raises StoreUnavailable.
        """

        def decorate(view: Callable[P, R]) -> Callable[P, R]:
            @wraps(view)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
                g.caller = self._admit(request.headers.get("Authorization"), frozenset(roles))
                g.reach = g.caller.reach(roles)
                return view(*args, **kwargs)

            guarded.__dict__[ROLES] = roles
            return guarded

        return decorate

    def _admit(self, header: str | None, roles: frozenset[Role]) -> Caller:
        found = None if header is None else _HEADER.fullmatch(header)
        caller = self._owner(found[1]) if found else self._people.named_by(request)
        basic = (_BASIC,) if self._people.takes_basic(request) else ()
        if caller is None and header is None:
            detail = "a token is needed: Authorization: Bearer …"
            raise Problem(HTTPStatus.UNAUTHORIZED, detail, challenges=(_REALM, *basic))
        if caller is None:
            detail, challenge = "the token is not known here, or is valid no longer", f'{_REALM}, error="invalid_token"'
            raise Problem(HTTPStatus.UNAUTHORIZED, detail, challenges=(challenge, *basic))
        if not caller.roles & roles:
            detail = f"{caller.name} has not the role {' or '.join(sorted(roles))}"
            raise Problem(HTTPStatus.FORBIDDEN, detail, challenges=(f'{_REALM}, error="insufficient_scope"',))
        if all(grant.divisions is None for grant in caller.grants):
            return caller
        with self._store.begin() as tx:
            return divisions.looked_up(tx, caller)

    def _owner(self, token: str) -> Caller | None:
        given, owner = _digest(token), None
        for digest, caller in self._callers:  # every one of them, so that the time tells nothing
            if hmac.compare_digest(digest, given):
                owner = caller
        return owner or self._stored(token)

    def _stored(self, token: str) -> Caller | None:
        """Raises StoreUnavailable."""
        token_id = bearer.id_of(token)
        if token_id is None:  # nothing that a database need be asked for
            return None
        with self._store.begin() as tx:
            found, now = tokens.find(tx, token_id), clock(tx)
        if found is None or not hmac.compare_digest(found[0], bearer.digest_of(token)):
            return None
        return found[1].caller if found[1].is_valid(now) else None


def caller() -> Caller:
    """Who makes the request that is being answered."""
    found: Caller = g.caller
    return found


def _caller_of(token: Token) -> Caller:
    return Caller(token.name, (grant_of(token),))


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
