"""Memberships of the clinic, which need the person's consent."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from clinic.domain.errors import (
    AlreadyExists,
    ConfirmationNeeded,
    ConsentNeeded,
    ForgedRequest,
    InvalidInput,
    LastAdministrator,
    NotSignedIn,
    OfferInvalid,
    OfferNotFound,
    OutcomeUnknown,
    QuotaExceeded,
    SignInFailed,
    TemporaryFailure,
    UserNotFound,
)
from clinic.domain.people.memberships import MembershipOffer
from clinic.domain.people.people import Role
from clinic.domain.permissions import Operation
from clinic.domain.rate_limits import RateClass
from clinic.entrypoints.http.api.calendar.changing import PREVIEWED, Preview, note_patients
from clinic.entrypoints.http.api.calendar.schemas import SlotsOpenedOut
from clinic.entrypoints.http.api.people.guesses import count_guess
from clinic.entrypoints.http.api.people.schemas import (
    AcceptOfferIn,
    AccountOut,
    MembershipEndedOut,
    MembershipOfferIn,
    MembershipOfferOut,
    MembershipOut,
    OwnOfferOut,
    ReasonIn,
)
from clinic.entrypoints.http.kernel.endpoint import endpoint
from clinic.entrypoints.http.kernel.problems import RequestTimeout
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut
from clinic.usecases.people.memberships import (
    accept_membership,
    accept_with_password,
    end_membership,
    offer_membership,
    own_offers,
    withdraw_offer,
)
from clinic.usecases.people.sign_in import Credentials

_TAG = "Users"
_encode = msgspec.json.Encoder().encode


class LeavingQuery(Struct, forbid_unknown_fields=True, frozen=True):
    appointments: Annotated[
        Literal["keep"] | None,
        Meta(description="what becomes of a doctor's appointments ahead"),
    ] = None
    preview: Preview = False


@endpoint(
    "POST",
    "/membership-offers",
    tag=_TAG,
    summary="Offer somebody to join the clinic",
    status=201,
    answers=MembershipOfferOut,
    needs=Operation.MANAGE_USERS,
)
async def post_offer(call: RequestContext, body: MembershipOfferIn) -> Reply:
    """For people who have an account at another clinic, or had one here. Nothing changes until
    the person with this address sends `offer` to POST /memberships, once, within seven days.
    The answer is the same whether or not anybody has the address."""
    offered = await offer_membership(
        call.context(body.reason),
        body.email,
        Role(body.role),
        specialty=body.specialty,
        secret=call.services.settings.secret,
        contacts=call.services.contacts,
    )
    return Reply(201, _encode(MembershipOfferOut.of(offered)))


@endpoint(
    "DELETE",
    "/membership-offers/{offer_id}",
    tag=_TAG,
    summary="Withdraw an offer",
    status=204,
    answers=None,
    needs=Operation.MANAGE_USERS,
    refuses=(OfferNotFound,),
)
async def delete_offer(call: RequestContext, offer_id: UUID) -> Reply:
    """It can be accepted no longer. What is accepted already is a membership; end that."""
    await withdraw_offer(call.context(), offer_id)
    return Reply(204)


@endpoint(
    "GET",
    "/users/me/membership-offers",
    tag=_TAG,
    summary="List the offers to join a clinic that one can accept",
    answers=ItemsOut[OwnOfferOut],
    needs=Operation.MANAGE_OWN_ACCOUNT,
    refuses=(UserNotFound,),
)
async def get_own_offers(call: RequestContext) -> Reply:
    """From every clinic, for the caller's own role and email address. Empty until the address is
    verified (`emailVerified` in GET /users/me); offers are announced in no other way."""
    services = call.services
    found = await own_offers(call.context(), secret=services.settings.secret)
    return Reply(200, _encode(ItemsOut([OwnOfferOut.of(one) for one in found])))


@endpoint(
    "POST",
    "/memberships",
    tag=_TAG,
    summary="Accept an offer to join a clinic",
    status=201,
    answers=MembershipOut,
    needs=None,
    knows_actor=True,
    rate=RateClass.SIGN_IN,
    refuses=(
        OfferInvalid,
        AlreadyExists,
        UserNotFound,
        NotSignedIn,
        SignInFailed,
        ForgedRequest,
        QuotaExceeded,
        OutcomeUnknown,
        TemporaryFailure,
        RequestTimeout,
    ),
)
async def post_membership(call: RequestContext, body: AcceptOfferIn) -> Reply:
    """Signed in at any clinic, with the email address that the offer was made to; or not signed in,
    with `email` and `password`, as people do who belong to no clinic any more. A password is
    checked and counted as in POST /sessions, and an offer to another address is refused like a
    wrong password. Sign in afterwards to work at the clinic."""
    services = call.services
    if call.known_actor is None:
        offer = await _accept_with_password(call, body)
    elif body.email is not None or body.password is not None:
        pointer = "/email" if body.email is not None else "/password"
        raise InvalidInput(
            "You are signed in: leave out email and password, or send them without the session.",
            pointer=pointer,
        )
    else:
        offer = await accept_membership(call.context(), body.offer, secret=services.settings.secret)
    return Reply(201, _encode(MembershipOut(offer.clinic_id, offer.role)))


async def _accept_with_password(call: RequestContext, body: AcceptOfferIn) -> MembershipOffer:
    if body.email is None and body.password is None:
        raise NotSignedIn("Sign in, or send email and password with the offer.")
    if body.email is None:
        raise InvalidInput("Send the email address with the password.", pointer="/email")
    if body.password is None:
        raise InvalidInput("Send the password with the email address.", pointer="/password")
    services = call.services
    await count_guess(call, body.email)
    return await accept_with_password(
        call.anonymous(),
        body.offer,
        Credentials(body.email, body.password),
        secret=services.settings.secret,
        sign_ins=services.sign_ins,
    )


@endpoint(
    "DELETE",
    "/users/{user_id}/membership",
    tag=_TAG,
    summary="End somebody's membership of the clinic",
    status=204,
    also=PREVIEWED,
    answers=MembershipEndedOut,
    needs=Operation.MANAGE_USERS,
    refuses=(UserNotFound, LastAdministrator, ConfirmationNeeded),
)
async def delete_membership(call: RequestContext, user_id: UUID, query: LeavingQuery) -> Reply:
    """Their sessions here end at once, on every server; other clinics are not affected. Nobody can
    end their own membership, and the last administrator cannot be removed. An offer brings them
    back: POST /memberships accepts it with email and password. With appointments ahead, which stay,
    a doctor's needs `appointments=keep`. The preview answers 200 and lists them as `stranded`; it
    needs no decision."""
    effect = await end_membership(
        call.context(),
        user_id,
        keep_appointments=query.appointments is not None,
        preview=query.preview,
    )
    if not query.preview:
        return Reply(204)
    note_patients(call, effect.stranded)
    return Reply(200, _encode(MembershipEndedOut(user_id, SlotsOpenedOut.of(effect))))


@endpoint(
    "PUT",
    "/users/{user_id}/membership",
    tag=_TAG,
    summary="Refused: joining needs the person's consent",
    answers=AccountOut,
    needs=Operation.MANAGE_USERS,
    refuses=(ConsentNeeded,),
)
async def put_membership(call: RequestContext, user_id: UUID, body: ReasonIn) -> Reply:
    """Always refused; it made people members without asking them. Use POST /membership-offers."""
    raise ConsentNeeded()


ENDPOINTS = (
    post_offer,
    delete_offer,
    get_own_offers,
    post_membership,
    delete_membership,
    put_membership,
)
