"""The context that every use case gets: the actor, and what is needed to answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from clinic.domain.audit.audit import AuditEvent, event_by
from clinic.domain.calendar.closings import Holidays, no_holidays
from clinic.domain.people.people import SYSTEM_ID, Actor, Role
from clinic.ports.clock import Clock, IdSource
from clinic.ports.unit_of_work import Store
from clinic.usecases.transactions import TransactionRunner


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from, for the audit trail."""

    request_id: str | None = None
    ip: str | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """A request by a known actor: who makes it, why, and what a use case needs to answer."""

    actor: Actor
    store: Store
    #: runs the change; for a request with an idempotency key, it also stores the answer
    transactions: TransactionRunner
    clock: Clock
    new_id: IdSource
    #: the actor's reason, for the audit trail
    reason: str | None = None
    #: public holidays, for closures; by default there are none, and asking for one is refused
    holidays: Holidays = no_holidays

    def event(
        self,
        action: str,
        entity: str,
        entity_id: UUID | None,
        *,
        clinic_id: UUID | None = None,
        patient_id: UUID | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> AuditEvent:
        """Return the audit event of an action by the actor now, at their clinic unless another is
        given. Raises InvalidInput for a bad reason."""
        return event_by(
            self.actor,
            action,
            entity,
            entity_id,
            now=self.clock.now(),
            event_id=self.new_id(),
            reason=self.reason,
            clinic_id=clinic_id,
            detail=detail,
            patient_id=patient_id,
        )


@dataclass(frozen=True, slots=True)
class AnonymousContext:
    """A request without a sign-in (or a job of the service itself), and what a use case needs to
    answer.

    It has no actor, so that nothing that needs a permission can be done with it. A use case that
    authenticates the person, by a password or by a link, continues with `acting_as`.
    """

    store: Store
    transactions: TransactionRunner
    clock: Clock
    new_id: IdSource
    origin: Origin = Origin()
    holidays: Holidays = no_holidays

    def acting_as(
        self, user_id: UUID, role: Role, clinic_id: UUID, *, reason: str | None = None
    ) -> Context:
        """Return the context of a person who has been authenticated."""
        origin = self.origin
        actor = Actor(user_id, role, clinic_id, origin.request_id, origin.ip)
        return Context(
            actor, self.store, self.transactions, self.clock, self.new_id, reason, self.holidays
        )

    def as_system(self, clinic_id: UUID) -> Context:
        """Return the context for actions of the service itself at a clinic."""
        return self.acting_as(SYSTEM_ID, Role.SYSTEM, clinic_id)
