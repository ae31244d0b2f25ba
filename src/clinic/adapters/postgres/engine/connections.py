"""Opens connections and pools, with timeouts and the same session settings for all."""

import select
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from clinic.adapters.postgres.engine.prepared_pool import RETRY_S, PreparedPool
from clinic.adapters.postgres.engine.prepared_statements import PreparedConnection
from clinic.ports.figures import StoreFigures

CONNECT_TIMEOUT_S = 5
APPLICATION_NAME = "clinic"
#: A server whose machine is gone sends nothing, and TCP alone would wait for hours.
DEAD_PEER = {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
#: for connections whose statements all look up by key. Plans are made once and kept: one made while
#: a table was empty would keep scanning the whole table, and a page of slots, estimated as long,
#: would be joined with all people. By default, PostgreSQL replans every statement with array
#: parameters, since it assumes that unknown arrays are long. Starting parallel workers would take
#: longer than any lookup.
BY_KEY = (
    "-c enable_seqscan=off -c enable_mergejoin=off -c enable_hashjoin=off"
    " -c plan_cache_mode=force_generic_plan -c max_parallel_workers_per_gather=0"
)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Timeouts of connections, and of callers waiting for one."""

    connect_timeout_s: int = CONNECT_TIMEOUT_S
    #: how long a caller waits for a connection from the pool
    pool_timeout_s: float = 5.0
    statement_timeout_ms: int = 10_000
    lock_timeout_ms: int = 3_000
    idle_in_transaction_timeout_ms: int = 15_000
    #: how long a worker waits for an answer and a connection; longer than the server's timeouts
    answer_timeout_s: float = 20.0


def conninfo(
    url: str,
    *,
    connect_timeout_s: int = CONNECT_TIMEOUT_S,
    statement_timeout_ms: int = 0,
    lock_timeout_ms: int = 0,
    idle_in_transaction_timeout_ms: int = 0,
    options: str = "",
) -> str:
    """Return libpq's connection string for `url`; times are returned in UTC. 0 means no limit.

    `options` are further settings, as `-c name=value`. Settings in the URL take precedence.
    Raises psycopg.ProgrammingError for a bad URL.
    """
    given = conninfo_to_dict(url.replace("postgresql+psycopg://", "postgresql://", 1))
    settings = {
        "timezone": "UTC",
        "default_transaction_isolation": "read\\ committed",
        "statement_timeout": statement_timeout_ms,
        "lock_timeout": lock_timeout_ms,
        "idle_in_transaction_session_timeout": idle_in_transaction_timeout_ms,
    }
    ours = " ".join(f"-c {name}={value}" for name, value in settings.items())
    defaults: dict[str, Any] = {
        "connect_timeout": connect_timeout_s,
        "application_name": APPLICATION_NAME,
        **DEAD_PEER,
    }
    given["options"] = f"{ours} {options} {given.get('options', '')}".strip()
    return make_conninfo("", **{**defaults, **given})


def connect_blocking(
    url: str, *, statement_timeout_ms: int = 0, lock_timeout_ms: int = 0
) -> psycopg.Connection:
    """Return a connection for synchronous work; the limits are those of `conninfo`."""
    return psycopg.connect(
        conninfo(url, statement_timeout_ms=statement_timeout_ms, lock_timeout_ms=lock_timeout_ms)
    )


def why_unreachable(url: str) -> str | None:
    """Return why no connection can be made, or None if one can: a pool only says it timed out."""
    try:
        connect_blocking(url).close()
    except psycopg.Error as error:
        lines = str(error).strip().splitlines()
        return lines[0] if lines else type(error).__name__
    return None


def prepared_pool(
    url: str, size: int, limits: ConnectionLimits, figures: StoreFigures | None = None
) -> PreparedPool:
    """Return a pool, not open yet, whose connections commit each statement by itself.

    `figures` counts the callers that wait for a connection.
    """

    async def check(connection: PreparedConnection) -> None:
        if connection.is_stale():
            # The others of the pool have most likely lost the same server.
            await opener.drain()
            raise psycopg.OperationalError("the server closed the connection")

    opener = AsyncConnectionPool(
        _limited(url, limits, options=BY_KEY),
        connection_class=PreparedConnection,
        kwargs={"autocommit": True},
        min_size=1,
        max_size=size,
        open=False,
        check=check,
        name="clinic",
        timeout=limits.pool_timeout_s,
        # Give up soon, so that waiting callers retry a lost server: the opener's own pauses between
        # attempts keep doubling for minutes.
        reconnect_timeout=RETRY_S,
    )
    return PreparedPool(opener, size=size, timeout_s=limits.pool_timeout_s, figures=figures)


def transaction_engine(url: str, size: int, limits: ConnectionLimits) -> AsyncEngine:
    """Return an engine for units of work and ordinary reads; it connects on first use."""
    target = _limited(url, limits)
    engine = create_async_engine(
        "postgresql+psycopg://",
        async_creator=lambda: psycopg.AsyncConnection.connect(target),
        pool_size=size,
        max_overflow=0,
        pool_timeout=limits.pool_timeout_s,
        use_native_hstore=False,
    )

    def check(connection: Any, _record: object, _proxy: object) -> None:
        if is_stale(connection.driver_connection):
            raise InvalidatePoolError("the server closed the connection")

    event.listen(engine.sync_engine, "checkout", check)
    return engine


def is_stale(connection: psycopg.AsyncConnection) -> bool:
    """Return whether the server has ended this idle connection, without a round trip.

    All that a server sends on an idle connection is that it ends, so polling the socket is enough.
    """
    if connection.closed:
        return True
    watched = select.poll()
    watched.register(connection.fileno(), select.POLLIN)
    return bool(watched.poll(0))


def _limited(url: str, limits: ConnectionLimits, *, options: str = "") -> str:
    return conninfo(
        url,
        connect_timeout_s=limits.connect_timeout_s,
        statement_timeout_ms=limits.statement_timeout_ms,
        lock_timeout_ms=limits.lock_timeout_ms,
        idle_in_transaction_timeout_ms=limits.idle_in_transaction_timeout_ms,
        options=options,
    )
