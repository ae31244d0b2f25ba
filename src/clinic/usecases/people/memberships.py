"""Memberships: offer one, accept it, withdraw the offer, end one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from clinic.domain.audit.audit import AuditEvent
from clinic.domain.errors import (
    InvalidInput,
    LastAdministrator,
    OfferInvalid,
    OfferNotFound,
    SignInFailed,
    UserNotFound,
)
from clinic.domain.paging import LIMIT_MAX
from clinic.domain.people.memberships import (
    ACCEPT_MEMBERSHIP,
    OFFER_LASTS,
    MembershipOffer,
    address_tag,
    offer_named,
    offer_token,
)
from clinic.domain.people.people import Role, User
from clinic.domain.permissions import Operation, permit
from clinic.ports.accounts import Account
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.align import CalendarEffect
from clinic.usecases.calendar.open_slots import align_calendars, check_kept, foresee_calendars
from clinic.usecases.contact_rules import ContactRules
from clinic.usecases.context import AnonymousContext, Context
from clinic.usecases.people.sign_in import Credentials, SignInRules, prove_person

#: how many offers a person is shown at a time
OFFERS_MAX = 100
#: what a change of an account does to slots when it is not a doctor's
NO_DOCTOR = CalendarEffect(note="No doctor is affected.")


@dataclass(frozen=True, slots=True)
class Offered:
    """An offer, and the token with which its recipient accepts it."""

    offer: MembershipOffer
    token: str


async def offer_membership(
    context: Context,
    email: str,
    role: Role,
    *,
    specialty: str | None = None,
    secret: str,
    contacts: ContactRules,
) -> Offered:
    """Offer membership to the person who signs in with this address, and return the offer.

    No account is looked up, so that the answer does not reveal who is known elsewhere. Raises
    PermissionDenied, InvalidInput.
    """
    permit(context.actor, Operation.MANAGE_USERS)
    address, now = contacts.emails.checked(email).ascii, context.clock.now()
    offer = MembershipOffer(
        context.actor.clinic_id,
        context.new_id(),
        role,
        specialty,
        context.actor.user_id,
        now,
        now + OFFER_LASTS,
        address_tag(secret, address),
    )

    async def work(unit: UnitOfWork) -> Offered:
        await unit.memberships.add_offer(offer)
        await unit.events.add(_offer_event(context, "offer_membership", offer.id))
        return Offered(offer, offer_token(secret, offer, address))

    return await context.transactions.run(work)


@dataclass(frozen=True, slots=True)
class OwnOffer:
    """An offer as its recipient sees it."""

    offer: MembershipOffer
    clinic_name: str
    token: str


async def own_offers(context: Context, *, secret: str) -> Sequence[OwnOffer]:
    """Return the offers that the actor could accept now, at most OFFERS_MAX.

    Returns none while the email address is not verified, since it may be another person's. Raises
    UserNotFound.
    """
    permit(context.actor, Operation.MANAGE_OWN_ACCOUNT)
    account = await context.store.accounts.account(context.actor.user_id)
    if account is None:
        raise UserNotFound()
    if account.email_verified_at is None:
        return []
    email, now = account.user.email, context.clock.now()
    tag = address_tag(secret, email)
    ended = {
        each.clinic_id: each.ended_at
        for each in await context.store.accounts.memberships(account.user)
    }
    found = []
    for offer in await context.store.accounts.offers(tag, now, limit=OFFERS_MAX):
        is_member = offer.clinic_id in ended and ended[offer.clinic_id] is None
        ended_at = ended.get(offer.clinic_id)
        has_fallen = ended_at is not None and ended_at >= offer.created_at
        clinic = await context.store.people.clinic(offer.clinic_id)
        if offer.role is account.user.role and clinic and not (is_member or has_fallen):
            found.append(OwnOffer(offer, clinic.name, offer_token(secret, offer, email)))
    return found


async def withdraw_offer(context: Context, offer_id: UUID) -> None:
    """Withdraw an offer of the actor's clinic. Raises PermissionDenied, OfferNotFound."""
    permit(context.actor, Operation.MANAGE_USERS)

    async def work(unit: UnitOfWork) -> None:
        if await unit.memberships.take_offer(context.actor.clinic_id, offer_id) is None:
            raise OfferNotFound()
        await unit.events.add(_offer_event(context, "withdraw_offer", offer_id))

    await context.transactions.run(work)


async def accept_membership(
    context: Context, token: str, *, secret: str, proven: Account | None = None
) -> MembershipOffer:
    """Make the actor a member of the clinic whose offer the token names, and return the offer.

    An offer works once, for the address and role it was made for, and not if a membership has ended
    since it was made. `proven` is the account of an actor who gave its password instead of a
    session. Raises OfferInvalid, AlreadyExists, SignInFailed.
    """
    permit(context.actor, Operation.MANAGE_OWN_ACCOUNT)
    known = proven or await context.store.accounts.account(context.actor.user_id)
    if known is None:
        raise UserNotFound()
    clinic_id, offer_id = offer_named(token, secret, known.user.email)

    async def work(unit: UnitOfWork) -> MembershipOffer:
        offer = await unit.memberships.take_offer(clinic_id, offer_id)
        account = await unit.accounts.lock(context.actor.user_id)
        if offer is None or context.clock.now() >= offer.expires_at:
            raise OfferInvalid()
        if account is None or account.disabled_at is not None:
            raise OfferInvalid()
        if proven is not None and account.password_hash != proven.password_hash:
            raise SignInFailed()
        # Again under the lock: the address may just have changed.
        offer_named(token, secret, account.user.email)
        if account.user.role is not offer.role:
            raise OfferInvalid("This offer is for another role than yours.")
        ended_at = await unit.memberships.ended_at(clinic_id, account.user)
        if ended_at is not None and ended_at >= offer.created_at:
            raise OfferInvalid()
        await unit.memberships.join(clinic_id, account.user, offer.specialty)
        if account.user.role is Role.DOCTOR:
            await align_calendars(context, unit, account.user.id, [clinic_id])
        await unit.events.add(
            context.event(
                ACCEPT_MEMBERSHIP,
                "user",
                context.actor.user_id,
                clinic_id=clinic_id,
                detail={"offer": str(offer.id), "offeredBy": str(offer.offered_by)},
            )
        )
        return offer

    return await context.transactions.run(work)


async def accept_with_password(
    context: AnonymousContext,
    token: str,
    credentials: Credentials,
    *,
    secret: str,
    sign_ins: SignInRules,
) -> MembershipOffer:
    """Do what accept_membership does for a person without a session, who may belong to no clinic.

    A token for another address is refused like a wrong password. Raises SignInFailed,
    OfferInvalid, AlreadyExists.
    """
    named = _clinic_named(token, secret, sign_ins.emails.canonical(credentials.email))
    # Not audited at the clinic of the offer: that would reveal to it who is known elsewhere.
    account, _ = await prove_person(
        context, credentials, sign_ins, is_open=lambda account: named is not None
    )
    assert named is not None
    acting = context.acting_as(account.user.id, account.user.role, named)
    return await accept_membership(acting, token, secret=secret, proven=account)


def _clinic_named(token: str, secret: str, email: str) -> UUID | None:
    try:
        return offer_named(token, secret, email)[0]
    except OfferInvalid:
        return None


async def end_membership(
    context: Context, user_id: UUID, *, keep_appointments: bool = False, preview: bool = False
) -> CalendarEffect:
    """End a person's membership of the actor's clinic, their sessions there and their offers.
    Return what that does to the slots of a doctor there, which are retired; with appointments
    ahead, that needs the decision to keep them. With `preview`, return what it would do; nothing is
    locked or written, and no decision is needed.

    Raises PermissionDenied, UserNotFound, InvalidInput for oneself, LastAdministrator,
    ConfirmationNeeded.
    """
    permit(context.actor, Operation.MANAGE_USERS)
    if user_id == context.actor.user_id:
        raise InvalidInput("You cannot end your own membership; another administrator can.")
    if preview:
        return await _foresee_end(context, user_id)

    async def work(unit: UnitOfWork) -> CalendarEffect:
        # First, so that two administrators who end each other's are serialized.
        await unit.people.lock_clinic(context.actor.clinic_id)
        account = await unit.accounts.lock(user_id)
        now = context.clock.now()
        if account is None or not await unit.memberships.end(
            context.actor.clinic_id, account.user, now
        ):
            raise UserNotFound()
        await check_administrators(unit, context.actor.clinic_id, account.user)
        await unit.memberships.withdraw_offers(context.actor.clinic_id, user_id)
        ended = await unit.sessions.revoke(user_id, now, clinic_id=context.actor.clinic_id)
        detail: dict[str, object] = {"sessions": len(ended)}
        effect = NO_DOCTOR
        if account.user.role is Role.DOCTOR:
            effect = await align_calendars(context, unit, user_id, [context.actor.clinic_id])
            check_kept(effect, keep_appointments=keep_appointments)
            detail |= effect.detail
        await unit.events.add(context.event("end_membership", "user", user_id, detail=detail))
        return effect

    return await context.transactions.run(work)


async def _foresee_end(context: Context, user_id: UUID) -> CalendarEffect:
    clinic_id = context.actor.clinic_id
    account = await context.store.accounts.account(user_id)
    if account is None or clinic_id not in account.clinics:
        raise UserNotFound()
    await foresee_administrators(context, account.user)
    if account.user.role is not Role.DOCTOR:
        return replace(NO_DOCTOR, as_of=context.clock.now())
    return await foresee_calendars(context, user_id, [clinic_id], works_here=False)


async def check_administrators(unit: UnitOfWork, clinic_id: UUID, removed: User) -> None:
    """Raise LastAdministrator when `removed` was the last one; the clinic must be locked."""
    if removed.role is Role.ADMIN and not await unit.memberships.administrators(clinic_id):
        raise LastAdministrator()


async def foresee_administrators(context: Context, removed: User) -> None:
    """Raise LastAdministrator when the clinic would be left without one, as far as can be read
    without a lock."""
    if removed.role is not Role.ADMIN:
        return
    accounts, clinic_id = context.store.accounts, context.actor.clinic_id
    after = None
    while page := await accounts.accounts(clinic_id, role=Role.ADMIN, after=after, limit=LIMIT_MAX):
        if any(one.disabled_at is None and one.user.id != removed.id for one in page):
            return
        after = page[-1].user.id
    raise LastAdministrator()


def _offer_event(context: Context, action: str, offer_id: UUID) -> AuditEvent:
    # Without the recipient: the trail must not reveal who is known elsewhere.
    return context.event(action, "membership_offer", offer_id)
