"""A page of a list ordered by (time, id), and where the next one starts."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar
from uuid import UUID

from clinic.domain.errors import InvalidInput

LIMIT_DEFAULT, LIMIT_MAX = 50, 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Keyset:
    """A place between two items: the page follows `(at, id)`, or precedes it when `backwards`."""

    at: datetime
    id: UUID
    backwards: bool = False


def place_by_id(id: UUID) -> Keyset:
    """Return a place in a list that is ordered by id alone; its time has no meaning."""
    return Keyset(datetime(2000, 1, 1, tzinfo=UTC), id)


@dataclass(frozen=True, slots=True)
class PageRequest:
    limit: int = LIMIT_DEFAULT
    after: Keyset | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= LIMIT_MAX:
            raise InvalidInput(f"limit is from 1 to {LIMIT_MAX}.", pointer="limit")

    @property
    def one_more(self) -> int:
        """How many rows to read in order to know whether there is another page."""
        return self.limit + 1


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: tuple[T, ...]
    next: Keyset | None = None
    previous: Keyset | None = None
