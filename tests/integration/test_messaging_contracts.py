"""The contracts of the messaging adapters, on real servers."""

from collections.abc import AsyncIterator, Iterator

import pytest
import redis
from aiosmtpd.controller import Controller

from clinic.adapters.dramatiq import DramatiqQueue
from clinic.adapters.email.compose import Composer
from clinic.adapters.email.smtp import MailServer, SmtpNotifier
from clinic.adapters.postgres.store import PostgresStore
from clinic.testing import JobQueueContract, NotifierContract, OutboxContract


class TestPostgresOutbox(OutboxContract):
    @pytest.fixture(scope="class")
    async def open_store(self, module_postgres_urls) -> AsyncIterator[PostgresStore]:
        store = PostgresStore(module_postgres_urls.app_url)
        await store.open()
        yield store
        await store.close()

    @pytest.fixture
    def store(
        self, open_store: PostgresStore, module_postgres_urls, empty_database
    ) -> PostgresStore:
        empty_database(module_postgres_urls.name)
        return open_store


class TestDramatiqQueue(JobQueueContract):
    @pytest.fixture
    async def queue(self, valkey_url) -> AsyncIterator[DramatiqQueue]:
        queue = DramatiqQueue(valkey_url)
        yield queue
        await queue.stop(timeout_s=5)

    @pytest.fixture
    def lose(self, valkey_url):
        async def lose() -> None:
            with redis.Redis.from_url(valkey_url) as client:
                client.flushdb()

        return lose


class Recorder:
    """Accepts every message."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802 - its name
        head = envelope.content.split(b"\r\n\r\n", 1)[0].decode()
        line = next(each for each in head.splitlines() if each.startswith("Message-ID:"))
        self.ids.append(line.partition(":")[2].strip())
        return "250 taken"


class TestSmtp(NotifierContract):
    @pytest.fixture
    def recorder(self) -> Recorder:
        return Recorder()

    @pytest.fixture
    def port(self, recorder: Recorder, unused_port: int) -> Iterator[int]:
        controller = Controller(recorder, hostname="127.0.0.1", port=unused_port)
        controller.start()
        yield unused_port
        controller.stop()

    @pytest.fixture
    async def notifier(self, port: int) -> AsyncIterator[SmtpNotifier]:
        server = MailServer.from_url(f"smtp://127.0.0.1:{port}")
        notifier = SmtpNotifier(server, Composer("no-reply@clinic.example"), threads=2)
        yield notifier
        await notifier.close()

    @pytest.fixture
    def taken(self, recorder: Recorder):
        return lambda: list(recorder.ids)

    @pytest.fixture
    def unused_port(self) -> int:
        import socket

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])
