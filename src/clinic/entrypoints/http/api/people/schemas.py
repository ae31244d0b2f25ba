"""Request and response bodies for accounts, sessions and the audit log."""

import datetime as dt
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from clinic.domain.audit.audit import AuditEvent
from clinic.domain.people.people import Role
from clinic.domain.people.sessions import Session
from clinic.entrypoints.http.api.appointments.schemas import AppointmentOut
from clinic.entrypoints.http.api.calendar.closing_schemas import BlockOut, LeaveOut
from clinic.entrypoints.http.api.calendar.schemas import SlotsOpenedOut
from clinic.entrypoints.http.api.messaging.schemas import NotificationOut, PreferencesOut
from clinic.entrypoints.http.api.people.clinic_schemas import UserOut
from clinic.entrypoints.http.api.schemas import Phone, Reason
from clinic.entrypoints.http.kernel.schemas import In, Out, Text
from clinic.ports.accounts import Account
from clinic.usecases.people.invite_people import Invited
from clinic.usecases.people.manage_users import AccountChanged
from clinic.usecases.people.memberships import Offered, OwnOffer
from clinic.usecases.people.sign_in import NewSession

Password = Annotated[
    str, Meta(max_length=1024, description="8 to 128 characters", examples=["three blue herons"])
]
Email = Annotated[str, Meta(max_length=320, examples=["ada@example.org"])]
InvitationToken = Annotated[str, Meta(max_length=200)]
StaffRole = Literal["PATIENT", "DOCTOR", "RECEPTIONIST", "ADMIN"]


class SignInIn(In):
    email: Email
    password: Password
    #: needed by people who belong to several clinics
    clinic: UUID | None = None
    #: sign a browser in: the session is a cookie, not a token
    cookie: bool = False


class AddUserIn(In):
    name: Text
    email: Email
    phone: Phone | None = None
    #: for registering; people who are invited choose theirs later
    password: Password | None = None
    role: StaffRole | None = None
    specialty: Text | None = None
    reason: Text | None = None


class ChangeOwnDataIn(In):
    """null removes the phone number, as does `removePhone`."""

    name: Text | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    phone: Phone | UnsetType | None = UNSET
    remove_phone: bool = False
    #: the current password, needed to change the email address
    current: Password | UnsetType = UNSET


class ChangePasswordIn(In):
    current: Password
    password: Password


class ChangeUserIn(In):
    disabled: bool
    #: what becomes of a doctor's appointments ahead; needed to disable one who has some
    appointments: Literal["keep"] | UnsetType = UNSET
    reason: Reason = UNSET


class ReasonIn(In):
    reason: Text | None = None


class MembershipOfferIn(In):
    email: Email
    #: the person's role, which joining does not change
    role: StaffRole
    #: a doctor's specialty at this clinic
    specialty: Text | None = None
    reason: Text | None = None


class MembershipOfferOut(Out):
    """An offer. The person who signs in with the address it was made to can accept it with `offer`,
    once."""

    id: UUID
    role: Role
    offer: str
    expires_at: dt.datetime

    @classmethod
    def of(cls, offered: Offered) -> Self:
        offer = offered.offer
        return cls(offer.id, offer.role, offered.token, offer.expires_at)


class AcceptOfferIn(In):
    """`email` and `password` together, or neither when signed in."""

    offer: InvitationToken
    email: Email | None = None
    password: Password | None = None


class MembershipOut(Out):
    """A clinic that the person belongs to now; sign in again to work there."""

    clinic_id: UUID
    role: Role


class AcceptInvitationIn(In):
    token: InvitationToken
    password: Password


class PasswordResetIn(In):
    email: Email


class AcceptedOut(Out):
    """What will be done; whether there is anybody to do it for stays unsaid."""

    detail: str


class OwnDataOut(UserOut):
    """Who is signed in, and whether the email address is proven."""

    email_verified: bool

    @classmethod
    def of_account(cls, account: Account, role: Role, clinic_id: UUID) -> Self:
        user = account.user
        verified = account.email_verified_at is not None
        return cls(user.id, clinic_id, role, user.name, user.shown_email, user.phone, verified)


class SignedInOut(Out):
    """A sign-in: a token for `Authorization: Bearer`, or a cookie and its CSRF token."""

    id: UUID
    token: str | None
    csrf_token: str | None
    expires_at: dt.datetime
    user: UserOut

    @classmethod
    def of(cls, made: NewSession, token: str | None, csrf: str | None) -> Self:
        session = made.session
        user = UserOut.of(made.user, session.role, session.clinic_id)
        return cls(session.id, token, csrf, session.expires_at, user)


class SessionOut(Out):
    id: UUID
    clinic_id: UUID
    kind: str
    created_at: dt.datetime
    expires_at: dt.datetime
    last_seen_at: dt.datetime
    current: bool

    @classmethod
    def of(cls, session: Session, current: UUID | None) -> Self:
        return cls(
            session.id,
            session.clinic_id,
            session.kind.value,
            session.created_at,
            session.expires_at,
            session.last_seen_at,
            session.id == current,
        )


class AccountOut(Out):
    """A person as the clinic's administrators see them."""

    id: UUID
    role: Role
    name: str
    email: str
    phone: str | None
    disabled: bool
    has_password: bool
    email_verified: bool

    @classmethod
    def of(cls, account: Account) -> Self:
        return cls(*_account(account))


class AccountChangedOut(AccountOut, omit_defaults=True):
    #: what it did to a doctor's slots; `stranded` are the appointments ahead. A preview has it for
    #: everybody
    slots_opened: SlotsOpenedOut | None = None

    @classmethod
    def changed(cls, change: AccountChanged) -> Self:
        effect = SlotsOpenedOut.of(change.effect) if change.effect else None
        values = (*_account(change.account), effect)
        return cls(*values)


class MembershipEndedOut(Out):
    """The preview of a membership's end."""

    user_id: UUID
    slots_opened: Annotated[
        SlotsOpenedOut,
        Meta(
            description="what it would do to a doctor's slots; `stranded` are the appointments"
            " ahead, which `appointments=keep` would keep"
        ),
    ]


def _account(account: Account) -> tuple[Any, ...]:
    user = account.user
    return (
        user.id,
        user.role,
        user.name,
        user.shown_email,
        user.phone,
        account.disabled_at is not None,
        account.password_hash is not None,
        account.email_verified_at is not None,
    )


class AddedUserOut(Out):
    """The new person. The link with which an invited person sets a password, once, is sent by
    mail; `invitation` is its token only where no mail server is configured, and null elsewhere."""

    user: AccountOut
    invitation: str | None
    #: whether the link is on its way by mail
    invitation_mailed: bool

    @classmethod
    def of(cls, invited: Invited) -> Self:
        return cls(AccountOut.of(invited.account), invited.token, invited.is_mailed)


class InvitationOut(Out):
    """A link that sets a password once goes to the person by mail; `invitation` is its token only
    where no mail server is configured, and null elsewhere."""

    user_id: UUID
    invitation: str | None
    #: whether the link is on its way by mail
    invitation_mailed: bool

    @classmethod
    def of(cls, invited: Invited) -> Self:
        return cls(invited.account.user.id, invited.token, invited.is_mailed)


class OwnOfferOut(Out):
    """A clinic's offer to oneself; send `offer` to POST /memberships to accept it."""

    id: UUID
    clinic_id: UUID
    clinic_name: str
    role: Role
    specialty: str | None
    offer: str
    expires_at: dt.datetime

    @classmethod
    def of(cls, own: OwnOffer) -> Self:
        offer = own.offer
        return cls(
            offer.id,
            offer.clinic_id,
            own.clinic_name,
            offer.role,
            offer.specialty,
            own.token,
            offer.expires_at,
        )


class EventOut(Out):
    """One event of the audit log; ids only, no names."""

    id: UUID
    at: dt.datetime
    actor_id: UUID
    actor_role: Role
    action: str
    entity: str
    entity_id: UUID | None
    patient_id: UUID | None
    outcome: str
    reason: str
    detail: dict[str, Any]
    request_id: str | None
    session_id: UUID | None
    ip: str | None

    @classmethod
    def of(cls, event: AuditEvent) -> Self:
        return cls(
            event.id,
            event.at,
            event.actor_id,
            event.actor_role,
            event.action,
            event.entity,
            event.entity_id,
            event.patient_id,
            event.outcome,
            event.reason,
            dict(event.detail),
            event.request_id,
            event.session_id,
            event.ip,
        )


class AccessOut(Out):
    """What the person did, or who handled their data: a role and an action, no names."""

    at: dt.datetime
    role: Role
    action: str
    entity: str
    outcome: str
    #: whether the person did it themselves
    own: bool


class OwnMembershipOut(Out):
    """A clinic that one belongs to, or did."""

    clinic_id: UUID
    specialty: str | None
    ended_at: dt.datetime | None
    #: when the person accepted the clinic's offers; empty if the clinic entered the person
    consented_at: list[dt.datetime]


class OwnSessionOut(SessionOut):
    """One of the caller's own sessions, ended or not."""

    #: when it was ended, if before it expired
    revoked_at: dt.datetime | None

    @classmethod
    def of(cls, session: Session, current: UUID | None) -> Self:
        known = msgspec.structs.asdict(SessionOut.of(session, current))
        return cls(**known, revoked_at=session.revoked_at)


class ExportOut(Out):
    """Everything stored about the caller at this clinic, and about their account."""

    user: OwnDataOut
    preferences: PreferencesOut
    memberships: list[OwnMembershipOut]
    sessions: list[OwnSessionOut]
    appointments: list[AppointmentOut]
    #: of a doctor
    leaves: list[LeaveOut]
    #: of a doctor's time
    blocks: list[BlockOut]
    notifications: list[NotificationOut]
    events: list[AccessOut]
