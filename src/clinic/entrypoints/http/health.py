"""Health: for whoever starts, stops and balances the service."""

import asyncio

import msgspec

from clinic.domain.errors import TemporaryFailure
from clinic.entrypoints.http.call import Call
from clinic.entrypoints.http.endpoint import endpoint
from clinic.entrypoints.http.reply import Reply
from clinic.entrypoints.http.wire import HealthOut

READY_WITHIN_S = 1.0
_encode = msgspec.json.Encoder().encode
_LIVE = _encode(HealthOut("live"))
_READY = _encode(HealthOut("ready"))


@endpoint(
    "GET",
    "/health/live",
    tag="Health",
    summary="Is it alive?",
    answers=HealthOut,
    needs=None,
    is_limited=False,
)
async def get_live(call: Call) -> Reply:
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
    refuses=(TemporaryFailure,),
)
async def get_ready(call: Call) -> Reply:
    """The database answers within a second with the right schema, and no shutdown has begun."""
    if call.scope["litestar_app"].state.draining:
        raise TemporaryFailure("This process is shutting down.")
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            await call.services.store.check_ready()
    except TimeoutError:
        raise TemporaryFailure("The database did not answer in time.") from None
    return Reply(200, _READY)


ENDPOINTS = (get_live, get_ready)
