"""Times as people read them: in UTC, and how long ago or ahead they are. Pure."""

from datetime import UTC, datetime

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def utc(moment: float) -> str:
    """`2026-11-27 03:12:07 UTC`, of Unix seconds."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def machine(moment: float) -> str:
    """The same for the attribute `datetime` of HTML."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"


def lasting(seconds: float) -> str:
    """The two largest units: `2 h 5 min`."""
    whole = max(0, round(seconds))
    for position, (size, unit) in enumerate(_UNITS[:-1]):
        if whole >= size:
            smaller, name = _UNITS[position + 1]
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {name}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def relative(moment: float, now: float) -> str:
    """`3 min ago`, `in 12 min`."""
    return f"in {lasting(moment - now)}" if moment > now else f"{lasting(now - moment)} ago"
