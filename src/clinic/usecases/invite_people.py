"""Invite people: add them to the clinic, send them a link, and let them set a password with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from clinic.domain.audit import AuditEvent, event_by
from clinic.domain.errors import (
    InvalidInput,
    InvitationInvalid,
    PatientDisabled,
    PermissionDenied,
    UserNotFound,
)
from clinic.domain.networks import network_of
from clinic.domain.notifications import INVITATION, PASSWORD_RESET, Message, account_mail
from clinic.domain.passwords import checked_password
from clinic.domain.people import Actor, Role, User, checked_specialty, is_erased_user
from clinic.domain.permissions import Operation, Reach, permit, reach_of
from clinic.domain.sessions import INVITATION_LASTS, invitation, invited_user
from clinic.ports.accounts import Account, AccountReader
from clinic.ports.clock import Clock, IdSource
from clinic.ports.email_addresses import EmailAddresses
from clinic.ports.password_hasher import PasswordHasher
from clinic.ports.phone_numbers import PhoneNumbers
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.checked import checked_user
from clinic.usecases.manage_users import managed_account
from clinic.usecases.open_account_link import check_invitation_of
from clinic.usecases.transactions import Transactions


@dataclass(frozen=True, slots=True)
class Invited:
    """A person who may set a password once, with a link that is mailed."""

    account: Account
    #: None where the link goes by mail alone
    token: str | None
    #: whether the link is on its way by mail
    is_mailed: bool


async def add_user(
    user: User,
    *,
    specialty: str | None,
    secret: str,
    mail_works: bool,
    phones: PhoneNumbers,
    emails: EmailAddresses,
    transactions: Transactions,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    hand_over: bool = False,
    reason: str | None = None,
) -> Invited:
    """Return a new person of the actor's clinic in the role of `user`, with an invitation.

    `mail_works` and `hand_over` are as in `invite`. Raises PermissionDenied, InvalidInput,
    PhoneNumberRefused, EmailInUse.
    """
    permit(actor, Operation.MANAGE_USERS)
    if user.role is Role.SYSTEM:
        raise InvalidInput("Nobody signs in as the service itself.", pointer="/role")
    if (user.role is Role.DOCTOR) != (specialty is not None):
        raise InvalidInput("Doctors, and only doctors, have a specialty.", pointer="/specialty")
    specialty = checked_specialty(specialty) if specialty is not None else None
    user = checked_user(user, phones=phones, emails=emails)
    clinic_id = actor.clinic_id
    handed_over = _is_handed_over(actor, mail_works=mail_works, hand_over=hand_over)

    async def work(unit: UnitOfWork) -> Invited:
        await unit.people.add_user(user)
        if specialty is not None:
            await unit.people.add_doctor(clinic_id, user.id, specialty)
        elif user.role is Role.PATIENT:
            await unit.people.add_patient(clinic_id, user.id)
        else:
            await unit.accounts.add_staff(clinic_id, user.id)
        detail = {"role": user.role.value, "handedOver": handed_over}
        await unit.events.add(_event(actor, "add_user", user.id, clock, new_id, reason, detail))
        account = Account(user, None, None, (clinic_id,))
        await unit.messages.add([_invitation_mail(account, actor, clock, new_id)])
        token = _token(account, actor, secret, clock) if handed_over else None
        return Invited(account, token, mail_works)

    return await transactions.run(work)


async def invite(
    user_id: UUID,
    *,
    secret: str,
    mail_works: bool,
    transactions: Transactions,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    hand_over: bool = False,
    reason: str | None = None,
) -> Invited:
    """Return a new invitation for a person; it also replaces a forgotten password.

    Whoever has the token can act as that person. So where `mail_works` it goes to the person alone,
    unless the operator asks to `hand_over` it. The desk invites patients who have no password yet.
    Raises PermissionDenied, UserNotFound, UserShared, PatientDisabled.
    """
    permit(actor, Operation.INVITE_PATIENT)
    handed_over = _is_handed_over(actor, mail_works=mail_works, hand_over=hand_over)

    async def work(unit: UnitOfWork) -> Invited:
        if reach_of(actor.role, Operation.MANAGE_USERS) is Reach.NOTHING:
            await _check_desk(unit, actor, user_id)
        account = await managed_account(unit.accounts, actor, user_id)
        if is_erased_user(account.user):
            raise PatientDisabled("This patient is erased for good; add them as a new patient.")
        detail = {"handedOver": handed_over}
        await unit.events.add(_event(actor, "invite", user_id, clock, new_id, reason, detail))
        await unit.messages.add([_invitation_mail(account, actor, clock, new_id)])
        token = _token(account, actor, secret, clock) if handed_over else None
        # Nothing is sent to whoever is disabled when the message is due.
        return Invited(account, token, mail_works and account.disabled_at is None)

    return await transactions.run(work)


async def accept_invitation(
    token: str,
    password: str,
    *,
    secret: str,
    hasher: PasswordHasher,
    accounts: AccountReader,
    transactions: Transactions,
    clock: Clock,
    new_id: IdSource,
    request_id: str | None = None,
    ip: str | None = None,
) -> User:
    """Set the invited person's password, once; other sessions end.

    Raises InvitationInvalid, PasswordRefused.
    """
    user_id = invited_user(token)
    known = await accounts.account(user_id)
    if known is None or known.disabled_at is not None or not known.clinics:
        raise InvitationInvalid()
    check_invitation_of(known, token, secret, now=clock.now())
    checked_password(password, email=known.user.email, name=known.user.name)
    password_hash = await hasher.hash(password, source=network_of(ip))
    actor = Actor(user_id, known.user.role, known.clinics[0], request_id=request_id, ip=ip)

    async def work(unit: UnitOfWork) -> User:
        account = await unit.accounts.lock(user_id)
        if account is None or account.disabled_at is not None:
            raise InvitationInvalid()
        # Again under the lock: of two that accept at once, one finds the password changed.
        issued_by = check_invitation_of(account, token, secret, now=clock.now())
        await unit.accounts.set_password_hash(user_id, password_hash)
        await unit.sessions.revoke(user_id, clock.now())
        detail = {"issuedBy": str(issued_by) if issued_by else None}
        event = _event(actor, "accept_invitation", user_id, clock, new_id, detail=detail)
        await unit.events.add(event)
        return account.user

    return await transactions.run(work)


def _is_handed_over(actor: Actor, *, mail_works: bool, hand_over: bool) -> bool:
    """Say whether the actor is given the token. Raises PermissionDenied."""
    if hand_over and actor.role is not Role.SYSTEM:
        raise PermissionDenied("Only the operator may have a link printed; leave out --as.")
    return hand_over or not mail_works


async def _check_desk(unit: UnitOfWork, actor: Actor, user_id: UUID) -> None:
    """Raise UserNotFound, PermissionDenied, PatientDisabled unless the desk may invite this person;
    before anything is said of other clinics."""
    account = await unit.accounts.lock(user_id)
    if account is None or actor.clinic_id not in account.clinics:
        raise UserNotFound()
    if account.user.role is not Role.PATIENT or account.password_hash is not None:
        raise PermissionDenied(
            "The desk invites patients who have no password yet; an administrator invites others."
        )
    if account.disabled_at is not None:
        raise PatientDisabled("This patient is disabled or erased.")


def _invitation_mail(account: Account, actor: Actor, clock: Clock, new_id: IdSource) -> Message:
    """Return the mail with the invitation, which its sender signs when it goes out."""
    return account_mail(
        INVITATION if account.password_hash is None else PASSWORD_RESET,
        clinic_id=actor.clinic_id,
        user_id=account.user.id,
        valid_for=INVITATION_LASTS,
        now=clock.now(),
        new_id=new_id,
        issued_by=actor.user_id,
    )


def _token(account: Account, actor: Actor, secret: str, clock: Clock) -> str:
    expires_at = clock.now() + INVITATION_LASTS
    return invitation(
        secret,
        account.user.id,
        expires_at,
        password_hash=account.password_hash,
        email=account.user.email,
        link_version=account.link_version,
        issued_by=actor.user_id,
    )


def _event(
    actor: Actor,
    action: str,
    user_id: UUID,
    clock: Clock,
    new_id: IdSource,
    reason: str | None = None,
    detail: Mapping[str, object] | None = None,
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
