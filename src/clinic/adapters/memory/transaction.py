"""Transactions in memory: uncommitted changes, row locks, and waiting for other transactions.

Locks follow PostgreSQL's READ COMMITTED: a transaction holds them until it ends; another one that
wants the row waits for that and then reads what is committed. A deadlock is detected at once, by
TransactionAborted in the transaction that would close the cycle.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from clinic.adapters.memory.tables import Tables, empty_tables
from clinic.domain.audit.audit import AuditEntry, AuditEvent
from clinic.domain.audit.change_feed import BEGINNING, Snapshot
from clinic.domain.errors import TransactionAborted

#: the tables for whose rows the writing transaction is remembered
TRAILS = ("audit", "events")


class Database:
    """The committed tables, the locks and their holders, and the running transactions."""

    def __init__(self) -> None:
        self.tables = empty_tables()
        self.locks: dict[Hashable, Transaction] = {}
        #: transactions that keep a row from changes, beside each other; the values are unused
        self.shares: dict[Hashable, dict[Transaction, None]] = {}
        #: in the order they began; the values are unused
        self.running: dict[Transaction, None] = {}
        self._last_xid = BEGINNING.xmax
        #: the transaction that added each row of the trails, by table and key
        self.written_by: dict[tuple[str, Hashable], int] = {}

    def next_xid(self) -> int:
        """Return the number for a new transaction."""
        self._last_xid += 1
        return self._last_xid

    def snapshot(self) -> Snapshot:
        """Return a snapshot of which transactions have ended."""
        return Snapshot(self._last_xid + 1, tuple(sorted(one.xid for one in self.running)))

    def records(self) -> Iterator[tuple[int, AuditEntry | AuditEvent]]:
        """Yield every row of the trails with the number of its transaction."""
        for name in TRAILS:
            for key, row in self.tables.by_name()[name].items():
                yield self.written_by[name, key], row


@dataclass(frozen=True, slots=True)
class Savepoint:
    """What a transaction had written and locked at one point."""

    changes: Mapping[str, Any]
    held: int


class Transaction:
    """The changes of one unit of work, invisible to others until they are committed."""

    def __init__(self, database: Database) -> None:
        self.layer = database.tables.layer()
        self.xid = database.next_xid()
        self._has_failed = False
        self._has_ended = False
        self._database = database
        self._held: list[Hashable] = []
        self._shared: list[Hashable] = []
        self._waits_for: Transaction | None = None
        self._waiters: list[asyncio.Future[None]] = []
        #: further effects of the commit, by a key that names each
        self.at_merge: dict[Hashable, Callable[[], None]] = {}
        database.running[self] = None

    @property
    def tables(self) -> Tables:
        """What this transaction sees. Raises when it has ended or failed."""
        self._check_running()
        return self.layer

    def _check_running(self) -> None:
        # PostgreSQL refuses further statements then, too.
        if self._has_ended:
            raise RuntimeError("This unit of work has ended; begin another one.")
        if self._has_failed:
            raise TransactionAborted("An earlier error spoilt this unit of work.")

    def fail(self, error: Exception) -> NoReturn:
        """Mark this transaction as failed, so that it cannot be committed, and raise `error`."""
        self._has_failed = True
        raise error

    async def lock(self, row: Hashable) -> None:
        """Lock `row` until this transaction ends. Raises TransactionAborted on a deadlock."""
        self._check_running()
        while True:
            owner = self._database.locks.get(row)
            if owner is self:
                return
            sharers = self._database.shares.get(row, {})
            other = owner or next((one for one in sharers if one is not self), None)
            if other is None:
                break
            await self.wait_for(other)
        self._database.locks[row] = self
        self._held.append(row)

    def can_lock(self, row: Hashable) -> bool:
        """Return whether locking the row would not wait."""
        return self._database.locks.get(row) in (None, self)

    async def share(self, row: Hashable) -> None:
        """Keep `row` from changes until this transaction ends, as any number of transactions may at
        once. Raises TransactionAborted on a deadlock."""
        self._check_running()
        while (owner := self._database.locks.get(row)) is not None:
            if owner is self:
                return
            await self.wait_for(owner)
        sharers = self._database.shares.setdefault(row, {})
        if self not in sharers:
            sharers[self] = None
            self._shared.append(row)

    async def wait_until_no_rival(self, is_rival: Callable[[Tables], bool]) -> bool:
        """Wait until `is_rival` holds for the changes of no other running transaction; return
        whether it had to wait."""
        waited = False
        while True:
            rival = next((one for one in self._others() if is_rival(one.layer)), None)
            if rival is None:
                return waited
            waited = True
            await self.wait_for(rival)

    def savepoint(self) -> Savepoint:
        """Return the current state, for `roll_back_to`."""
        tables = self.tables.by_name()
        changes = {name: table.changes() for name, table in tables.items()}
        return Savepoint(changes, len(self._held))

    def roll_back_to(self, savepoint: Savepoint) -> None:
        """Undo what was written since the savepoint, and release the locks taken since."""
        for name, table in self.tables.by_name().items():
            table.restore(savepoint.changes[name])
        self._unlock(savepoint.held)

    async def wait_for(self, other: "Transaction") -> None:
        """Wait until `other` has ended or released locks. Raises TransactionAborted when it waits
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
        """Commit the changes."""
        for name in TRAILS:
            for key in self.layer.by_name()[name].added():
                self._database.written_by[name, key] = self.xid
        self.layer.merge()
        for make_so in self.at_merge.values():
            make_so()

    def end(self) -> None:
        """Release every lock and wake the waiting transactions, in the order they came."""
        self._has_ended = True
        self._database.running.pop(self, None)
        for row in self._shared:
            sharers = self._database.shares[row]
            del sharers[self]
            if not sharers:
                del self._database.shares[row]
        self._shared.clear()
        self._unlock(0)

    def _unlock(self, held: int) -> None:
        """Release the locks but for the first `held`, and wake transactions waiting for this."""
        for row in self._held[held:]:
            del self._database.locks[row]
        del self._held[held:]
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def _others(self) -> Iterator["Transaction"]:
        return (one for one in self._database.running if one is not self)
