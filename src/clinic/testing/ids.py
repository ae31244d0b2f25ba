"""Ids that are the same in every run."""

from uuid import UUID


class CountingIds:
    """Source of UUIDs of version 7 that count up from `start`."""

    def __init__(self, start: int = 1) -> None:
        self._next = start

    def __call__(self) -> UUID:
        """Return the next id; it sorts after those before it."""
        number, self._next = self._next, self._next + 1
        return UUID(int=number << 80 | 0x7 << 76 | 0x2 << 62)
