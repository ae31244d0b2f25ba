"""The buffer of audit events: what it writes, what it drops, and how it shuts down."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from clinic.adapters.memory.store import MemoryStore
from clinic.bootstrap import Services, WorkerServices, build_worker, in_memory
from clinic.domain.audit.audit import REASON_MAX_CHARS, AuditEvent
from clinic.domain.errors import AuditUnavailable, OutcomeUnknown, TemporaryFailure
from clinic.ports.audit import AuditLog
from clinic.settings import Settings
from clinic.testing.builders import a_clinic, an_event
from clinic.usecases.audit import audit_buffer
from clinic.usecases.audit.audit_buffer import BATCH, AuditBuffer

pytestmark = pytest.mark.anyio

CLINIC = a_clinic()


class SilentLog:
    """Accepts events and never confirms them."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def append(self, events) -> None:
        self.begun.set()
        await asyncio.sleep(3600)


class Log:
    """The audit log in memory; its first answers are lost, or it fails instead."""

    def __init__(self, *, answers_lost: int = 0, accident: Exception | None = None) -> None:
        self.store = MemoryStore()
        self.answers_lost = answers_lost
        self.accident = accident
        self.sizes: list[int] = []

    async def append(self, events: Sequence[AuditEvent]) -> None:
        self.sizes.append(len(events))
        if self.accident:
            raise self.accident
        await self.store.audit_log.append(events)
        if self.answers_lost:
            self.answers_lost -= 1
            raise OutcomeUnknown()


def buffer_on(log: object, **options) -> AuditBuffer:
    return AuditBuffer(cast(AuditLog, log), **options)


def some_events(number: int) -> list[AuditEvent]:
    return [an_event(CLINIC) for _ in range(number)]


def spoilt() -> AuditEvent:
    return replace(an_event(CLINIC), reason="x" * (REASON_MAX_CHARS + 1))


async def test_flush_gives_up_on_a_silent_database_and_reads_are_refused(monkeypatch):
    monkeypatch.setattr(audit_buffer, "APPEND_MAX_S", 0.01)
    buffer = buffer_on(SilentLog(), refuse_after_s=0.0)
    buffer.add(an_event(CLINIC))

    with pytest.raises(TemporaryFailure):
        await buffer.flush()

    with pytest.raises(AuditUnavailable):
        buffer.check()


async def test_close_does_not_wait_for_a_silent_database(monkeypatch) -> None:
    monkeypatch.setattr(audit_buffer, "CLOSE_MAX_S", 0.05)
    monkeypatch.setattr(audit_buffer, "FLUSH_EVERY_S", 0.01)
    log = SilentLog()
    buffer = buffer_on(log, refuse_after_s=0.0)
    await buffer.open()
    buffer.add(an_event(CLINIC))
    await log.begun.wait()
    began = time.monotonic()

    await buffer.close()

    assert time.monotonic() - began < 5


@pytest.mark.parametrize("number", [1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH + 7])
async def test_every_event_is_written_once_whatever_the_size_of_the_batches(number: int) -> None:
    log = Log()
    buffer = buffer_on(log)
    events = some_events(number)
    for event in events:
        buffer.add(event)

    await buffer.flush()

    assert sorted(log.store.events, key=lambda event: event.id) == events
    assert sum(log.sizes) == number
    assert max(log.sizes) <= BATCH


async def test_events_that_come_while_a_batch_is_written_are_kept() -> None:
    log = Log()
    buffer = buffer_on(log)
    three = some_events(3)
    append = log.append

    async def meanwhile(events: Sequence[AuditEvent]) -> None:
        await append(events)
        if len(log.sizes) == 1:
            buffer.add(three[1])
            buffer.add(three[2])

    log.append = meanwhile  # type: ignore[method-assign]
    buffer.add(three[0])

    await buffer.flush()

    assert list(log.store.events) == three


async def test_batch_whose_answer_was_lost_is_appended_again_and_is_there_once() -> None:
    log = Log(answers_lost=1)
    buffer = buffer_on(log, refuse_after_s=0.0)
    events = some_events(5)
    for event in events:
        buffer.add(event)
    with pytest.raises(OutcomeUnknown):
        await buffer.flush()

    await buffer.flush()

    assert list(log.store.events) == events
    buffer.check()


@pytest.mark.parametrize("places", [(0,), (6,), (499,), (0, 1, 250, 501, 599), (599,)])
async def test_events_that_can_never_be_written_are_set_aside_and_the_others_written(
    places: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    buffer = buffer_on(log)
    events = some_events(600)
    for place in places:
        events[place] = spoilt()
    for event in events:
        buffer.add(event)

    await buffer.flush()

    good = [event for place, event in enumerate(events) if place not in places]
    assert {event.id for event in log.store.events} == {event.id for event in good}
    assert buffer.set_aside == len(places)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == len(places)
    assert all(str(events[place].id) in line for place, line in zip(places, told, strict=True))
    assert len(log.sizes) < 100
    buffer.check()


async def test_other_event_under_a_known_id_is_set_aside() -> None:
    log = Log()
    buffer = buffer_on(log)
    event = an_event(CLINIC)
    for each in (event, replace(event, outcome="denied"), event):
        buffer.add(each)

    await buffer.flush()

    assert list(log.store.events) == [event]
    assert buffer.set_aside == 1


async def test_fault_that_is_no_events_sets_nothing_aside(caplog) -> None:
    log = Log(accident=RuntimeError("Ada Lovelace has no table"))
    buffer = buffer_on(log, refuse_after_s=0.0)
    events = some_events(3)
    for event in events:
        buffer.add(event)

    with pytest.raises(RuntimeError):
        await buffer.flush()

    with pytest.raises(AuditUnavailable):
        buffer.check()
    assert (buffer.set_aside, log.sizes) == (0, [3])
    log.accident = None
    await buffer.flush()
    assert list(log.store.events) == events


@pytest.mark.parametrize("accident", [TemporaryFailure(), RuntimeError("Ada has no table"), None])
async def test_close_never_raises_and_tells_what_was_not_written(accident, caplog) -> None:
    log = Log(accident=accident)
    buffer = buffer_on(log)
    await buffer.open()
    for event in some_events(3):
        buffer.add(event)

    await buffer.close()

    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert told == (["3 audit events could not be written"] if accident else [])
    assert "Ada" not in caplog.text


class Part:
    """A part of the services that records when it is closed, and then may fail."""

    def __init__(self, closed: list[str], name: str, accident: Exception | None) -> None:
        self._closed, self._name, self._accident = closed, name, accident

    async def close(self) -> None:
        self._closed.append(self._name)
        if self._accident:
            raise self._accident


@pytest.mark.parametrize("failing", ["audit", "limiter", "cache", "store", "all"])
async def test_everything_is_closed_whatever_becomes_of_a_part(failing: str, caplog) -> None:
    closed: list[str] = []
    services: Services = in_memory()
    names = ("audit", "limiter", "cache", "store")
    for name in names:
        accident = RuntimeError("Ada is here") if failing in (name, "all") else None
        object.__setattr__(services, name, Part(closed, name, accident))

    await services.close()

    assert closed == list(names)
    assert "Ada" not in caplog.text
    assert "Part could not be closed: RuntimeError" in caplog.text


async def test_everything_of_a_worker_is_closed_whatever_becomes_of_a_part() -> None:
    closed: list[str] = []
    services: WorkerServices = build_worker(Settings())
    accident = RuntimeError("no mail")
    services.delivery.notifiers.clear()  # type: ignore[attr-defined]
    services.delivery.notifiers["EMAIL"] = Part(closed, "mail", accident)  # type: ignore[index]
    object.__setattr__(services, "store", Part(closed, "store", None))

    await services.close()

    assert closed == ["mail", "store"]
