"""`--check-config --resolve` of both programs: every live flow, and what the configuration says of it."""

from collections.abc import Callable, Sequence
from contextlib import closing

from genesys.dialect import GenesysCloud
from genesys.errors import GenesysError
from genesys.flows import Flow
from genesys.organizations import Organization, open_organization

_HEADS = ("ORG", "FLOW", "NAME", "TYPE", "DIVISION", "LIVE")


def resolve(
    organizations: Sequence[Organization],
    heads: Sequence[str],
    applies: Callable[[Flow], Sequence[str]],
    *,
    open_: Callable[[Organization], GenesysCloud] = open_organization,
) -> tuple[str, list[str]]:
    """A table of every live flow by organization and name, and a sentence for each organization that cannot be read.

    `applies` gives what stands under `heads` for one flow. Only reads; each organization is asked once.
    """
    rows, problems = [], []
    for organization in organizations:
        try:
            with closing(open_(organization)) as cloud:
                listed = cloud.flows()
        except GenesysError as problem:
            problems.append(f"{organization.name}: the flows cannot be listed: {problem}")
            continue
        live = [flow for flow in listed if flow.live_version is not None and not flow.deleted]
        rows += [
            [
                *(organization.name, flow.id, flow.name, flow.type, flow.division_name, flow.live_version or ""),
                *applies(flow),
            ]
            for flow in sorted(live, key=lambda flow: (flow.name, flow.id))
        ]
    return _table([*_HEADS, *heads], rows), problems


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [list(heads), *([_plain(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _plain(text: str) -> str:
    """Names from elsewhere in one line, without anything that a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text) or "-"
