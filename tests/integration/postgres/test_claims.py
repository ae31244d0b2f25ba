"""Which messages workers claim, and take over."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.domain.messaging.deliveries import Claim
from clinic.testing.contracts.outbox import LEASE, claimed, publish, seed_message

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


@pytest.mark.parametrize(
    ("state", "column", "late", "is_found"),
    [
        # Published long ago, as reminders are, and due, but not yet overdue.
        ("pending", "next_at", "30 min", False),
        ("pending", "next_at", "90 min", True),
        # An expired lease is taken over at once.
        ("claimed", "lease_until", "30 min", True),
    ],
)
async def test_rescue_is_of_what_is_late_by_more_than_it_may_be(
    store: PostgresStore, database, state, column, late, is_found
) -> None:
    sent = await seed_message(store)
    await publish(store)
    if state == "claimed":
        await claimed(store, sent)
    database.execute(
        "UPDATE notification_outbox SET published_at = now() - interval '1 day',"
        f" {column} = now() - interval '{late}'"
    )

    found = await store.outbox.rescue(overdue=timedelta(hours=1), limit=10)

    assert [job.message_id for job in found] == ([sent.message.id] if is_found else [])


@pytest.mark.parametrize(("ago", "is_found"), [("30 min", False), ("90 min", True)])
async def test_rescue_says_so_again_only_after_as_long_again(
    store: PostgresStore, database, ago, is_found
) -> None:
    await seed_message(store)
    await publish(store)
    database.execute(
        "UPDATE notification_outbox SET next_at = now() - interval '1 day',"
        f" published_at = now() - interval '{ago}'"
    )

    found = await store.outbox.rescue(overdue=timedelta(hours=1), limit=10)

    assert len(found) == is_found
