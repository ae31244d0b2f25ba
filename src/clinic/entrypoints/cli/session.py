"""What a command works with: the services from the settings, the clinic and the actor."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter

from clinic import bootstrap
from clinic.bootstrap import Services
from clinic.domain.clinic import Clinic
from clinic.domain.errors import ClinicNotFound, ClinicNotNamed, NotFound
from clinic.domain.people.people import Actor, system_actor
from clinic.settings import Settings, settings_from_environment
from clinic.usecases.context import Context

#: how a command gets its services; a test puts its own here
builder: ContextVar[Callable[[Settings], Services]] = ContextVar("builder", default=bootstrap.build)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """Which clinic a command is about."""

    clinic: UUID | None = None
    """Id of the clinic; needed if there are several."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Acting(Where):
    """Who acts at which clinic, and why."""

    reason: str | None = None
    """The reason, kept in the audit trail."""
    as_user: Annotated[UUID | None, Parameter(name="--as")] = None
    """Id of the user to act as, in that user's role; by default the service itself acts."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Explaining(Acting):
    """Who enters something whose reason is part of it, and at which clinic."""

    reason: str | None = None
    """The reason, shown to staff and kept in the audit trail."""


@dataclass(frozen=True, slots=True)
class CommandSession:
    """Open services, the clinic, and the actor of a command."""

    services: Services
    clinic: Clinic
    actor: Actor
    reason: str | None = None

    @property
    def context(self) -> Context:
        """Return the context for use cases."""
        return self.services.context(self.actor, self.reason)


@asynccontextmanager
async def open_services() -> AsyncIterator[Services]:
    """Connect the services of this process's settings. Raises SettingsError, TemporaryFailure."""
    services = builder.get()(settings_from_environment())
    async with connected(services):
        yield services


@asynccontextmanager
async def connected(services: Services) -> AsyncIterator[None]:
    """Connect, and check that the schema is there. Raises TemporaryFailure.

    The pool's log of every failed attempt is silenced; only the error is reported.
    """
    log, silence = logging.getLogger("psycopg"), logging.NullHandler()
    log.addHandler(silence)
    try:
        await services.open()
        await services.store.check_ready()
        yield
    finally:
        await services.close()
        log.removeHandler(silence)


@asynccontextmanager
async def session(where: Where) -> AsyncIterator[CommandSession]:
    """Connect, find the clinic and the actor.

    Raises ClinicNotFound, ClinicNotNamed, NotFound for an unknown user.
    """
    async with open_services() as services:
        clinic = await _clinic(services, where.clinic)
        acting = where if isinstance(where, Acting) else Acting()
        actor = await _actor(services, clinic.id, acting.as_user)
        yield CommandSession(services, clinic, actor, acting.reason)


async def _clinic(services: Services, clinic_id: UUID | None) -> Clinic:
    if clinic_id is not None:
        clinic = await services.store.people.clinic(clinic_id)
        if clinic is None:
            raise ClinicNotFound()
        return clinic
    clinics = await services.store.people.clinics()
    if not clinics:
        raise ClinicNotFound("There is no clinic yet; create one with: clinic clinic create.")
    if len(clinics) > 1:
        names = ", ".join(f"{clinic.id} ({clinic.name})" for clinic in clinics)
        raise ClinicNotNamed(f"There are several clinics; name one with --clinic: {names}.")
    return clinics[0]


async def _actor(services: Services, clinic_id: UUID, user_id: UUID | None) -> Actor:
    if user_id is None:
        return system_actor(clinic_id)
    user = await services.store.people.user(user_id)
    if user is None:
        raise NotFound(f"There is no user {user_id}.")
    return Actor(user.id, user.role, clinic_id)
