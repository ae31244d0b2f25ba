"""Migrates a database to this version's schema, from within the package and without an ini file.

Everything here is synchronous and runs as the owner of the tables; the application's own role
never changes the schema.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.pool import NullPool

from clinic.adapters.postgres.engine.connections import connect_blocking
from clinic.adapters.postgres.engine.errors import translated
from clinic.adapters.postgres.migrations.partitions import MIGRATION_LOCK, ensure_partitions
from clinic.adapters.postgres.migrations.rights import (
    APP_ROLE,
    FUNCTIONS,
    RIGHTS,
    SEALER_RIGHTS,
    SEALER_ROLE,
    ensure_role,
    grant_rights,
)
from clinic.domain.errors import TemporaryFailure

__all__ = [
    "APP_ROLE",
    "MIGRATION_LOCK",
    "current_revision",
    "ensure_partitions",
    "head_revision",
    "migrate",
]

FOLDER = Path(__file__).parent

LOCK_WAIT_S = 120.0
LOCK_PAUSE_S = 0.1
# A migration that does not get a lock soon gives up, or the service would queue up behind it.
LOCK_TIMEOUT_MS = 4_000
STATEMENT_TIMEOUT_MS = 30_000

WITHOUT_APP = (
    "the service runs only as the owner, and nothing keeps it from changing the audit trail but a"
    " trigger"
)
WITHOUT_SEALER = "the audit trail is sealed only by the owner, who could also change it"

# Alembic keeps the running migration in module globals.
_one_per_process = Lock()


def migrate(owner_url: str, *, app_role: str = APP_ROLE, sealer_role: str = SEALER_ROLE) -> None:
    """Migrate the database to `head_revision()`, grant both roles' rights, make coming partitions.

    It may be run repeatedly and concurrently. Missing roles are made if the owner may make roles;
    otherwise a warning says what is left to do. Raises TemporaryFailure when the database cannot be
    reached or another migration does not end.
    """
    with _one_per_process, translated(), _owner_connection(owner_url) as connection:
        _wait_for_turn(connection)
        try:
            _upgrade(connection)
            ensure_partitions(connection, datetime.now(UTC))
            if ensure_role(connection, app_role, WITHOUT_APP):
                grant_rights(connection, app_role, RIGHTS, FUNCTIONS)
            if ensure_role(connection, sealer_role, WITHOUT_SEALER):
                grant_rights(connection, sealer_role, SEALER_RIGHTS)
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})


def head_revision() -> str:
    """Return the revision that this version of the package needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def current_revision(url: str) -> str | None:
    """Return the database's revision, or None when it has never been migrated.

    Raises TemporaryFailure when the database cannot be reached.
    """
    with translated(), _owner_connection(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _owner_connection(url: str) -> Iterator[Connection]:
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect_blocking(
            url, lock_timeout_ms=LOCK_TIMEOUT_MS, statement_timeout_ms=STATEMENT_TIMEOUT_MS
        ),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as connection:
        yield connection


def _upgrade(connection: Connection) -> None:
    """Run the missing migrations, each in its own transaction."""
    config = _config()
    connection.commit()
    connection.execution_options(isolation_level="READ COMMITTED")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except InvalidRequestError as error:
        # What cleans up after a lost connection fails as well, and hides why it was lost.
        if not connection.invalidated:
            raise
        raise TemporaryFailure(
            "The connection to the database was lost. Migrate again: it goes on from there."
        ) from error
    finally:
        connection.rollback()
        connection.execution_options(isolation_level="AUTOCOMMIT")


def _wait_for_turn(connection: Connection) -> None:
    """Take the migration lock by polling.

    A session waiting inside pg_advisory_lock holds a snapshot, for which CREATE INDEX CONCURRENTLY
    in the session with the lock would wait: a deadlock.
    """
    give_up_at = time.monotonic() + LOCK_WAIT_S
    query = text("SELECT pg_try_advisory_lock(:lock)")
    while not connection.scalar(query, {"lock": MIGRATION_LOCK}):
        if time.monotonic() > give_up_at:
            raise TemporaryFailure(f"Another migration has been running for {LOCK_WAIT_S:.0f} s.")
        time.sleep(LOCK_PAUSE_S)
