"""People and their accounts: register, change, disable, export."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from clinic.domain.appointments.appointments import AppointmentView
from clinic.domain.audit.audit import AuditEvent
from clinic.domain.calendar.closings import Block, Leave
from clinic.domain.contact import checked_language
from clinic.domain.errors import (
    ClinicNotFound,
    InvalidInput,
    NotSignedIn,
    PasswordRefused,
    PatientDisabled,
    PermissionDenied,
    UserNotFound,
    UserShared,
)
from clinic.domain.messaging.account_links import address_changed_mail, verification_mail
from clinic.domain.messaging.deliveries import Preferences
from clinic.domain.networks import network_of
from clinic.domain.notifications import Message
from clinic.domain.paging import LIMIT_MAX, Keyset, PageRequest
from clinic.domain.people.memberships import ACCEPT_MEMBERSHIP, Membership
from clinic.domain.people.passwords import checked_password
from clinic.domain.people.people import Actor, Role, Scope, User, is_erased_user
from clinic.domain.people.sessions import Session
from clinic.domain.permissions import Operation, permit
from clinic.ports.accounts import Account, AccountReader
from clinic.ports.appointments import AppointmentQuery
from clinic.ports.audit import EventQuery
from clinic.ports.outbox import NotificationQuery, NotificationView
from clinic.ports.password_hasher import PasswordHasher
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.align import CalendarEffect
from clinic.usecases.calendar.open_slots import align_calendars, check_kept, foresee_calendars
from clinic.usecases.contact_rules import ContactRules
from clinic.usecases.context import AnonymousContext, Context
from clinic.usecases.paging import every_page
from clinic.usecases.people.memberships import (
    NO_DOCTOR,
    check_administrators,
    foresee_administrators,
)
from clinic.usecases.people.new_person import REGISTRATION, add_person, checked_person


@dataclass(frozen=True, slots=True)
class Export:
    """All data kept about a person; lists that may be long are read page by page."""

    account: Account
    preferences: Preferences
    #: at every clinic, with the times at which the person agreed to each
    memberships: AsyncIterator[Sequence[tuple[Membership, tuple[datetime, ...]]]]
    #: including those that have ended, until they are removed
    sessions: AsyncIterator[Sequence[Session]]
    appointments: AsyncIterator[Sequence[AppointmentView]]
    #: leave and blocks of a doctor, with their reasons, at this clinic
    leaves: Sequence[Leave]
    blocks: Sequence[Block]
    notifications: AsyncIterator[Sequence[NotificationView]]
    #: the person's actions, and reads and changes of their data by others
    events: AsyncIterator[Sequence[AuditEvent]]


@dataclass(frozen=True, slots=True)
class Registration:
    """The input of a person who registers as a patient of a clinic."""

    clinic_id: UUID
    name: str
    email: str
    password: str
    phone: str | None = None
    #: the language of messages; None for the clinic's
    language: str | None = None


async def register(
    context: AnonymousContext,
    registration: Registration,
    *,
    contacts: ContactRules,
    hasher: PasswordHasher,
) -> User:
    """Add a patient to the clinic, who may sign in at once; a message asks whether the email
    address is theirs.

    Raises InvalidInput, PasswordRefused, PhoneNumberRefused, ClinicNotFound, EmailInUse.
    """
    typed = registration
    clinic_id, password, language = typed.clinic_id, typed.password, typed.language
    new = User(context.new_id(), typed.name, typed.email, Role.PATIENT, typed.phone)
    acting = context.acting_as(new.id, Role.PATIENT, clinic_id)
    person = checked_person(acting, new, REGISTRATION, contacts=contacts)
    user = person.user
    checked_password(password, email=user.email, name=user.name)
    password_hash = await hasher.hash(password, source=network_of(context.origin.ip))

    async def work(unit: UnitOfWork) -> User:
        if await unit.people.clinic(clinic_id) is None:
            raise ClinicNotFound()
        await add_person(acting, unit, person)
        await unit.accounts.set_password_hash(user.id, password_hash)
        await unit.accounts.expect_proof(user.id, context.clock.now())
        if language is not None:
            await unit.messages.choose(clinic_id, user.id, Preferences(checked_language(language)))
        await unit.messages.add([_verification_mail(acting)])
        return user

    return await context.transactions.run(work)


async def change_password(
    context: Context, current: str, new: str, *, hasher: PasswordHasher
) -> None:
    """Change the actor's password and end their other sessions.

    Raises PermissionDenied when `current` is wrong, PasswordRefused.
    """
    permit(context.actor, Operation.MANAGE_OWN_ACCOUNT)
    known = await context.store.accounts.account(context.actor.user_id)
    if known is None:
        raise UserNotFound()
    await _check_password(context, known, current, hasher)
    if new == current:
        raise PasswordRefused("The new password is the old one.", pointer="/password")
    checked_password(new, email=known.user.email, name=known.user.name)
    password_hash = await hasher.hash(new, source=network_of(context.actor.ip))

    async def work(unit: UnitOfWork) -> None:
        account = await unit.accounts.lock(context.actor.user_id)
        if account is None or account.password_hash != known.password_hash:
            raise PermissionDenied("The current password is wrong.")
        await unit.accounts.set_password_hash(context.actor.user_id, password_hash)
        await unit.sessions.revoke(
            context.actor.user_id, context.clock.now(), keep=context.actor.session_id
        )
        await unit.events.add(_event(context, "change_password", context.actor.user_id))

    await context.transactions.run(work)


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """The account as it was written, and what that did to slots and appointments of a doctor; a
    preview has an effect for everybody, which says when it was made."""

    account: Account
    effect: CalendarEffect | None = None


async def set_enabled(
    context: Context,
    user_id: UUID,
    *,
    enabled: bool,
    keep_appointments: bool = False,
    preview: bool = False,
) -> AccountChanged:
    """Return the account, enabled or disabled; disabling ends its sessions at once. The slots of a
    disabled doctor are retired, and come back when the account is enabled.

    With appointments ahead, disabling a doctor needs the decision to keep them. With `preview`,
    return what it would do; nothing is locked or written, and no decision is needed. An erasure is
    final. Raises PermissionDenied, UserNotFound, UserShared, LastAdministrator, ConfirmationNeeded,
    InvalidInput for the actor's own account, PatientDisabled for enabling an erased patient.
    """
    permit(context.actor, Operation.MANAGE_USERS)
    if user_id == context.actor.user_id and not enabled:
        raise InvalidInput("You cannot disable yourself.", pointer="/disabled")
    if preview:
        return await _foresee_enabled(context, user_id, enabled=enabled)

    async def work(unit: UnitOfWork) -> AccountChanged:
        # First, so that two administrators who disable each other are serialized.
        await unit.people.lock_clinic(context.actor.clinic_id)
        account = await managed_account(unit, context.actor, user_id)
        if (account.disabled_at is None) == enabled:
            is_doctor = account.user.role is Role.DOCTOR
            return AccountChanged(account, _unchanged(enabled) if is_doctor else None)
        _check_not_erased(account)
        disabled_at = None if enabled else context.clock.now()
        await unit.accounts.set_disabled_at(user_id, disabled_at)
        if not enabled:
            await check_administrators(unit, context.actor.clinic_id, account.user)
            for clinic_id in account.clinics:
                await unit.memberships.withdraw_offers(clinic_id, user_id)
            await unit.sessions.revoke(user_id, context.clock.now())
        action = "enable_user" if enabled else "disable_user"
        effect: CalendarEffect | None = None
        if account.user.role is Role.DOCTOR:
            effect = await align_calendars(context, unit, user_id, account.clinics)
            if not enabled:
                check_kept(effect, keep_appointments=keep_appointments)
        detail = effect.detail if effect else {}
        await unit.events.add(_event(context, action, user_id, **detail))
        return AccountChanged(replace(account, disabled_at=disabled_at), effect)

    return await context.transactions.run(work)


async def _foresee_enabled(context: Context, user_id: UUID, *, enabled: bool) -> AccountChanged:
    now, accounts = context.clock.now(), context.store.accounts
    account = await accounts.account(user_id)
    account = await _managed(accounts, context.actor, account)
    if (account.disabled_at is None) == enabled:
        return AccountChanged(account, replace(_unchanged(enabled), as_of=now))
    _check_not_erased(account)
    if not enabled:
        await foresee_administrators(context, account.user)
    effect = replace(NO_DOCTOR, as_of=now)
    if account.user.role is Role.DOCTOR:
        effect = await foresee_calendars(context, user_id, account.clinics, works_here=enabled)
    return AccountChanged(replace(account, disabled_at=None if enabled else now), effect)


def _unchanged(enabled: bool) -> CalendarEffect:
    return CalendarEffect(note=f"The account is already {'enabled' if enabled else 'disabled'}.")


def _check_not_erased(account: Account) -> None:
    if is_erased_user(account.user):
        raise PatientDisabled("This patient is erased for good; add them as a new patient.")


async def list_users(
    context: Context, page: PageRequest, *, role: Role | None = None, after: UUID | None = None
) -> tuple[Sequence[Account], UUID | None]:
    """Return people of the clinic by id, and the last id if there is another page.

    Raises PermissionDenied.
    """
    permit(context.actor, Operation.MANAGE_USERS)
    found = await context.store.accounts.accounts(
        context.actor.clinic_id, role=role, after=after, limit=page.one_more
    )
    items = found[: page.limit]
    return items, items[-1].user.id if len(found) > page.limit else None


async def read_user(context: Context, user_id: UUID) -> Account:
    """Return a person of the clinic, or the actor's own account. Raises UserNotFound."""
    if user_id != context.actor.user_id:
        permit(context.actor, Operation.MANAGE_USERS)
    account = await context.store.accounts.account(user_id)
    if account is None or context.actor.clinic_id not in account.clinics:
        raise UserNotFound()
    return account


async def change_own_data(
    context: Context,
    change: Callable[[User], User],
    *,
    current: str | None = None,
    count_leaving: Callable[[str], Awaitable[None]],
    hasher: PasswordHasher,
    contacts: ContactRules,
) -> Account:
    """Return the actor's account with the name, email address and phone number from `change`.

    A new email address needs the current password, since a forgotten password is reset by email. It
    ends every other session; a message to it asks whether it is theirs, and another informs the old
    address: `count_leaving` is called with that one, once the password has proved right, and raises
    when it has been sent enough. Raises InvalidInput, NotSignedIn if the user was disabled or
    erased meanwhile, PermissionDenied, PhoneNumberRefused, EmailInUse.
    """
    permit(context.actor, Operation.MANAGE_OWN_ACCOUNT)
    known = await context.store.accounts.account(context.actor.user_id)
    proven = None
    if known is not None and change(known.user).email != known.user.email:
        if current is not None:
            await _check_password(context, known, current, hasher)
            proven = known.password_hash
        if known.password_hash == proven:
            await count_leaving(known.user.email)

    async def work(unit: UnitOfWork) -> Account:
        account = await unit.accounts.lock(context.actor.user_id)
        if account is None:
            raise UserNotFound()
        # The session was checked before the password: the user may have been erased in between.
        if account.disabled_at is not None:
            raise NotSignedIn()
        before = account.user
        after = contacts.checked_user(change(before), before)
        changed = [
            field
            for field, shown in (("name", "name"), ("email", "shown_email"), ("phone", "phone"))
            if getattr(before, shown) != getattr(after, shown)
        ]
        if not changed:
            return account
        moves = after.email.lower() != before.email.lower()
        if moves and account.password_hash not in (None, proven):
            raise PermissionDenied("Another email address needs the current password.")
        await unit.accounts.replace_user(after)
        await unit.events.add(_event(context, "change_own_data", before.id, fields=changed))
        if moves:
            await unit.accounts.expect_proof(before.id, context.clock.now())
            # Other sessions may belong to a person who is not the new address's owner.
            await unit.sessions.revoke(
                context.actor.user_id, context.clock.now(), keep=context.actor.session_id
            )
            notice = address_changed_mail(
                clinic_id=context.actor.clinic_id,
                user_id=before.id,
                old_email=before.email,
                now=context.clock.now(),
                new_id=context.new_id,
            )
            await unit.messages.add([_verification_mail(context), notice])
        return await unit.accounts.account(before.id) or account

    return await context.transactions.run(work)


async def export_own_data(context: Context) -> Export:
    """Return all data kept about the actor at this clinic, and about the account, which all clinics
    share. Raises UserNotFound."""
    permit(context.actor, Operation.MANAGE_OWN_ACCOUNT)
    account = await context.store.accounts.account(context.actor.user_id)
    if account is None:
        raise UserNotFound()
    scope = Scope(context.actor.clinic_id, patient_id=context.actor.user_id)
    closings, own = context.store.closings, (context.actor.clinic_id, context.actor.user_id)
    return Export(
        account,
        preferences=await context.store.outbox.preferences(
            context.actor.clinic_id, context.actor.user_id
        ),
        memberships=_memberships(context, account.user),
        sessions=_sessions(context, context.actor.user_id),
        appointments=every_page(
            partial(
                context.store.appointments.list,
                context.actor,
                AppointmentQuery(scope),
            ),
            lambda view: Keyset(view.appointment.starts_at, view.appointment.id),
        ),
        leaves=await closings.leaves(*own),
        blocks=await closings.blocks(*own),
        notifications=every_page(
            partial(context.store.outbox.list, NotificationQuery(scope)),
            lambda view: Keyset(view.due_at, view.message.id),
        ),
        events=every_page(
            partial(
                context.store.audit_log.events,
                EventQuery(scope.clinic_id, person_id=context.actor.user_id),
            ),
            lambda event: Keyset(event.at, event.id),
        ),
    )


async def _memberships(
    context: Context, user: User
) -> AsyncIterator[Sequence[tuple[Membership, tuple[datetime, ...]]]]:
    for membership in await context.store.accounts.memberships(user):
        query = EventQuery(
            membership.clinic_id, entity_id=user.id, actor_id=user.id, action=ACCEPT_MEMBERSHIP
        )
        consents = every_page(
            partial(context.store.audit_log.events, query), lambda event: Keyset(event.at, event.id)
        )
        yield [(membership, tuple([event.at async for page in consents for event in page]))]


async def _sessions(context: Context, user_id: UUID) -> AsyncIterator[Sequence[Session]]:
    after = None
    while page := await context.store.sessions.of_user(user_id, after=after, limit=LIMIT_MAX):
        yield page
        if len(page) < LIMIT_MAX:
            return
        after = page[-1].id


async def managed_account(unit: UnitOfWork, actor: Actor, user_id: UUID) -> Account:
    """Return the locked account of a person for changes that affect all their clinics: the
    password, disabling, erasure.

    A person who belongs to a clinic that is not the actor's is refused: an invitation for them
    would give access to that clinic. The actor may still end their membership and sessions here.
    Raises UserNotFound, UserShared.
    """
    account = await unit.accounts.lock(user_id)
    return await _managed(unit.accounts, actor, account)


async def _managed(accounts: AccountReader, actor: Actor, account: Account | None) -> Account:
    if account is None or actor.clinic_id not in account.clinics:
        raise UserNotFound()
    if actor.role is not Role.SYSTEM and account.clinics != (actor.clinic_id,):
        mine = await accounts.account(actor.user_id)
        if mine is None or not set(account.clinics) <= set(mine.clinics):
            raise UserShared()
    return account


async def _check_password(
    context: Context, account: Account, current: str, hasher: PasswordHasher
) -> None:
    source = network_of(context.actor.ip)
    check = await hasher.verify(account.password_hash, current[:1024], source=source)
    if not check.is_right:
        raise PermissionDenied("The current password is wrong.")


def _verification_mail(context: Context) -> Message:
    return verification_mail(
        clinic_id=context.actor.clinic_id,
        user_id=context.actor.user_id,
        now=context.clock.now(),
        new_id=context.new_id,
    )


def _event(context: Context, action: str, user_id: UUID, **detail: object) -> AuditEvent:
    return context.event(action, "user", user_id, detail=detail)
