"""How a migration builds an index while the service goes on."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import op

#: building waits for transactions that are older, without holding up younger ones
LOCK_TIMEOUT_MS = 60_000


@contextmanager
def online() -> Iterator[None]:
    """Leave the migration's transaction, to run CONCURRENTLY for as long as that takes.

    What is in here may stop half-way: write it so that it can be begun again.
    """
    with op.get_context().autocommit_block():
        op.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
        op.execute("SET statement_timeout = 0")
        try:
            yield
        finally:
            # As the connection was opened.
            op.execute("RESET lock_timeout")
            op.execute("RESET statement_timeout")
