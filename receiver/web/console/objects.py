"""`/console/objects`: configuration objects other than flows, what they were like when, and how they differ."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from receiver.config import Role
from receiver.objects.standing import object_standings
from receiver.store.database import clock
from receiver.web.console.names import Names
from receiver.web.console.pages import Console, PageQuery, page
from receiver.web.fields import Name, query
from receiver.web.objects import compared, find
from receiver.web.reach import check_reach, reaches


class ObjectPageQuery(PageQuery):
    """`against`: the version to compare with, instead of the one before."""

    against: Name | None = None


def add(pages: Blueprint, console: Console) -> None:
    reading = console.tokens.requires(Role.VIEWER, Role.OPERATOR)

    @pages.get("/objects")
    @reading
    def list_objects() -> ResponseReturnValue:
        query(PageQuery)
        orgs = [org for org in console.orgs if reaches(org)]
        with console.store.begin() as tx:
            found = object_standings(tx, console.settings, orgs)
            now = clock(tx)
        return page("objects.html", "Objects", now=now, objects=found)

    @pages.get("/objects/<org>/<object_type>/<object_id>")
    @reading
    def show_object(org: str, object_type: str, object_id: str) -> ResponseReturnValue:
        asked = query(ObjectPageQuery)
        check_reach(org)
        with console.store.begin() as tx:
            found = find(tx, console.settings, org, object_type, object_id)
            against, differences = compared(tx, found, asked.against)
            flow_id = found.state.flow_id if found.state is not None else None
            flow_name = Names(tx).of(org, flow_id) if flow_id else ""
            now = clock(tx)
        return page(
            "object.html",
            found.name,
            now=now,
            object=found,
            against=against,
            differences=differences,
            flow_name=flow_name,
        )
