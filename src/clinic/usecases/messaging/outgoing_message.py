"""Builds the message that a channel sends from a claim: addressee, appointment, signed links."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from clinic.domain.links import Link, Purpose, bound_to_mailbox
from clinic.domain.messaging.account_links import account_token
from clinic.domain.messaging.deliveries import Claim, Links, OutgoingMessage, message_id_of
from clinic.domain.messaging.link_offers import offer_of
from clinic.domain.notifications import (
    CANCELLATION,
    CONFIRMATION,
    DAY_SHEET,
    DOCTOR_CHANGE,
    DOCTOR_LEFT,
    EMAIL_VERIFICATION,
    INVITATION,
    OPTIONAL,
    PASSWORD_RESET,
    REMINDER,
)
from clinic.usecases.messaging.delivery_services import DeliveryServices

#: how long an unsubscribe link is valid
UNSUBSCRIBE_FOR = timedelta(days=365)
#: pages that the links of account mail open
_ACCOUNT_PATHS = {
    INVITATION: "invitations",
    PASSWORD_RESET: "password-resets",
    EMAIL_VERIFICATION: "email-verifications",
}
_ACCOUNT_PURPOSES = {
    INVITATION: Purpose.INVITATION,
    PASSWORD_RESET: Purpose.PASSWORD_RESET,
    EMAIL_VERIFICATION: Purpose.EMAIL_VERIFICATION,
}


def outgoing_message_for(services: DeliveryServices, claim: Claim) -> OutgoingMessage:
    """Return everything that a channel needs to write the claimed message out."""
    snapshot = claim.snapshot
    assert snapshot.addressee is not None
    addressee = snapshot.addressee
    if claim.message.to_email is not None:
        addressee = replace(addressee, email=claim.message.to_email)
    return OutgoingMessage(
        message=claim.message,
        addressee=addressee,
        clinic=snapshot.clinic,
        links=_links(services, claim),
        message_id=message_id_of(claim.message, services.mail_domain),
        appointment=snapshot.appointment,
        day=snapshot.day,
        sent_at=claim.claimed_at,
        instructions=snapshot.instructions
        if claim.message.family in (CONFIRMATION, REMINDER)
        else None,
        location=snapshot.location,
    )


def _links(services: DeliveryServices, claim: Claim) -> Links:
    message, snapshot = claim.message, claim.snapshot
    addressee = snapshot.addressee
    assert addressee is not None
    # A link is valid only while the account has the address that it was mailed to.
    mailbox = bound_to_mailbox(addressee.email, addressee.link_version)

    def url(path: str, purpose: Purpose, subject: UUID, version: int, until: timedelta) -> str:
        expires_at = max(message.scheduled_for, claim.claimed_at) + until
        link = Link(purpose, message.clinic_id, subject, version, expires_at)
        token = services.signer.sign(link, bound_to=mailbox)
        return f"{services.public_url}/{path}/{token}"

    unsubscribe = None
    if message.family in OPTIONAL:
        topic = OPTIONAL[message.family]
        unsubscribe = url(
            "unsubscribe", Purpose.UNSUBSCRIBE, addressee.user_id, topic, UNSUBSCRIBE_FOR
        )
    home = services.frontend_url
    if message.family in _ACCOUNT_PATHS:
        path = _ACCOUNT_PATHS[message.family]
        return Links(
            account=f"{services.public_url}/{path}/{_account_token(services, claim)}", home=home
        )
    appointment = snapshot.appointment
    if appointment is None or message.family in (
        CANCELLATION,
        DOCTOR_CHANGE,
        DOCTOR_LEFT,
        DAY_SHEET,
    ):
        return Links(unsubscribe=unsubscribe, home=home)
    left = appointment.starts_at - claim.claimed_at
    version = appointment.schedule_version
    offer = offer_of(appointment, snapshot.clinic, claim.claimed_at)

    def act(purpose: Purpose) -> str:
        return url("m", purpose, appointment.id, version, left)

    return Links(
        confirm=act(Purpose.CONFIRM) if offer.confirm else None,
        cancel=act(Purpose.CANCEL) if offer.cancel else None,
        move=act(Purpose.MOVE) if offer.move else None,
        unsubscribe=unsubscribe,
        home=home,
    )


def _account_token(services: DeliveryServices, claim: Claim) -> str:
    message, addressee = claim.message, claim.snapshot.addressee
    assert addressee is not None
    link = Link(
        _ACCOUNT_PURPOSES[message.family],
        message.clinic_id,
        addressee.user_id,
        addressee.link_version,
        message.expires_at,
        message.issued_by,
    )
    return account_token(
        services.signer, link, email=addressee.email, password_hash=addressee.password_hash
    )
