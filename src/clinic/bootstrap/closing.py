"""Closes what was opened, whatever becomes of each part."""

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Protocol

#: how long closing one part may take; longer than the audit buffer takes over what waits
CLOSE_MAX_S = 12.0

log = logging.getLogger(__name__)


class _Closable(Protocol):
    async def close(self) -> None: ...


async def close_all(*parts: _Closable) -> None:
    """Close each part in turn, whatever becomes of the ones before."""
    async with AsyncExitStack() as closing:
        for part in reversed(parts):
            closing.push_async_callback(_close, part)


async def _close(part: _Closable) -> None:
    name = type(part).__qualname__
    try:
        async with asyncio.timeout(CLOSE_MAX_S):
            await part.close()
    except TimeoutError:
        log.error("%s was not closed within %s s", name, CLOSE_MAX_S)  # noqa: TRY400
    except Exception as error:  # noqa: BLE001 - the other parts must still be closed
        # Its kind alone: drivers quote addresses and personal data in their messages.
        log.error("%s could not be closed: %s", name, type(error).__qualname__)  # noqa: TRY400
