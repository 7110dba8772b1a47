"""What `rollbackctl` understands on its command line beyond words and numbers; click calls these to read an option."""

import re
from datetime import datetime, timedelta

import click

limit_option = click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="The newest.")
after_option = click.option("--after", metavar="CURSOR", help="The page after the one that ended with this cursor.")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def length(text: str) -> timedelta:
    """`90m`, `2h`, `1h30m`, `1d`. Raises click.BadParameter."""
    if re.fullmatch(r"(?:[0-9]{1,9}[smhd])+", text) is None:
        raise click.BadParameter(f"{text!r} is not a length; write 90m, 2h, 1h30m or 1d")
    parts = re.findall(r"([0-9]+)([smhd])", text)
    return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))


def moment(text: str) -> datetime:
    """An RFC 3339 time with its offset. Raises click.BadParameter."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise click.BadParameter(f"{text!r} is not a time with its offset; write 2024-01-01T13:00:00+01:00")
    return read


def digest_of(text: str) -> tuple[str, str]:
    """`ID=DIGEST`: a flow, and the SHA-256 of what is deployed. Raises click.BadParameter."""
    flow_id, _, digest = text.rpartition("=")
    if not flow_id or re.fullmatch(r"[0-9a-f]{64}", digest) is None:
        raise click.BadParameter(
            f"{text!r} is not ID=DIGEST; a digest has 64 digits, lower case, as sha256sum prints it"
        )
    return flow_id, digest


def end_of(start: datetime, lasts: timedelta | None, until: datetime | None) -> datetime:
    """When a window ends. Exactly one of both must be given, or click.UsageError is raised."""
    if lasts is not None and until is None:
        try:
            return start + lasts
        except OverflowError:
            raise click.UsageError("--for is too long") from None
    if until is not None and lasts is None:
        return until
    raise click.UsageError("give either --for or --until: a window without an end would be forgotten")
