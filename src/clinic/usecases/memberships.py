"""Memberships: offer one, accept it, withdraw the offer, end one."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from clinic.domain.audit import AuditEvent, event_by
from clinic.domain.errors import (
    InvalidInput,
    LastAdministrator,
    OfferInvalid,
    OfferNotFound,
    SignInFailed,
    UserNotFound,
)
from clinic.domain.memberships import (
    ACCEPT_MEMBERSHIP,
    OFFER_LASTS,
    MembershipOffer,
    address_tag,
    offer_named,
    offer_token,
)
from clinic.domain.people import Actor, Role, User
from clinic.domain.permissions import Operation, permit
from clinic.ports.accounts import Account, AccountReader
from clinic.ports.clock import Clock, IdSource
from clinic.ports.email_addresses import EmailAddresses
from clinic.ports.password_hasher import PasswordHasher
from clinic.ports.unit_of_work import Store, UnitOfWork
from clinic.usecases.audit_buffer import AuditBuffer
from clinic.usecases.sign_in import Origin, prove_person
from clinic.usecases.transactions import Transactions

#: that one person is shown at a time
OFFERS_MAX = 100


@dataclass(frozen=True, slots=True)
class Offered:
    """An offer, and the token with which the person it is made to accepts it."""

    offer: MembershipOffer
    token: str


async def offer_membership(
    email: str,
    role: Role,
    *,
    specialty: str | None = None,
    secret: str,
    emails: EmailAddresses,
    transactions: Transactions,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    reason: str | None = None,
) -> Offered:
    """Return an offer to whoever signs in with this address.

    Nobody is looked up, so the answer says nothing of who is known elsewhere. Raises
    PermissionDenied, InvalidInput.
    """
    permit(actor, Operation.MANAGE_USERS)
    address, now = emails.checked(email).ascii, clock.now()
    offer = MembershipOffer(
        actor.clinic_id,
        new_id(),
        role,
        specialty,
        actor.user_id,
        now,
        now + OFFER_LASTS,
        address_tag(secret, address),
    )

    async def work(unit: UnitOfWork) -> Offered:
        await unit.memberships.add_offer(offer)
        await unit.events.add(
            _offer_event(actor, "offer_membership", offer.id, clock, new_id, reason)
        )
        return Offered(offer, offer_token(secret, offer, address))

    return await transactions.run(work)


@dataclass(frozen=True, slots=True)
class OwnOffer:
    """An offer as the person sees it to whom it is made."""

    offer: MembershipOffer
    clinic_name: str
    token: str


async def own_offers(
    *, secret: str, store: Store, clock: Clock, actor: Actor
) -> Sequence[OwnOffer]:
    """Return the offers that the actor could accept now, at most OFFERS_MAX.

    None while the email address is not verified: somebody else may have claimed it. Raises
    UserNotFound.
    """
    permit(actor, Operation.MANAGE_OWN_ACCOUNT)
    account = await store.accounts.account(actor.user_id)
    if account is None:
        raise UserNotFound()
    if account.email_verified_at is None:
        return []
    email, now = account.user.email, clock.now()
    tag = address_tag(secret, email)
    ended = {
        each.clinic_id: each.ended_at for each in await store.accounts.memberships(account.user)
    }
    found = []
    for offer in await store.accounts.offers(tag, now, limit=OFFERS_MAX):
        is_member = offer.clinic_id in ended and ended[offer.clinic_id] is None
        ended_at = ended.get(offer.clinic_id)
        has_fallen = ended_at is not None and ended_at >= offer.created_at
        clinic = await store.people.clinic(offer.clinic_id)
        if offer.role is account.user.role and clinic and not (is_member or has_fallen):
            found.append(OwnOffer(offer, clinic.name, offer_token(secret, offer, email)))
    return found


async def withdraw_offer(
    offer_id: UUID,
    *,
    transactions: Transactions,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    reason: str | None = None,
) -> None:
    """Withdraw an offer of the actor's clinic. Raises PermissionDenied, OfferNotFound."""
    permit(actor, Operation.MANAGE_USERS)

    async def work(unit: UnitOfWork) -> None:
        if await unit.memberships.take_offer(actor.clinic_id, offer_id) is None:
            raise OfferNotFound()
        await unit.events.add(
            _offer_event(actor, "withdraw_offer", offer_id, clock, new_id, reason)
        )

    await transactions.run(work)


async def accept_membership(
    token: str,
    *,
    secret: str,
    accounts: AccountReader,
    transactions: Transactions,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    proven: Account | None = None,
) -> MembershipOffer:
    """Make the actor a member of the clinic whose offer the token names, and return the offer.

    It works once, for the address it was made to, in the role that it names, and not after a
    membership that has ended since. `proven` is the account of an actor who gave its password
    instead of a session. Raises OfferInvalid, AlreadyExists, SignInFailed.
    """
    permit(actor, Operation.MANAGE_OWN_ACCOUNT)
    known = proven or await accounts.account(actor.user_id)
    if known is None:
        raise UserNotFound()
    clinic_id, offer_id = offer_named(token, secret, known.user.email)

    async def work(unit: UnitOfWork) -> MembershipOffer:
        offer = await unit.memberships.take_offer(clinic_id, offer_id)
        account = await unit.accounts.lock(actor.user_id)
        if offer is None or clock.now() >= offer.expires_at:
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
        await unit.events.add(
            event_by(
                actor,
                ACCEPT_MEMBERSHIP,
                "user",
                actor.user_id,
                now=clock.now(),
                event_id=new_id(),
                clinic_id=clinic_id,
                detail={"offer": str(offer.id), "offeredBy": str(offer.offered_by)},
            )
        )
        return offer

    return await transactions.run(work)


async def accept_with_password(
    token: str,
    email: str,
    password: str,
    *,
    secret: str,
    accounts: AccountReader,
    emails: EmailAddresses,
    hasher: PasswordHasher,
    transactions: Transactions,
    audit: AuditBuffer,
    clock: Clock,
    new_id: IdSource,
    origin: Origin,
) -> MembershipOffer:
    """Do what accept_membership does for a person without a session, who may belong to no clinic.

    A token for another address is refused like a wrong password. Raises SignInFailed,
    OfferInvalid, AlreadyExists.
    """
    named = _clinic_named(token, secret, emails.canonical(email))
    # Not audited at the clinic of the offer: that would tell it who is known elsewhere.
    account, _ = await prove_person(
        email,
        password,
        is_open=lambda account: named is not None,
        accounts=accounts,
        emails=emails,
        hasher=hasher,
        audit=audit,
        clock=clock,
        new_id=new_id,
        origin=origin,
    )
    assert named is not None
    user = account.user
    return await accept_membership(
        token,
        secret=secret,
        accounts=accounts,
        transactions=transactions,
        clock=clock,
        new_id=new_id,
        actor=Actor(user.id, user.role, named, origin.request_id, origin.ip),
        proven=account,
    )


def _clinic_named(token: str, secret: str, email: str) -> UUID | None:
    try:
        return offer_named(token, secret, email)[0]
    except OfferInvalid:
        return None


async def end_membership(
    user_id: UUID,
    *,
    transactions: Transactions,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    reason: str | None = None,
) -> None:
    """End a person's membership of the actor's clinic, their sessions there and their offers.

    Raises PermissionDenied, UserNotFound, InvalidInput for oneself, LastAdministrator.
    """
    permit(actor, Operation.MANAGE_USERS)
    if user_id == actor.user_id:
        raise InvalidInput("You cannot end your own membership; another administrator can.")

    async def work(unit: UnitOfWork) -> None:
        # First, so that two administrators who end each other's do it one after the other.
        await unit.people.lock_clinic(actor.clinic_id)
        account = await unit.accounts.lock(user_id)
        now = clock.now()
        if account is None or not await unit.memberships.end(actor.clinic_id, account.user, now):
            raise UserNotFound()
        await check_administrators(unit, actor.clinic_id, account.user)
        await unit.memberships.withdraw_offers(actor.clinic_id, user_id)
        ended = await unit.sessions.revoke(user_id, now, clinic_id=actor.clinic_id)
        await unit.events.add(
            event_by(
                actor,
                "end_membership",
                "user",
                user_id,
                now=now,
                event_id=new_id(),
                reason=reason,
                detail={"sessions": len(ended)},
            )
        )

    await transactions.run(work)


async def check_administrators(unit: UnitOfWork, clinic_id: UUID, removed: User) -> None:
    """Raise LastAdministrator where `removed` was one and nobody is left; the clinic is locked."""
    if removed.role is Role.ADMIN and not await unit.memberships.administrators(clinic_id):
        raise LastAdministrator()


def _offer_event(
    actor: Actor,
    action: str,
    offer_id: UUID,
    clock: Clock,
    new_id: IdSource,
    reason: str | None,
) -> AuditEvent:
    # Not for whom: the trail must not say who is known elsewhere.
    return event_by(
        actor,
        action,
        "membership_offer",
        offer_id,
        now=clock.now(),
        event_id=new_id(),
        reason=reason,
    )
