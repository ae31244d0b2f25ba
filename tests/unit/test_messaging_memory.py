"""The messaging adapters in memory keep their contracts."""

import pytest

from clinic.adapters.email.compose import Composer
from clinic.adapters.email.maildir import MaildirNotifier
from clinic.adapters.memory.job_queue import MemoryQueue
from clinic.adapters.memory.notifier import MemoryNotifier
from clinic.adapters.memory.store import MemoryStore
from clinic.adapters.system.clock import SystemClock
from clinic.testing import JobQueueContract, NotifierContract, OutboxContract


class TestMemoryOutbox(OutboxContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestMemoryQueue(JobQueueContract):
    @pytest.fixture
    def queue(self) -> MemoryQueue:
        return MemoryQueue(SystemClock())

    @pytest.fixture
    def lose(self, queue):
        async def lose() -> None:
            queue.forget()

        return lose


class TestMemoryNotifier(NotifierContract):
    @pytest.fixture
    def notifier(self) -> MemoryNotifier:
        return MemoryNotifier()

    @pytest.fixture
    def taken(self, notifier):
        return lambda: [letter.message_id for letter in notifier.sent]


class TestMaildir(NotifierContract):
    @pytest.fixture
    def notifier(self, tmp_path) -> MaildirNotifier:
        return MaildirNotifier(tmp_path / "mail", Composer("no-reply@clinic.example"))

    @pytest.fixture
    def taken(self, tmp_path):
        return lambda: [
            f"<{path.stem}>" for path in sorted((tmp_path / "mail" / "new").glob("*.eml"))
        ]
