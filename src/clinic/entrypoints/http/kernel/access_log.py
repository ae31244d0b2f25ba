"""One line of JSON for each request, written in batches: ids and figures, never content.

A line has no query, no body, no header and no name. The last half second of lines can be lost
when the process is killed; the audit trail holds what was done.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from clinic.domain.errors import ClinicError, TemporaryFailure
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.logs import write_to_stderr
from clinic.usecases.faults import kind_of, place_of

FLUSH_AFTER_S = 0.5
LINES_MAX = 500
_NAMES = {logging.DEBUG: "debug", logging.INFO: "info", logging.ERROR: "error"}
_logger = logging.getLogger("clinic.http")
_encode_lines = msgspec.json.Encoder().encode_lines


class LogLine(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    at: datetime
    level: str
    event: str
    method: str
    path: str
    route: str
    status: int
    duration_ms: float
    request_id: str
    ip: str | None
    clinic_id: UUID | None = None
    user_id: UUID | None = None


class AccessLog:
    """Collects lines at `level` (debug, info, warning, error) and above, and writes them."""

    def __init__(self, level: str, write: Callable[[bytes], None] = write_to_stderr) -> None:
        self._threshold = logging.getLevelNamesMapping()[level.upper()]
        self._write = write
        self._lines: list[LogLine] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, call: RequestContext, status: int, duration_s: float) -> None:
        """Note that `call` was answered with `status`."""
        level = _level(call, status)
        if level < self._threshold:
            return
        actor = call.known_actor
        # Positional: keyword arguments would cost more than the values.
        line = LogLine(
            datetime.now(UTC),
            _NAMES[level],
            "request",
            call.method,
            _telling(call),
            call.route,
            status,
            round(duration_s * 1000, 3),
            call.request_id,
            actor.ip if actor else call.address,
            actor.clinic_id if actor else None,
            actor.user_id if actor else None,
        )
        self._lines.append(line)
        if len(self._lines) >= LINES_MAX:
            self.flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(FLUSH_AFTER_S, self.flush)

    def flush(self) -> None:
        """Write the collected lines."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            self._write(_encode_lines(self._lines))
            self._lines.clear()


def report_refusal(error: ClinicError, call: RequestContext) -> None:
    """Log a refusal that is our fault, and none that is the client's."""
    if isinstance(error, TemporaryFailure):
        report_outage(error, call)


def report_outage(error: ClinicError, call: RequestContext) -> None:
    """Log why a request could not be answered: the types of the errors, innermost last."""
    kinds = [error.code]
    cause = error.__cause__
    while cause is not None:
        sqlstate = getattr(cause, "sqlstate", None)
        kinds.append(f"{type(cause).__qualname__} {sqlstate}" if sqlstate else type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    _logger.warning("request %s got no answer: %s", call.request_id, " < ".join(kinds))


def report(error: BaseException, call: RequestContext) -> None:
    """Log a bug: where it happened and its type."""
    _logger.error("request %s failed: %s\n%s", call.request_id, kind_of(error), place_of(error))


def _telling(call: RequestContext) -> str:
    """Return the path if its only parameters are ids, else the route: links in messages hold
    tokens, and a path without a route may hold anything."""
    parts = call.scope.get("path_params")
    if call.route and (not parts or all(map(_is_id, parts.values()))):
        return call.path
    return call.route


def _is_id(part: str) -> bool:
    try:
        UUID(part)
    except ValueError:
        return False
    return True


def _level(call: RequestContext, status: int) -> int:
    if status >= 500:
        return logging.ERROR
    return logging.DEBUG if call.route.startswith("/health/") else logging.INFO
