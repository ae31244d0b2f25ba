"""A channel that delivers messages to people."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from clinic.domain.messaging.deliveries import Letter


class TransportError(Exception):
    """A message could not be handed over.

    `permanent`: a retry will not help. `ambiguous`: the other side may have accepted it.
    `of_channel`: the failure is the channel's, and any other message would have failed too.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool,
        ambiguous: bool = False,
        of_channel: bool = False,
    ) -> None:
        self.message = message
        self.permanent = permanent
        self.ambiguous = ambiguous
        self.of_channel = of_channel
        super().__init__(message)


class Notifier(Protocol):
    """Hands letters over, one at a time or several concurrently."""

    async def deliver(self, letter: Letter, may_send: Callable[[], Awaitable[bool]]) -> bool:
        """Hand the letter over and return True once the other side has taken responsibility.

        Calls `may_send` at the last moment before anything is handed over, and again if that moment
        was missed, as in a process that was stopped. On False it withdraws and returns False. An
        error raised before that call is never ambiguous. Raises TransportError.
        """
        ...

    async def took(self, message_id: str) -> bool | None:
        """Return whether the other side accepted a letter with this message id; None if unknown."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
