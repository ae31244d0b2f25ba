"""The contracts of the messaging adapters, in memory."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from tests.deprecated_names import DeprecatedNotifierNames

from clinic.adapters.email.compose import Composer
from clinic.adapters.email.maildir import MaildirNotifier
from clinic.adapters.memory.job_queue import MemoryQueue
from clinic.adapters.memory.notifier import MemoryNotifier
from clinic.adapters.memory.store import MemoryStore
from clinic.adapters.system.clock import SystemClock
from clinic.domain import rate_limits
from clinic.domain.messaging import deliveries
from clinic.testing import JobQueueContract, NotifierContract, OutboxContract
from clinic.testing.contracts import notifier as notifier_contract


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


class TestMemoryNotifier(DeprecatedNotifierNames, NotifierContract):
    @pytest.fixture
    def notifier(self) -> MemoryNotifier:
        return MemoryNotifier()

    @pytest.fixture
    def taken(self, notifier):
        return lambda: [outgoing.message_id for outgoing in notifier.sent]


class TestMaildir(DeprecatedNotifierNames, NotifierContract):
    @pytest.fixture
    def notifier(self, tmp_path) -> MaildirNotifier:
        return MaildirNotifier(tmp_path / "mail", Composer("no-reply@clinic.example"))

    @pytest.fixture
    def taken(self, tmp_path):
        return lambda: [
            f"<{path.stem}>" for path in sorted((tmp_path / "mail" / "new").glob("*.eml"))
        ]


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        (deliveries, "Letter", "OutgoingMessage"),
        (deliveries, "Look", "DeliverySnapshot"),
        (deliveries, "Fit", "DeliveryVerdict"),
        (rate_limits, "Verdict", "RateLimitVerdict"),
        (notifier_contract, "a_letter", "an_outgoing_message"),
    ],
)
def test_old_name_in_a_module_warns_and_is_the_new_one(module, old, new) -> None:
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}") as warned:
        found = getattr(module, old)

    assert found is getattr(module, new)
    assert [each.filename for each in warned] == [__file__]
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        module.Nothing  # noqa: B018


def test_old_name_of_a_claim_s_snapshot_warns() -> None:
    snapshot: Any = object()
    message: Any = object()
    claim = deliveries.Claim(
        message,
        UUID(int=1),
        1,
        ambiguous=False,
        interrupted=False,
        snapshot=snapshot,
        claimed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )

    with pytest.warns(DeprecationWarning, match=r"Claim.look is now Claim.snapshot"):
        assert claim.look is snapshot
