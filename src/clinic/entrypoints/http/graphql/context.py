"""The context that all resolvers of one request share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import graphql as g
import strawberry
from strawberry.dataloader import DataLoader

from clinic.bootstrap import Services
from clinic.domain.calendar.closings import Blocker
from clinic.domain.calendar.slots import Slot
from clinic.domain.errors import DoctorNotFound
from clinic.domain.people.people import Actor, Doctor
from clinic.domain.permissions import PATIENT_DATA, Operation, permit
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.usecases.calendar.explain_slots import blockers_of


@dataclass(slots=True)
class QueryContext:
    """One request: its actor, the services, and what has been looked up for it already."""

    call: RequestContext
    services: Services
    actor: Actor
    #: parsed, validated and within the limits
    document: g.DocumentNode | None = None
    #: the doctors of the actor's clinic, by id
    doctors: DataLoader[UUID, Doctor] = field(init=False)
    #: what blocks slots
    blockers: DataLoader[Slot, tuple[Blocker, ...]] = field(init=False)

    def __post_init__(self) -> None:
        self.doctors = DataLoader(self._load_doctors)
        self.blockers = DataLoader(self._load_blockers)

    def afresh(self) -> "QueryContext":
        """Return a fresh context for the same request, with nothing looked up yet."""
        self.call.read_ids = []
        return QueryContext(self.call, self.services, self.actor, self.document)

    def note_read(self, ids: Iterable[str]) -> None:
        """Note for the audit trail which appointments are shown, by all fields of the request."""
        self.call.read_ids.extend(ids)

    def show_patients(self, ids: Iterable[str]) -> None:
        """Note for the audit trail which appointments are shown, where it is not the operation that
        says so. Raises AuditUnavailable when that cannot be noted."""
        shown = list(ids)
        if shown:
            self.services.audit.check()
            self.call.reads_patients = True
            self.note_read(shown)

    async def _load_blockers(self, slots: list[Slot]) -> list[tuple[Blocker, ...]]:
        context = self.call.context()
        return await blockers_of(context, context.store, await self.call.clinic(), slots)

    async def _load_doctors(self, ids: list[UUID]) -> Sequence[Doctor | Exception]:
        people = self.services.store.people
        if len(ids) == 1:
            found = await people.doctor(self.actor.clinic_id, ids[0])
            return [found or DoctorNotFound()]
        by_id = {one.id: one for one in await people.doctors(self.actor.clinic_id)}
        return [by_id.get(each) or DoctorNotFound() for each in ids]


Info = strawberry.Info[QueryContext, None]


def allowed(info: Info, operation: Operation) -> QueryContext:
    """Return the request's context if its actor may do this at all.

    Raises PermissionDenied, and AuditUnavailable if a read of patients' data cannot be noted.
    """
    context = info.context
    permit(context.actor, operation)
    if operation in PATIENT_DATA:
        context.services.audit.check()
        context.call.reads_patients = True
    return context
