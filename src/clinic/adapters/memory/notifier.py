"""A channel that keeps letters in memory, for tests and for embedding without mail."""

from collections.abc import Awaitable, Callable

from clinic.domain.messaging.deliveries import Letter
from clinic.ports.notifier import TransportError


class MemoryNotifier:
    """Keeps delivered letters in `sent`; raises each of `refusals` once, in order."""

    def __init__(self) -> None:
        self.sent: list[Letter] = []
        self.refusals: list[TransportError] = []

    async def deliver(self, letter: Letter, may_send: Callable[[], Awaitable[bool]]) -> bool:
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None and not refusal.ambiguous:
            raise refusal
        if not await may_send():
            return False
        self.sent.append(letter)
        if refusal is not None:
            raise refusal
        return True

    async def took(self, message_id: str) -> bool | None:
        return any(letter.message_id == message_id for letter in self.sent)

    async def close(self) -> None:
        """Do nothing: what was sent can still be read."""
