"""People and their accounts: register, change, disable, export."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from clinic.domain.account_links import address_changed_mail, verification_mail
from clinic.domain.appointments import AppointmentView
from clinic.domain.audit import AuditEvent, event_by
from clinic.domain.contact import checked_language
from clinic.domain.deliveries import Preferences
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
from clinic.domain.memberships import ACCEPT_MEMBERSHIP, Membership
from clinic.domain.networks import network_of
from clinic.domain.notifications import Message
from clinic.domain.paging import LIMIT_MAX, Keyset, PageRequest
from clinic.domain.passwords import checked_password
from clinic.domain.people import Actor, Role, Scope, User, is_erased_user
from clinic.domain.permissions import Operation, permit
from clinic.domain.sessions import Session
from clinic.ports.accounts import Account, AccountReader, Accounts
from clinic.ports.appointments import AppointmentQuery
from clinic.ports.audit import EventQuery
from clinic.ports.clock import Clock, IdSource
from clinic.ports.email_addresses import EmailAddresses
from clinic.ports.outbox import NotificationQuery, NotificationView
from clinic.ports.password_hasher import PasswordHasher
from clinic.ports.phone_numbers import PhoneNumbers
from clinic.ports.unit_of_work import Store, UnitOfWork
from clinic.usecases.checked import checked_user
from clinic.usecases.memberships import check_administrators
from clinic.usecases.pages import every_page
from clinic.usecases.transactions import Transactions


@dataclass(frozen=True, slots=True)
class Export:
    """All that is kept about a person; what there may be much of is read page by page."""

    account: Account
    preferences: Preferences
    #: at every clinic, with when the person agreed to each
    memberships: AsyncIterator[Sequence[tuple[Membership, tuple[datetime, ...]]]]
    #: those that have ended, too, until they are removed
    sessions: AsyncIterator[Sequence[Session]]
    appointments: AsyncIterator[Sequence[AppointmentView]]
    notifications: AsyncIterator[Sequence[NotificationView]]
    #: what the person did, and who read or changed what is theirs
    events: AsyncIterator[Sequence[AuditEvent]]


async def register(
    name: str,
    email: str,
    password: str,
    *,
    clinic_id: UUID,
    phone: str | None = None,
    language: str | None = None,
    hasher: PasswordHasher,
    phones: PhoneNumbers,
    emails: EmailAddresses,
    transactions: Transactions,
    clock: Clock,
    new_id: IdSource,
    request_id: str | None = None,
    ip: str | None = None,
) -> User:
    """Return a new patient of the clinic, who may sign in at once; a message asks whether the email
    address is theirs, in `language` or, when None, the clinic's.

    Raises InvalidInput, PasswordRefused, PhoneNumberRefused, ClinicNotFound, EmailInUse.
    """
    typed = User(new_id(), name, email, Role.PATIENT, phone)
    user = checked_user(typed, phones=phones, emails=emails)
    checked_password(password, email=user.email, name=user.name)
    password_hash = await hasher.hash(password, source=network_of(ip))
    actor = Actor(user.id, Role.PATIENT, clinic_id, request_id=request_id, ip=ip)

    async def work(unit: UnitOfWork) -> User:
        if await unit.people.clinic(clinic_id) is None:
            raise ClinicNotFound()
        await unit.people.add_user(user)
        await unit.people.add_patient(clinic_id, user.id)
        await unit.accounts.set_password_hash(user.id, password_hash)
        await unit.accounts.expect_proof(user.id, clock.now())
        if language is not None:
            await unit.messages.choose(clinic_id, user.id, Preferences(checked_language(language)))
        await unit.messages.add([_verification_mail(actor, clock, new_id)])
        await unit.events.add(_event(actor, "register", user.id, clock, new_id))
        return user

    return await transactions.run(work)


async def change_password(
    current: str,
    new: str,
    *,
    hasher: PasswordHasher,
    accounts: AccountReader,
    transactions: Transactions,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
) -> None:
    """Change the actor's password; every other session of theirs ends.

    Raises PermissionDenied when `current` is wrong, PasswordRefused.
    """
    permit(actor, Operation.MANAGE_OWN_ACCOUNT)
    known = await accounts.account(actor.user_id)
    if known is None:
        raise UserNotFound()
    await _check_password(known, current, hasher, actor)
    if new == current:
        raise PasswordRefused("The new password is the old one.", pointer="/password")
    checked_password(new, email=known.user.email, name=known.user.name)
    password_hash = await hasher.hash(new, source=network_of(actor.ip))

    async def work(unit: UnitOfWork) -> None:
        account = await unit.accounts.lock(actor.user_id)
        if account is None or account.password_hash != known.password_hash:
            raise PermissionDenied("The current password is wrong.")
        await unit.accounts.set_password_hash(actor.user_id, password_hash)
        await unit.sessions.revoke(actor.user_id, clock.now(), keep=actor.session_id)
        await unit.events.add(_event(actor, "change_password", actor.user_id, clock, new_id))

    await transactions.run(work)


async def set_enabled(
    user_id: UUID,
    *,
    enabled: bool,
    transactions: Transactions,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    reason: str | None = None,
) -> Account:
    """Return the account, enabled or disabled; disabling ends its sessions at once.

    An erasure is for good. Raises PermissionDenied, UserNotFound, UserShared, LastAdministrator,
    InvalidInput for oneself, PatientDisabled for enabling whoever is erased.
    """
    permit(actor, Operation.MANAGE_USERS)
    if user_id == actor.user_id and not enabled:
        raise InvalidInput("You cannot disable yourself.", pointer="/disabled")

    async def work(unit: UnitOfWork) -> Account:
        # First, so that two administrators who disable each other do it one after the other.
        await unit.people.lock_clinic(actor.clinic_id)
        account = await managed_account(unit.accounts, actor, user_id)
        if (account.disabled_at is None) == enabled:
            return account
        if is_erased_user(account.user):
            raise PatientDisabled("This patient is erased for good; add them as a new patient.")
        disabled_at = None if enabled else clock.now()
        await unit.accounts.set_disabled_at(user_id, disabled_at)
        if not enabled:
            await check_administrators(unit, actor.clinic_id, account.user)
            for clinic_id in account.clinics:
                await unit.memberships.withdraw_offers(clinic_id, user_id)
            await unit.sessions.revoke(user_id, clock.now())
        action = "enable_user" if enabled else "disable_user"
        await unit.events.add(_event(actor, action, user_id, clock, new_id, reason))
        return replace(account, disabled_at=disabled_at)

    return await transactions.run(work)


async def list_users(
    *,
    accounts: AccountReader,
    actor: Actor,
    role: Role | None = None,
    after: UUID | None = None,
    page: PageRequest,
) -> tuple[Sequence[Account], UUID | None]:
    """Return people of the clinic by id, and where the next page starts.

    Raises PermissionDenied.
    """
    permit(actor, Operation.MANAGE_USERS)
    found = await accounts.accounts(actor.clinic_id, role=role, after=after, limit=page.one_more)
    items = found[: page.limit]
    return items, items[-1].user.id if len(found) > page.limit else None


async def read_user(*, accounts: AccountReader, actor: Actor, user_id: UUID) -> Account:
    """Return a person of the clinic, or the actor's own account. Raises UserNotFound."""
    if user_id != actor.user_id:
        permit(actor, Operation.MANAGE_USERS)
    account = await accounts.account(user_id)
    if account is None or actor.clinic_id not in account.clinics:
        raise UserNotFound()
    return account


async def change_own_data(
    change: Callable[[User], User],
    *,
    current: str | None = None,
    count_leaving: Callable[[str], Awaitable[None]],
    hasher: PasswordHasher,
    accounts: AccountReader,
    phones: PhoneNumbers,
    emails: EmailAddresses,
    transactions: Transactions,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
) -> Account:
    """Return the actor's account with name, email address and phone number as `change` makes them.

    Another email address needs the current password, since a forgotten one is reset by email; it
    ends every other session, a message asks whether it is theirs, and another one tells the old
    address: `count_leaving` is called with that one, once the password has proved right, and raises
    where it has had enough. Raises InvalidInput, NotSignedIn for whoever was disabled or erased
    meanwhile, PermissionDenied, PhoneNumberRefused, EmailInUse.
    """
    permit(actor, Operation.MANAGE_OWN_ACCOUNT)
    known = await accounts.account(actor.user_id)
    proven = None
    if known is not None and change(known.user).email != known.user.email:
        if current is not None:
            await _check_password(known, current, hasher, actor)
            proven = known.password_hash
        if known.password_hash == proven:
            await count_leaving(known.user.email)

    async def work(unit: UnitOfWork) -> Account:
        account = await unit.accounts.lock(actor.user_id)
        if account is None:
            raise UserNotFound()
        # The session was looked at before the password was: an erasure may lie between.
        if account.disabled_at is not None:
            raise NotSignedIn()
        before = account.user
        after = checked_user(change(before), before, phones=phones, emails=emails)
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
        await unit.events.add(
            _event(actor, "change_own_data", before.id, clock, new_id, fields=changed)
        )
        if moves:
            await unit.accounts.expect_proof(before.id, clock.now())
            # Whoever still has a session may not be whom the address is of now.
            await unit.sessions.revoke(actor.user_id, clock.now(), keep=actor.session_id)
            told = address_changed_mail(
                clinic_id=actor.clinic_id,
                user_id=before.id,
                old_email=before.email,
                now=clock.now(),
                new_id=new_id,
            )
            await unit.messages.add([_verification_mail(actor, clock, new_id), told])
        return await unit.accounts.account(before.id) or account

    return await transactions.run(work)


async def export_own_data(*, store: Store, actor: Actor) -> Export:
    """Return all that is kept about the actor at this clinic, and about the account, which other
    clinics share. Raises UserNotFound."""
    permit(actor, Operation.MANAGE_OWN_ACCOUNT)
    account = await store.accounts.account(actor.user_id)
    if account is None:
        raise UserNotFound()
    scope = Scope(actor.clinic_id, patient_id=actor.user_id)
    return Export(
        account,
        preferences=await store.outbox.preferences(actor.clinic_id, actor.user_id),
        memberships=_memberships(store, account.user),
        sessions=_sessions(store, actor.user_id),
        appointments=every_page(
            partial(store.appointments.list, AppointmentQuery(scope)),
            lambda view: Keyset(view.appointment.starts_at, view.appointment.id),
        ),
        notifications=every_page(
            partial(store.outbox.list, NotificationQuery(scope)),
            lambda view: Keyset(view.due_at, view.message.id),
        ),
        events=every_page(
            partial(store.audit_log.events, EventQuery(scope.clinic_id, person_id=actor.user_id)),
            lambda event: Keyset(event.at, event.id),
        ),
    )


async def _memberships(
    store: Store, user: User
) -> AsyncIterator[Sequence[tuple[Membership, tuple[datetime, ...]]]]:
    for membership in await store.accounts.memberships(user):
        query = EventQuery(
            membership.clinic_id, entity_id=user.id, actor_id=user.id, action=ACCEPT_MEMBERSHIP
        )
        consents = every_page(
            partial(store.audit_log.events, query), lambda event: Keyset(event.at, event.id)
        )
        yield [(membership, tuple([event.at async for page in consents for event in page]))]


async def _sessions(store: Store, user_id: UUID) -> AsyncIterator[Sequence[Session]]:
    after = None
    while page := await store.sessions.of_user(user_id, after=after, limit=LIMIT_MAX):
        yield page
        if len(page) < LIMIT_MAX:
            return
        after = page[-1].id


async def managed_account(accounts: Accounts, actor: Actor, user_id: UUID) -> Account:
    """Return the locked account of a person for what reaches beyond one clinic: the password,
    disabling, erasure.

    Whoever belongs to a clinic that is not the actor's is left alone: an invitation for them would
    open that clinic. Their membership and sessions here are the actor's all the same. Raises
    UserNotFound, UserShared.
    """
    account = await accounts.lock(user_id)
    if account is None or actor.clinic_id not in account.clinics:
        raise UserNotFound()
    if actor.role is not Role.SYSTEM and account.clinics != (actor.clinic_id,):
        mine = await accounts.account(actor.user_id)
        if mine is None or not set(account.clinics) <= set(mine.clinics):
            raise UserShared()
    return account


async def _check_password(
    account: Account, current: str, hasher: PasswordHasher, actor: Actor
) -> None:
    source = network_of(actor.ip)
    check = await hasher.verify(account.password_hash, current[:1024], source=source)
    if not check.is_right:
        raise PermissionDenied("The current password is wrong.")


def _verification_mail(actor: Actor, clock: Clock, new_id: IdSource) -> Message:
    return verification_mail(
        clinic_id=actor.clinic_id, user_id=actor.user_id, now=clock.now(), new_id=new_id
    )


def _event(
    actor: Actor,
    action: str,
    user_id: UUID,
    clock: Clock,
    new_id: IdSource,
    reason: str | None = None,
    **detail: object,
) -> AuditEvent:
    return event_by(
        actor,
        action,
        "user",
        user_id,
        now=clock.now(),
        event_id=new_id(),
        reason=reason,
        detail=detail,
    )
