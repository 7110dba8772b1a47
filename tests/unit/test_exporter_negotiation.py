"""Which format and encoding a scrape gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition import Format
from exporter.negotiation import accepts_gzip, format_for

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        pytest.param(None, Format.TEXT, id="nothing is said"),
        pytest.param("", Format.TEXT, id="empty"),
        pytest.param("*/*", Format.TEXT, id="anything (curl)"),
        pytest.param("text/html,application/xhtml+xml,*/*;q=0.8", Format.TEXT, id="a browser"),
        pytest.param(PROMETHEUS_3, Format.OPENMETRICS, id="Prometheus 3"),
        pytest.param("application/openmetrics-text", Format.OPENMETRICS, id="any version"),
        pytest.param('Application/OpenMetrics-Text; Version="1.0.0"', Format.OPENMETRICS, id="capitals, quotes"),
        pytest.param("application/openmetrics-text;version=0.0.1", Format.TEXT, id="only another version"),
        pytest.param("application/openmetrics-text;q=0, */*", Format.TEXT, id="q=0 refuses it"),
        pytest.param("application/openmetrics-text;q=0.5, text/plain;q=0.9", Format.TEXT, id="text rather"),
        pytest.param("application/openmetrics-text;q=0.5, text/*;q=0.9", Format.TEXT, id="any text rather"),
        pytest.param("application/openmetrics-text;q=0.5, text/plain;q=0.5", Format.OPENMETRICS, id="both alike"),
        pytest.param("application/openmetrics-text;q=0.5, text/plain;q=0.4, */*;q=0.9", Format.OPENMETRICS, id="wide"),
        pytest.param("application/openmetrics-text;q=nan", Format.TEXT, id="a quality that is none"),
        pytest.param("application/*", Format.TEXT, id="it is not named"),
        pytest.param("application/json", Format.TEXT, id="what we have not is answered all the same"),
    ],
)
def test_openmetrics_for_those_who_ask_for_it(accept: str | None, form: Format) -> None:
    assert format_for(accept) is form


@pytest.mark.parametrize(
    ("accept_encoding", "accepted"),
    [
        pytest.param(None, False, id="nothing is said"),
        pytest.param("", False, id="empty"),
        pytest.param("gzip", True, id="Prometheus"),
        pytest.param("gzip, deflate, br", True, id="a browser"),
        pytest.param("GZip;q=0.3", True, id="capitals, with quality"),
        pytest.param("x-gzip", True, id="the old name"),
        pytest.param("deflate, br", False, id="others"),
        pytest.param("gzip;q=0", False, id="q=0 refuses it"),
        pytest.param("gzip; Q=0.000, *", False, id="refused, and anything else"),
        pytest.param("*", True, id="anything"),
        pytest.param("*;q=0", False, id="nothing at all"),
        pytest.param("identity", False, id="plain"),
        pytest.param("identity, gzip;q=0.5", False, id="plain rather"),
        pytest.param("gzip;q=much", False, id="a quality that is none"),
    ],
)
def test_compressed_for_those_who_accept_it(accept_encoding: str | None, accepted: bool) -> None:
    assert accepts_gzip(accept_encoding) is accepted


@given(header=st.text(st.sampled_from('gzip*/tex-plain,;=q01. "')))
def test_no_header_is_a_mistake_of_ours(header: str) -> None:
    assert format_for(header) in Format
    assert accepts_gzip(header) in (True, False)
