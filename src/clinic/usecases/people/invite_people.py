"""Invite people: add them to the clinic, send them a link, and let them set a password with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from clinic.domain.audit.audit import AuditEvent
from clinic.domain.errors import (
    InvitationInvalid,
    PatientDisabled,
    PermissionDenied,
    UserNotFound,
)
from clinic.domain.links import Link, LinkSigner, Purpose
from clinic.domain.messaging.account_links import INVITATION_LASTS, account_token, invited_user
from clinic.domain.networks import network_of
from clinic.domain.notifications import INVITATION, PASSWORD_RESET, Message, account_mail
from clinic.domain.people.passwords import checked_password
from clinic.domain.people.people import Role, User, is_erased_user
from clinic.domain.permissions import Operation, Reach, permit, reach_of
from clinic.ports.accounts import Account
from clinic.ports.password_hasher import PasswordHasher
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.contact_rules import ContactRules
from clinic.usecases.context import AnonymousContext, Context
from clinic.usecases.people.manage_users import managed_account
from clinic.usecases.people.new_person import ANY_ROLE, add_person, checked_person
from clinic.usecases.people.open_account_link import check_invitation_of


@dataclass(frozen=True, slots=True)
class Invited:
    """A person who may set a password once, with a link sent by mail."""

    account: Account
    #: None when the link is only sent by mail
    token: str | None
    #: whether the link is on its way by mail
    is_mailed: bool


@dataclass(frozen=True, slots=True)
class InvitationLinks:
    """How the links of invitations are signed, and whether they can be sent by mail."""

    secret: str
    mail_works: bool


async def add_user(
    context: Context,
    user: User,
    *,
    specialty: str | None,
    links: InvitationLinks,
    contacts: ContactRules,
    hand_over: bool = False,
) -> Invited:
    """Add a new person to the actor's clinic in the role of `user`, and return an invitation.

    `hand_over` is as in `invite`. Raises PermissionDenied, InvalidInput,
    PhoneNumberRefused, EmailInUse.
    """
    person = checked_person(context, user, ANY_ROLE, specialty=specialty, contacts=contacts)
    handed_over = _is_handed_over(context, links, hand_over=hand_over)

    async def work(unit: UnitOfWork) -> Invited:
        detail = {"role": person.user.role.value, "handedOver": handed_over}
        await add_person(context, unit, person, detail=detail)
        account = Account(person.user, None, None, (context.actor.clinic_id,))
        await unit.messages.add([_invitation_mail(context, account)])
        token = _token(context, account, links.secret) if handed_over else None
        return Invited(account, token, links.mail_works)

    return await context.transactions.run(work)


async def invite(
    context: Context, user_id: UUID, *, links: InvitationLinks, hand_over: bool = False
) -> Invited:
    """Return a new invitation for a person; it also replaces a forgotten password.

    Anyone with the token can act as that person. So if mail works, only the person gets it, unless
    the operator asks to `hand_over` it. The desk may invite patients who have no password yet.
    Raises PermissionDenied, UserNotFound, UserShared, PatientDisabled.
    """
    permit(context.actor, Operation.INVITE_PATIENT)
    handed_over = _is_handed_over(context, links, hand_over=hand_over)

    async def work(unit: UnitOfWork) -> Invited:
        if reach_of(context.actor.role, Operation.MANAGE_USERS) is Reach.NOTHING:
            await _check_desk(context, unit, user_id)
        account = await managed_account(unit, context.actor, user_id)
        if is_erased_user(account.user):
            raise PatientDisabled("This patient is erased for good; add them as a new patient.")
        detail = {"handedOver": handed_over}
        await unit.events.add(_event(context, "invite", user_id, detail))
        await unit.messages.add([_invitation_mail(context, account)])
        token = _token(context, account, links.secret) if handed_over else None
        # Nothing is sent to a person who is disabled when the message is due.
        return Invited(account, token, links.mail_works and account.disabled_at is None)

    return await context.transactions.run(work)


async def accept_invitation(
    context: AnonymousContext, token: str, password: str, *, secret: str, hasher: PasswordHasher
) -> User:
    """Set the invited person's password, once; other sessions end.

    Raises InvitationInvalid, PasswordRefused.
    """
    user_id = invited_user(token)
    known = await context.store.accounts.account(user_id)
    if known is None or known.disabled_at is not None or not known.clinics:
        raise InvitationInvalid()
    check_invitation_of(known, token, secret, now=context.clock.now())
    checked_password(password, email=known.user.email, name=known.user.name)
    password_hash = await hasher.hash(password, source=network_of(context.origin.ip))
    acting = context.acting_as(user_id, known.user.role, known.clinics[0])

    async def work(unit: UnitOfWork) -> User:
        account = await unit.accounts.lock(user_id)
        if account is None or account.disabled_at is not None:
            raise InvitationInvalid()
        # Again under the lock: of two concurrent requests, one finds the password changed.
        issued_by = check_invitation_of(account, token, secret, now=context.clock.now())
        await unit.accounts.set_password_hash(user_id, password_hash)
        await unit.sessions.revoke(user_id, context.clock.now())
        detail = {"issuedBy": str(issued_by) if issued_by else None}
        event = _event(acting, "accept_invitation", user_id, detail=detail)
        await unit.events.add(event)
        return account.user

    return await context.transactions.run(work)


def _is_handed_over(context: Context, links: InvitationLinks, *, hand_over: bool) -> bool:
    """Return whether the actor gets the token. Raises PermissionDenied."""
    if hand_over and context.actor.role is not Role.SYSTEM:
        raise PermissionDenied("Only the operator may have a link printed; leave out --as.")
    return hand_over or not links.mail_works


async def _check_desk(context: Context, unit: UnitOfWork, user_id: UUID) -> None:
    """Raise UserNotFound, PermissionDenied, PatientDisabled unless the desk may invite this person,
    before other errors can reveal anything about other clinics."""
    account = await unit.accounts.lock(user_id)
    if account is None or context.actor.clinic_id not in account.clinics:
        raise UserNotFound()
    if account.user.role is not Role.PATIENT or account.password_hash is not None:
        raise PermissionDenied(
            "The desk invites patients who have no password yet; an administrator invites others."
        )
    if account.disabled_at is not None:
        raise PatientDisabled("This patient is disabled or erased.")


def _invitation_mail(context: Context, account: Account) -> Message:
    """Return the mail with the invitation, whose link is signed when the mail is sent."""
    return account_mail(
        INVITATION if account.password_hash is None else PASSWORD_RESET,
        clinic_id=context.actor.clinic_id,
        user_id=account.user.id,
        valid_for=INVITATION_LASTS,
        now=context.clock.now(),
        new_id=context.new_id,
        issued_by=context.actor.user_id,
    )


def _token(context: Context, account: Account, secret: str) -> str:
    link = Link(
        Purpose.INVITATION,
        context.actor.clinic_id,
        account.user.id,
        account.link_version,
        context.clock.now() + INVITATION_LASTS,
        context.actor.user_id,
    )
    return account_token(
        LinkSigner(secret),
        link,
        email=account.user.email,
        password_hash=account.password_hash,
    )


def _event(
    context: Context, action: str, user_id: UUID, detail: Mapping[str, object] | None = None
) -> AuditEvent:
    return context.event(action, "user", user_id, detail=detail)
