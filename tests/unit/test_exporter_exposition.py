"""Both formats of the page: the library's renderers and parsers are the reference."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from exporter.exposition import Format, Lines, assemble, header, render, render_families
from exporter.metrics import CATALOGUE, FLOW_INFO, SNAPSHOT_METRICS, UP, Metric, Sample
from exporter.page import Board
from exporter.process import ProcessMetrics
from genesys.dialect import Call
from tests.unit.exporter_pages import full_board, poll_of


class _Families(Collector):
    def __init__(self, *families: Family) -> None:
        self._families = families

    def collect(self) -> Iterator[Family]:
        return iter(self._families)


def _librarys(given: list[Sample]) -> bytes:
    """The same samples as the library renders them."""
    families = {metric.name: GaugeMetricFamily(metric.name, metric.help, labels=metric.labels) for metric, *_ in given}
    for metric, labels, value in given:
        families[metric.name].add_metric(labels, value)
    return generate_latest(_Families(*families.values()))


def _page(catalogue: Iterable[Metric], *lines: Lines) -> bytes:
    return b"".join(assemble(catalogue, lines))


def _samples(page: bytes) -> set[tuple[str, tuple[tuple[str, str], ...], float]]:
    return {
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


NAMES = [
    pytest.param('Says "hello"', id="quotes"),
    pytest.param("two\nlines", id="a newline"),
    pytest.param("C:\\new\\", id="backslashes"),
    pytest.param("Zürich 🎧 北京", id="emoji and other scripts"),
    pytest.param("", id="empty"),
    pytest.param('org="other"} 1\ngenesys_up{org="retail"', id="a name that looks like samples"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_flows_name_comes_out_as_it_went_in(name: str) -> None:
    page = _page(SNAPSHOT_METRICS, render(poll_of(name)))

    infos = [sample for family in text_string_to_metric_families(page.decode()) for sample in family.samples]
    assert [info.labels["flow_name"] for info in infos if info.name == FLOW_INFO.name] == [name]


@given(name=st.text())
def test_the_page_says_the_same_as_the_librarys_for_any_name(name: str) -> None:
    given = poll_of(name)

    assert _samples(_page(SNAPSHOT_METRICS, render(given))) == _samples(_librarys(given))


def test_half_a_surrogate_pair_does_not_break_the_page() -> None:
    page = _page(SNAPSHOT_METRICS, render(poll_of("half \ud83d a pair")))

    assert b'flow_name="half ? a pair"' in page


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_value_is_exact(value: float) -> None:
    ((_, _, read),) = _samples(_page([UP], render([(UP, ("retail",), value)])))
    assert read == value


def test_each_metric_has_one_help_and_type_also_with_several_organizations() -> None:
    page = _page(CATALOGUE.values(), render(poll_of("one")), render(poll_of("other"))).decode()

    for name, metric in CATALOGUE.items():
        assert page.count(f"# TYPE {name} {metric.type}\n") == 1
        assert page.count(f"# HELP {name} ") == 1
    lines = [line.split("{")[0].split()[0] for line in page.splitlines() if not line.startswith("#")]
    assert lines == sorted(lines, key=list(CATALOGUE).index), "samples of one metric stand together"


def _openmetrics(board: Board) -> list[Family]:
    text = b"".join(board.page(Format.OPENMETRICS).plain()).decode()
    return list(openmetrics.text_string_to_metric_families(text))


@pytest.mark.parametrize("name", NAMES)
def test_both_formats_of_a_page_say_the_same(name: str) -> None:
    board = full_board(name)

    told = {
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in _openmetrics(board)
        for sample in family.samples
    }

    assert told == _samples(b"".join(board.page().plain()))
    assert len(told) > 40


def test_openmetrics_names_types_and_texts_are_the_catalogues() -> None:
    families = _openmetrics(full_board())

    told = {
        (f"{family.name}_total" if family.type == "counter" else family.name, family.type, family.documentation)
        for family in families
    }
    assert told == {(metric.name, metric.type, metric.help) for metric in CATALOGUE.values()}


def test_openmetrics_ends_with_its_mark_and_the_text_format_has_none() -> None:
    board = full_board()

    assert b"".join(board.page(Format.OPENMETRICS).plain()).endswith(b"\n# EOF\n")
    assert b"EOF" not in b"".join(board.page().plain())


@pytest.mark.parametrize("metric", SNAPSHOT_METRICS, ids=lambda metric: metric.name)
def test_what_stands_above_a_polls_samples_is_the_same_in_both_formats(metric: Metric) -> None:
    assert header(metric, Format.TEXT) == header(metric, Format.OPENMETRICS)


def test_a_help_text_with_quotes_and_backslashes_is_read_as_it_was_written() -> None:
    odd = replace(UP, help='Says "up" \\ or\nnot')

    text = b"".join(assemble([odd], [], Format.OPENMETRICS)).decode()
    (family,) = openmetrics.text_string_to_metric_families(text + "# EOF\n")
    (same,) = text_string_to_metric_families(_page([odd]).decode())
    assert family.documentation == same.documentation == odd.help


def test_what_the_library_counted_is_rendered_as_by_the_library() -> None:
    process = ProcessMetrics()
    process.observer('re"tail')(Call("flows/{id}", "200", 0.2))
    families = process.families()

    ours = _page([CATALOGUE[name] for name in render_families(families)], render_families(families))
    assert _samples(ours) == _samples(generate_latest(_Families(*families)))
