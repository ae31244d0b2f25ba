"""Which transactions a reader of the audit trail has seen, as PostgreSQL describes a snapshot.

The highest number seen is not enough: transactions are numbered at their first write and become
visible at commit. A reader that remembered the highest number would miss a lower one that commits
later, and a reader that waited for it would stall behind the longest transaction.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

#: longest name of a consumer
NAME_MAX_CHARS = 50
_FORM = re.compile(r"(\d+):(\d+):((?:\d+(?:,\d+)*)?)")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The transactions below `xmax`, without those that were `running`, in ascending order.

    Written as PostgreSQL's pg_snapshot: `xmin:xmax:running`, where everything below xmin is seen.
    """

    xmax: int
    running: tuple[int, ...] = ()

    @property
    def xmin(self) -> int:
        """The lowest transaction that may not have been seen."""
        return self.running[0] if self.running else self.xmax

    def sees(self, xid: int) -> bool:
        """Return whether the transaction with this number is among them."""
        return xid < self.xmax and xid not in self.running

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.running))}"

    @classmethod
    def parse(cls, text: str) -> "Snapshot":
        """Return the snapshot that pg_snapshot's text describes. Raises ValueError."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError("not a snapshot")
        xmin, xmax = int(found[1]), int(found[2])
        running = tuple(int(each) for each in found[3].split(",") if each)
        places = [xmin, *running, xmax]
        if places != sorted(places) or len({*running, xmax}) <= len(running):
            raise ValueError("not a snapshot")
        return cls(xmax, running)


#: nothing has been seen
BEGINNING = Snapshot(1)


def check_consumer(consumer: str) -> None:
    """Raise ValueError for a consumer's name that is empty or longer than NAME_MAX_CHARS."""
    if not 1 <= len(consumer) <= NAME_MAX_CHARS:
        raise ValueError(f"A consumer's name has 1 to {NAME_MAX_CHARS} characters.")


def check_limit(limit: int) -> None:
    """Raise ValueError for a batch of no rows."""
    if limit < 1:
        raise ValueError("A batch has at least one row.")


def advanced(seen: Snapshot, now: Snapshot, *, through: int | None = None) -> Snapshot:
    """Return what has been seen once the transactions that `now` sees and `seen` does not have
    been delivered: all of them, or those up to the number `through`.

    The rest count as still running, so that the result covers exactly what was delivered.
    `through` must be a number that `now` could see.
    """
    if through is None:
        return now
    xmax = max(seen.xmax, through + 1)
    running = {xid for xid in now.running if xid < xmax}
    # Some of these have committed since, but are beyond what was delivered.
    running |= {xid for xid in seen.running if xid > through}
    return Snapshot(xmax, tuple(sorted(running)))


def whole_transactions(xids: Sequence[int], limit: int) -> tuple[int, int | None]:
    """Return how many of the first rows to deliver so that no transaction is split, and the number
    of the last transaction that this completes; (len(xids), None) when all rows fit.

    `xids` are the rows' transactions in order, `limit` + 1 of them when there are more rows than
    `limit`. (0, xid) means that the first transaction alone has more rows than `limit`.
    """
    if len(xids) <= limit:
        return len(xids), None
    cut = xids[limit]
    if cut == xids[0]:
        return 0, cut
    return xids.index(cut), cut - 1
