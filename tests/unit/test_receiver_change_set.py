"""Which flows were published together."""

import pytest

from receiver.change_set import Publication, belong_together, count_change_sets

DEPLOYMENT_S = 600.0
ONE = Publication("a", "pipeline", 1000.0)


@pytest.mark.parametrize(
    ("other", "together"),
    [
        pytest.param(Publication("b", "pipeline", 1000.0), True, id="the same client at the same moment"),
        pytest.param(Publication("b", "pipeline", 1600.0), True, id="the same client ten minutes later"),
        pytest.param(Publication("b", "pipeline", 400.0), True, id="the same client ten minutes before"),
        pytest.param(Publication("b", "pipeline", 1601.0), False, id="the same client, a second too late"),
        pytest.param(Publication("b", "ann", 1000.0), False, id="somebody else"),
        pytest.param(Publication("b", None, 1000.0), False, id="nobody knows who"),
        pytest.param(Publication("b", "pipeline", None), False, id="nobody knows when"),
        pytest.param(Publication("b", "pipeline", 1000.0, "d1"), False, id="registered, where the first is not"),
    ],
)
def test_what_one_client_publishes_within_ten_minutes_is_one_change_set(other: Publication, together: bool) -> None:
    assert belong_together(ONE, other, deployment_s=DEPLOYMENT_S) is together
    assert belong_together(other, ONE, deployment_s=DEPLOYMENT_S) is together


def test_two_of_which_nothing_is_known_do_not_belong_together() -> None:
    nobody = Publication("b", None, None)
    assert not belong_together(nobody, nobody, deployment_s=DEPLOYMENT_S)


def test_a_registered_deployment_is_one_whoever_published_it_when() -> None:
    registered = Publication("a", "pipeline", 1000.0, "d1")
    assert belong_together(registered, Publication("b", "ann", 9000.0, "d1"), deployment_s=DEPLOYMENT_S)
    assert not belong_together(registered, Publication("b", "pipeline", 1000.0, "d2"), deployment_s=DEPLOYMENT_S)


@pytest.mark.parametrize(
    ("publications", "count"),
    [
        pytest.param([], 0, id="none"),
        pytest.param(
            [ONE, Publication("b", "pipeline", 1500.0), Publication("c", "pipeline", 2000.0)], 1, id="a chain"
        ),
        pytest.param([ONE, Publication("b", "pipeline", 1601.0)], 2, id="a gap"),
        pytest.param([ONE, Publication("b", "ann", 1000.0)], 2, id="two clients"),
        pytest.param([Publication("a", None, 1.0), Publication("b", None, 1.0)], 2, id="two of which nothing is known"),
        pytest.param(
            [Publication("a", "x", 1.0, "d1"), Publication("b", "y", 9e9, "d1"), ONE], 2, id="a registered one"
        ),
    ],
)
def test_change_sets_are_counted(publications: list[Publication], count: int) -> None:
    assert count_change_sets(publications, deployment_s=DEPLOYMENT_S) == count
