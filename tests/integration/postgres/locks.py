"""Waits until a transaction waits for a lock."""

import threading
import time

import psycopg

PATIENCE_S = 20


def wait_for_lock(url: str, *, holder: str) -> None:
    """Return once a transaction that uses the table `holder` waits for another's lock."""
    query = (
        "SELECT count(*) FROM pg_locks w JOIN pg_locks h USING (pid)"
        " WHERE NOT w.granted AND h.granted AND h.relation = to_regclass(%s)"
    )
    with psycopg.connect(url, autocommit=True) as watcher:
        deadline = time.monotonic() + PATIENCE_S
        while watcher.execute(query, [holder]).fetchone() == (0,):
            assert time.monotonic() < deadline, "nobody waits"
            threading.Event().wait(0.02)
