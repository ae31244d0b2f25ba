"""Removes one guard, to see that the harness fails without it."""

import asyncio
import os
from dataclasses import replace
from typing import Any

from clinic.bootstrap import Services

SABOTAGES = ("outbox", "look-up", "resync")


def apply() -> None:
    """Remove the guard that CHAOS_WITHOUT names, in this worker process."""
    name = os.environ.get("CHAOS_WITHOUT", "")
    if name == "look-up":
        _without_look_up()
    if name == "resync":
        _without_resync()


def _without_look_up() -> None:
    """Send messages that are due without checking the database again."""
    import clinic.adapters.postgres.messaging.outbox as outbox
    import clinic.usecases.messaging.deliver_notification as delivery
    from clinic.domain.messaging.deliveries import DeliveryVerdict

    delivery.judged = lambda claim: DeliveryVerdict.SEND  # type: ignore[attr-defined]
    outbox.fitting_statuses = lambda kind: None  # type: ignore[attr-defined]


def _without_resync() -> None:
    """Trust the queue to keep every message."""
    import clinic.entrypoints.worker.process as process
    from clinic.usecases.messaging.relay_outbox import Rescued

    async def nothing(**_: Any) -> None:
        return None

    async def found_nothing(**_: Any) -> Rescued:
        return Rescued(0, 0, 0)

    process.resync_queue = nothing  # type: ignore[attr-defined]
    process.sweep_outbox = found_nothing  # type: ignore[attr-defined]


def without_outbox(services: Services) -> None:
    """In the web process, write messages after the change has committed instead of with it."""
    desk, store = services.store.desk, services.store
    reserve = desk.reserve

    async def reserve_then_add_messages(booking: Any) -> None:
        await reserve(replace(booking, messages=()))
        await asyncio.sleep(0.005)
        async with store.begin() as unit:
            await unit.messages.add(booking.messages)
            await unit.commit()

    desk.reserve = reserve_then_add_messages  # type: ignore[method-assign]
