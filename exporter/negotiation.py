"""What a scrape accepts: which of our formats, and whether compressed. Pure."""

from exporter.exposition import Format

_OPENMETRICS, _OUR_VERSION = "application/openmetrics-text", "1.0.0"
_TEXT = ("text/plain", "text/*", "*/*")


def format_for(accept: str | None) -> Format:
    """OpenMetrics for those who name it, in our version or in any, and would not rather have the text format."""
    entries = _entries(accept or "")
    openmetrics = max(
        (quality for name, options, quality in entries if name == _OPENMETRICS and _is_ours(options)), default=0.0
    )
    text = max((quality for name, _, quality in entries if name == _TEXT[0]), default=None)
    if text is None:
        text = next((quality for wide in _TEXT[1:] for name, _, quality in entries if name == wide), 0.0)
    return Format.OPENMETRICS if openmetrics > 0 and openmetrics >= text else Format.TEXT


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether gzip is named, or everything is, and not with quality 0; without the header only plain is safe."""
    qualities = {name: quality for name, _, quality in _entries(accept_encoding or "")}
    named = qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0)))
    return named > 0 and named >= qualities.get("identity", 0.0)


def _is_ours(options: dict[str, str]) -> bool:
    return options.get("version", _OUR_VERSION) == _OUR_VERSION


def _entries(header: str) -> list[tuple[str, dict[str, str], float]]:
    """Name, options and quality of each entry; one whose quality is no number is not accepted."""
    entries: list[tuple[str, dict[str, str], float]] = []
    for entry in header.lower().split(","):
        name, *given = (part.strip() for part in entry.split(";"))
        pairs = (option.partition("=") for option in given)
        options = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
        if name:
            entries.append((name, options, _quality(options.pop("q", "1"))))
    return entries


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
