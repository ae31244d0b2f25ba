"""What one unit of work holds: its changes, its locks, and whom it waits for.

Locks follow PostgreSQL's READ COMMITTED: they are held until the unit ends, whoever meets one waits
for that end and then looks at what is committed. A circle of waiting units is told at once, by
TransactionAborted in the one that would close it.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from clinic.adapters.memory.tables import Tables, empty_tables
from clinic.domain.audit.audit import AuditEntry, AuditEvent
from clinic.domain.audit.change_feed import BEGINNING, Snapshot
from clinic.domain.errors import TransactionAborted

#: the tables whose rows say who wrote them
TRAILS = ("audit", "events")


class Database:
    """What is committed, who holds which lock, and which transactions are running."""

    def __init__(self) -> None:
        self.tables = empty_tables()
        self.locks: dict[Hashable, Transaction] = {}
        #: in the order they began
        self.running: dict[Transaction, None] = {}
        self._last_xid = BEGINNING.xmax
        #: the transaction that added each row of the trails, by table and key
        self.written_by: dict[tuple[str, Hashable], int] = {}

    def next_xid(self) -> int:
        """Return the number of a transaction that begins."""
        self._last_xid += 1
        return self._last_xid

    def snapshot(self) -> Snapshot:
        """Return which transactions have ended."""
        return Snapshot(self._last_xid + 1, tuple(sorted(one.xid for one in self.running)))

    def records(self) -> Iterator[tuple[int, AuditEntry | AuditEvent]]:
        """Yield every row of the trails with the number of its transaction."""
        for name in TRAILS:
            for key, row in self.tables.by_name()[name].items():
                yield self.written_by[name, key], row


@dataclass(frozen=True, slots=True)
class Savepoint:
    """What a transaction had written and locked at some point."""

    changes: Mapping[str, Any]
    held: int


class Transaction:
    """The changes of one unit of work, seen by nobody else until they are committed."""

    def __init__(self, database: Database) -> None:
        self.layer = database.tables.layer()
        self.xid = database.next_xid()
        self._has_failed = False
        self._has_ended = False
        self._database = database
        self._held: list[Hashable] = []
        self._waits_for: Transaction | None = None
        self._waiters: list[asyncio.Future[None]] = []
        #: what else becomes so with the commit, by what it is about
        self.at_merge: dict[Hashable, Callable[[], None]] = {}
        database.running[self] = None

    @property
    def tables(self) -> Tables:
        """What this transaction sees. Raises when it has ended or failed."""
        self._check_running()
        return self.layer

    def _check_running(self) -> None:
        # PostgreSQL, too, runs no further statement then.
        if self._has_ended:
            raise RuntimeError("This unit of work has ended; begin another one.")
        if self._has_failed:
            raise TransactionAborted("An earlier error spoilt this unit of work.")

    def fail(self, error: Exception) -> NoReturn:
        """Raise `error`, after which nothing of this may be committed."""
        self._has_failed = True
        raise error

    async def lock(self, row: Hashable) -> None:
        """Keep others from changing `row` until this ends. Raises TransactionAborted."""
        self._check_running()
        while True:
            owner = self._database.locks.get(row)
            if owner is self:
                return
            if owner is None:
                break
            await self.wait_for(owner)
        self._database.locks[row] = self
        self._held.append(row)

    async def wait_until_no_rival(self, is_rival: Callable[[Tables], bool]) -> bool:
        """Wait until no other running transaction has changes for which `is_rival` holds; say
        whether there was one."""
        waited = False
        while True:
            rival = next((one for one in self._others() if is_rival(one.layer)), None)
            if rival is None:
                return waited
            waited = True
            await self.wait_for(rival)

    def savepoint(self) -> Savepoint:
        """Return where this is now, for `roll_back_to`."""
        tables = self.tables.by_name()
        changes = {name: table.changes() for name, table in tables.items()}
        return Savepoint(changes, len(self._held))

    def roll_back_to(self, savepoint: Savepoint) -> None:
        """Undo what was written since, and give back the locks."""
        for name, table in self.tables.by_name().items():
            table.restore(savepoint.changes[name])
        self._unlock(savepoint.held)

    async def wait_for(self, other: "Transaction") -> None:
        """Wait until `other` has ended or given locks back. Raises TransactionAborted when it waits
        for this one."""
        link: Transaction | None = other
        while link is not None:
            if link is self:
                self.fail(TransactionAborted())
            link = link._waits_for
        waiter = asyncio.get_running_loop().create_future()
        other._waiters.append(waiter)
        self._waits_for = other
        try:
            await waiter
        finally:
            self._waits_for = None

    def merge(self) -> None:
        """Make the changes last."""
        for name in TRAILS:
            for key in self.layer.by_name()[name].added():
                self._database.written_by[name, key] = self.xid
        self.layer.merge()
        for make_so in self.at_merge.values():
            make_so()

    def end(self) -> None:
        """Give back every lock and wake those who wait, in the order they came."""
        self._has_ended = True
        self._database.running.pop(self, None)
        self._unlock(0)

    def _unlock(self, held: int) -> None:
        """Give back the locks but for the first `held`, and wake whoever waits for this."""
        for row in self._held[held:]:
            del self._database.locks[row]
        del self._held[held:]
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def _others(self) -> Iterator["Transaction"]:
        return (one for one in self._database.running if one is not self)
