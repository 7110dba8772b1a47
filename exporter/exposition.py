"""The two formats of a page: Prometheus' text format 0.0.4 and OpenMetrics 1.0.

The library's renderer works on whole registries and takes a second for 100,000
samples. Here the lines of one organization are rendered once per poll, metric by
metric. Sample lines are the same in both formats, and so is what stands above those
of a gauge; tests hold them against the library's renderers and parsers. OpenMetrics'
UNIT is left out: the names tell the units already.
"""

from collections.abc import Iterable, Mapping
from enum import Enum

from prometheus_client.core import Metric as Family

from exporter.metrics import Metric, Sample

Lines = Mapping[str, bytes]
"""Rendered sample lines by metric name, without HELP and TYPE."""

OPENMETRICS_END = b"# EOF\n"


class Format(Enum):
    """What a scrape may ask for; the value is the content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def render(samples: Iterable[Sample]) -> dict[str, bytes]:
    """The lines of each metric, in the order of its samples."""
    escaped = _Escaped()
    templates: dict[str, str] = {}
    lines: dict[str, bytearray] = {}  # as bytes at once: 100,000 texts would take twice the room of the page
    for metric, labels, value in samples:
        name = metric.name
        if name not in templates:
            templates[name], lines[name] = _template(name, metric.labels), bytearray()
        lines[name] += (templates[name] % (*[escaped[label] for label in labels], float(value))).encode()
    return {name: bytes(lines.pop(name)) for name in list(lines)}


def render_families(families: Iterable[Family]) -> dict[str, bytes]:
    """The same of what the library has counted, by the name that the catalogue knows each family by."""
    escaped = _Escaped()
    lines: dict[str, bytes] = {}
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        lines[name] = "".join(
            _template(sample.name, sample.labels)
            % (*[escaped[label] for label in sample.labels.values()], float(sample.value))
            for sample in family.samples
        ).encode()
    return lines


def header(metric: Metric, form: Format = Format.TEXT) -> bytes:
    """HELP and TYPE. OpenMetrics names a family of counters without `_total`, and escapes quotes."""
    name, text = metric.name, metric.help.replace("\\", "\\\\").replace("\n", "\\n")
    if form is Format.OPENMETRICS:
        text = text.replace('"', '\\"')
        name = name.removesuffix("_total") if metric.type == "counter" else name
    return f"# HELP {name} {text}\n# TYPE {name} {metric.type}\n".encode()


def assemble(catalogue: Iterable[Metric], given: Iterable[Lines], form: Format = Format.TEXT) -> list[bytes]:
    """Each metric of the catalogue once, with HELP, TYPE and all its lines; joined, the pieces are (part of) a page."""
    lines = list(given)
    pieces: list[bytes] = []
    for metric in catalogue:
        pieces.append(header(metric, form))
        pieces.extend(each[metric.name] for each in lines if metric.name in each)
    return pieces


def _template(name: str, labels: Iterable[str]) -> str:
    inside = ",".join(f'{label}="%s"' for label in labels)
    return f"{name}{{{inside}}} %r\n"


class _Escaped(dict[str, str]):
    """Label values as they stand in a page; most occur many times."""

    def __missing__(self, value: str) -> str:
        # Genesys Cloud's JSON can carry half a surrogate pair, which no page could: it would break every poll.
        clean = value if value.isascii() else value.encode("utf-8", "replace").decode()
        self[value] = clean.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
        return self[value]
