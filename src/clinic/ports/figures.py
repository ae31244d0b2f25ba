"""What a store counts while it works, for whoever watches it."""

from collections.abc import MutableMapping
from dataclasses import dataclass, field

#: an attempt at a booking that was written
BOOKED = "booked"


@dataclass(slots=True)
class StoreFigures:
    """Counts of one process since it started. The store alone writes them.

    Plain numbers, since booking counts here: whoever wants rates looks now and then.
    """

    #: attempts to write a booking, by BOOKED or the code of the error
    bookings: MutableMapping[str, int] = field(default_factory=dict)
    #: statements that wrote bookings, by how many each tried to write
    batches: MutableMapping[int, int] = field(default_factory=dict)
    #: how often a caller waited for a connection, and for how long together
    pool_waits: int = 0
    pool_wait_s: float = 0.0

    def count_booking(self, outcome: str) -> None:
        """Count an attempt at a booking."""
        self.bookings[outcome] = self.bookings.get(outcome, 0) + 1

    def count_batch(self, size: int) -> None:
        """Count a statement that tried to write so many bookings."""
        self.batches[size] = self.batches.get(size, 0) + 1
