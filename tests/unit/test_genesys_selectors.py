"""Which entry applies to which flow."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from genesys.flows import Flow
from genesys.selectors import Match, Selector, Selectors, first_match
from genesys.settings import Settings, SettingsError, load


class Entry(Selector):
    owner: str


class File(Settings):
    flows: Selectors[Entry]


FLOW = Flow(
    id="f-1",
    name="Main IVR",
    type="inboundcall",
    division_id="d-1",
    division_name="Sales",
    active=True,
    deleted=False,
    live_version="14.0",
    live_published_at=0.0,
    published_by=None,
    locked_by=None,
    operation=None,
)

MATCHES = {
    "everything": ("*", True),
    "its id": ({"id": "f-1"}, True),
    "another id": ({"id": "f-2"}, False),
    "its type": ({"type": "inboundcall"}, True),
    "its type as the flows API writes it": ({"type": "INBOUNDCALL"}, True),
    "another type": ({"type": "bot"}, False),
    "its division's id": ({"division": "d-1"}, True),
    "its division's name": ({"division": "Sales"}, True),
    "another division": ({"division": "sales"}, False),
    "a glob of its name": ({"name": "Main*"}, True),
    "its name": ({"name": "Main IVR"}, True),
    "part of its name": ({"name": "Main"}, False),
    "its name in other case": ({"name": "main*"}, False),
    "all that is given": ({"id": "f-1", "type": "inboundcall", "division": "Sales", "name": "*IVR"}, True),
    "all but one": ({"id": "f-1", "type": "inboundcall", "division": "Sales", "name": "*bot"}, False),
}


@pytest.mark.parametrize(("match", "holds"), MATCHES.values(), ids=MATCHES.keys())
def test_all_that_is_given_must_hold(match, holds):
    assert Match.model_validate(match).matches(FLOW) == holds


@pytest.mark.parametrize("match", ["", "Main*", {}, {"id": None}, {"id": ""}, {"id": 5}, {"nme": "x"}, None, 5, ["*"]])
def test_a_match_that_says_nothing_is_refused(match):
    with pytest.raises(ValidationError):
        Match.model_validate(match)


def entry(match: object, owner: str) -> dict:
    return {"match": match, "owner": owner}


def file(*entries: dict) -> File:
    return File.model_validate({"flows": entries})


def test_the_first_entry_that_matches_wins():
    flows = file(entry({"type": "bot"}, "a"), entry({"name": "Main*"}, "b"), entry({"id": "f-1"}, "c"), entry("*", "d"))
    assert first_match(flows.flows, FLOW).owner == "b"
    assert first_match(flows.flows, replace(FLOW, name="Other", id="f-2")).owner == "d"


def test_without_a_match_there_is_no_entry():
    with pytest.raises(LookupError, match="f-1"):
        first_match([], FLOW)


ORDERS = {
    "nothing": ([], 'flows: the last entry must have match: "*"'),
    "no entry for the rest": (["{id: f-1}"], 'flows: the last entry must have match: "*"'),
    "entries after the one for the rest": (['"*"', "{id: f-1}"], 'entry [0] has match: "*", so nothing after it'),
    "two entries for the rest": (["{id: f-1}", '"*"', '"*"'], "entry [1] has match"),
    "an empty mapping": (["{}", '"*"'], "flows[0].match: is empty; give id, type, division or name"),
    "a name instead of a mapping": (["Main*", '"*"'], 'flows[0].match: must be "*" or a mapping'),
    "a star without quotes": (["*"], 'write "*" in quotes'),
    "a key that does not exist": (["{nmae: x}", '"*"'], "flows[0].match.nmae: unknown key; did you mean name?"),
}


@pytest.mark.parametrize(("matches", "said"), ORDERS.values(), ids=ORDERS.keys())
def test_a_list_in_which_an_entry_could_never_apply_or_none_might_is_refused(matches, said, tmp_path: Path):
    path = tmp_path / "file.yml"
    lines = "".join(f"\n  - match: {match}\n    owner: x" for match in matches) or " []"
    path.write_text(f"flows:{lines}\n")
    with pytest.raises(SettingsError) as caught:
        load(path, File)
    assert said in str(caught.value)


words = st.sampled_from(["a", "b", "*", "?", "a*"])
mappings = st.dictionaries(st.sampled_from(["id", "type", "division", "name"]), words, min_size=1)


@given(st.lists(mappings, max_size=5), words, words)
def test_every_flow_always_has_exactly_one_entry(matches, name, flow_type):
    flows = file(*(entry(match, str(number)) for number, match in enumerate(matches)), entry("*", "rest")).flows
    flow = replace(FLOW, name=name, type=flow_type)
    found = first_match(flows, flow)
    assert found.match.matches(flow)
    assert not any(earlier.match.matches(flow) for earlier in flows[: flows.index(found)])
