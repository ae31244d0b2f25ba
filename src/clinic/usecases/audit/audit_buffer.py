"""Buffers events that belong to no change (reads, denials, failed sign-ins) and writes batches.

A read is answered before its event is written, so a process that is killed loses the events of at
most half a second; when events cannot be written for long, reads are refused instead.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from uuid import uuid4

from clinic.domain.audit.audit import AuditEvent
from clinic.domain.errors import AuditUnavailable, ClinicError, TemporaryFailure
from clinic.ports.audit import AuditLog
from clinic.ports.clock import IdSource
from clinic.usecases.audit.refusal_tally import RefusalTally

FLUSH_EVERY_S = 0.5
#: how many events wait at most, and how many are written in one batch
CAPACITY, BATCH = 10_000, 500
#: how long writing may fail before reads are refused
REFUSE_AFTER_S = 5.0

#: how long one batch may take, and all waiting events when the process ends: a database that does
#: not respond must not keep the process alive
APPEND_MAX_S, CLOSE_MAX_S = 12.0, 10.0

log = logging.getLogger("clinic.audit")


class AuditBuffer:
    """Collects events in one process and appends them in the background while it is open."""

    def __init__(
        self,
        audit_log: AuditLog,
        *,
        capacity: int = CAPACITY,
        refuse_after_s: float = REFUSE_AFTER_S,
        now_s: Callable[[], float] = time.monotonic,
        new_id: IdSource = uuid4,
    ) -> None:
        self._log = audit_log
        self._capacity = capacity
        self._refuse_after_s = refuse_after_s
        self._now_s = now_s
        self._waiting: deque[AuditEvent] = deque()
        self._refusals = RefusalTally(now_s=now_s, new_id=new_id)
        self._failing_since_s: float | None = None
        self._writing: asyncio.Lock | None = None
        self._task: asyncio.Task[None] | None = None
        #: how many events the store refused for good, since the process started
        self.set_aside = 0
        #: how many events were refused because the buffer was full or the database away, and how
        #: many were left when the process ended
        self.refused = self.dropped = 0

    @property
    def waiting(self) -> int:
        """How many events have not been written yet."""
        return len(self._waiting)

    def check(self) -> None:
        """Raise AuditUnavailable while events cannot be kept: no data may be shown then."""
        failing = self._failing_since_s
        too_long = failing is not None and self._now_s() - failing > self._refuse_after_s
        if too_long or len(self._waiting) >= self._capacity:
            self.refused += 1
            raise AuditUnavailable()

    def add(self, event: AuditEvent) -> None:
        """Keep an event to be written. Raises AuditUnavailable."""
        self.check()
        self._waiting.append(event)

    def add_denial(self, event: AuditEvent) -> None:
        """Keep a denial, or only count it when it is one of many or there is no room.

        Never raises: the request is refused with or without its event.
        """
        if self._refusals.keeps(event):
            try:
                self.add(event)
            except AuditUnavailable:
                self._refusals.count(event)

    async def flush(self) -> None:
        """Write all waiting events.

        An event that the store refuses for good is set aside, and the others are written. Raises
        TemporaryFailure and any other error not caused by an event; the events then keep waiting.
        Counted denials are written when their minute is over.
        """
        if len(self._waiting) < self._capacity:
            self._waiting.extend(self._refusals.take())
        if self._writing is None:
            self._writing = asyncio.Lock()
        async with self._writing:
            size = BATCH
            while self._waiting:
                batch = list(islice(self._waiting, size))
                try:
                    await self._append(batch)
                except TemporaryFailure:
                    raise
                except ClinicError as error:
                    # One event can never be written: halve the batch until that one is alone.
                    if len(batch) > 1:
                        size = len(batch) // 2
                        continue
                    self._set_aside(batch[0], error)
                for _ in batch:
                    self._waiting.popleft()
                size = min(2 * size, BATCH)

    async def _append(self, batch: list[AuditEvent]) -> None:
        """Append a batch, and note whether the store accepts events at all."""
        try:
            async with asyncio.timeout(APPEND_MAX_S):
                await self._log.append(batch)
        except TimeoutError as error:
            self._note_failure()
            raise TemporaryFailure() from error
        except ClinicError as error:
            if isinstance(error, TemporaryFailure):
                # If only the answer was lost, the batch is stored; appending it again is harmless.
                self._note_failure()
            else:
                self._failing_since_s = None
            raise
        except Exception:
            self._note_failure()
            raise
        self._failing_since_s = None

    def _note_failure(self) -> None:
        if self._failing_since_s is None:
            self._failing_since_s = self._now_s()

    def _set_aside(self, event: AuditEvent, error: ClinicError) -> None:
        self.set_aside += 1
        # Ids only: the event may hold an address.
        log.error(
            "audit event %s of clinic %s by %s cannot be written and was set aside: %s",
            event.id,
            event.clinic_id,
            event.actor_id,
            error.code,
        )

    async def open(self) -> None:
        """Start writing in the background."""
        self._writing = asyncio.Lock()
        self._task = asyncio.create_task(self._run(), name="audit buffer")

    async def close(self) -> None:
        """Write waiting events and stop. Never raises; logs how many could not be written."""
        task, self._task = self._task, None
        self._waiting.extend(self._refusals.take(everything=True))
        try:
            async with asyncio.timeout(CLOSE_MAX_S):
                if task is not None:
                    # This may interrupt a batch, which is then appended a second time.
                    task.cancel()
                    await asyncio.wait((task,))
                await self.flush()
        except Exception as error:  # noqa: BLE001 - the rest of the process must still be closed
            log.warning("audit events wait at the end: %s", type(error).__qualname__)
        if self._waiting:
            self.dropped += len(self._waiting)
            log.error("%d audit events could not be written", len(self._waiting))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            try:
                await self.flush()
            except TemporaryFailure:
                log.warning("audit events wait: the database does not answer")
            except Exception as error:  # noqa: BLE001 - the writing must go on
                # Only its kind: databases quote personal data in their messages.
                kind, sqlstate = type(error).__qualname__, getattr(error, "sqlstate", None)
                log.error("audit events wait: %s %s", kind, sqlstate)  # noqa: TRY400
