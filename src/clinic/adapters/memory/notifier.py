"""A channel that keeps messages in memory, for tests and for embedding without mail."""

from collections.abc import Awaitable, Callable

from clinic.domain.messaging.deliveries import OutgoingMessage
from clinic.ports.notifier import DeprecatedNotifierNames, TransportError


class MemoryNotifier(DeprecatedNotifierNames):
    """Keeps delivered messages in `sent`; raises each of `refusals` once, in order."""

    def __init__(self) -> None:
        self.sent: list[OutgoingMessage] = []
        self.refusals: list[TransportError] = []

    async def deliver(
        self, outgoing: OutgoingMessage, may_send: Callable[[], Awaitable[bool]]
    ) -> bool:
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None and not refusal.ambiguous:
            raise refusal
        if not await may_send():
            return False
        self.sent.append(outgoing)
        if refusal is not None:
            raise refusal
        return True

    async def was_accepted(self, message_id: str) -> bool | None:
        return any(outgoing.message_id == message_id for outgoing in self.sent)

    async def close(self) -> None:
        """Do nothing: what was sent can still be read."""
