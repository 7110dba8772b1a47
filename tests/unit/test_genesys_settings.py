"""Reading configuration files: every problem at once, with its place and its cure."""

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from genesys.settings import Address, Count, Listen, Ratio, Seconds, Secret, Settings, SettingsError, Text, load


class Sink(Settings):
    url: Text
    token: Secret | None = None


class Example(Settings):
    listen: Listen = Address("127.0.0.1", 9742)
    interval_s: Seconds = 60.0
    ratio: Ratio = 0.05
    retries: Count = 0
    token: Secret
    sinks: tuple[Sink, ...] = ()


def read(tmp_path: Path, text: str | bytes, **environ: str) -> Example:
    path = tmp_path / "example.yml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(path, Example, environ={"TOKEN": "t0k3n", **environ})


def problems(tmp_path: Path, text: str | bytes, **environ: str) -> list[tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text, **environ)
    return [(problem.path, problem.message) for problem in caught.value.problems]


def test_all_problems_are_told_at_once(tmp_path):
    text = """
listen: here
intervall_s: 5
ratio: 5
ratio: 6
sinks:
  - token_env: A
  - {url: x, token_env: B, token_file: c}
  - 5
"""
    assert problems(tmp_path, text) == [
        ("ratio", "is given twice, the second time in line 5; keep one of them"),
        ("listen", 'must be "HOST:PORT", for example 127.0.0.1:9742'),
        ("ratio", "must be less than 1"),
        ("token", "is missing; give token_file or token_env"),
        ("sinks[0].url", "is missing; add it"),
        ("sinks[0].token", "token_env: environment variable A is not set, or empty; set it"),
        ("sinks[1].token", "token_file and token_env are given; keep one of them"),
        ("sinks[2]", "must be a mapping (key: value)"),
        ("intervall_s", "unknown key; did you mean interval_s?"),
    ]


def test_an_error_has_one_line_for_each_problem_with_the_file(tmp_path):
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, "ratio: 5\nlisten: x")
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{tmp_path / 'example.yml'}: ") for line in lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\xff\xfe\xfa", "not a text file in UTF-8"),
        (b"token_env: \x00", "contains characters that YAML does not allow"),
        (b"token_env: [", "is not YAML: line 1, column 13"),
        (b"a: 1\n---\nb: 2", "is not YAML: line 2, column 1: but found another document"),
        (b"token_env: *unknown", "is not YAML: line 1, column 12"),
        (b"{[a]: b}", "is not YAML"),
        (b"!!python/object:os.system {}", "is not YAML"),
        (b"5", "must be a mapping"),
    ],
)
def test_a_file_that_is_no_yaml_mapping_is_one_problem(tmp_path, text, said):
    ((path, message),) = problems(tmp_path, text)
    assert path == ""
    assert said in message


@pytest.mark.parametrize("name", ["missing.yml", "."])
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path, name):
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / name, Example)


def test_duplicate_keys_are_found_at_any_depth_and_behind_an_alias_once(tmp_path):
    text = "token_env: TOKEN\nsinks: [&a {url: x, url: y}, *a]\n"
    assert problems(tmp_path, text) == [
        ("sinks[0].url", "is given twice, the second time in line 2; keep one of them"),
    ]


def test_a_secret_comes_from_a_file_beside_the_configuration(tmp_path):
    (tmp_path / "token.txt").write_text("from-file\n")
    example = read(tmp_path, "token_file: token.txt\nsinks: [{url: x, token_env: TOKEN}, {url: y}]")
    assert example.token.get_secret_value() == "from-file"
    assert [sink.token and sink.token.get_secret_value() for sink in example.sinks] == ["t0k3n", None]


def test_a_secret_comes_from_the_environment_when_the_file_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN_OF_TESTS", "t0k3n")
    (tmp_path / "example.yml").write_text("token_env: TOKEN_OF_TESTS")
    assert load(tmp_path / "example.yml", Example).token.get_secret_value() == "t0k3n"


@pytest.mark.parametrize("given", ["token: s3cr3t", "token: 5", "token: [s3cr3t]", "token: {a: s3cr3t}"])
def test_a_secret_in_the_file_is_a_problem_that_does_not_repeat_it(tmp_path, given):
    ((path, message),) = problems(tmp_path, given)
    assert (path, message) == (
        "token",
        "a secret must not stand in this file; give token_file or token_env instead",
    )


@pytest.mark.parametrize("file", ["''", "5", "[]", "secret\\0.txt"])
def test_a_secret_file_that_is_no_path_is_a_problem(tmp_path, file):
    ((path, _),) = problems(tmp_path, f'token_file: "{file}"' if "\\0" in file else f"token_file: {file}")
    assert path == "token"


def test_a_secret_prints_as_stars(tmp_path):
    example = read(tmp_path, "token_env: TOKEN")
    assert "t0k3n" not in f"{example} {example!r} {example.token} {example.model_dump_json()}"
    assert "***" in str(example.token)


def test_settings_do_not_change():
    sink = Sink(url="x")
    with pytest.raises(ValidationError):
        sink.url = "y"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9742", Address("127.0.0.1", 9742)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:65535", Address("::1", 65535)),
    ],
)
def test_an_address_is_host_and_port(text, address):
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "9742", ":9742", "host", "host:", "host:port", "host:65536", "::1:80", "a b:1", "http://h:1", 9742, None],
)
def test_anything_else_is_no_address(text):
    with pytest.raises(ValueError, match="HOST:PORT"):
        Address.parse(text)


@pytest.mark.parametrize("value", ["yes", '"5"', "0", "-1", ".nan", ".inf", "[]"])
def test_a_length_of_time_is_a_positive_number(tmp_path, value):
    ((path, _),) = problems(tmp_path, f"token_env: TOKEN\ninterval_s: {value}")
    assert path == "interval_s"


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["listen", "interval_s", "token", "token_env", "token_file", "sinks", "url"])
            | st.integers(),
            inner,
            max_size=4,
        )
    ),
)


@given(documents)
def test_any_yaml_gives_settings_or_problems(tmp_path_factory, document):
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_text(yaml.safe_dump(document))
    with contextlib.suppress(SettingsError):
        load(path, Example, environ={})
