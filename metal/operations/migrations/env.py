"""Run by alembic: migrate inside the transaction that schema.py opened."""

from alembic import context

from metal.operations.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
