"""Two workers that look at a message at the same moment."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.domain.deliveries import Claim
from clinic.testing.contracts.outbox import LEASE, seed_message

pytestmark = pytest.mark.anyio

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


async def test_of_two_claims_that_wait_for_the_same_row_one_gets_it(
    store: PostgresStore, postgres_server, postgres_urls
) -> None:
    sent = await seed_message(store)
    url = postgres_server.url(postgres_urls.name, "superuser")
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as watcher:
        holder.execute("SELECT FROM notification_outbox FOR UPDATE")
        claims = [
            asyncio.create_task(store.outbox.claim(*sent.key, token=uuid4(), lease=LEASE))
            for _ in range(2)
        ]
        async with asyncio.timeout(10):
            while watcher.execute(WAITING).fetchone() != (2,):  # noqa: ASYNC110 - a server's state
                await asyncio.sleep(0.01)
        holder.rollback()
        found = await asyncio.gather(*claims)

    assert sorted(type(each) is Claim for each in found) == [False, True]
