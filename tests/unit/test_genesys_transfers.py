"""Which transfers are told apart, what of them is never kept, and which count towards a target."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.evidence import Columns, Outcomes, Signal, Tally
from genesys.transfers import MOST_CHARACTERS, MOST_TARGETS, OTHERS, Target, Towards, largest, target_of

SERVICE, SALES, NAMELESS = Target("ACD", "Service"), Target("ACD", "Sales"), Target("ACD")
FLOW = Target("FLOW", "Service")


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        pytest.param(("ACD", "Sales"), SALES, id="a queue"),
        pytest.param(("ACD", "  Sales\n "), SALES, id="in one line"),
        pytest.param(("ACD", "24/7 Support"), Target("ACD", "24/7 Support"), id="digits in a name"),
        pytest.param(("ACD", "1234"), Target("ACD", "1234"), id="too short for a number"),
        pytest.param(("ACD", None), NAMELESS, id="without a name"),
        pytest.param(("ACD", ""), NAMELESS, id="an empty name"),
        pytest.param((None, "Sales"), None, id="without a type"),
        pytest.param(("ACD", "x" * 500), Target("ACD", "x" * MOST_CHARACTERS), id="a very long name"),
    ],
)
def test_a_target_is_a_type_and_a_name(told: tuple[str | None, str | None], kept: Target | None) -> None:
    assert target_of(*told) == kept


@pytest.mark.parametrize(
    "address",
    ["+49 30 1234567", "03012345", "(030) 123-45.67", "tel:+4930", "TEL:1", "sip:ann@example.org", "ann@example.org"],
)
def test_a_name_that_looks_like_an_address_is_never_kept(address: str) -> None:
    assert target_of("NUMBER", address) == Target("NUMBER")


@pytest.mark.parametrize(
    ("target", "there", "counted"),
    [
        pytest.param(SALES, {SERVICE, SALES, FLOW}, {SALES}, id="itself"),
        pytest.param(SALES, {SERVICE, FLOW}, set(), id="not there"),
        pytest.param(SALES, {SERVICE, NAMELESS}, {NAMELESS}, id="perhaps one without a name"),
        pytest.param(NAMELESS, {SERVICE, SALES, FLOW}, {SERVICE, SALES}, id="perhaps any of its type"),
        pytest.param(SALES, {SERVICE, OTHERS}, {OTHERS}, id="perhaps one behind the largest"),
        pytest.param(SALES, {SALES, OTHERS}, {SALES}, id="not behind the largest"),
    ],
)
def test_what_may_have_gone_to_a_target_counts_only_with_perhaps(
    target: Target, there: set[Target], counted: set[Target]
) -> None:
    assert set(Towards(target, perhaps=True).among(there)) == counted
    assert set(Towards(target).among(there)) == counted & {target}


@given(
    st.dictionaries(
        st.builds(Target, st.sampled_from("AB"), st.none() | st.text("xyz", min_size=1, max_size=3)), st.integers(0, 9)
    )
)
def test_the_largest_targets_are_always_the_same_whatever_their_order(counted: dict[Target, int]) -> None:
    backwards = dict(reversed(counted.items()))
    assert largest(counted, 3) == largest(backwards, 3)
    assert min((counted[one] for one in largest(counted, 3)), default=0) >= max(
        (count for one, count in counted.items() if one not in largest(counted, 3)), default=0
    )


def test_behind_the_largest_targets_the_rest_is_one_and_no_call_is_lost() -> None:
    told = {Target("USER", f"user {number:02}"): 100 + number for number in range(MOST_TARGETS + 5)}
    columns = Columns.of({60: Outcomes(0, {"TRANSFER": sum(told.values())}, transfers=told)}, 0, 180, 60)
    columns.keep_largest_targets()

    assert columns[60].transfers == {
        **{target: count for target, count in told.items() if count >= 105},
        OTHERS: 100 + 101 + 102 + 103 + 104,
    }
    columns.keep_largest_targets()
    assert sum(columns[60].transfers.values()) == sum(told.values())


def test_few_targets_are_all_kept() -> None:
    columns = Columns.of({0: Outcomes(0, {"TRANSFER": 3}, transfers={SALES: 2, SERVICE: 1})}, 0, 60, 60)
    columns.keep_largest_targets()
    assert columns[0].transfers == {SALES: 2, SERVICE: 1}


def test_columns_count_towards_a_target_as_single_buckets_do() -> None:
    told = {
        0: Outcomes(9, {"TRANSFER": 5, "DISCONNECT": 1}, transfers={SALES: 2, SERVICE: 3}),
        120: Outcomes(1, {"TRANSFER": 7}, transfers={SALES: 7}),
    }
    columns = Columns.of(told, 0, 180, 60)
    assert dict(columns) == told
    for towards, errors in (
        (Towards(SALES), [2, 7]),
        (Towards(SERVICE), [3, 0]),
        (Towards(FLOW), [0, 0]),
        (None, [0, 0]),
    ):
        tallies = columns.tallies(Signal.ROUTING_SHIFT, 0, towards)
        assert tallies == {start: outcomes.tally(Signal.ROUTING_SHIFT, towards) for start, outcomes in told.items()}
        assert [tally.errors for tally in tallies.values()] == errors
    assert columns.tallies(Signal.ROUTING_SHIFT, 0, Towards(SALES))[0] == Tally(2, 9, 6)
