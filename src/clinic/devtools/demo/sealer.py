"""Seals the demo's audit trail every few seconds, in the background."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from clinic.domain.errors import TemporaryFailure
from clinic.entrypoints.cli.audit import keep_sealing, seal_once
from clinic.settings import Settings

EVERY_S = 5.0
STOP_TIMEOUT_S = 5.0


@contextlib.contextmanager
def audit_sealer(settings: Settings) -> Iterator[None]:
    """Seal in a separate thread, and once more at the end, when nothing is written any more."""
    loop = asyncio.new_event_loop()
    sealing = loop.create_task(keep_sealing(settings, EVERY_S))

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(sealing)

    thread = threading.Thread(target=run, name="audit sealer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(sealing.cancel)
        thread.join(STOP_TIMEOUT_S)
        if not thread.is_alive():
            with contextlib.suppress(TemporaryFailure):
                loop.run_until_complete(seal_once(settings))
            loop.close()
