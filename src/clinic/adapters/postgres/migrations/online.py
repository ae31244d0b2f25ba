"""Builds indexes and changes tables in migrations while the service keeps running."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from alembic import op
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Row, TextClause, text
from sqlalchemy.exc import OperationalError

T = TypeVar("T")

#: building an index waits for older transactions, without blocking newer ones
LOCK_TIMEOUT_MS = 60_000
#: Others wait behind a change that waits for its lock. Shorter than PostgreSQL's deadlock_timeout,
#: so that in a deadlock the migration gives up, and never a booking.
BRIEFLY_MS = 300
PAUSE_S = 0.5
#: how often a change is tried
TRIES = 120
_NIL = "00000000-0000-0000-0000-000000000000"
_PARTS = text(
    """
    SELECT part.inhrelid::regclass::text
    FROM pg_inherits part
    WHERE part.inhparent = CAST(:divided AS regclass) AND NOT EXISTS (
        SELECT FROM pg_inherits attached JOIN pg_index i ON i.indexrelid = attached.inhrelid
        WHERE attached.inhparent = CAST(:index AS regclass) AND i.indrelid = part.inhrelid
    )
    """
)


@contextmanager
def online() -> Iterator[None]:
    """Leave the migration's transaction, to run CONCURRENTLY for as long as that takes.

    The block may stop half-way: write it so that it can be rerun.
    """
    with op.get_context().autocommit_block():
        op.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
        op.execute("SET statement_timeout = 0")
        try:
            yield
        finally:
            # Back to the connection's own settings.
            op.execute("RESET lock_timeout")
            op.execute("RESET statement_timeout")


def briefly(statement: str) -> None:
    """Run a statement that locks tables, inside `online()`. It waits only BRIEFLY_MS for its locks,
    and tries again after a pause. Raises what the last try raised."""
    _briefly(lambda: op.execute(statement))


def fill_in(statement: TextClause, batch: int) -> None:
    """Run a statement over all rows, inside `online()`, each time on the `:batch` rows after
    (`:clinic_id`, `:id`), whose last it selects. Waits for locks as `briefly` does, since others
    wait for the rows of the batch meanwhile. Raises what the last try raised."""
    values = {"clinic_id": _NIL, "id": _NIL, "batch": batch}

    def one_batch() -> Row[Any] | None:
        return op.get_bind().execute(statement, values).first()

    while found := _briefly(one_batch):
        values.update(clinic_id=found.clinic_id, id=found.id)


def _briefly(run: Callable[[], T]) -> T:
    op.execute(f"SET lock_timeout = {BRIEFLY_MS}")
    tries_left = TRIES
    try:
        while True:
            try:
                return run()
            except OperationalError as error:
                tries_left -= 1
                gave_up = isinstance(error.orig, LockNotAvailable | DeadlockDetected)
                if not gave_up or not tries_left:
                    raise
                time.sleep(PAUSE_S)
    finally:
        op.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")


def index_by_parts(name: str, table: str, how: str) -> None:
    """Index a partitioned table without blocking writers: each partition, then the whole."""
    op.execute(f"CREATE INDEX IF NOT EXISTS {name} ON ONLY {table} {how}")
    parts = op.get_bind().scalars(_PARTS, {"divided": table, "index": name}).all()
    for part in parts:
        part_index = f"{part}{name.removeprefix(table)}"
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {part_index}")
        op.execute(f"CREATE INDEX CONCURRENTLY {part_index} ON {part} {how}")
        op.execute(f"ALTER INDEX {name} ATTACH PARTITION {part_index}")
