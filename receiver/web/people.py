"""People, as a trusted proxy in front of the receiver or, on the same host, Basic names them.

A browser sends either by itself, whichever page asks it to: so a change has to come from a page of ours.
"""

import hmac
import logging
from hashlib import sha256
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from flask import Request

from genesys.log import event
from receiver.addresses import HttpUrl
from receiver.callers import BASIC, PROXY, Caller, Grant
from receiver.config import Group, Person, Proxy, Token
from receiver.web.problems import Problem

log = logging.getLogger(__name__)

_MAX_NAME_CHARS = 200
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OURS = frozenset({"same-origin", "none"})  # none: no page has asked, but a person
_FORWARDED = frozenset({"Forwarded", "X-Real-Ip", "Via"})


class People:
    """Who may be named by whom."""

    def __init__(self, proxy: Proxy | None, people: tuple[Person, ...], external_url: HttpUrl | None) -> None:
        self._proxy = proxy
        self._basic = {_digest(one.name): (_digest(one.password.get_secret_value()), _caller_of(one)) for one in people}
        self._origin = None if external_url is None else _origin_of(external_url)
        self._has_warned = False

    def named_by(self, request: Request) -> Caller | None:
        """Who makes the request; None if nobody is named. Raises Problem 403 if a foreign page has asked."""
        found = self._by_proxy(request) or self._by_basic(request)
        if found is not None and request.method not in _SAFE:
            self._check_origin(request)
        return found

    def takes_basic(self, request: Request) -> bool:
        """Only on this host, and from nobody who passes on what comes from another."""
        peer = _peer(request)
        if not self._basic or peer is None or not peer.is_loopback or self._is_proxy(peer):
            return False
        return not any(name in _FORWARDED or name.startswith("X-Forwarded-") for name, _ in request.headers)

    def _by_proxy(self, request: Request) -> Caller | None:
        proxy = self._proxy
        if proxy is None or proxy.user_header not in request.headers:
            return None
        peer = _peer(request)
        if peer is None or not self._is_proxy(peer):
            if not self._has_warned:  # once: whoever sends it could fill the log with it
                self._has_warned = True
                cure = "if this is your proxy, add it to proxy.addresses"
                event(log, logging.WARNING, "identity_header_ignored", sender=request.remote_addr, cure=cure)
            return None
        name = _text(request.headers[proxy.user_header]).strip()
        # A header that came twice is one with a comma: one of both is not the proxy's.
        if not name or len(name) > _MAX_NAME_CHARS or not name.isprintable() or "," in name:
            return None
        groups = {one.strip() for one in _text(request.headers.get(proxy.groups_header, "")).split(",")}
        grants = tuple(grant_of(one) for one in proxy.groups if one.group in groups)
        return Caller(f"{PROXY}{name}", grants)

    def _by_basic(self, request: Request) -> Caller | None:
        given = request.authorization
        if given is None or given.type != "basic" or not self.takes_basic(request):
            return None
        expected, caller = self._basic.get(_digest(given.username or ""), (b"", None))
        return caller if hmac.compare_digest(expected, _digest(given.password or "")) else None

    def _is_proxy(self, peer: IPv4Address | IPv6Address) -> bool:
        return self._proxy is not None and any(peer in network for network in self._proxy.addresses)

    def _check_origin(self, request: Request) -> None:
        """Raises Problem 403. Without either header it is no browser of these years."""
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None:
            ours = site in _OURS
        else:
            origin = request.headers.get("Origin")
            ours = origin is None or origin in {self._origin, _origin_of(request.host_url)}
        if not ours:
            raise Problem(HTTPStatus.FORBIDDEN, "a page of another site has asked for this change: it was not made")


def _text(header: str) -> str:
    """UTF-8, which WSGI hands over as if it were Latin-1; what is no UTF-8 is nobody's name."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return ""


def _peer(request: Request) -> IPv4Address | IPv6Address | None:
    """Who has opened the connection; None for a socket without an address."""
    try:
        found = ip_address(request.remote_addr or "")
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _caller_of(person: Person) -> Caller:
    return Caller(f"{BASIC}{person.name}", (grant_of(person),))


def grant_of(one: Token | Group | Person) -> Grant:
    """What is configured for it; the flows of divisions are looked up when it calls."""
    return Grant(frozenset(one.roles), _set(one.organizations), _set(one.divisions))


def _set(named: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if named is None else frozenset(named)


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="surrogatepass")).digest()
