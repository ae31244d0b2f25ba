"""Erase a patient: existing data at once, and data written meanwhile soon after."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from clinic.domain.appointments.appointments import OCCUPYING
from clinic.domain.audit.audit import ERASE_USER, TEXTS_MAX, AuditEvent, checked_reason
from clinic.domain.errors import InvalidInput, UpcomingAppointments
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Role, Scope, erased_user
from clinic.domain.permissions import Operation, permit
from clinic.ports.accounts import Account
from clinic.ports.answers import IdempotencyCache
from clinic.ports.appointments import AppointmentQuery
from clinic.ports.erasures import ErasableText, Erasure
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.context import AnonymousContext, Context
from clinic.usecases.people.manage_users import managed_account

#: longer than any request or delivery that began before an erasure can take
SETTLES_AFTER = timedelta(minutes=10)
#: how many unfinished erasures one run handles
LIMIT = 100


async def erase_user(context: Context, user_id: UUID, *, cache: IdempotencyCache) -> Account:
    """Replace a patient's identity with a pseudonym, for good, and remove every free text about the
    patient; appointments and audit trail stay. `reason` is not kept, since it may name the patient.

    Raises PermissionDenied, UserNotFound, UserShared, InvalidInput for staff, UpcomingAppointments.
    """
    permit(context.actor, Operation.MANAGE_USERS)
    checked_reason(context.reason)
    ahead = AppointmentQuery(
        Scope(context.actor.clinic_id, patient_id=user_id),
        starts_from=context.clock.now(),
        statuses=OCCUPYING,
    )
    if await context.store.appointments.list(context.actor, ahead, PageRequest(1)):
        raise UpcomingAppointments()

    async def work(unit: UnitOfWork) -> tuple[Account, Sequence[bytes]]:
        account = await _erasable_account(context, unit, user_id)
        if account.user.role is not Role.PATIENT:
            raise InvalidInput("Staff are disabled, not erased.")
        erased = erased_user(user_id)
        now = context.clock.now()
        await unit.accounts.set_disabled_at(user_id, account.disabled_at or now)
        # Again, now that no booking can start for the patient and concurrent ones have ended.
        if await unit.appointments.list(context.actor, ahead, PageRequest(1)):
            raise UpcomingAppointments()
        await unit.accounts.replace_user(erased)
        await unit.accounts.set_password_hash(user_id, None)
        await unit.messages.forget_addresses(user_id)
        await _blank(context, unit, user_id, always=True)
        copies = await unit.erasures.clear(user_id)
        listed = tuple(copies) if cache.is_shared else ()
        await unit.erasures.remember(Erasure(context.actor.clinic_id, user_id, now, listed))
        return Account(erased, None, account.disabled_at or now, account.clinics), copies

    account, copies = await context.transactions.run(work)
    # If that fails, `finish_erasures` does it.
    await cache.forget(copies)
    return account


async def finish_erasures(
    context: AnonymousContext, *, cache: IdempotencyCache, limit: int = LIMIT
) -> int:
    """Try to finish the unfinished erasures; return how many were finished.

    An erasure is finished when SETTLES_AFTER has passed, nothing about the patient has been written
    since, and the cache has confirmed that it holds no copies. Raises TemporaryFailure.
    """
    finished = 0
    for erasure in await context.store.erasures.unfinished(limit=limit):
        if not await cache.forget(erasure.copies):
            continue
        if context.clock.now() >= erasure.erased_at + SETTLES_AFTER:
            finished += await _finish(context, erasure, is_shared=cache.is_shared)
    return finished


async def _finish(context: AnonymousContext, erasure: Erasure, *, is_shared: bool) -> bool:
    """Erase what was written meanwhile; return True when that included no answer."""
    user_id = erasure.user_id
    service = context.as_system(erasure.clinic_id)

    async def work(unit: UnitOfWork) -> bool:
        await _blank(service, unit, user_id)
        copies = tuple(await unit.erasures.clear(user_id))
        if copies:
            late = replace(erasure, copies=copies if is_shared else ())
            await unit.erasures.remember(late)
            return False
        await unit.erasures.finish(erasure)
        return True

    return await context.transactions.run(work)


async def _erasable_account(context: Context, unit: UnitOfWork, user_id: UUID) -> Account:
    """Return the locked account of a person whom the actor may erase, which may also be a former
    member of this clinic who now belongs to none. Raises UserNotFound, UserShared."""
    account = await unit.accounts.lock(user_id)
    gone = account is not None and not account.clinics
    if account and gone and await unit.memberships.ended_at(context.actor.clinic_id, account.user):
        return account
    return await managed_account(unit, context.actor, user_id)


async def _blank(
    context: Context, unit: UnitOfWork, user_id: UUID, *, always: bool = False
) -> None:
    """Blank every text about the patient, after adding events that name each; `always` adds an
    event at the actor's clinic, even without texts."""
    texts = await unit.erasures.texts(user_id)
    clinics = {text.clinic_id for text in texts} | ({context.actor.clinic_id} if always else set())
    for clinic_id in sorted(clinics):
        here = [text for text in texts if text.clinic_id == clinic_id]
        for start in range(0, max(len(here), 1), TEXTS_MAX):
            part = here[start : start + TEXTS_MAX]
            await unit.events.add(_event(context, user_id, clinic_id, part))
    if texts:
        await unit.erasures.blank(user_id, texts)


def _event(
    context: Context, user_id: UUID, clinic_id: UUID, texts: Sequence[ErasableText]
) -> AuditEvent:
    named = {str(text.row_id): text.rest for text in texts}
    # Without the reason: it may name the patient.
    return replace(context, reason=None).event(
        ERASE_USER, "user", user_id, clinic_id=clinic_id, detail={"texts": named} if named else {}
    )
