"""Users: registering, inviting, a person's own data, and administering people."""

from dataclasses import replace
from functools import partial
from uuid import UUID

import msgspec
from msgspec import UNSET

from clinic.domain.errors import (
    ClinicError,
    ClinicNotFound,
    ClinicNotNamed,
    ConfirmationNeeded,
    EmailInUse,
    ForgedRequest,
    InvalidInput,
    InvitationInvalid,
    LastAdministrator,
    PasswordRefused,
    PatientDisabled,
    PermissionDenied,
    PhoneNumberRefused,
    QuotaExceeded,
    TemporaryFailure,
    UpcomingAppointments,
    UserNotFound,
    UserShared,
)
from clinic.domain.paging import LIMIT_DEFAULT, PageRequest
from clinic.domain.people.people import Role, User
from clinic.domain.permissions import Operation
from clinic.domain.rate_limits import RateClass
from clinic.entrypoints.http.api.calendar.changing import PreviewQuery, note_patients
from clinic.entrypoints.http.api.people.exports import export_pieces
from clinic.entrypoints.http.api.people.guesses import account_key
from clinic.entrypoints.http.api.people.schemas import (
    AcceptInvitationIn,
    AccountChangedOut,
    AccountOut,
    AddedUserOut,
    AddUserIn,
    ChangeOwnDataIn,
    ChangePasswordIn,
    ChangeUserIn,
    ExportOut,
    InvitationOut,
    OwnDataOut,
    ReasonIn,
)
from clinic.entrypoints.http.kernel.access_log import report, report_outage
from clinic.entrypoints.http.kernel.endpoint import endpoint
from clinic.entrypoints.http.kernel.languages import asked_language
from clinic.entrypoints.http.kernel.paging import PageLimit
from clinic.entrypoints.http.kernel.reply import Reply, Streamed
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut, changes_in, given
from clinic.usecases.people.erase_user import erase_user
from clinic.usecases.people.invite_people import accept_invitation, add_user, invite
from clinic.usecases.people.manage_users import (
    Registration,
    change_own_data,
    change_password,
    export_own_data,
    list_users,
    read_user,
    register,
    set_enabled,
)

_TAG = "Users"
_encode = msgspec.json.Encoder().encode


class AddUserQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    #: where to register, needed if there are several clinics
    clinic: UUID | None = None


class UsersQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    role: Role | None = None
    #: the id after which to continue
    after: UUID | None = None
    limit: PageLimit = LIMIT_DEFAULT


@endpoint(
    "POST",
    "/users",
    tag=_TAG,
    summary="Register as a patient, or add somebody",
    status=201,
    answers=AddedUserOut,
    needs=None,
    knows_actor=True,
    rate=RateClass.REGISTER,
    refuses=(
        PasswordRefused,
        PhoneNumberRefused,
        ClinicNotFound,
        ClinicNotNamed,
        EmailInUse,
        PermissionDenied,
        ForgedRequest,
        QuotaExceeded,
        TemporaryFailure,
    ),
)
async def post_user(call: RequestContext, query: AddUserQuery, body: AddUserIn) -> Reply:
    """Not signed in: registers a patient, with a password; a message with a link asks whether the
    email address is theirs, in the language of Accept-Language (en, de) or else the clinic's, and
    they can sign in and book before answering. Signed in as an administrator: adds a person in a
    role, and mails them a link that sets a password. Its token is in the answer (`invitation`) only
    where no mail server is configured: whoever has it can act as that person."""
    if call.known_actor is None:
        return await _register(call, query, body)
    if body.password is not None:
        raise InvalidInput("People who are invited choose their own.", pointer="/password")
    if body.role is None:
        raise InvalidInput("Name the role.", pointer="/role")
    services = call.services
    user = User(services.new_id(), body.name, body.email, Role(body.role), body.phone)
    invited = await add_user(
        call.context(body.reason),
        user,
        specialty=body.specialty,
        links=services.invitation_links,
        contacts=services.contacts,
    )
    return Reply(201, _encode(AddedUserOut.of(invited)))


async def _register(call: RequestContext, query: AddUserQuery, body: AddUserIn) -> Reply:
    if body.role not in (None, "PATIENT") or body.specialty is not None:
        raise PermissionDenied("Only an administrator adds staff.")
    if body.password is None:
        raise InvalidInput("Choose a password.", pointer="/password")
    services = call.services
    user = await register(
        call.anonymous(),
        Registration(
            query.clinic or await _only_clinic(call),
            body.name,
            body.email,
            body.password,
            body.phone,
            asked_language(call.header(b"accept-language")),
        ),
        contacts=services.contacts,
        hasher=services.hasher,
    )
    out = AccountOut(
        user.id,
        user.role,
        user.name,
        user.shown_email,
        user.phone,
        False,
        True,
        email_verified=False,
    )
    return Reply(201, _encode(AddedUserOut(out, None, invitation_mailed=False)))


async def _only_clinic(call: RequestContext) -> UUID:
    clinics = await call.services.store.people.clinics()
    if not clinics:
        raise ClinicNotFound("There is no clinic here yet.")
    if len(clinics) > 1:
        raise ClinicNotNamed(pointer="clinic")
    return clinics[0].id


@endpoint(
    "GET",
    "/users",
    tag=_TAG,
    summary="List the clinic's people by id",
    answers=ItemsOut[AccountOut],
    needs=Operation.MANAGE_USERS,
)
async def get_users(call: RequestContext, query: UsersQuery) -> Reply:
    """For administrators; `next` is the `after` of the next page."""
    found, following = await list_users(
        call.context(), PageRequest(query.limit), role=query.role, after=query.after
    )
    call.note_ids(account.user.id for account in found)
    items = [AccountOut.of(account) for account in found]
    return Reply(200, _encode(ItemsOut(items, str(following) if following else None)))


@endpoint(
    "GET",
    "/users/me",
    tag=_TAG,
    summary="Read who is signed in",
    answers=OwnDataOut,
    needs=Operation.MANAGE_OWN_ACCOUNT,
    refuses=(UserNotFound,),
)
async def get_me(call: RequestContext) -> Reply:
    actor = call.actor
    account = await read_user(call.context(), actor.user_id)
    return Reply(200, _encode(OwnDataOut.of_account(account, actor.role, actor.clinic_id)))


@endpoint(
    "PATCH",
    "/users/me",
    tag=_TAG,
    summary="Change your own data",
    answers=OwnDataOut,
    needs=Operation.MANAGE_OWN_ACCOUNT,
    refuses=(UserNotFound, EmailInUse, PhoneNumberRefused),
)
async def patch_me(call: RequestContext, body: ChangeOwnDataIn) -> Reply:
    """Omitted members stay unchanged. Changing the email address needs the `current` password, and
    the new one is unverified until the link sent to it is used. A message to the old address says
    so."""
    actor = call.actor
    current = given(body.current)
    if current is not None:
        await call.guard.count(call, RateClass.ACCOUNT, str(actor.user_id))
    changes = changes_in(body, ("name", "email", "phone"))
    if body.remove_phone:
        changes["phone"] = None
    if "email" in changes:
        # A message is sent to this address, whoever owns it.
        await call.guard.count(call, RateClass.MAILBOX, account_key(call, changes["email"]))

    async def count_leaving(email: str) -> None:
        # Counted apart from messages that others caused, which must not keep the user from leaving.
        await call.guard.count(call, RateClass.MAILBOX, f"{account_key(call, email)}:left")

    account = await change_own_data(
        call.context(),
        lambda user: replace(user, **changes),
        current=current,
        count_leaving=count_leaving,
        hasher=call.services.hasher,
        contacts=call.services.contacts,
    )
    return Reply(200, _encode(OwnDataOut.of_account(account, actor.role, actor.clinic_id)))


@endpoint(
    "PUT",
    "/users/me/password",
    tag=_TAG,
    summary="Change your password",
    status=204,
    answers=None,
    needs=Operation.MANAGE_OWN_ACCOUNT,
    rate=RateClass.SIGN_IN,
    refuses=(UserNotFound, PasswordRefused),
)
async def put_password(call: RequestContext, body: ChangePasswordIn) -> Reply:
    """Every other session ends."""
    await call.guard.count(call, RateClass.ACCOUNT, str(call.actor.user_id))
    await change_password(call.context(), body.current, body.password, hasher=call.services.hasher)
    return Reply(204)


@endpoint(
    "GET",
    "/users/me/export",
    tag=_TAG,
    summary="Export all that is kept about oneself",
    answers=ExportOut,
    needs=Operation.EXPORT_OWN_DATA,
    refuses=(UserNotFound,),
)
async def get_export(call: RequestContext) -> Reply:
    """The answer is complete, however long, and streamed: if the connection is closed before the
    JSON ends, part of it is missing.

    `memberships` and `sessions` are those of every clinic and of the last 30 days, ended ones
    included; `consentedAt` says when the person agreed to a membership that a clinic offered.
    `events` are what the person did (`own`) and who read or changed what is theirs.
    """
    services, actor = call.services, call.actor
    export = await export_own_data(call.context())
    zone = (await call.clinic()).zone
    call.note_patient(actor.user_id, actor.user_id)
    return Streamed(
        200,
        pieces=export_pieces(export, actor.clinic_id, actor.session_id, zone),
        timeout_s=services.settings.request_timeout_s,
        report=partial(_report_export, call),
    )


def _report_export(call: RequestContext, error: Exception) -> None:
    if isinstance(error, ClinicError):
        report_outage(error, call)
    else:
        report(error, call)


@endpoint(
    "GET",
    "/users/{user_id}",
    tag=_TAG,
    summary="Read a person",
    answers=AccountOut,
    needs=Operation.MANAGE_USERS,
    refuses=(UserNotFound,),
)
async def get_user(call: RequestContext, user_id: UUID) -> Reply:
    account = await read_user(call.context(), user_id)
    if account.user.role is Role.PATIENT:
        call.note_patient(user_id, user_id)
    return Reply(200, _encode(AccountOut.of(account)))


@endpoint(
    "PATCH",
    "/users/{user_id}",
    tag=_TAG,
    summary="Disable or enable a person",
    answers=AccountChangedOut,
    needs=Operation.MANAGE_USERS,
    refuses=(UserNotFound, UserShared, LastAdministrator, PatientDisabled, ConfirmationNeeded),
)
async def patch_user(
    call: RequestContext, user_id: UUID, query: PreviewQuery, body: ChangeUserIn
) -> Reply:
    """Disabling ends every session at once, at every clinic. People who also belong to a clinic
    that is not yours cannot be disabled; end the membership instead. An erased person stays
    disabled. A disabled doctor's slots are no longer on offer, and come back when the account is
    enabled; with appointments ahead, which stay, send `appointments: keep`. The preview lists them
    as `stranded`, and needs no decision."""
    changed = await set_enabled(
        call.context(given(body.reason)),
        user_id,
        enabled=not body.disabled,
        keep_appointments=body.appointments is not UNSET,
        preview=query.preview,
    )
    if query.preview:
        if changed.account.user.role is Role.PATIENT:
            call.reads_patients = True
            call.note_patient(user_id, user_id)
        note_patients(call, changed.effect.stranded if changed.effect else ())
    return Reply(200, _encode(AccountChangedOut.changed(changed)))


@endpoint(
    "POST",
    "/users/{user_id}/invitations",
    tag=_TAG,
    summary="Invite a person again",
    status=201,
    answers=InvitationOut,
    needs=Operation.INVITE_PATIENT,
    refuses=(UserNotFound, UserShared, PatientDisabled),
)
async def post_invitation(call: RequestContext, user_id: UUID, body: ReasonIn) -> Reply:
    """A link that sets the password once, within seven days, goes to the person by mail; from an
    administrator also for a forgotten password. Receptionists invite patients who have no password
    yet. The link's token is in the answer only where no mail server is configured; the audit event
    of its use names its issuer (`issuedBy`)."""
    invited = await invite(call.context(body.reason), user_id, links=call.services.invitation_links)
    return Reply(201, _encode(InvitationOut.of(invited)))


@endpoint(
    "POST",
    "/invitations/accepted",
    tag=_TAG,
    summary="Accept an invitation",
    status=204,
    answers=None,
    needs=None,
    rate=RateClass.REGISTER,
    refuses=(InvitationInvalid, PasswordRefused, QuotaExceeded, TemporaryFailure),
)
async def post_accepted(call: RequestContext, body: AcceptInvitationIn) -> Reply:
    """Sets the password; then sign in with it."""
    await accept_invitation(
        call.anonymous(),
        body.token,
        body.password,
        secret=call.services.settings.secret,
        hasher=call.services.hasher,
    )
    return Reply(204)


@endpoint(
    "POST",
    "/users/{user_id}/erasure",
    tag=_TAG,
    summary="Erase a patient's name, address and number, for good",
    answers=AccountOut,
    needs=Operation.MANAGE_USERS,
    refuses=(UserNotFound, UserShared, UpcomingAppointments),
)
async def post_erasure(call: RequestContext, user_id: UUID, body: ReasonIn) -> Reply:
    """Appointments and the audit trail stay, under a pseudonym and without any text about the
    patient. Those cannot be restored. The reason is not kept either: it may name the patient."""
    account = await erase_user(call.context(body.reason), user_id, cache=call.services.cache)
    return Reply(200, _encode(AccountOut.of(account)))


ENDPOINTS = (
    post_user,
    get_users,
    get_me,
    patch_me,
    put_password,
    get_export,
    get_user,
    patch_user,
    post_invitation,
    post_accepted,
    post_erasure,
)
