"""A page: its template, and what every page needs besides its own. Also those that say why something is not there."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Response, g, make_response, render_template, request, url_for

from receiver.callers import Caller
from receiver.config import ReceiverSettings, Role
from receiver.desk import Desk
from receiver.metrics import ReceiverMetrics
from receiver.store.controls import EVERY_ORG
from receiver.store.database import Store
from receiver.web.auth import Tokens
from receiver.web.console import chart, links, times, words
from receiver.web.console.again import Again
from receiver.web.console.links import Link
from receiver.web.fields import Strict
from receiver.web.problems import Problem
from receiver.web.reach import touches

NAME = "console"
PREFIX = "/console"
KEY = "idempotency_key"

_HEADERS = {
    # With no-referrer, as everywhere else, a browser hides the origin of a form too, and without Sec-Fetch-Site
    # (no TLS) nobody could tell ours from others'.
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


@dataclass(frozen=True, slots=True)
class Console:
    """What the pages are made of; as `create_app` has it."""

    store: Store
    tokens: Tokens
    settings: ReceiverSettings
    orgs: tuple[str, ...]
    metrics: ReceiverMetrics
    desks: Mapping[str, Desk]

    def orgs_seen(self) -> list[str]:
        """Those of the organizations of which the caller may see something with this request."""
        return [org for org in self.orgs if touches(org)]


class PageQuery(Strict):
    """`said`: what was ordered last; see `words.SAID`."""

    said: str = ""


def page(
    template: str, title: str, *, now: float | None, status: HTTPStatus = HTTPStatus.OK, **values: Any
) -> Response:
    """A page for whoever asks; `now` is the database's time of what is shown, if that was read."""
    given = _for_every_page() | {"title": title, "now": now} | values
    answer = make_response(render_template(f"{NAME}/{template}", **given), status.value)
    answer.headers.update(_HEADERS)
    return answer


def problem_page(problem: Problem, settings: ReceiverSettings) -> Response:
    """What a person reads instead of a problem document; with its status and its headers."""
    unknown = problem.status is HTTPStatus.UNAUTHORIZED
    ordered = request.method == "POST"
    answer = page(
        "entrance.html" if unknown else "problem.html",
        problem.status.phrase,
        now=None,
        status=problem.status,
        problem=problem,
        refused=ordered and HTTPStatus.BAD_REQUEST <= problem.status < HTTPStatus.INTERNAL_SERVER_ERROR,
        in_doubt=ordered and problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        places=_where_it_shows() if ordered else [],
        by_proxy=settings.proxy is not None,
        by_basic=bool(settings.people),
        external_url=settings.external_url,
    )
    answer.headers.update(problem.headers)
    for challenge in problem.challenges:  # a line for each: Chromium sees no further than the first one of a line
        answer.headers.add("WWW-Authenticate", challenge)
    return answer


def _where_it_shows() -> list[Link]:
    """Pages on which people see whether what they ordered with this request was done."""
    about = request.view_args or {}
    found = [Link("The rollbacks", link("list_rollbacks"))]
    if "rollback_id" in about:
        found.append(Link("This rollback", link("show_rollback", rollback_id=about["rollback_id"])))
    if "flow_id" in about:
        found.append(Link("The flow", link("show_flow", org=about["org"], flow_id=about["flow_id"])))
    return found


def link(endpoint: str, **values: str | int | None) -> str:
    """The address of a page of ours, from the page that is being answered."""
    there = url_for(f"{NAME}.{endpoint}", **values)  # type: ignore[arg-type]
    return links.relative(request.path, there.removeprefix(request.script_root))


def may_order(org: str, *flow_ids: str) -> bool:
    """Whether the caller is an operator over all of these flows; without any, or with `*`, over the organization.

    Of the organization `*`, in every one.
    """
    caller: Caller | None = g.get("caller")
    if caller is None:
        return False
    if org == EVERY_ORG:
        return caller.reach((Role.OPERATOR,)).is_everything
    return Role.OPERATOR in caller.roles_in(org, *flow_ids)


def _may_order_something(org: str) -> bool:
    """Whether the caller is an operator over a flow of the organization, at least."""
    caller: Caller | None = g.get("caller")
    return caller is not None and caller.reach((Role.OPERATOR,)).touches(org)


def _for_every_page() -> dict[str, Any]:
    caller: Caller | None = g.get("caller")
    again: Again | None = g.get("again")
    return {
        "who": "" if caller is None else caller.name,
        "here": (request.endpoint or "") if again is None else f"{NAME}.{again.page}",
        "again": again,
        "filled": lambda form, name: () if again is None else again.filled(form, name),
        "said": words.SAID.get(request.args.get("said", ""), ""),
        "link": link,
        "may_order": may_order,
        "operated": lambda orgs: [org for org in orgs if may_order(org)],
        "operated_in_part": lambda orgs: [org for org in orgs if _may_order_something(org)],
        "new_key": lambda: secrets.token_hex(16),
        "KEY": KEY,
        "times": times,
        "percent": chart.percent,
        "is_web": links.is_web,
        "tone": words.tone,
        "VERDICTS": words.VERDICTS,
        "STATES": words.STATES,
    }
