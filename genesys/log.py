"""Log lines: one event each, fixed words, fields beside them: `poll_failed org=retail error="…"`."""

import json
import logging
from datetime import UTC, datetime

LEVELS = ("debug", "info", "warning", "error")


def event(logger: logging.Logger, level: int, name: str, **fields: object) -> None:
    """Log one event; a warning's field `cure` says what to change."""
    if logger.isEnabledFor(level):
        logger.log(level, "%s", " ".join([name, *(f"{key}={_quoted(value)}" for key, value in fields.items())]))


def _quoted(value: object) -> str:
    text = str(value)
    plain = text.isprintable() and text and not any(mark in text for mark in ' "=\\')
    return text if plain else json.dumps(text)


class LineFormatter(logging.Formatter):
    """Time in UTC, level, event; a traceback becomes a field, so that each event stays one line."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = f"{at} {record.levelname.lower()} {' '.join(record.getMessage().splitlines())}"
        if record.exc_info:
            line = f"{line} traceback={json.dumps(self.formatException(record.exc_info))}"
        return line


def configure(level: str, *ours: str) -> None:
    """Send the events of `level` and above of the packages `ours` to stderr; from libraries only warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for package in ours:
        logging.getLogger(package).setLevel(level.upper())
