"""The response when PostgreSQL refuses, fails or goes away in the middle of a request."""

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import psycopg
import pytest

from clinic.bootstrap import build
from clinic.domain.errors import TemporaryFailure
from clinic.domain.links import Link, LinkSigner, Purpose
from clinic.domain.messaging.deliveries import OutboxState, Preferences
from clinic.domain.notifications import OPTIONAL, REMINDER
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Role, Scope
from clinic.entrypoints.http.app import create_app
from clinic.ports.outbox import NotificationQuery
from clinic.usecases.messaging.read_notifications import drop_notification, retry_notification

#: what the application's role may not look up itself
FAULTS = """
CREATE TABLE fault (sqlstate text);
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public
AS $$
DECLARE code text := (SELECT sqlstate FROM fault);
BEGIN
    IF code IS NOT NULL THEN
        RAISE EXCEPTION 'a secret of the database' USING ERRCODE = code;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(14);
    RETURN NULL;
END $$;
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(60);
    RETURN NULL;
END $$;
"""
AT_ONCE = "CREATE TRIGGER faulty AFTER INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION "
AT_COMMIT = (
    "CREATE CONSTRAINT TRIGGER faulty AFTER INSERT OR UPDATE ON {table}"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "
)
#: disk full, out of memory, too many connections, a server that is now a standby, a cancelled
#: statement, a server that is starting or cannot read its files; and two concurrent changes
REFUSALS = {
    "53100": "temporary_failure",
    "53200": "temporary_failure",
    "53300": "temporary_failure",
    "25006": "temporary_failure",
    "57014": "temporary_failure",
    "57P03": "temporary_failure",
    "58030": "temporary_failure",
    "40001": "transaction_aborted",
    "40P01": "transaction_aborted",
    "55P03": "transaction_aborted",
}
KEY = {"idempotency-key": "key-of-a-registration"}
PASSWORD = "seven quiet otters"


@pytest.fixture
def owner(postgres_urls):
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        owner.execute(FAULTS)
        yield owner


class Doors:
    """One request for each way in which changes are written, and what it would change."""

    def __init__(self, api, owner):
        self._api, self._owner = api, owner

    async def prepare(self):
        booked = await self._api.send("POST", "/appointments", self._slot(0))
        self._path = booked.headers["location"]

    def _slot(self, number):
        return {"slotId": str(self._api.slots[number].id)}

    async def book(self):
        """Book with one statement, which commits by itself."""
        return await self._api.send("POST", "/appointments", self._slot(1))

    async def book_together(self):
        """Book with the statement shared by bookings that arrive while another is being written."""
        answers = await asyncio.gather(
            *(self._api.send("POST", "/appointments", self._slot(n), who=n) for n in range(1, 4))
        )
        assert len({(each.status_code, each.json()["code"]) for each in answers}) == 1
        return answers[-1]

    async def move(self):
        """Move with a transaction of several statements."""
        return await self._api.send(
            "PATCH", self._path, self._slot(2), headers={"if-match": "*"}, key="k" * 20
        )

    async def register(self):
        body = {"name": "Noor", "email": "noor@example.org", "password": PASSWORD}
        return await self._api.client.post("/users", json=body, headers=KEY)

    def rows(self):
        """Return everything that these requests write."""
        tables = (
            "appointments",
            "slots",
            "audit_appointment",
            "notification_outbox",
            "idempotency_keys",
            "users",
            "sessions",
        )
        return [self._owner.execute(f"SELECT * FROM {t} ORDER BY 1, 2").fetchall() for t in tables]


@pytest.fixture
async def doors(api, owner):
    doors = Doors(api, owner)
    await doors.prepare()
    return doors


TABLES = {
    "book": "appointments",
    "book_together": "appointments",
    "move": "appointments",
    "register": "users",
}


@contextmanager
def faulty(owner, when, door, function):
    owner.execute(when.format(table=TABLES[door]) + function + "()")
    try:
        yield
    finally:
        owner.execute(f"DROP TRIGGER faulty ON {TABLES[door]}")


@pytest.mark.parametrize("when", [AT_ONCE, AT_COMMIT], ids=["at once", "at commit"])
async def test_what_the_server_cannot_do_now_changes_nothing_and_may_be_sent_again(
    api, owner, doors, when
):
    before = doors.rows()
    for door in ("book", "move"):
        with faulty(owner, when, door, "fail"):
            for sqlstate, code in REFUSALS.items():
                owner.execute("DELETE FROM fault")
                owner.execute("INSERT INTO fault VALUES (%s)", [sqlstate])

                answer = await getattr(doors, door)()

                told = (door, sqlstate, answer.status_code, answer.json()["code"])
                assert told == (door, sqlstate, 503, code)
                assert answer.headers["retry-after"] == "1"
                assert "secret" not in answer.text
            assert doors.rows() == before
        assert (await getattr(doors, door)()).status_code in (200, 201)
        before = doors.rows()


async def test_statement_that_takes_too_long_changes_nothing(api, owner, doors):
    settings = api.services.settings
    hurried = f"{settings.database_url}?options=-c%20statement_timeout%3D100"
    assert "?" not in settings.database_url
    app = create_app(build(msgspec.structs.replace(settings, database_url=hurried)))
    before = doors.rows()
    async with app.lifespan():
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
            api.client = client
            for door in ("book", "move", "register"):
                with faulty(owner, AT_ONCE, door, "dawdle"):
                    answer = await getattr(doors, door)()

                assert (answer.status_code, answer.json()["code"]) == (503, "temporary_failure")
                assert answer.headers["retry-after"] == "1"
    assert doors.rows() == before


@pytest.mark.parametrize("door", TABLES)
async def test_server_that_ends_the_connection_at_the_commit_leaves_open_what_became_of_it(
    owner, doors, door, end_waiting
):
    with faulty(owner, AT_COMMIT, door, "wait"):
        answer = await end_waiting(getattr(doors, door))

    assert (answer.status_code, answer.json()["code"]) == (503, "outcome_unknown")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("door", ["move", "register"])
async def test_server_that_ends_the_connection_before_the_commit_has_changed_nothing(
    owner, doors, door, end_waiting
):
    before = doors.rows()

    with faulty(owner, AT_ONCE, door, "wait"):
        answer = await end_waiting(getattr(doors, door))

    assert (answer.status_code, answer.json()["code"]) == (503, "temporary_failure")
    assert doors.rows() == before


@pytest.fixture
def end_waiting(postgres_server, postgres_urls):
    """Return a function that sends a request and terminates the backend that waits in it."""
    url = postgres_server.url(postgres_urls.name, "superuser")

    async def end(send):
        with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as other:
            holder.execute("SELECT pg_advisory_xact_lock(14)")
            request = asyncio.create_task(send())
            async with asyncio.timeout(10):
                while not request.done():
                    other.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE wait_event = 'advisory' AND datname = %s",
                        [postgres_urls.name],
                    )
                    await asyncio.sleep(0.02)
            return await request

    return end


async def test_what_cannot_be_audited_is_not_done_to_messages(api, owner, doors):
    services, patient = api.services, api.patients[0]
    store, signer = services.store, LinkSigner(services.settings.secret)
    view = (await store.outbox.list(NotificationQuery(Scope(api.clinic_id)), PageRequest()))[0]
    owner.execute("UPDATE notification_outbox SET next_at = now() WHERE id = %s", [view.message.id])
    key = (api.clinic_id, view.message.id)
    claim = await store.outbox.claim(*key, token=services.new_id(), lease=timedelta(minutes=1))
    await store.outbox.set_aside(claim, error="enough", ambiguous=False)
    expires_at = datetime.now(UTC) + timedelta(days=1)
    topic = OPTIONAL[REMINDER]
    link = Link(Purpose.UNSUBSCRIBE, api.clinic_id, patient.id, topic, expires_at)
    choice = {"language": "de", "channel": "email", "optedOut": []}
    admin = services.context(Actor(services.new_id(), Role.ADMIN, api.clinic_id))
    owner.execute("INSERT INTO fault VALUES ('53100')")
    owner.execute(AT_ONCE.format(table="audit_event") + "fail()")

    chosen = await api.send("PUT", "/users/me/notification-preferences", choice)
    left = await api.client.post(f"/unsubscribe/{signer.sign(link)}")
    for change in (retry_notification, drop_notification):
        with pytest.raises(TemporaryFailure):
            await change(admin, view.message.id)

    assert (chosen.status_code, left.status_code) == (503, 503)
    assert await store.outbox.preferences(api.clinic_id, patient.id) == Preferences()
    assert (await store.outbox.get(*key)).status is OutboxState.DEAD
    owner.execute("DELETE FROM fault")
    assert (await api.client.post(f"/unsubscribe/{signer.sign(link)}")).status_code == 200
    await retry_notification(admin, view.message.id)
    told = owner.execute("SELECT action, entity, entity_id, actor_id FROM audit_event ORDER BY at")
    assert told.fetchall()[-2:] == [
        ("unsubscribe", "notification_preferences", patient.id, patient.id),
        ("retry_notification", "notification", view.message.id, admin.actor.user_id),
    ]
