"""Who calls, and what they may do where. Pure; how a caller is known is the business of `receiver.web.auth`."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the settings are made of what the store has, and the store asks what a caller reaches
    from receiver.config import Role

PROXY, BASIC, SHELL = "proxy:", "basic:", "shell:"
"""How the names of people begin, by who vouches for them: so that a token cannot have one of theirs."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Roles in some organizations; without `orgs` in every one, those that are added later included.

    With `divisions` (ids or names) only over the flows of these, which `flows` has by organization and id: those that
    were known when the request came. So nothing is reached before they were looked up.
    """

    roles: "frozenset[Role]"
    orgs: frozenset[str] | None = None
    divisions: frozenset[str] | None = None
    flows: frozenset[tuple[str, str]] = frozenset()

    def covers(self, org: str, flow_id: str | None = None) -> bool:
        """Whether it is about this flow; without one, about the whole organization."""
        if self.divisions is None:
            return self.orgs is None or org in self.orgs
        return flow_id is not None and (org, flow_id) in self.flows


@dataclass(frozen=True, slots=True)
class Reach:
    """What a caller may see or change by some of their grants."""

    grants: tuple[Grant, ...]

    @property
    def is_everything(self) -> bool:
        """Every organization, and what concerns all of them at once."""
        return self.whole_orgs is None

    @property
    def whole_orgs(self) -> frozenset[str] | None:
        """The organizations that are reached whatever the division; None: every one."""
        whole = [grant.orgs for grant in self.grants if grant.divisions is None]
        if any(orgs is None for orgs in whole):
            return None
        return frozenset(org for orgs in whole for org in orgs or ())

    @property
    def orgs(self) -> frozenset[str] | None:
        """The organizations of which something is reached; None: every one."""
        whole = self.whole_orgs
        return None if whole is None else whole | {org for grant in self.grants for org, _ in grant.flows}

    def covers(self, org: str, flow_id: str | None = None) -> bool:
        """Whether the flow is reached; without one, whether the whole organization is."""
        return any(grant.covers(org, flow_id) for grant in self.grants)

    def touches(self, org: str) -> bool:
        """Whether something of the organization is reached: all of it, or a flow."""
        return self.orgs is None or org in self.orgs

    def divisions_of(self, org: str) -> list[str]:
        """By which divisions something of the organization is, or might be, reached; as they are configured."""
        named = (one.divisions or () for one in self.grants if one.orgs is None or org in one.orgs)
        return sorted({division for divisions in named for division in divisions})


EVERYTHING = Reach((Grant(frozenset()),))
"""For who is asked on nobody's behalf."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A machine or a person. Two grants stay two: a viewer here who is an operator there is no operator here."""

    name: str
    grants: tuple[Grant, ...]

    @property
    def roles(self) -> "frozenset[Role]":
        """Every role, wherever it is had."""
        return frozenset(role for grant in self.grants for role in grant.roles)

    def roles_in(self, org: str, *flow_ids: str) -> "frozenset[Role]":
        """The roles that are had over every one of these flows; without any, over the whole organization."""
        wanted: tuple[str | None, ...] = flow_ids or (None,)
        return frozenset(role for role in self.roles if all(self.reach([role]).covers(org, one) for one in wanted))

    def reach(self, roles: "Collection[Role]") -> Reach:
        """Where the caller has one of the roles."""
        return Reach(tuple(grant for grant in self.grants if not grant.roles.isdisjoint(roles)))
