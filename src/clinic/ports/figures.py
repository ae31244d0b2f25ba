"""Counters that a store updates while it works, for metrics."""

from collections.abc import MutableMapping
from dataclasses import dataclass, field

#: the outcome of an attempt whose booking was written
BOOKED = "booked"


@dataclass(slots=True)
class StoreFigures:
    """Counts of one process since it started. Only the store writes them.

    Plain numbers, because they are updated on the hot path of booking; readers derive rates.
    """

    #: attempts to write a booking, by BOOKED or the code of the error
    bookings: MutableMapping[str, int] = field(default_factory=dict)
    #: statements that wrote bookings, by how many each tried to write
    batches: MutableMapping[int, int] = field(default_factory=dict)
    #: how often a caller waited for a connection, and for how long in total
    pool_waits: int = 0
    pool_wait_s: float = 0.0

    def count_booking(self, outcome: str) -> None:
        """Count an attempt at a booking."""
        self.bookings[outcome] = self.bookings.get(outcome, 0) + 1

    def count_batch(self, size: int) -> None:
        """Count a statement that tried to write `size` bookings."""
        self.batches[size] = self.batches.get(size, 0) + 1
