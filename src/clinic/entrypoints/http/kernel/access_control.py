"""Access control before every endpoint: identity, rate limits, permissions, and audit events.

It checks, in this order: the proof of identity and its session row, forgery, the rate limit, the
permission, the audit trail's health. docs/security.md says what each promises.
"""

from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

from clinic.bootstrap import Services
from clinic.domain.audit.audit import AuditEvent, event_by
from clinic.domain.clinic import Clinic
from clinic.domain.errors import (
    ClinicError,
    ForgedRequest,
    NotFound,
    NotSignedIn,
    PermissionDenied,
    QuotaExceeded,
    TemporaryFailure,
)
from clinic.domain.networks import network_of
from clinic.domain.people.people import Actor, Role
from clinic.domain.people.sessions import Session, SignedIn, hash_of, is_csrf_token
from clinic.domain.permissions import PATIENT_DATA, permit
from clinic.domain.rate_limits import FAIL_CLOSED, Limit, RateClass
from clinic.entrypoints.http.kernel.access import Access
from clinic.entrypoints.http.kernel.authenticator import Authenticator
from clinic.entrypoints.http.kernel.cookies import NAME, session_cookie
from clinic.entrypoints.http.kernel.problems import BodyTooLarge
from clinic.entrypoints.http.kernel.tokens import Tokens
from clinic.settings import Settings
from clinic.usecases.audit.refusal_tally import REFUSED
from clinic.usecases.people.sign_in import NOBODY_ID, find_session

if TYPE_CHECKING:
    from clinic.entrypoints.http.kernel.request_context import RequestContext

COOKIE = NAME.encode()
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LIMIT_SETTINGS = {
    RateClass.SIGN_IN: "sign_in_limit",
    RateClass.ACCOUNT: "account_limit",
    RateClass.ACCOUNT_ANYWHERE: "account_anywhere_limit",
    RateClass.REGISTER: "register_limit",
    RateClass.MAIL: "mail_limit",
    RateClass.MAILBOX: "mailbox_limit",
    RateClass.WRITE: "write_limit",
    RateClass.READ: "read_limit",
    RateClass.ANONYMOUS: "anonymous_limit",
}


def limits_of(settings: Settings) -> dict[RateClass, Limit]:
    """Return the limits from the settings."""
    limits = {}
    for kind, name in _LIMIT_SETTINGS.items():
        quota, _, window_s = getattr(settings, name).partition("/")
        limits[kind] = Limit(kind.value, int(quota), int(window_s))
    return limits


class AccessControl:
    """Admits requests, and records refusals and reads for the audit trail."""

    def __init__(self, services: Services, authenticator: Authenticator, tokens: Tokens) -> None:
        self._services = services
        self._authenticator = authenticator
        self._tokens = tokens
        self._secret = services.settings.secret
        self._limits = {
            kind: (limit, (b"ratelimit-policy", limit.policy.encode()))
            for kind, limit in limits_of(services.settings).items()
        }

    async def admit(self, call: "RequestContext", access: Access) -> None:
        """Admit the request, and set its actor if there is one.

        Raises NotSignedIn, ForgedRequest, QuotaExceeded, PermissionDenied, AuditUnavailable;
        TemporaryFailure where the database, or a counter that must not be missed, does not answer.
        """
        kind = access.rate or _kind_of(call, access)
        public = access.needs is None
        if not public or (access.knows_actor and b"authorization" in call.headers):
            try:
                if b"authorization" in call.headers:
                    actor = self._actor_by_token(call)
                    if access.checks_session:
                        await self._check(call, await self._session_of(actor), actor)
                else:
                    actor = await self._actor_by_cookie(call)
            except (NotSignedIn, ForgedRequest, BodyTooLarge):
                # Count guesses of tokens, too.
                await self.count(call, RateClass.ANONYMOUS, self._network(call))
                raise
            call.known_actor = actor
        elif access.knows_actor and b"cookie" in call.headers:
            # A browser sends any cookie that it has: an old one, or another user's.
            with suppress(NotSignedIn):
                try:
                    call.known_actor = await self._actor_by_cookie(call)
                except (ForgedRequest, BodyTooLarge):
                    await self.count(call, RateClass.ANONYMOUS, self._network(call))
                    raise
        if access.is_limited:
            who = call.known_actor if kind in (RateClass.READ, RateClass.WRITE) else None
            await self.count(call, kind, who.user_id.hex if who else self._network(call))
        if access.needs is not None:
            permit(call.actor, access.needs)
            if access.needs in PATIENT_DATA:
                self._services.audit.check()

    async def check_session(self, call: "RequestContext") -> Clinic:
        """Look up the session of a request that was admitted without; return the clinic, which is
        read with it. Raises NotSignedIn."""
        if call.known_clinic is None:
            await self._check(call, await self._session_of(call.actor), call.actor)
        return await call.clinic()

    async def count(
        self, call: "RequestContext", kind: RateClass, key: str, times: int = 1
    ) -> None:
        """Count the request under `key`, `times` times or not at all.

        Raises QuotaExceeded, TemporaryFailure.
        """
        limit, policy = self._limits[kind]
        try:
            verdict = await self._services.limiter.hit(limit, key, times)
        except TemporaryFailure:
            if kind in FAIL_CLOSED:
                raise
            return
        call.rate_headers = [policy, (b"ratelimit", verdict.header.encode())]
        if not verdict.allowed:
            violated: Mapping[str, Any] = {"violated-policies": [verdict.limit.name]}
            error = QuotaExceeded(retryAfterS=verdict.wait_s, **violated)
            self._note(call, REFUSED, error)
            raise error

    async def count_changes(self, call: "RequestContext", number: int) -> None:
        """Count `number` changes by the actor, all or none. Raises QuotaExceeded."""
        await self.count(call, RateClass.WRITE, call.actor.user_id.hex, number)

    async def count_stray(self, call: "RequestContext") -> None:
        """Count a request that no endpoint handles, by its address: its sender is not looked up.

        Raises QuotaExceeded.
        """
        await self.count(call, RateClass.ANONYMOUS, self._network(call))

    def note_refusal(self, call: "RequestContext", error: ClinicError) -> None:
        """Record a denial: no permission, a forged or unproven identity, someone else's id."""
        asked_for_one = isinstance(error, NotFound) and bool(call.scope.get("path_params"))
        denied = isinstance(error, PermissionDenied) or asked_for_one
        unproven = isinstance(error, NotSignedIn) and _shows_identity(call)
        if unproven or isinstance(error, ForgedRequest):
            self._note(call, REFUSED, error)
        elif denied:
            self._note(call, call.method.lower(), error)

    def note_read(self, call: "RequestContext", access: Access) -> None:
        """Record a read of patients' data. Raises AuditUnavailable: then it must not be shown."""
        reads = access.needs in PATIENT_DATA and call.method in SAFE_METHODS
        if reads or call.reads_patients:
            self._services.audit.add(self._event(call, "read", outcome="done"))

    def check_origin(self, call: "RequestContext") -> None:
        """Refuse a request that another site's page sent. Raises ForgedRequest."""
        site = call.headers.get(b"sec-fetch-site")
        if site is not None and site not in (b"same-origin", b"none"):
            raise ForgedRequest()
        origin = call.headers.get(b"origin")
        if origin == b"null" and site == b"same-origin":
            # Browsers hide the origin of forms on pages sent with Referrer-Policy: no-referrer.
            return
        host = call.headers.get(b"host", b"")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise ForgedRequest()

    def _actor_by_token(self, call: "RequestContext") -> Actor:
        """Return the actor that the token names; its session has yet to be checked."""
        claims = self._tokens.read(self._authenticator.bearer_of(call))
        return _actor(call, claims.user_id, claims.role, claims.clinic_id, claims.session_id)

    async def _actor_by_cookie(self, call: "RequestContext") -> Actor:
        clinic_id, reference = session_cookie(call)
        sessions = self._services.store.sessions
        found = await sessions.find_by_reference(clinic_id, hash_of(reference))
        session = await self._check(call, found)
        actor = _actor(call, session.user_id, session.role, session.clinic_id, session.id)
        if call.method not in SAFE_METHODS:
            # Set the cookie's owner for the log and the audit trail, even if it is refused.
            call.known_actor = actor
            self.check_origin(call)
            token = call.header(b"x-csrf-token")
            if token is None and call.form_token is not None:
                token = await call.form_token(call)
            if token is None or not is_csrf_token(token, self._secret, session.id):
                raise ForgedRequest()
        call.by_cookie = True
        return actor

    def _session_of(self, actor: Actor) -> Awaitable[SignedIn | None]:
        assert actor.session_id is not None
        return self._services.store.sessions.find(actor.clinic_id, actor.session_id)

    async def _check(
        self, call: "RequestContext", found: SignedIn | None, claimed: Actor | None = None
    ) -> Session:
        """Return the session that was looked up, and remember its clinic.

        Raises NotSignedIn, also if a token claims another user or role than the session's.
        """
        sessions, clock = self._services.store.sessions, self._services.clock
        session = await find_session(found, sessions=sessions, clock=clock)
        if claimed is not None and not session.is_of(claimed):
            raise NotSignedIn()
        call.known_clinic = found.clinic if found else None
        if call.known_clinic is not None:
            call.clinics[call.known_clinic.id] = call.known_clinic
        return session

    def _network(self, call: "RequestContext") -> str:
        return network_of(self._authenticator.address_of(call))

    def _note(self, call: "RequestContext", action: str, error: ClinicError) -> None:
        self._services.audit.add_denial(self._event(call, action, outcome=error.code))

    def _event(self, call: "RequestContext", action: str, *, outcome: str) -> AuditEvent:
        actor = call.known_actor or Actor(
            NOBODY_ID,
            Role.SYSTEM,
            NOBODY_ID,
            request_id=call.request_id,
            ip=self._authenticator.address_of(call),
        )
        entity_id, patient_id = call.subject
        return event_by(
            actor,
            action,
            call.route.partition("/")[2].partition("/")[0] or "request",
            entity_id or _path_id(call),
            now=self._services.clock.now(),
            event_id=self._services.new_id(),
            detail={"route": call.route, **({"ids": call.read_ids} if call.read_ids else {})},
            outcome=outcome,
            patient_id=patient_id,
        )


def _kind_of(call: "RequestContext", access: Access) -> RateClass:
    if access.needs is None:
        return RateClass.ANONYMOUS
    return RateClass.READ if call.method in SAFE_METHODS else RateClass.WRITE


def _shows_identity(call: "RequestContext") -> bool:
    cookies = call.headers.get(b"cookie", b"")
    return b"authorization" in call.headers or COOKIE in cookies


def _actor(
    call: "RequestContext", user_id: UUID, role: Role, clinic_id: UUID, session_id: UUID
) -> Actor:
    return Actor(user_id, role, clinic_id, call.request_id, call.address, session_id)


def _path_id(call: "RequestContext") -> UUID | None:
    """Return the first path parameter that is an id."""
    for text in call.scope.get("path_params", {}).values():
        try:
            return UUID(text)
        except ValueError:
            continue
    return None
