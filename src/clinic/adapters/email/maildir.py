"""Writes emails to a folder in the Maildir format: for demos, and wherever no mail may be sent."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from clinic.adapters.email.compose import Composer
from clinic.adapters.email.failures import failure
from clinic.domain.messaging.deliveries import OutgoingMessage
from clinic.ports.notifier import DeprecatedNotifierNames, TransportError


class MaildirNotifier(DeprecatedNotifierNames):
    """Writes each message as one file in `folder`/new, named by its id: a second copy replaces the
    first."""

    def __init__(self, folder: Path, composer: Composer) -> None:
        self._folder = folder
        self._composer = composer

    async def deliver(
        self, outgoing: OutgoingMessage, may_send: Callable[[], Awaitable[bool]]
    ) -> bool:
        data = self._composer.compose(outgoing)
        written = await asyncio.to_thread(self._write, _name(outgoing.message_id), data)
        if not await may_send():
            written.unlink(missing_ok=True)
            return False
        await asyncio.to_thread(os.replace, written, self._folder / "new" / written.name)
        return True

    async def was_accepted(self, message_id: str) -> bool | None:
        name = _name(message_id)
        return any((self._folder / part / name).exists() for part in ("new", "cur"))

    async def close(self) -> None:
        """Do nothing: every file is closed already."""

    def _write(self, name: str, data: bytes) -> Path:
        try:
            for part in ("tmp", "new", "cur"):
                (self._folder / part).mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self._folder / "tmp" / name
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise TransportError(failure(error), permanent=False, of_channel=True) from error
        return path


def _name(message_id: str) -> str:
    return message_id.strip("<>").replace("/", "_") + ".eml"
