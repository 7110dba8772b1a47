"""What the outbox promises, the same on both databases."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from receiver.store import outbox
from receiver.store.database import Store, Transaction
from receiver.store.outbox import Backlog, Line, Message
from receiver.store.schema import outbox as outbox_table

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


def of_subject(payload: Mapping[str, Any], _event_id: str) -> str:
    """One line for each letter with which a subject begins."""
    return str(payload["subject"])[0]


def in_line(tx: Transaction, *, now: float = NOW) -> Message | None:
    return outbox.claim(tx, "pager", now=now, claim_s=30, line=of_subject)


def first_in_line(tx: Transaction, *, now: float = NOW) -> Message:
    message = in_line(tx, now=now)
    assert message is not None
    return message


def test_a_message_that_is_claimed_or_waits_holds_up_those_after_it_in_its_line(tx: Transaction) -> None:
    put(tx, "a1")
    put(tx, "a2")
    first = first_in_line(tx)
    assert (first.subject, in_line(tx)) == ("a1", None)

    outbox.failed(tx, first, "HTTP 503", retry_at=NOW + 60)
    assert in_line(tx, now=NOW + 59) is None
    again = first_in_line(tx, now=NOW + 60)
    assert (again.id, again.tries) == (first.id, 1)

    outbox.delivered(tx, again, now=NOW + 61)
    assert first_in_line(tx, now=NOW + 61).subject == "a2"


def test_a_message_that_waits_holds_up_no_other_line(tx: Transaction) -> None:
    for subject in ("a1", "b1", "a2", "b2", "c1"):
        put(tx, subject)
    outbox.failed(tx, first_in_line(tx), "HTTP 409", retry_at=NOW + 60)
    given = []
    while (message := in_line(tx)) is not None:
        given.append(message.subject)
        outbox.delivered(tx, message, now=NOW)
    assert given == ["b1", "b2", "c1"]
    assert outbox.backlog(tx) == {"pager": Backlog(2, NOW)}, "people are told how long the oldest has waited"
    assert first_in_line(tx, now=NOW + 60).subject == "a1"


MANY = 600  # more than a claim ever looks at


def of_message(payload: Mapping[str, Any], _event_id: str) -> str:
    """Each in a line of its own."""
    return str(payload["subject"])


def wait_for(store: Store, sink: str, *, until: float) -> None:
    """Many messages for one sink, none of which is due before."""
    rows = [
        {
            "event_id": f"e{number}",
            "sink": sink,
            "subject": f"s{number:03}",
            "payload": {"subject": f"s{number:03}"},
            "created_at": NOW,
            "not_before": until,
            "tries": 1,
        }
        for number in range(MANY)
    ]
    with store.begin() as tx:
        tx.execute(sa.insert(outbox_table), rows)


@pytest.mark.parametrize("line", [None, of_message], ids=["no lines", "lines"])
def test_many_that_wait_for_one_sink_hide_none_of_another_which_come_in_order(store: Store, line: Line | None) -> None:
    wait_for(store, "dead", until=NOW + 60)
    wait_for(store, "pager", until=NOW)
    given = []
    with store.begin() as tx:
        assert outbox.claim(tx, "dead", now=NOW, claim_s=30, line=line) is None
        while (message := outbox.claim(tx, "pager", now=NOW, claim_s=30, line=line)) is not None:
            given.append(message.subject)
            outbox.delivered(tx, message, now=NOW)
        later = outbox.claim(tx, "dead", now=NOW + 60, claim_s=30, line=line)
    assert given == [f"s{number:03}" for number in range(MANY)]
    assert later is not None
    assert later.subject == "s000"


def test_while_nothing_is_due_no_message_is_read_and_behind_the_newest_that_is_none(store: Store) -> None:
    looked_at: list[str] = []

    def in_one_line(_: Mapping[str, Any], event_id: str) -> str:
        looked_at.append(event_id)
        return ""

    wait_for(store, "dead", until=NOW + 60)
    with store.begin() as tx:
        assert outbox.claim(tx, "dead", now=NOW, claim_s=30, line=in_one_line) is None
        assert looked_at == []
        tx.execute(sa.update(outbox_table).where(outbox_table.c.event_id == "e7").values(not_before=NOW))
        assert outbox.claim(tx, "dead", now=NOW, claim_s=30, line=in_one_line) is None
        assert looked_at == [f"e{number}" for number in range(8)]
        message = outbox.claim(tx, "dead", now=NOW, claim_s=30, line=of_message)
    assert message is not None
    assert message.event_id == "e7"


def test_what_is_due_is_found_by_the_index_of_what_waits(store: Store) -> None:
    with store.begin() as tx:
        if tx.dialect.name == "postgresql":
            pytest.skip("PostgreSQL's plan goes by the sizes of its tables")
        query = "SELECT max(id) FROM outbox WHERE sink = 'dead' AND delivered_at IS NULL AND not_before <= 1"
        plan = " ".join(str(row) for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}"))
    assert "ix_outbox_pending (delivered_at=? AND not_before<?)" in plan


def test_what_was_given_up_holds_up_nothing(tx: Transaction) -> None:
    put(tx, "a1")
    put(tx, "a2")
    outbox.refused(tx, first_in_line(tx), "HTTP 400", now=NOW)
    assert first_in_line(tx).subject == "a2"


def test_several_senders_give_out_each_message_once_and_each_line_in_its_order(database_url: str, store: Store) -> None:
    wanted = [f"{letter}{number:02}" for number in range(15) for letter in "abc"]
    with store.begin() as tx:
        for subject in wanted:
            put(tx, subject)
    given: list[str] = []
    overtaken: list[str] = []

    def take(tx: Transaction) -> Message | None:
        message = in_line(tx)
        if message is not None:
            waiting = sa.select(outbox_table.c.subject).where(
                outbox_table.c.id < message.id, outbox_table.c.delivered_at.is_(None)
            )
            overtaken.extend(one for one in tx.scalars(waiting) if one[0] == message.subject[0])
        return message

    def send() -> None:
        mine = Store(database_url)
        while len(given) < len(wanted):
            message = mine.transact(take)
            if message is not None:
                given.append(message.subject)
                mine.transact(outbox.delivered, message, now=NOW)
        mine.close()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(send) for _ in range(4)]:
            done.result(timeout=60)
    assert sorted(given) == sorted(wanted)
    assert overtaken == []


def test_what_a_sink_will_never_take_waits_no_more_and_is_not_queued_again(tx: Transaction) -> None:
    put(tx, "s1")
    outbox.refused(tx, claimed(tx), "HTTP 400", now=NOW)
    put(tx, "s1", now=NOW + 1)
    assert outbox.backlog(tx) == {}
    assert claim(tx, now=NOW + 1000) is None
