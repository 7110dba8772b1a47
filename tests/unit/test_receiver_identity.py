"""Which versions are the same thing, and which of them are known bad. What is not known is the same as nothing."""

import pytest

from genesys.flows import FlowVersion
from receiver.contents import CANDIDATES, worth_comparing
from receiver.identity import Identities
from receiver.store.quarantines import Quarantine

ONE, OTHER = "a" * 64, "b" * 64


def quarantined(version: str) -> Quarantine:
    return Quarantine("q1", "r1", "retail", "flow", "flow-1", version, 0.0, None, None)


IN_QUARANTINE = (quarantined("14.0"),)


@pytest.mark.parametrize(
    ("known", "how"),
    [
        pytest.param(Identities(quarantined=IN_QUARANTINE), "", id="nothing is known"),
        pytest.param(
            Identities({"14.0": {ONE}, "15.0": {ONE}}, quarantined=IN_QUARANTINE),
            "registered with the source digest of",
            id="same source",
        ),
        pytest.param(
            Identities({"14.0": {ONE, OTHER}, "15.0": {ONE}}, quarantined=IN_QUARANTINE),
            "registered with the source digest of",
            id="one of its sources",
        ),
        pytest.param(Identities({"14.0": {ONE}, "15.0": {OTHER}}, quarantined=IN_QUARANTINE), "", id="another source"),
        pytest.param(
            Identities({}, {"14.0": ONE, "15.0": ONE}, IN_QUARANTINE), "the same content as", id="same content"
        ),
        pytest.param(Identities({}, {"14.0": ONE, "15.0": OTHER}, IN_QUARANTINE), "", id="another content"),
        pytest.param(Identities({}, {"15.0": ONE}, IN_QUARANTINE), "", id="one of the contents is not known"),
        pytest.param(Identities({"14.0": {ONE}}, {"15.0": ONE}, IN_QUARANTINE), "", id="a source is no content"),
        pytest.param(Identities({"14.0": {ONE}, "15.0": {ONE}}), "", id="nothing is in quarantine"),
    ],
)
def test_a_version_is_known_bad_if_it_is_the_same_as_one_in_quarantine(known: Identities, how: str) -> None:
    found = known.known_bad("15.0")
    assert (found is not None) == bool(how)
    if found is not None:
        assert found.describe() == f"{how} 14.0, in quarantine since rollback r1"
        assert known.against("15.0", "16.0") == f"known bad: {found.describe()}"
    else:
        assert known.against("15.0", "16.0") == ""


def test_a_version_in_quarantine_is_no_target_but_not_known_bad_by_itself() -> None:
    known = Identities({"14.0": {ONE}}, {"14.0": ONE}, IN_QUARANTINE)
    assert known.known_bad("14.0") is None
    assert known.against("14.0", "15.0") == "in quarantine"


def test_what_is_the_same_as_the_accused_version_is_no_target_and_that_comes_first() -> None:
    known = Identities({}, {"13.0": ONE, "14.0": ONE, "15.0": ONE}, IN_QUARANTINE)
    assert known.against("13.0", "15.0") == "the same content as the accused version"
    assert known.against("12.0", "15.0") == ""


def test_contents_are_compared_if_both_are_known() -> None:
    known = Identities({}, {"13.0": ONE, "14.0": OTHER})
    assert known.compared("13.0", "14.0")
    assert not known.compared("12.0", "14.0")
    assert not known.compared("13.0", "15.0")


def test_the_accused_version_is_read_first_and_then_the_newest_that_were_live_before_it() -> None:
    def version(name: str, until: float | None, *, debug: bool = False) -> FlowVersion:
        return FlowVersion(name, debug, 0.0, until, None)

    many = [
        version("9.0", 9.0),
        version("13.0", 13.0),
        version("12.0", 12.0),
        version("11.0", 11.0),
        version("14.0", 10.0),  # it was live before, and is again
        version("13.1", 13.5, debug=True),
        version("15.0", None),
    ]
    assert worth_comparing("14.0", many) == ["14.0", "13.0", "12.0", "11.0"]
    assert len(worth_comparing("14.0", many)) == 1 + CANDIDATES
