"""Alembic's entry point; the connection comes from `receiver.store.database`, never from a file."""

from alembic import context

from receiver.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
)
context.run_migrations()
