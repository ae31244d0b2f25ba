"""A channel that delivers messages to people."""

import warnings
from collections.abc import Awaitable, Callable
from typing import Protocol

from clinic.domain.messaging.deliveries import OutgoingMessage


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
    """Hands messages over, one at a time or several concurrently."""

    async def deliver(
        self, outgoing: OutgoingMessage, may_send: Callable[[], Awaitable[bool]]
    ) -> bool:
        """Hand the message over and return True once the other side has taken responsibility.

        Calls `may_send` at the last moment before anything is handed over, and again if that moment
        was missed, as in a process that was stopped. On False it withdraws and returns False. An
        error raised before that call is never ambiguous. Raises TransportError.
        """
        ...

    async def was_accepted(self, message_id: str) -> bool | None:
        """Return whether the other side accepted a message with this id; None if unknown.

        Its name was `took`: deprecated, and gone in version 0.2. The notifiers of this package
        still answer to it, by `DeprecatedNotifierNames`.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class DeprecatedNotifierNames:
    """The name that a method of `Notifier` had before; it warns, and calls the new one."""

    async def took(self: Notifier, message_id: str) -> bool | None:
        """Deprecated: use `was_accepted`."""
        message = "Notifier.took is now was_accepted; the old name is gone in version 0.2"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return await self.was_accepted(message_id)
