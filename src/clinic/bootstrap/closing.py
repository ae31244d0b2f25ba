"""Closes everything that was opened, even when closing one part fails."""

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Protocol

#: how long closing one part may take; longer than the audit buffer takes to write what waits in it
CLOSE_MAX_S = 12.0

log = logging.getLogger(__name__)


class _Closable(Protocol):
    async def close(self) -> None: ...


async def close_all(*parts: _Closable) -> None:
    """Close each part in turn, even when closing an earlier one fails."""
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
        # Log only its type: drivers quote addresses and personal data in their messages.
        log.error("%s could not be closed: %s", name, type(error).__qualname__)  # noqa: TRY400
