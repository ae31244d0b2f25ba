"""The buffer of audit events before a database that says nothing."""

import asyncio
import time
from typing import cast

import pytest

from clinic.domain.audit import AuditEvent
from clinic.domain.errors import AuditUnavailable, TemporaryFailure
from clinic.ports.audit import AuditLog
from clinic.usecases import audit_buffer
from clinic.usecases.audit_buffer import AuditBuffer

pytestmark = pytest.mark.anyio

EVENT = cast(AuditEvent, object())


class SilentLog:
    """Takes events and never says that it has."""

    async def append(self, events) -> None:
        await asyncio.sleep(3600)


@pytest.fixture
def buffer() -> AuditBuffer:
    return AuditBuffer(cast(AuditLog, SilentLog()), refuse_after_s=0.0)


async def test_flush_gives_up_on_a_silent_database_and_reads_are_refused(buffer, monkeypatch):
    monkeypatch.setattr(audit_buffer, "APPEND_MAX_S", 0.01)
    buffer.add(EVENT)

    with pytest.raises(TemporaryFailure):
        await buffer.flush()

    with pytest.raises(AuditUnavailable):
        buffer.check()


async def test_close_does_not_wait_for_a_silent_database(buffer, monkeypatch) -> None:
    monkeypatch.setattr(audit_buffer, "CLOSE_MAX_S", 0.05)
    monkeypatch.setattr(audit_buffer, "FLUSH_EVERY_S", 0.01)
    await buffer.open()
    buffer.add(EVENT)
    # The background has begun to write.
    await asyncio.sleep(0.05)
    began = time.monotonic()

    await buffer.close()

    assert time.monotonic() - began < 5
