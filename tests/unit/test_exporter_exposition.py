"""The text format: the library's renderer is the reference."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from exporter.config import ExporterConfig
from exporter.exposition import assemble, render
from exporter.live import LiveVersion
from exporter.metrics import CATALOGUE, FLOW_INFO, SNAPSHOT_METRICS, UP
from exporter.snapshot import Snapshot, samples
from genesys.evidence import Evidence
from tests.unit.exporter_world import MAIN, MINUTE, NOON, bad


class _Families(Collector):
    def __init__(self, *families: Family) -> None:
        self._families = families

    def collect(self) -> Iterator[Family]:
        return iter(self._families)


def _named(name: str) -> list[Family]:
    found = Snapshot(
        org="retail",
        flows={"main": replace(MAIN, name=name)},
        live={"main": LiveVersion("13.0", NOON - 1800.5, NOON - 1800.5)},
        evidence=Evidence(NOON - 3600, NOON, MINUTE, {("main", "13.0"): {NOON - 60: bad(3)}}),
        conversations={},
        baselines={},
    )
    return samples(found, ExporterConfig())


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
    page = assemble(SNAPSHOT_METRICS, [render(_named(name))])

    infos = [sample for family in text_string_to_metric_families(page.decode()) for sample in family.samples]
    assert [info.labels["flow_name"] for info in infos if info.name == FLOW_INFO.name] == [name]


@given(name=st.text())
def test_the_page_says_the_same_as_the_librarys_for_any_name(name: str) -> None:
    families = _named(name)

    assert _samples(assemble(SNAPSHOT_METRICS, [render(families)])) == _samples(generate_latest(_Families(*families)))


def test_half_a_surrogate_pair_does_not_break_the_page() -> None:
    page = assemble(SNAPSHOT_METRICS, [render(_named("half \ud83d a pair"))])

    assert b'flow_name="half ? a pair"' in page


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_value_is_exact(value: float) -> None:
    family = GaugeMetricFamily(UP.name, UP.help, labels=UP.labels)
    family.add_metric(["retail"], value)

    ((_, _, read),) = _samples(assemble([UP], [render([family])]))
    assert read == value


def test_each_metric_has_one_help_and_type_also_with_several_organizations() -> None:
    page = assemble(CATALOGUE.values(), [render(_named("one")), render(_named("other"))]).decode()

    for name, metric in CATALOGUE.items():
        assert page.count(f"# TYPE {name} {metric.type}\n") == 1
        assert page.count(f"# HELP {name} ") == 1
    lines = [line.split("{")[0].split()[0] for line in page.splitlines() if not line.startswith("#")]
    assert lines == sorted(lines, key=list(CATALOGUE).index), "samples of one metric stand together"
