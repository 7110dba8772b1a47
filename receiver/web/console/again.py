"""A form that was filled in wrongly: its page once more, with what is wrong, and with what was filled in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from flask import Response, current_app, g, make_response, request

from receiver.store.database import StoreUnavailable
from receiver.web.problems import Problem

_PAGES = {
    "pause": "now",
    "open_window": "list_windows",
    "approve": "show_rollback",
    "deny": "show_rollback",
    "undo": "show_rollback",
    "roll_back": "show_flow",
}


@dataclass(frozen=True, slots=True)
class Again:
    """What was wrong with which form, what it was filled in with, and the page that has it."""

    form: str
    page: str
    problem: Problem
    values: Mapping[str, Sequence[str]]

    def filled(self, form: str, name: str) -> Sequence[str]:
        """What stood in a field of a form; nothing of a form that was not sent."""
        return self.values.get(name, ()) if form == self.form else ()


def shown_again(problem: Problem) -> Response | None:
    """The page with the form of this request; None where nothing was filled in, or the page cannot be shown."""
    values: Mapping[str, Sequence[str]] | None = g.get("filled")
    if problem.status is not HTTPStatus.BAD_REQUEST or values is None or request.endpoint is None:
        return None
    blueprint, _, form = request.endpoint.partition(".")
    page, about = _page_of(form, values)
    if not page:
        return None
    g.again = Again(form, page, problem, values)
    try:
        answer = make_response(current_app.view_functions[f"{blueprint}.{page}"](**about))
    except (Problem, StoreUnavailable):
        g.pop("again")
        return None
    answer.status_code = problem.status.value
    return answer


def _page_of(form: str, values: Mapping[str, Sequence[str]]) -> tuple[str, dict[str, str]]:
    """The endpoint of the page, and what its address says; an empty one for forms that nobody fills in."""
    if form == "hold" and "org" in values and "flow_ids" in values:
        return "show_flow", {"org": values["org"][0], "flow_id": values["flow_ids"][0]}
    return "list_flows" if form == "hold" else _PAGES.get(form, ""), dict(request.view_args or {})
