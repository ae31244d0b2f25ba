"""The audit log: reading it, and writing what belongs to no change."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from clinic.domain.audit.audit import AuditEvent
from clinic.domain.audit.seals import Seal, TrailRow
from clinic.domain.paging import PageRequest


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events to list; None does not filter. Latest first."""

    clinic_id: UUID
    actor_id: UUID | None = None
    patient_id: UUID | None = None
    entity_id: UUID | None = None
    action: str | None = None
    outcome: str | None = None
    #: who did it, is the patient it concerns, or is what was changed
    person_id: UUID | None = None
    at_from: datetime | None = None
    at_before: datetime | None = None


class AuditLog(Protocol):
    """Events outside a unit of work."""

    async def events(self, query: EventQuery, page: PageRequest) -> Sequence[AuditEvent]:
        """Return at most `page.one_more` events by (at, id), latest first, beyond `page.after`.

        Changes of appointments are among them, as events of the entity `appointment`.
        """
        ...

    async def append(self, events: Sequence[AuditEvent]) -> None:
        """Append events, all or none, in a transaction of their own.

        An event that is already there, the same in every field, is left as it is: appending twice
        is appending once. Raises AlreadyExists for another event with the same clinic, id and
        time, InvalidInput for an event that can never be stored; TemporaryFailure, or
        OutcomeUnknown when the answer is lost, after which the same events are appended again.
        """
        ...


class SealBook(Protocol):
    """The seals over the trail, and the trail as its auditor reads it."""

    async def seals(self, *, after_seq: int = 0, limit: int) -> Sequence[Seal]:
        """Return at most `limit` seals by number, beyond `after_seq`."""
        ...

    async def last(self) -> Seal | None: ...

    async def add(self, seal: Seal) -> None:
        """Add a seal. Raises AlreadyExists when another sealer was faster."""
        ...

    async def unsealed(self, xid_from: int, *, limit: int) -> tuple[int, Sequence[TrailRow]]:
        """Return finished rows of transactions from `xid_from` on, and the first transaction that
        is not covered. About `limit` rows: whole transactions, at least one.

        No row can be committed later below the transaction that is returned.
        """
        ...

    async def rows(self, xid_from: int, xid_to: int) -> Sequence[TrailRow]:
        """Return the rows that stand in `[xid_from, xid_to)` today."""
        ...

    async def stragglers(self, xid_to: int) -> Sequence[TrailRow]:
        """Return rows that no seal will ever reach: beyond `xid_to` and of a transaction that has
        not happened yet, or of a number that no transaction has, 0 or less."""
        ...

    async def erased_texts(self, row_ids: Collection[UUID]) -> Mapping[UUID, set[str]]:
        """Return which of these rows events of erasures name, with the hashes of their rest."""
        ...

    async def unsealed_messages(self, xid_from: int, *, since: datetime) -> Sequence[TrailRow]:
        """Return rows of the log of messages that claim a transaction before `xid_from`, or none,
        and yet to have ended after `since`."""
        ...

    async def close(self) -> None:
        """Give back every connection."""
        ...
