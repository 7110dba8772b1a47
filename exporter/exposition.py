"""The Prometheus text format, version 0.0.4.

The library's renderer works on whole registries and takes a second for 100,000
samples. Here the lines of one organization are rendered once per poll, family by
family, and a page is put together from such pieces; a test holds the lines against
the library's.
"""

from collections.abc import Iterable, Mapping

from prometheus_client.core import Metric as Family
from prometheus_client.samples import Sample

from exporter.metrics import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Pieces = Mapping[str, bytes]
"""Rendered sample lines by metric name, without HELP and TYPE."""


def render(families: Iterable[Family]) -> dict[str, bytes]:
    """The lines of each family, keyed by the name that the catalogue knows it by."""
    pieces: dict[str, bytes] = {}
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        pieces[name] = "".join(map(_line, family.samples)).encode()
    return pieces


def assemble(catalogue: Iterable[Metric], pieces: Iterable[Pieces]) -> bytes:
    """One page: each metric of the catalogue once, with HELP, TYPE and the lines of all pieces."""
    given = list(pieces)
    page: list[bytes] = []
    for metric in catalogue:
        text = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
        page.append(f"# HELP {metric.name} {text}\n# TYPE {metric.name} {metric.type}\n".encode())
        page.extend(piece[metric.name] for piece in given if metric.name in piece)
    return b"".join(page)


def _line(sample: Sample) -> str:
    labels = ",".join([f'{name}="{_escaped(value)}"' for name, value in sample.labels.items()])
    return f"{sample.name}{{{labels}}} {float(sample.value)!r}\n"


def _escaped(value: str) -> str:
    # Genesys Cloud's JSON can carry half a surrogate pair, which no page could: it would break every poll.
    clean = value if value.isascii() else value.encode("utf-8", "replace").decode()
    return clean.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
