"""Hypothesis strategies: what the machine chooses from."""

from hypothesis import strategies as st

from tests.campaigns.stateful.cloud import ASKED
from tests.campaigns.stateful.seams import ANY, PERMITTED, SEAMS, Act, Interruption
from tests.campaigns.stateful.stops import EVERY
from tests.campaigns.stateful.world import FLOWS, PROCESSES

Acts = st.SearchStrategy[Act]

orgs = st.sampled_from(["retail", "retail", "bank"])
flows = st.sampled_from([(org, flow_id) for org, ids in FLOWS.items() for flow_id in ids])
processes = st.integers(0, PROCESSES - 1)
waits = st.sampled_from([6.0, 61.0, 200.0, 901.0])
before_a_round = st.sampled_from([0.0, 2.0, 2.0, 11.0, 31.0, 200.0])

_flows_or_all = flows | st.sampled_from([(org, EVERY) for org in FLOWS])
_backs = st.sampled_from([0, 0, 0, 0, 1, 2])  # mostly the live version
_begun = st.sampled_from([0.0, 0.0, 0.0, 0.0, 180.0, 3600.0])  # mostly the same firing

stalls: Acts = st.sampled_from([1.0, 3.0, 6.0, 11.0, 31.0]).map(lambda seconds: Act("wait", (seconds,)))

pauses: Acts = (orgs | st.just(EVERY)).map(lambda org: Act("pause", (org,)))

orders: Acts = st.one_of(
    pauses,
    _flows_or_all.map(lambda flow: Act("hold", flow)),
    st.builds(
        lambda flow, begins_s, lasts_s: Act("open_window", (*flow, begins_s, lasts_s)),
        _flows_or_all,
        st.sampled_from([0.0, 0.0, 5.0, 300.0]),
        st.sampled_from([10.0, 120.0, 3600.0]),
    ),
    st.builds(
        lambda flow, back, kind: Act("mute", (*flow, back, kind)),
        flows,
        _backs,
        st.sampled_from(["silence", "inhibit"]),
    ),
)

wishes: Acts = st.one_of(
    st.sampled_from(["approve", "approve", "approve", "deny"]).map(lambda name: Act(name, ("retail", ASKED))),
    st.sampled_from(["undo", "order_by_hand"]).flatmap(lambda name: flows.map(lambda flow: Act(name, flow))),
)

publishes: Acts = st.builds(
    lambda flow, what: Act("publish", (*flow, what)), flows, st.sampled_from(["bad", "bad", "good", "before", "live"])
)

told: Acts = st.builds(
    lambda name, flow, back, begun_s, listed: Act(name, (*flow, back, begun_s, listed)),
    st.sampled_from(["deliver", "deliver", "resolve"]),
    flows,
    _backs,
    _begun,
    st.booleans(),
)

locks: Acts = flows.map(lambda flow: Act("flow_is", (*flow, "locked")))


troubles: Acts = st.one_of(
    st.builds(
        lambda flow, live, others: Act("ratios", (*flow, live, others)),
        flows,
        st.sampled_from([0.0, 0.5, 0.5, 0.5]),
        st.sampled_from([0.0, 0.0, 0.5]),
    ),
    st.builds(
        lambda flow, state: Act("flow_is", (*flow, state)),
        flows,
        st.sampled_from(["locked", "inactive", "free", "free", "free"]),
    ),
    st.builds(lambda org, answers: Act("genesys_answers", (org, answers)), orgs, st.sampled_from([True, True, False])),
    st.sampled_from([True, True, False]).map(lambda answers: Act("alertmanager_answers", (answers,))),
)


def rivals(number: int, org: str) -> Acts:
    """Another process has its turn."""
    return processes.filter(lambda other: other != number).map(lambda other: Act("tick", (other, org)))


def overtaking(number: int, org: str, dies_at: st.SearchStrategy[int]) -> Acts:
    """Another process takes over, and may die while it does."""
    others = processes.filter(lambda other: other != number)
    return st.builds(lambda other, seam: Act("overtake", (other, org, seam)), others, dies_at)


def anywhere(act: Acts) -> st.SearchStrategy[Interruption]:
    """An act at a seam of a round; most rounds have fewer than forty."""
    nth = st.integers(1, 3) | st.integers(1, 36)
    return st.builds(Interruption, st.sampled_from([ANY, ANY, ANY, *SEAMS, PERMITTED]), nth, act)
