"""What the outbox promises, the same on both databases."""

from collections.abc import Iterator

import pytest

from receiver.store import outbox
from receiver.store.database import Store, Transaction
from receiver.store.outbox import Backlog, Message

NOW = 1_795_349_000.0


@pytest.fixture
def tx(store: Store) -> Iterator[Transaction]:
    with store.begin() as opened:
        yield opened


def put(tx: Transaction, subject: str, *sinks: str, now: float = NOW) -> None:
    outbox.put(tx, sinks or ("pager",), subject, {"subject": subject}, now=now)


def claim(tx: Transaction, *, sink: str = "pager", now: float = NOW) -> Message | None:
    return outbox.claim(tx, sink, now=now, claim_s=30)


def claimed(tx: Transaction, *, sink: str = "pager", now: float = NOW) -> Message:
    message = claim(tx, sink=sink, now=now)
    assert message is not None
    return message


def test_every_sink_gets_the_event_with_the_same_id(tx: Transaction) -> None:
    put(tx, "s1", "pager", "chat")
    pager, chat = claimed(tx), claimed(tx, sink="chat")

    assert pager.event_id == chat.event_id
    assert pager.payload == {"subject": "s1"}


def test_a_subject_is_queued_once_for_each_sink(tx: Transaction) -> None:
    put(tx, "s1", "pager")
    put(tx, "s1", "pager", "chat", now=NOW + 1)

    assert outbox.backlog(tx) == {"pager": Backlog(1, NOW), "chat": Backlog(1, NOW + 1)}


def test_a_subject_that_was_delivered_is_not_queued_again(tx: Transaction) -> None:
    put(tx, "s1")
    outbox.delivered(tx, claimed(tx), now=NOW)
    put(tx, "s1", now=NOW + 1)

    assert outbox.backlog(tx) == {}
    assert claim(tx, now=NOW + 1000) is None


def test_messages_come_oldest_first_and_a_claimed_one_is_skipped(tx: Transaction) -> None:
    put(tx, "s1")
    put(tx, "s2")

    assert [claimed(tx).subject, claimed(tx).subject] == ["s1", "s2"]
    assert claim(tx) is None


def test_a_claim_that_ran_out_is_free_again(tx: Transaction) -> None:
    put(tx, "s1")
    assert claimed(tx).tries == 0
    assert claim(tx, now=NOW + 29.9) is None
    assert claimed(tx, now=NOW + 30).tries == 1


def test_a_failed_message_waits_and_keeps_its_error(tx: Transaction) -> None:
    put(tx, "s1")
    outbox.failed(tx, claimed(tx), "HTTP 500", retry_at=NOW + 90)

    assert claim(tx, now=NOW + 89) is None
    again = claimed(tx, now=NOW + 90)
    assert (again.last_error, again.tries) == ("HTTP 500", 1)
    assert outbox.backlog(tx) == {"pager": Backlog(1, NOW)}


def test_a_delivered_message_is_gone_from_the_queue(tx: Transaction) -> None:
    put(tx, "s1")
    outbox.delivered(tx, claimed(tx), now=NOW)

    assert claim(tx, now=NOW + 1000) is None
    assert outbox.backlog(tx) == {}


def test_an_event_is_queued_only_if_its_transaction_is_kept(store: Store) -> None:
    def fail() -> None:
        with store.begin() as tx:
            put(tx, "s1")
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with store.begin() as tx:
        assert claim(tx) is None


def test_two_senders_do_not_wait_for_each_other_and_never_claim_the_same(store: Store) -> None:
    with store.begin() as tx:
        put(tx, "s1")
        put(tx, "s2")
    with store.begin() as tx:
        first = claimed(tx)
        if tx.dialect.name == "postgresql":  # SQLite has one writer at a time
            with store.begin() as other:
                assert claimed(other).subject != first.subject
