"""What the bridge promises about every write, each promise on its own, judged from what has really happened.

Each function gives what breaks its promise, in words, and nothing while it is
kept. None of them calls a guard of the product, or asks what it has decided.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from tests.campaigns.stateful.cloud import ASKED, client_of
from tests.campaigns.stateful.past import DAY_S, Commit, Past, Publish
from tests.campaigns.stateful.rows import Attempt, Permit

LOCKOUT_S = 900.0
DEPLOYMENT_S = 600.0
PERMIT_S = 5.0
PROOF_S = 195.0  # permit_s + timeout_s + publish_deadline_s: so long after the permit a lost publish may take effect
MAX_SENDS = 2  # by each way back, refused ones aside
BUDGET_PER_FLOW, BUDGET_PER_ORG = 3, 8

Broken = Iterator[str]


def one_rollback_at_a_time(commit: Commit, past: Past) -> Broken:
    """Never two of one organization between planned and confirming.

    What people have ordered or approved waits for its turn; and what is only planned waits for that.
    """
    leased = commit.after.leased
    begun = {one.id for one in leased if one.state != "planned" or one.id in past.first_permits}
    first = {one.org for one in leased if (one.by_hand or one.ordered) and one.id in begun}
    found: dict[str, set[str]] = {}
    for attempt in leased:
        waits = attempt.id not in begun
        if waits and (attempt.ordered or attempt.org in first):
            continue
        found.setdefault(attempt.org, set()).add(attempt.group)
    yield from (f"{len(groups)} at once in {org}: {sorted(groups)}" for org, groups in found.items() if len(groups) > 1)


def nothing_planned_beside_what_has_begun(commit: Commit, past: Past) -> Broken:
    """But by people, who need not wait with an order until its turn comes."""
    begun = [one for one in commit.before.leased if one.state != "planned" or one.id in past.first_permits]
    for planned in commit.planned:
        beside = [one.id for one in begun if one.org == planned.org and one.group != planned.group]
        if beside and not (planned.ordered or planned.by_hand or planned.shadow):
            yield f"{planned.id} of {planned.flow_id} was planned beside {beside}"


def one_publish_at_a_time(commit: Commit, _: Past) -> Broken:
    """Nor two of one change set between their permit and their confirmation."""
    found: dict[str, list[str]] = {}
    for attempt in commit.after.leased:
        if attempt.state != "planned":
            found.setdefault(attempt.org, []).append(attempt.id)
    yield from (f"{len(ids)} publish in {org}: {sorted(ids)}" for org, ids in found.items() if len(ids) > 1)


def nothing_in_an_attempt_that_was_not_published_together(commit: Commit, _: Past) -> Broken:
    """Each flow once, of one client, and never more than ten minutes between two publications."""
    for planned in commit.planned:
        members = [one for one in commit.after.attempts.values() if one.group == planned.group]
        if len({one.flow_id for one in members}) < len(members):
            yield f"{planned.id} is the second rollback of {planned.flow_id} in {planned.group}"
        if len({client_of(one.flow_id) for one in members}) > 1:
            yield f"{planned.group} has flows of several clients: {[one.flow_id for one in members]}"
        dates = sorted(one.live_since for one in members)
        if any(later - sooner > DEPLOYMENT_S for sooner, later in pairwise(dates)):
            yield f"the versions of {planned.group} were published at {dates}"


def one_holder_of_a_lease(commit: Commit, _: Past) -> Broken:
    """Nobody takes what somebody else still holds."""
    for name, lease in commit.after.leases.items():
        before = commit.before.leases.get(name)
        if before is not None and lease.owner != before.owner and before.expires_at > commit.at:
            yield f"{lease.owner} took {name}, which {before.owner} held until {before.expires_at}"


def written_under_the_lease(commit: Commit, _: Past) -> Broken:
    """Whoever was overtaken plans nothing and permits nothing; people order without a lease."""
    planned = (one for one in commit.planned if not one.ordered)
    written = [*planned, *(attempt for attempt, _ in commit.permits)]
    for attempt in written:
        lease = commit.after.leases.get(f"org:{attempt.org}")
        if lease is None or lease.owner != commit.process:
            yield f"{commit.process} wrote {attempt.id}, and the lease of {attempt.org} is {lease}"


def outside_every_lockout(attempt: Attempt, permit: Permit, _process: str, past: Past) -> Broken:
    """Never a first permit within a lockout after another rollback of the organization has started.

    An undo passes it and starts none; what is ordered by hand passes it, and starts one.
    """
    if permit.number > 1 or attempt.is_undo or attempt.by_hand:
        return
    for other, at in past.first_permits.items():
        if past.rows.attempts[other].is_undo:
            continue
        same = other == attempt.id or past.rows.attempts[other].group == attempt.group
        if past.rows.attempts[other].org == attempt.org and not same and permit.issued_at < at + LOCKOUT_S:
            yield f"{attempt.id} started {permit.issued_at - at:.0f} s after {other}"


def within_the_budget(attempt: Attempt, permit: Permit, _process: str, past: Past) -> Broken:
    """Never more rollbacks that were sent in a day than the configuration allows; an undo does not count.

    What is ordered by hand counts for the others, and passes it.
    """
    if attempt.is_undo or attempt.by_hand:
        return
    since = permit.issued_at - DAY_S
    lately = [
        past.rows.attempts[one]
        for one, at in past.first_permits.items()
        if at > since and one != attempt.id and past.wrote(one) and not past.rows.attempts[one].is_undo
    ]
    of_org = {one.group for one in lately if one.org == attempt.org} - {attempt.group}
    of_flow = [one for one in lately if (one.org, one.flow_id) == (attempt.org, attempt.flow_id)]
    if len(of_flow) >= BUDGET_PER_FLOW or len(of_org) >= BUDGET_PER_ORG:
        yield f"{len(of_flow)} rollbacks of the flow and {len(of_org)} attempts of the organization before it"


def obeyed_every_stop(attempt: Attempt, permit: Permit, process: str, past: Past) -> Broken:
    """Never a permit after a pause, hold, window or silence that was there before it.

    An undo passes them all, what is ordered by hand pauses and windows.
    """
    if attempt.is_undo:
        return
    yield from past.stops.against(attempt, process, permit.issued_at)


def nothing_in_mode_observe(attempt: Attempt, _permit: Permit, _process: str, _past: Past) -> Broken:
    """A shadow rollback writes nothing."""
    if attempt.shadow:
        yield f"{attempt.id} of {attempt.flow_id} is a shadow"


def nothing_without_people_where_they_are_asked(attempt: Attempt, permit: Permit, _process: str, past: Past) -> Broken:
    """What waited for approval goes to the target that somebody agreed to; an undo takes back what was ordered."""
    asked = attempt.id in past.asked or attempt.flow_id == ASKED
    if not attempt.is_undo and asked and past.approved.get(attempt.id) != permit.target:
        yield f"{attempt.id} goes to {permit.target}, and people agreed to {past.approved.get(attempt.id)}"
    if attempt.is_undo:
        first = past.rows.attempts.get(past.undos.get(attempt.id, ""))
        made = {one.sent.made for one in past.of(first.id) if one.had_effect} if first else set()
        known = first is not None and (permit.target, attempt.accused) == (first.accused, first.target)
        if not known or (made and attempt.accused not in made):
            yield f"{attempt.id} makes {permit.target} live instead of {attempt.accused}; to undo was {first}"


def never_the_same_version_again(attempt: Attempt, _permit: Permit, _process: str, past: Past) -> Broken:
    """What was rolled back with a write is not rolled back again, until its quarantine is lifted."""
    if attempt.is_undo:
        return
    for other in past.rows.attempts.values():
        if other.is_undo:
            continue
        same = (other.org, other.flow_id, other.accused) == (attempt.org, attempt.flow_id, attempt.accused)
        if same and other.id != attempt.id and past.wrote(other.id) and other.id not in past.lifted:
            yield f"{attempt.accused} of {attempt.flow_id} was rolled back by {other.id}"


def never_what_it_restored(attempt: Attempt, _permit: Permit, _process: str, past: Past) -> Broken:
    """It never walks back from 14 to 13 to 12, and what people have made live again it leaves alone."""
    if attempt.is_undo:
        return
    for publish in past.publishes:
        same = (publish.attempt.org, publish.attempt.flow_id) == (attempt.org, attempt.flow_id)
        restored = same and publish.sent.made == attempt.accused and publish.had_effect
        if restored and past.rows.attempts[publish.attempt.id].state != "superseded":
            yield f"{attempt.accused} of {attempt.flow_id} was made live by {publish.attempt.id}"


def with_a_decision_record(publish: Publish, past: Past) -> Broken:
    """One decision that planned it, unless people did, and one for every permit, each recorded before the publish."""
    decided, attempt = past.rows.decided.get(publish.attempt.id, 0), publish.attempt
    by_people = attempt.is_undo or attempt.id in past.asked
    if decided < publish.permit.number + (0 if by_people else 1):
        yield f"publish {publish.permit.number} of {publish.attempt.id} with {decided} decisions"


def with_a_permit_in_force(publish: Publish, _: Past) -> Broken:
    """Sent while its permit held, and as the permit says."""
    sent, permit = publish.sent, publish.permit
    if sent.at >= permit.issued_at + PERMIT_S or permit.answer is not None:
        yield f"sent {sent.at - permit.issued_at:.0f} s after its permit, which is answered {permit.answer}"
    if (sent.flow_id, sent.version) != (publish.attempt.flow_id, permit.target):
        yield f"sent {sent.flow_id} {sent.version}, permitted {publish.attempt.flow_id} {permit.target}"


def on_a_fresh_look(publish: Publish, past: Past) -> Broken:
    """The flow was read right before, and showed the accused version live, idle and not locked."""
    look = past.looks.get((publish.process, publish.sent.org, publish.sent.flow_id))
    if look is None or publish.sent.at > look.at + PERMIT_S:
        yield f"{publish.process} has not read {publish.sent.flow_id} since {look and look.at}"
        return
    flow = look.flow
    busy = flow.operation is not None and not flow.operation.complete
    if flow.live_version != publish.attempt.accused or not flow.active or flow.locked_by or busy:
        yield f"it had read {flow}"


def never_two_publishes_under_way(publish: Publish, past: Past) -> Broken:
    """None while an earlier one of the organization may yet take effect."""
    for other in past.publishes:
        effect_at = other.sent.effect_at
        if other.sent.org == publish.sent.org and effect_at is not None and effect_at > publish.sent.at:
            yield f"the effect of {other.sent} is yet to come"


def one_effect_of_a_rollback(publish: Publish, past: Past) -> Broken:
    """A second publish only after the first is proved to have had no effect, and at most one such by each way back."""
    earlier = [one for one in past.of(publish.attempt.id) if one.wrote]
    for other in earlier:
        if other.had_effect:
            yield f"{publish.attempt.id} sent again after {other.sent}"
        if publish.sent.at < other.permit.issued_at + PROOF_S and not other.sent.outcome.is_told:
            yield f"{publish.attempt.id} sent again {publish.sent.at - other.sent.at:.0f} s after {other.sent}"
        accepted = past.rows.permits[other.permit.attempt_id, other.permit.number].answer == "accepted"
        if accepted and other.sent.by_file == publish.sent.by_file:
            yield f"{publish.attempt.id} sent again after an accepted publish"
    same_way = [one for one in earlier if one.sent.by_file == publish.sent.by_file]
    if len(same_way) >= MAX_SENDS:
        yield f"{publish.attempt.id} sent {len(same_way) + 1} times"


def never_a_quarantined_target(publish: Publish, past: Past) -> Broken:
    """No version that the bridge itself took out of service, until a person lifts the quarantine or undoes it."""
    if publish.attempt.is_undo:
        return
    for other in past.rows.attempts.values():
        if other.is_undo:
            continue
        same = (other.org, other.flow_id, other.accused) == (
            publish.sent.org,
            publish.sent.flow_id,
            publish.sent.version,
        )
        if same and past.wrote(other.id) and other.id not in past.lifted:
            yield f"{publish.sent.version} of {publish.sent.flow_id} was rolled back by {other.id}"


def _names(*functions: Callable[..., Broken]) -> Mapping[str, Callable[..., Broken]]:
    return {function.__name__: function for function in functions}


OF_A_COMMIT = _names(
    one_rollback_at_a_time,
    nothing_planned_beside_what_has_begun,
    one_publish_at_a_time,
    nothing_in_an_attempt_that_was_not_published_together,
    one_holder_of_a_lease,
    written_under_the_lease,
)
OF_A_PERMIT = _names(
    outside_every_lockout,
    within_the_budget,
    obeyed_every_stop,
    nothing_in_mode_observe,
    nothing_without_people_where_they_are_asked,
    never_the_same_version_again,
    never_what_it_restored,
)
OF_A_PUBLISH = _names(
    with_a_decision_record,
    with_a_permit_in_force,
    on_a_fresh_look,
    never_two_publishes_under_way,
    one_effect_of_a_rollback,
    never_a_quarantined_target,
)
