"""Fixtures for tests on real servers: an empty database, and a `clinic serve` with a clinic."""

import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from tests.commands import Commands, Running

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.redis import idempotency_cache
from clinic.bootstrap import Services, build
from clinic.devtools.http_client import Request, Response, send_together
from clinic.domain.calendar.slots import Slot
from clinic.domain.clinic import Clinic
from clinic.domain.people.people import Role, User, system_actor
from clinic.entrypoints.http.kernel.tokens import token_of
from clinic.ports.unit_of_work import UnitOfWork
from clinic.settings import PREFIX, Settings
from clinic.usecases.people.sign_in import sign_in_as

SECRET = "of-these-tests-alone-0123456789abcdef"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30

DELETES = """
SELECT string_agg(format('DELETE FROM %I', c.relname), ';')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND c.relname <> 'alembic_version'
"""


@pytest.fixture
def patient_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the cache of answers wait for Valkey even on a busy machine.

    For tests that check the copies. In the service a copy that takes over 50 ms is not kept.
    """
    monkeypatch.setattr(idempotency_cache, "TIMEOUT_S", 30.0)


@pytest.fixture(scope="session")
def empty_database(postgres_server) -> Callable[[str], None]:
    """Empty every table of the database of this name."""

    def empty(name: str) -> None:
        # The superuser may disable the triggers that protect the audit trail. With few rows, DELETE
        # is many times faster than TRUNCATE.
        with psycopg.connect(postgres_server.url(name, "superuser")) as connection:
            connection.execute("SET session_replication_role = replica")
            found = connection.execute(DELETES).fetchone()
            assert found is not None
            connection.execute(found[0])

    return empty


@dataclass(frozen=True)
class Town:
    """A clinic with patients, and slots, earliest first, that never overlap for one doctor."""

    clinic_id: UUID
    receptionist_id: UUID
    slots: Sequence[Slot]
    patient_ids: Sequence[UUID]
    #: of the receptionist and every patient
    tokens: Mapping[UUID, str]

    @property
    def office(self) -> str:
        return self.tokens[self.receptionist_id]

    def booking(self, slot: Slot, patient_id: UUID, key: str) -> Request:
        """Return the request with which a patient books a slot."""
        body = {"slotId": str(slot.id), "type": "Consultation"}
        return Request("POST", "/appointments", self.tokens[patient_id], body, key=key)


@dataclass
class Server:
    """A `clinic serve` process, and requests to it."""

    settings: Settings
    log: Path
    commands: Commands
    process: Running | None = field(default=None)

    def start(self) -> None:
        names = (
            *("database_url", "broker_url", "secret", "host", "port", "pool_size", "drain_s"),
            *("request_timeout_s", "connections_per_address"),
        )
        own = {f"{PREFIX}{name.upper()}": str(getattr(self.settings, name)) for name in names}
        self.process = self.commands.begin(["serve"], own, self.log.parent, stdout=self.log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection((self.settings.host, self.settings.port)).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        pytest.fail(f"clinic serve did not start:\n{self.log.read_text()}")

    def stop(self) -> None:
        """Shut it down cleanly, if it runs; that must not take long."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(STOP_TIMEOUT_S)
            self.process = None

    def kill9(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    async def send(self, requests: Iterable[Request]) -> list[Response]:
        """Send requests at the same moment and return the responses; each must be answered."""
        answers = await send_together(self.settings.host, self.settings.port, list(requests))
        assert [answer for answer in answers if not isinstance(answer, Response)] == []
        return [answer for answer in answers if isinstance(answer, Response)]


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """Runs `clinic …` in processes that have imported everything already."""
    commands = Commands()
    yield commands
    commands.close()


@pytest.fixture
def server(commands, postgres_urls, valkey_url, tmp_path) -> Iterator[Server]:
    """A server on a migrated database without rows."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    settings = Settings(
        database_url=postgres_urls.app_url,
        owner_url=postgres_urls.owner_url,
        broker_url=valkey_url,
        secret=SECRET,
        port=port,
    )
    server = Server(settings, tmp_path / "serve.log", commands)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
async def store(postgres_urls) -> AsyncIterator[PostgresStore]:
    """A store on an empty database, as the application's role."""
    store = PostgresStore(postgres_urls.app_url)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def database(postgres_urls) -> Iterator[psycopg.Connection[Any]]:
    """The server's database, as its owner."""
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def make_town(server):
    """Return a function that makes a clinic with so many doctors, slots for each, and patients."""

    async def make(*, doctors: int = 1, slots: int, patients: int) -> Town:
        services = build(server.settings)
        await services.open()
        try:
            town = await services.transactions.run(
                lambda unit: _settle(unit, services, doctors, slots, patients)
            )
            signed_in = await sign_in_as(
                services.context(system_actor(town.clinic_id)),
                [town.receptionist_id, *town.patient_ids],
            )
        finally:
            await services.close()
        tokens = {one.user.id: token_of(one, server.settings) for one in signed_in}
        return replace(town, tokens=tokens)

    return make


async def _settle(
    unit: UnitOfWork, services: Services, doctors: int, slots: int, patients: int
) -> Town:
    new_id = services.new_id
    clinic = Clinic(new_id(), "Race Town", "UTC")
    await unit.people.add_clinic(clinic)

    async def person(name: str, role: Role) -> UUID:
        user = User(new_id(), name, f"{name.replace(' ', '.')}@example.org", role)
        await unit.people.add_user(user)
        return user.id

    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    length = timedelta(minutes=15)
    made = []
    for number in range(doctors):
        doctor_id = await person(f"doctor {number}", Role.DOCTOR)
        await unit.people.add_doctor(clinic.id, doctor_id, "Racing")
        starts = [first + length * index for index in range(slots)]
        made += [Slot(new_id(), clinic.id, doctor_id, "Racing", at, at + length) for at in starts]
    await unit.calendars.add_slots(made)
    patient_ids = []
    for number in range(patients):
        patient_ids.append(await person(f"patient {number}", Role.PATIENT))
        await unit.people.add_patient(clinic.id, patient_ids[-1])
    receptionist_id = await person("reception", Role.RECEPTIONIST)
    await unit.accounts.add_staff(clinic.id, receptionist_id)
    return Town(
        clinic.id,
        receptionist_id,
        sorted(made, key=lambda slot: slot.starts_at),
        patient_ids,
        tokens={},
    )
