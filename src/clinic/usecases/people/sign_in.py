"""Sign in and out, and end sessions."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from clinic.domain.audit.audit import AuditEvent
from clinic.domain.errors import (
    ClinicNotNamed,
    NotSignedIn,
    SessionNotFound,
    SignInFailed,
    UserNotFound,
)
from clinic.domain.networks import network_of
from clinic.domain.paging import LIMIT_MAX, PageRequest
from clinic.domain.people.passwords import PASSWORD_MAX_CHARS
from clinic.domain.people.people import SYSTEM_ID, Actor, Role, User
from clinic.domain.people.sessions import (
    LIFETIME,
    REFERENCE_BYTES,
    Session,
    SessionKind,
    SignedIn,
    hash_of,
)
from clinic.domain.permissions import Operation, permit
from clinic.ports.accounts import Account
from clinic.ports.audit import EventQuery
from clinic.ports.clock import Clock
from clinic.ports.email_addresses import EmailAddresses
from clinic.ports.password_hasher import PasswordCheck, PasswordHasher
from clinic.ports.sessions import SessionReader
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.audit.audit_buffer import AuditBuffer
from clinic.usecases.context import AnonymousContext, Context

#: how long a network counts as known after a sign-in
KNOWN_FOR = timedelta(days=90)
#: the actor of unauthenticated requests
NOBODY_ID = SYSTEM_ID


@dataclass(frozen=True, slots=True)
class Credentials:
    """The input that a person signs in with."""

    email: str
    password: str
    #: where to sign in; None suffices when the person belongs to only one clinic
    clinic_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class SignInRules:
    """How credentials are read and checked, and where failures are recorded."""

    emails: EmailAddresses
    hasher: PasswordHasher
    audit: AuditBuffer


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session just created; `reference` is the cookie's secret, which is not stored."""

    session: Session
    user: User
    reference: str

    @property
    def actor(self) -> Actor:
        return Actor(
            self.user.id, self.user.role, self.session.clinic_id, session_id=self.session.id
        )


async def sign_in(
    context: AnonymousContext,
    credentials: Credentials,
    sign_ins: SignInRules,
    *,
    kind: SessionKind = SessionKind.BEARER,
    lifetime: timedelta = LIFETIME,
) -> NewSession:
    """Return a new session of the person with this email address and password.

    Raises SignInFailed, and ClinicNotNamed when the password is right but the person belongs to
    several clinics and named none.
    """

    clinic_id = credentials.clinic_id

    def is_open(account: Account) -> bool:
        return bool(account.clinics) and clinic_id in (None, *account.clinics)

    account, check = await prove_person(context, credentials, sign_ins, is_open=is_open)
    if clinic_id is None:
        if len(account.clinics) > 1:
            raise ClinicNotNamed(clinics=[str(each) for each in account.clinics])
        clinic_id = account.clinics[0]
    new_hash = None
    if check.wants_rehash:
        source = network_of(context.origin.ip)
        new_hash = await sign_ins.hasher.hash(credentials.password, source=source)
    made = make_session(context, account.user, clinic_id, kind=kind, lifetime=lifetime)
    acting = context.acting_as(account.user.id, account.user.role, clinic_id)
    acting = replace(acting, actor=replace(acting.actor, session_id=made.session.id))

    async def work(unit: UnitOfWork) -> NewSession:
        # Read again under a lock: a password that has been changed meanwhile must not work.
        locked = await unit.accounts.lock(account.user.id)
        # An address that was verified meanwhile is no reason to refuse.
        known = replace(account, email_verified_at=locked.email_verified_at if locked else None)
        if locked != known:
            raise SignInFailed()
        if new_hash is not None:
            await unit.accounts.set_password_hash(account.user.id, new_hash)
        await unit.sessions.add(made.session)
        await unit.events.add(_event(acting, "sign_in", made.session.id))
        return made

    return await context.transactions.run(work)


async def prove_person(
    context: AnonymousContext,
    credentials: Credentials,
    sign_ins: SignInRules,
    *,
    is_open: Callable[[Account], bool],
) -> tuple[Account, PasswordCheck]:
    """Return the account with this email address and password if `is_open` accepts it.

    Whatever is wrong, the error and the work before it are the same. Raises SignInFailed.
    """
    account = await context.store.accounts.by_email(sign_ins.emails.canonical(credentials.email))
    too_long = len(credentials.password) > PASSWORD_MAX_CHARS
    check = await sign_ins.hasher.verify(
        account.password_hash if account else None,
        "" if too_long else credentials.password,
        source=network_of(context.origin.ip),
    )
    usable = account is not None and account.disabled_at is None and is_open(account)
    if account is None or too_long or not check.is_right or not usable:
        _note_failure(context, sign_ins.audit, account, credentials.clinic_id)
        raise SignInFailed()
    return account, check


async def is_known_network(context: AnonymousContext, email: str, network: str) -> bool:
    """Return whether the person with this email address has recently signed in from `network`."""
    account = await context.store.accounts.by_email(email)
    clinics = account.clinics if account else (NOBODY_ID,)
    user_id = account.user.id if account else NOBODY_ID
    for clinic_id in clinics:
        query = EventQuery(
            clinic_id,
            actor_id=user_id,
            action="sign_in",
            outcome="done",
            at_from=context.clock.now() - KNOWN_FOR,
        )
        events = await context.store.audit_log.events(query, PageRequest(LIMIT_MAX))
        if any(network_of(event.ip) == network for event in events):
            return True
    return False


def make_session(
    context: Context | AnonymousContext,
    user: User,
    clinic_id: UUID,
    *,
    kind: SessionKind,
    lifetime: timedelta = LIFETIME,
) -> NewSession:
    """Return a session to add, with a reference that cannot be guessed."""
    now = context.clock.now()
    reference = secrets.token_urlsafe(REFERENCE_BYTES)
    session = Session(
        context.new_id(),
        clinic_id,
        user.id,
        user.role,
        kind,
        created_at=now,
        expires_at=now + lifetime,
        last_seen_at=now,
        token_hash=hash_of(reference),
    )
    return NewSession(session, user, reference)


async def find_session(found: SignedIn | None, *, sessions: SessionReader, clock: Clock) -> Session:
    """Return the session found, if valid, and update its last_seen_at. Raises NotSignedIn."""
    if found is None:
        raise NotSignedIn()
    now = clock.now()
    session = found.check(now)
    if session.wants_touch(now):
        await sessions.touch(session.clinic_id, session.id, now)
    return session


async def sign_out(
    context: Context, *, session_id: UUID | None = None, everywhere: bool = False
) -> None:
    """End the actor's current session, the one named, or all. Raises SessionNotFound."""
    permit(context.actor, Operation.MANAGE_OWN_ACCOUNT)
    one = None if everywhere else session_id or context.actor.session_id

    async def work(unit: UnitOfWork) -> None:
        await _revoke(context, unit, context.actor.user_id, one)

    if one is None and not everywhere:
        return
    await context.transactions.run(work)


async def revoke_sessions(
    context: Context, user_id: UUID, *, session_id: UUID | None = None
) -> None:
    """End another person's sessions at the actor's clinic, or one of them.

    Raises PermissionDenied, UserNotFound, SessionNotFound.
    """
    permit(context.actor, Operation.MANAGE_USERS)

    async def work(unit: UnitOfWork) -> None:
        account = await unit.accounts.lock(user_id)
        if account is None or context.actor.clinic_id not in account.clinics:
            raise UserNotFound()
        await _revoke(context, unit, user_id, session_id, clinic_id=context.actor.clinic_id)

    await context.transactions.run(work)


async def own_sessions(context: Context) -> Sequence[Session]:
    """Return the actor's live sessions."""
    permit(context.actor, Operation.MANAGE_OWN_ACCOUNT)
    return await context.store.sessions.live(context.actor.user_id, context.clock.now())


async def sign_in_as(
    context: Context, user_ids: Sequence[UUID], *, lifetime: timedelta = LIFETIME
) -> Sequence[NewSession]:
    """Return a session of each user at the actor's clinic, created by the service for scripts.

    Raises PermissionDenied for any other actor, UserNotFound.
    """
    if context.actor.role is not Role.SYSTEM:
        permit(context.actor, Operation.MANAGE_USERS)
        raise UserNotFound("Only the service itself can sign in as another user.")
    made = []
    usable = []
    for user_id in user_ids:
        account = await context.store.accounts.account(user_id)
        if account is None or context.actor.clinic_id not in account.clinics or account.disabled_at:
            raise UserNotFound()
        usable.append(account)
        made.append(
            make_session(
                context,
                account.user,
                context.actor.clinic_id,
                kind=SessionKind.BEARER,
                lifetime=lifetime,
            )
        )

    async def work(unit: UnitOfWork) -> Sequence[NewSession]:
        for account, one in zip(usable, made, strict=True):
            # Read again under a lock: a membership that ends meanwhile must not leave a session.
            if await unit.accounts.lock(account.user.id) != account:
                raise UserNotFound()
            await unit.sessions.add(one.session)
            await unit.events.add(_event(context, "issue_token", one.session.id))
        return made

    return await context.transactions.run(work)


async def _revoke(
    context: Context,
    unit: UnitOfWork,
    user_id: UUID,
    session_id: UUID | None,
    *,
    clinic_id: UUID | None = None,
) -> None:
    ended = await unit.sessions.revoke(
        user_id, context.clock.now(), session_id=session_id, clinic_id=clinic_id
    )
    if session_id is not None and not ended:
        raise SessionNotFound()
    for each in ended:
        action = "sign_out" if user_id == context.actor.user_id else "revoke_session"
        await unit.events.add(_event(context, action, each))


def _event(context: Context, action: str, session_id: UUID) -> AuditEvent:
    return context.event(action, "session", session_id)


def _note_failure(
    context: AnonymousContext, audit: AuditBuffer, account: Account | None, clinic_id: UUID | None
) -> None:
    known = account.clinics if account else ()
    where = clinic_id or (known[0] if known else NOBODY_ID)
    user_id = account.user.id if account else None
    nobody = context.as_system(where)
    event = nobody.event("sign_in", "user", user_id)
    audit.add_denial(replace(event, outcome="denied"))
