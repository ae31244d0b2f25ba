"""The clock and the source of new ids, so that nothing reads them implicitly."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the current instant, aware, in UTC."""
        ...


class IdSource(Protocol):
    def __call__(self) -> UUID:
        """Return an id never returned before; later ones sort after earlier ones (UUIDv7)."""
        ...
