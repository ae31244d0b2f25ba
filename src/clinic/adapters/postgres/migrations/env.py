"""Run by Alembic: applies the migrations on the connection that `migrate` gives it."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # So that a migration may leave its transaction, to build an index CONCURRENTLY.
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
