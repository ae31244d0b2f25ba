"""Events that belong to no change (reads, denials, sign-ins that failed): written soon, together.

A read is answered before its event is written, so at most half a second of them is lost with a
process that is killed; when they cannot be written for long, reads are refused instead.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from clinic.domain.audit import AuditEvent
from clinic.domain.errors import AuditUnavailable, TemporaryFailure
from clinic.ports.audit import AuditLog

FLUSH_EVERY_S = 0.5
#: how many events wait at most, and how many are written at once
CAPACITY, BATCH = 10_000, 500
#: how long writing may fail before reads are refused
REFUSE_AFTER_S = 5.0

#: how long one batch may take, and all that waits when the process ends: a database that says
#: nothing must not keep it
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
    ) -> None:
        self._log = audit_log
        self._capacity = capacity
        self._refuse_after_s = refuse_after_s
        self._now_s = now_s
        self._waiting: deque[AuditEvent] = deque()
        self._failing_since_s: float | None = None
        self._writing: asyncio.Lock | None = None
        self._task: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raise AuditUnavailable while events cannot be kept: nothing may be shown then."""
        failing = self._failing_since_s
        too_long = failing is not None and self._now_s() - failing > self._refuse_after_s
        if too_long or len(self._waiting) >= self._capacity:
            raise AuditUnavailable()

    def add(self, event: AuditEvent) -> None:
        """Keep an event to be written. Raises AuditUnavailable."""
        self.check()
        self._waiting.append(event)

    def add_denial(self, event: AuditEvent) -> None:
        """Keep a denial if there is room; what is refused anyway is refused without it too."""
        with suppress(AuditUnavailable):
            self.add(event)

    async def flush(self) -> None:
        """Write all that waits. Raises TemporaryFailure, and keeps it then."""
        if self._writing is None:
            self._writing = asyncio.Lock()
        async with self._writing:
            while self._waiting:
                batch = [self._waiting[i] for i in range(min(BATCH, len(self._waiting)))]
                try:
                    async with asyncio.timeout(APPEND_MAX_S):
                        await self._log.append(batch)
                except (TemporaryFailure, TimeoutError) as error:
                    if self._failing_since_s is None:
                        self._failing_since_s = self._now_s()
                    if isinstance(error, TimeoutError):
                        raise TemporaryFailure() from error
                    raise
                self._failing_since_s = None
                for _ in batch:
                    self._waiting.popleft()

    async def open(self) -> None:
        """Begin to write in the background."""
        self._writing = asyncio.Lock()
        self._task = asyncio.create_task(self._run(), name="audit buffer")

    async def close(self) -> None:
        """Write what waits and stop. What cannot be written is told in the log, by number."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        with suppress(TemporaryFailure, TimeoutError):
            async with asyncio.timeout(CLOSE_MAX_S):
                await self.flush()
        if self._waiting:
            log.error("%d audit events could not be written", len(self._waiting))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            try:
                # Shielded, so that closing does not cut a batch off and write it twice.
                await asyncio.shield(self.flush())
            except TemporaryFailure:
                log.warning("audit events wait: the database does not answer")
            except Exception:
                # A fault must not end the writing; the events wait, and reads are refused in time.
                log.exception("audit events could not be written")
                self._failing_since_s = self._failing_since_s or self._now_s()
