"""A channel that hands messages to people."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from clinic.domain.messaging.deliveries import Letter


class TransportError(Exception):
    """A message could not be handed over.

    `permanent`: trying again will not help. `ambiguous`: the other side may have taken it.
    `of_channel`: it says nothing of this message, as every other would have fared the same.
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
    """Hands letters over, one after the other or several at a time."""

    async def deliver(self, letter: Letter, may_send: Callable[[], Awaitable[bool]]) -> bool:
        """Hand the letter over and return True once the other side has taken responsibility.

        Asks `may_send` at the last moment at which nothing has been handed over yet, and again when
        that moment has passed unused, as in a process that was stopped. On False it withdraws and
        returns False. An error raised before it has asked is never ambiguous. Raises
        TransportError.
        """
        ...

    async def took(self, message_id: str) -> bool | None:
        """Say whether the other side took a letter with this message id; None: it cannot tell."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
