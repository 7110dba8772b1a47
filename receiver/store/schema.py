"""The tables. Times are Unix seconds; JSON columns hold what people read; the loop decides by the others."""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Computed,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

metadata = MetaData()

_row_id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in an INTEGER key


class _OrgOf(FunctionElement[str]):
    """The organization in the facts of an audit row, as each database is told to find it (migration 0013)."""

    inherit_cache = True


@compiles(_OrgOf, "postgresql")
def _org_on_postgresql(_element: _OrgOf, _compiler: SQLCompiler, **_: Any) -> str:
    return "audit_org(facts)"


@compiles(_OrgOf, "sqlite")
def _org_on_sqlite(_element: _OrgOf, _compiler: SQLCompiler, **_: Any) -> str:
    return "json_extract(facts, '$.org')"


alerts = Table(
    "alerts",
    metadata,
    Column("id", _row_id, primary_key=True, autoincrement=True),
    Column("fingerprint", Text, nullable=False),
    Column("starts_at", Double, nullable=False),
    Column("org", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("signal", Text, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("annotations", JSON, nullable=False),
    Column("received_at", Double, nullable=False),
    Column("refreshed_at", Double, nullable=False),
    Column("closed_at", Double),
    Column("verdict", Text),  # of the newest decision; null until the first one
    Column("holding_back", Text),
    Column("source", Text, nullable=False, server_default="webhook"),
    Column("closed_by", Text),
    UniqueConstraint("fingerprint", "starts_at", name="uq_alerts_fingerprint_starts_at"),
    Index("ix_alerts_org_open", "org", "is_open"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", _row_id, primary_key=True, autoincrement=True),
    Column("alert_id", ForeignKey("alerts.id", name="fk_decisions_alert"), nullable=False, index=True),
    Column("rollback_id", Text),
    Column("org", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("guards", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("receiver", Text, nullable=False),
    Index("ix_decisions_object", "org", "object_id", "verdict"),
    Index("ix_decisions_at", "at"),
)

rollbacks = Table(
    "rollbacks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("alert_id", ForeignKey("alerts.id", name="fk_rollbacks_alert"), nullable=False),
    Column("org", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("accused_version", Text, nullable=False),
    Column("live_since", Double, nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("shadow", Boolean, nullable=False),
    Column("target_version", Text, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("deadline", Double, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("started_at", Double),  # when the first permit to publish was given; the lockout counts from it
    Column("wrote", Boolean, nullable=False),  # a publish was sent, or may have been, and was not provably refused
    Column("threshold_ratio", Double, nullable=False),  # what the target is held to while it is verified
    Column("confirmed_at", Double),
    Column("ended_at", Double),
    Column("facts", JSON, nullable=False),
    Column("kind", Text, nullable=False, server_default="rollback"),
    Column("attempt_id", Text, nullable=False, server_default=""),  # the id of the first rollback of the attempt
    Column("published_by", Text),  # who made the accused version live: what belongs to the same change set
    Column("undoes", Text),  # the rollback that an undo takes back
    Column("approved_by", Text),
    Column("approved_at", Double),
    Column("overrides", Text),  # guards that a person named who has ordered it by hand; null: nobody has
    Column("ways_back", Text, nullable=False, server_default="republish"),  # strategies in their order
    Column("strategy", Text, nullable=False, server_default="republish"),  # the one that has its turn
    Column("export_job", Text),  # of `redeploy`
    UniqueConstraint(
        "org",
        "object_type",
        "object_id",
        "accused_version",
        "live_since",
        "try_number",
        "shadow",
        name="uq_rollbacks_try",
    ),
    Index("ix_rollbacks_object", "org", "object_id"),
    Index("ix_rollbacks_attempt", "attempt_id"),
)

steps = Table(
    "steps",
    metadata,
    Column("id", _row_id, primary_key=True, autoincrement=True),
    Column("rollback_id", ForeignKey("rollbacks.id", name="fk_steps_rollback"), nullable=False, index=True),
    Column("at", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("detail", JSON, nullable=False),
)

permits = Table(
    "permits",
    metadata,
    Column("rollback_id", ForeignKey("rollbacks.id", name="fk_permits_rollback"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("strategy", Text, nullable=False),
    Column("target_version", Text, nullable=False),
    Column("issued_at", Double, nullable=False),
    Column("valid_until", Double, nullable=False),
    Column("answer", Text),  # null: nobody knows whether it was sent
    Column("operation_id", Text),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("expires_at", Double, nullable=False),
)

pauses = Table(
    "pauses",
    metadata,
    Column("org", Text, primary_key=True),  # "*": every organization
    Column("paused_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("paused_at", Double, nullable=False),
)

holds = Table(
    "holds",
    metadata,
    Column("org", Text, primary_key=True),
    Column("flow_id", Text, primary_key=True),  # "*": every flow of the organization
    Column("owner", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("held_by", Text, nullable=False),
    Column("held_at", Double, nullable=False),
)

quarantines = Table(
    "quarantines",
    metadata,
    Column("id", Text, primary_key=True),
    Column("rollback_id", ForeignKey("rollbacks.id", name="fk_quarantines_rollback"), nullable=False),
    Column("org", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("quarantined_at", Double, nullable=False),
    Column("lifted_at", Double),
    Column("lifted_by", Text),
    UniqueConstraint("rollback_id", name="uq_quarantines_rollback"),
    Index("ix_quarantines_object", "org", "object_id"),
)

windows = Table(
    "windows",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org", Text, nullable=False),
    Column("flow_ids", JSON, nullable=False),  # empty: every flow of the organization
    Column("kind", Text, nullable=False),
    Column("starts_at", Double, nullable=False),
    Column("ends_at", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("closed_at", Double),
    Column("closed_by", Text),
    Column("feed", Text),  # which has announced it, and what it is called there; null: somebody has opened it
    Column("feed_uid", Text),
    Column("url", Text),
    Index("ix_windows_org_ends_at", "org", "ends_at"),
    Index("ix_windows_feed_ends_at", "feed", "ends_at"),
)

feeds = Table(
    "feeds",
    metadata,
    Column("name", Text, primary_key=True),
    Column("due_at", Double, nullable=False),  # of the next reading
    Column("asked_at", Double),  # of the newest one that has ended, however; an older one that ends later is nothing
    Column("read_at", Double),  # of the newest one that succeeded; null until the first
    Column("problem", Text, nullable=False),  # of the newest one; empty if it succeeded
    Column("lapsed", Integer, nullable=False),  # at read_at: what was open in the source and held nothing back
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _row_id, primary_key=True, autoincrement=True),
    Column("event_id", Text, nullable=False),
    Column("sink", Text, nullable=False),
    Column("subject", Text, nullable=False),  # what it is about; people hear of each subject once
    Column("payload", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("last_error", Text),
    Column("delivered_at", Double),  # or given up, if the sink will never take it: then `last_error` says why
    UniqueConstraint("sink", "subject", name="uq_outbox_sink_subject"),
    Index("ix_outbox_pending", "delivered_at", "not_before"),
)

flows = Table(  # those with a live version, as Genesys Cloud last listed them
    "flows",
    metadata,
    Column("org", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("division_id", Text, nullable=False),
    Column("division_name", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("live_version", Text, nullable=False),
    Column("live_published_at", Double),
    Column("published_by", Text),
)

flow_divisions = Table(  # of every flow that was ever listed, as it was the last time
    "flow_divisions",
    metadata,
    Column("org", Text, primary_key=True),
    Column("flow_id", Text, primary_key=True),
    Column("division_id", Text, nullable=False),  # empty, like the name: it was in none
    Column("division_name", Text, nullable=False),
    Column("listed_at", Double, nullable=False),
)

listings = Table(
    "listings",
    metadata,
    Column("org", Text, primary_key=True),
    Column("due_at", Double, nullable=False),  # of the next one
    Column("listed_at", Double),  # of what is in `flows`; null until the first one succeeded
    Column("problem", Text, nullable=False),  # of the newest try; empty if it succeeded
)

ledger_periods = Table(  # what a version did in the part of a period that was read
    "ledger_periods",
    metadata,
    Column("org", Text, primary_key=True),
    Column("object_type", Text, primary_key=True),
    Column("object_id", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("signal", Text, primary_key=True),
    Column("start", Double, primary_key=True),
    Column("since", Double, nullable=False),
    Column("until", Double, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("exits", Integer, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("served_s", Double, nullable=False),  # time in which it had conversations
    Index("ix_ledger_periods_until", "org", "until"),
)

ledger_stints = Table(  # a version was live all the time between the two, as far as that was seen or is dated
    "ledger_stints",
    metadata,
    Column("org", Text, primary_key=True),
    Column("object_type", Text, primary_key=True),
    Column("object_id", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("started_at", Double, primary_key=True),
    Column("ended_at", Double, nullable=False),
)

ledger_readings = Table(
    "ledger_readings",
    metadata,
    Column("org", Text, primary_key=True),
    Column("due_at", Double, nullable=False),  # of the next one
    Column("read_at", Double),  # null until the first one succeeded
    Column("problem", Text, nullable=False),  # of the newest try; empty if it succeeded
)

deployments = Table(
    "deployments",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org", Text, nullable=False),
    Column("commit_id", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("rollback", Text, nullable=False),
    Column("registered_at", Double, nullable=False),
    Column("registered_by", Text, nullable=False),
    Column("good_at", Double),
    Column("good_by", Text),
    Index("ix_deployments_org", "org", "registered_at"),
)

deployment_members = Table(
    "deployment_members",
    metadata,
    Column("deployment_id", ForeignKey("deployments.id", name="fk_deployment_members_deployment"), primary_key=True),
    Column("object_type", Text, primary_key=True),
    Column("object_id", Text, primary_key=True),
    Column("org", Text, nullable=False),
    Column("source_digest", Text, nullable=False),
    Column("version", Text),  # null until it is known
    Index("ix_deployment_members_object", "org", "object_id"),
)

contents = Table(  # of versions, which never change
    "contents",
    metadata,
    Column("org", Text, primary_key=True),
    Column("object_type", Text, primary_key=True),
    Column("object_id", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("read_at", Double, nullable=False),
)

ways_in_vain = Table(
    "ways_in_vain",
    metadata,
    Column("org", Text, primary_key=True),
    Column("strategy", Text, primary_key=True),
    Column("found_at", Double, nullable=False),
    Column("rollback_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

changes = Table(  # what was changed by whom
    "changes",
    metadata,
    Column("org", Text, primary_key=True),
    Column("id", Text, primary_key=True),  # the audit's own, or made of what a listing has shown
    Column("at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("source", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("object_name", Text, nullable=False),
    Column("version", Text),
    Column("changed_by", Text, nullable=False),
    Column("application", Text),
    Column("own", Boolean, nullable=False),  # the bridge's
    Index("ix_changes_at", "org", "at"),
)

change_readings = Table(  # of the audit
    "change_readings",
    metadata,
    Column("org", Text, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("due_at", Double, nullable=False),  # of the next one
    Column("asked_at", Double, nullable=False),  # the newest try
    Column("read_at", Double),  # null until the first one succeeded
    Column("problem", Text, nullable=False),  # of the newest try; empty if it succeeded
)

watchdogs = Table(
    "watchdogs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seen_at", Double, nullable=False),
)

audit = Table(  # append-only: triggers of its migration refuse everything but new rows
    "audit",
    metadata,
    Column("number", _row_id, primary_key=True, autoincrement=False),  # without a gap
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("facts", Text, nullable=False),  # canonical JSON, as the hash covers it
    Column("hash", Text, nullable=False),
    # What the row is about, which is in its facts and only there: nobody writes it, and so the hash covers it too.
    Column("org", Text, Computed(_OrgOf())),
    Index("ix_audit_at", "at"),
    Index("ix_audit_org", "org", "number"),
)

audit_heads = Table(  # one row: the newest of the audit
    "audit_heads",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", _row_id, nullable=False),
    Column("hash", Text, nullable=False),
)

idempotency_keys = Table(  # orders that had their effect, and what was answered
    "idempotency_keys",
    metadata,
    Column("caller", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request", Text, nullable=False),  # digest of what was asked for
    Column("status", Integer),  # null only within the transaction that has the effect
    Column("answer", Text),  # JSON, as it was sent
    Column("at", Double, nullable=False),
    Index("ix_idempotency_keys_at", "at"),
)

tokens = Table(  # of the API; those in receiver.yml are not here
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),  # stands in the token's text, and is no secret
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),  # SHA-256 of the text, which is nowhere
    Column("roles", JSON, nullable=False),
    Column("orgs", JSON(none_as_null=True)),  # null: every one
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("revoked_by", Text),
    Index("ix_tokens_name", "name"),
)

objects = Table(  # configuration objects other than flows, of which snapshots are kept
    "objects",
    metadata,
    Column("org", Text, primary_key=True),
    Column("object_type", Text, primary_key=True),
    Column("object_id", Text, primary_key=True),
    Column("name", Text, nullable=False),  # empty until the first reading
    Column("due_at", Double, nullable=False),  # of the next reading
    Column("asked_at", Double, nullable=False),  # of the newest one, however it ended
    Column("wanted_at", Double),  # since when somebody wants it read at once
    Column("read_at", Double),  # when the newest one that counts was asked for; null until the first
    Column("own_version", Integer),  # Genesys Cloud's own count of its changes, where it has one
    Column("flow_id", Text),  # the flow whose callers meet it; null: nobody knows
    Column("problem", Text, nullable=False),  # of the newest one; empty if it succeeded
)

snapshots = Table(  # once for each content
    "snapshots",
    metadata,
    Column("org", Text, primary_key=True),
    Column("object_type", Text, primary_key=True),
    Column("object_id", Text, primary_key=True),
    Column("version", Text, primary_key=True),  # the beginning of the content's digest
    Column("content", JSON, nullable=False),  # without secrets
    Column("kept_at", Double, nullable=False),
)

object_stints = Table(  # which content an object had when
    "object_stints",
    metadata,
    Column("org", Text, primary_key=True),
    Column("object_type", Text, primary_key=True),
    Column("object_id", Text, primary_key=True),
    Column("since", Double, primary_key=True),  # the first reading that showed it
    Column("version", Text, nullable=False),
    Column("seen_until", Double, nullable=False),  # the newest one that did
)

compatibility = Table(
    "compatibility",
    metadata,
    Column("oldest_revision", Text, primary_key=True),  # one row; see `migration`
)
