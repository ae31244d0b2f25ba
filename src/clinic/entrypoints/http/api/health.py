"""Health checks for process managers and load balancers."""

import asyncio
import time

import msgspec

from clinic.bootstrap import Services
from clinic.domain.errors import AuditUnavailable, TemporaryFailure
from clinic.entrypoints.http.api.schemas import HealthOut
from clinic.entrypoints.http.kernel.endpoint import endpoint
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext

READY_WITHIN_S = 1.0
#: how long an answer of the database is reused for all requests to this process
KEEP_S = 1.0
_encode = msgspec.json.Encoder().encode
_LIVE = _encode(HealthOut("live"))
_READY = _encode(HealthOut("ready"))


class Readiness:
    """Asks the database at most once in KEEP_S, since health checks have no rate limit."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._asked: asyncio.Task[None] | None = None
        self._answered_s = 0.0

    async def check(self) -> None:
        """Return if the database answered within a second. Raises TemporaryFailure."""
        asked = self._asked
        if asked is None or (asked.done() and time.monotonic() - self._answered_s >= KEEP_S):
            asked = self._asked = asyncio.create_task(self._ask(), name="readiness")
            # Retrieve the exception, since the caller may be gone by then.
            asked.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(asked)

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await self._services.store.check_ready()
        except TimeoutError:
            raise TemporaryFailure("The database did not answer in time.") from None
        finally:
            self._answered_s = time.monotonic()


@endpoint(
    "GET",
    "/health/live",
    tag="Health",
    summary="Is it alive?",
    answers=HealthOut,
    needs=None,
    is_limited=False,
)
async def get_live(call: RequestContext) -> Reply:
    """The process answers; asks nothing of anything else."""
    return Reply(200, _LIVE)


@endpoint(
    "GET",
    "/health/ready",
    tag="Health",
    summary="May it be sent requests?",
    answers=HealthOut,
    needs=None,
    is_limited=False,
    refuses=(TemporaryFailure, AuditUnavailable),
)
async def get_ready(call: RequestContext) -> Reply:
    """The database answers within a second with the right schema, audit events can be kept, and no
    shutdown has begun."""
    state = call.scope["litestar_app"].state
    if state.draining:
        raise TemporaryFailure("This process is shutting down.")
    audit = call.services.audit
    # Reads of patients' data are refused for as long as this raises.
    audit.check()
    await state.readiness.check()
    if audit.set_aside:
        return Reply(200, _encode(HealthOut("ready", audit.set_aside)))
    return Reply(200, _READY)


ENDPOINTS = (get_live, get_ready)
