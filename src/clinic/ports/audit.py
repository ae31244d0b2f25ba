"""The audit log: reading it, and writing events that belong to no change."""

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
    #: the actor, the patient concerned, or the entity changed
    person_id: UUID | None = None
    at_from: datetime | None = None
    at_before: datetime | None = None


class AuditLog(Protocol):
    """Events outside a unit of work."""

    async def events(self, query: EventQuery, page: PageRequest) -> Sequence[AuditEvent]:
        """Return at most `page.one_more` events by (at, id), latest first, after `page.after`.

        Changes of appointments are included, as events of the entity `appointment`.
        """
        ...

    async def append(self, events: Sequence[AuditEvent]) -> None:
        """Append events, all or none, in a separate transaction.

        Idempotent: an event already stored, equal in every field, is not changed. Raises
        AlreadyExists for a different event with the same clinic, id and time, InvalidInput for an
        event that can never be stored; TemporaryFailure, or OutcomeUnknown when the answer is lost,
        after which the caller appends the same events again.
        """
        ...


class SealBook(Protocol):
    """The seals over the trail, and the rows of the trail for sealing and auditing."""

    async def seals(self, *, after_seq: int = 0, limit: int) -> Sequence[Seal]:
        """Return at most `limit` seals by number, after `after_seq`."""
        ...

    async def last(self) -> Seal | None: ...

    async def add(self, seal: Seal) -> None:
        """Add a seal. Raises AlreadyExists when another sealer has added it first."""
        ...

    async def unsealed(self, xid_from: int, *, limit: int) -> tuple[int, Sequence[TrailRow]]:
        """Return the first transaction that is not covered, and the finished rows of transactions
        from `xid_from` up to it. About `limit` rows: whole transactions, at least one.

        No row below the returned transaction can be committed later.
        """
        ...

    async def rows(self, xid_from: int, xid_to: int) -> Sequence[TrailRow]:
        """Return the rows now in `[xid_from, xid_to)`."""
        ...

    async def stragglers(self, xid_to: int) -> Sequence[TrailRow]:
        """Return rows that no seal will ever cover: those beyond `xid_to` with a transaction number
        not assigned yet, and those with a number that no transaction has, 0 or less."""
        ...

    async def erased_texts(self, row_ids: Collection[UUID]) -> Mapping[UUID, set[str]]:
        """Return which of these rows are named by erasure events, with the hashes of their rest."""
        ...

    async def unsealed_messages(self, xid_from: int, *, since: datetime) -> Sequence[TrailRow]:
        """Return rows of the message log that claim a transaction before `xid_from`, or none, and
        yet a finishing time after `since`."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
