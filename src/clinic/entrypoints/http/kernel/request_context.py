"""The context of one request, as handlers see it."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec

from clinic.bootstrap import Services
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.clinic import Clinic
from clinic.domain.errors import ClinicError, NotFound
from clinic.domain.people.people import Actor
from clinic.domain.people.sessions import csrf_token
from clinic.domain.rate_limits import RateClass
from clinic.entrypoints.http.kernel.access import Access
from clinic.entrypoints.http.kernel.problems import BodyTooLarge, UnsupportedMediaType
from clinic.entrypoints.http.kernel.reply import Headers, Receive, Scope
from clinic.entrypoints.http.kernel.response_cache import ResponseCache
from clinic.usecases.context import AnonymousContext, Context, Origin
from clinic.usecases.read_clinic import read_clinic


class Addresses(Protocol):
    """Finds the client's address of a request."""

    def address_of(self, call: "RequestContext") -> str | None: ...


class Doorkeeper(Protocol):
    """Admits and counts requests, and records refusals and reads."""

    async def admit(self, call: "RequestContext", access: Access) -> None: ...

    async def check_session(self, call: "RequestContext") -> Clinic: ...

    async def count(
        self, call: "RequestContext", kind: RateClass, key: str, times: int = 1
    ) -> None: ...

    async def count_changes(self, call: "RequestContext", number: int) -> None: ...

    async def count_stray(self, call: "RequestContext") -> None: ...

    def check_origin(self, call: "RequestContext") -> None: ...

    def note_refusal(self, call: "RequestContext", error: ClinicError) -> None: ...

    def note_read(self, call: "RequestContext", access: Access) -> None: ...


class ClientGone(Exception):
    """The client disconnected before it had sent its whole request."""


# A Struct, because each request makes one, and Structs are made in C.
class RequestContext(msgspec.Struct, eq=False):
    """A request: its headers by lower-case name, its actor, its path. Read the body only once."""

    method: str
    path: str
    scope: Scope
    receive: Receive
    services: Services
    authenticator: Addresses
    guard: Doorkeeper
    request_id: str
    headers: dict[bytes, bytes]
    #: the route's template, for logs
    route: str = ""
    #: the signed-in user, once the guard has admitted the request
    known_actor: Actor | None = None
    #: the actor signed in by cookie
    by_cookie: bool = False
    #: headers of the rate limit
    rate_headers: Headers = []
    #: for the audit trail: the entity and the patient that were read, and the ids in a list shown
    subject: tuple[UUID | None, UUID | None] = (None, None)
    read_ids: list[str] = []
    #: the actor's clinic, if it was read with the session
    known_clinic: Clinic | None = None
    #: replies rendered before in this process
    responses: ResponseCache = msgspec.field(default_factory=ResponseCache)
    #: clinics as last read in this process
    clinics: dict[UUID, Clinic] = {}
    #: their types of appointments
    types: dict[UUID, Sequence[AppointmentType]] = {}
    #: access rules of an ordinary handler, once it is reached
    access: Access | None = None
    #: the query as the Struct that the guard of an ordinary handler names
    query: Any = None
    #: set where only the handler knows that it reads patients' data
    reads_patients: bool = False
    #: for ordinary handlers: returns the CSRF token in the form that was sent
    form_token: Callable[["RequestContext"], Awaitable[str]] | None = None

    @property
    def actor(self) -> Actor:
        assert self.known_actor is not None
        return self.known_actor

    async def clinic(self) -> Clinic:
        """Return the actor's clinic, read at most once per request. Raises ClinicNotFound."""
        if self.known_clinic is None:
            self.known_clinic = await read_clinic(self.context())
        return self.known_clinic

    @property
    def address(self) -> str | None:
        """The client's address, as reported by trusted proxies."""
        return self.authenticator.address_of(self)

    def context(self, reason: str | None = None) -> Context:
        """Return the context of a use case that acts for the signed-in user, for `reason`."""
        return self.services.context(self.actor, reason)

    def anonymous(self) -> AnonymousContext:
        """Return the context of a use case without a signed-in user."""
        return self.services.anonymous(Origin(self.request_id, self.address))

    def csrf_token(self) -> str:
        """Return what the page's forms must send back in a field named `csrf`.

        It is empty unless the user signed in by cookie.
        """
        session_id = self.known_actor.session_id if self.known_actor and self.by_cookie else None
        return csrf_token(self.services.settings.secret, session_id) if session_id else ""

    def note_patient(self, entity_id: UUID, patient_id: UUID) -> None:
        """Note for the audit trail which entity of which patient was read."""
        self.subject = (entity_id, patient_id)

    def note_ids(self, ids: Iterable[UUID]) -> None:
        """Note for the audit trail which ids a list showed."""
        # msgspec converts them in C: thirty times str(id) costs as much as reading thirty rows.
        self.read_ids = msgspec.to_builtins(list(ids))

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def values_of(self, name: bytes) -> list[str]:
        """Return every value of a header, in order."""
        return [value.decode("latin-1") for key, value in self.scope["headers"] if key == name]

    def path_id(self, name: str) -> UUID:
        """Return an id in the path. Raises NotFound if it is not an id."""
        text = self.scope["path_params"][name]
        try:
            found = UUID(text)
        except ValueError:
            raise NotFound() from None
        # UUID() also accepts braces, urn: and missing hyphens, but each resource has one address.
        if str(found) != text.lower():
            raise NotFound()
        return found

    def read_body(self) -> Awaitable[bytes]:
        """Return an awaitable of the whole body. It raises BodyTooLarge, UnsupportedMediaType,
        ClientGone."""
        if not _is_json(self.headers.get(b"content-type", b"")):
            return self._refuse_body()
        return self.receive_all(self.services.settings.body_max_bytes)

    async def _refuse_body(self) -> bytes:
        if await self.receive_all(self.services.settings.body_max_bytes):
            raise UnsupportedMediaType()
        return b""

    async def receive_all(self, max_bytes: int) -> bytes:
        """Return the raw body. Raises BodyTooLarge, ClientGone."""
        length = self.headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > max_bytes:
            raise _too_large(max_bytes)
        parts: list[bytes] = []
        left = max_bytes
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part: bytes = message.get("body", b"")
            left -= len(part)
            if left < 0:
                raise _too_large(max_bytes)
            if not message.get("more_body", False):
                # Nearly always this is the only part.
                return b"".join([*parts, part]) if parts else part
            parts.append(part)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"A body may have {max_bytes} bytes.", maxBytes=max_bytes)


def _is_json(content_type: bytes) -> bool:
    if content_type == b"application/json":
        return True
    kind, _, parameters = content_type.lower().partition(b";")
    charset = parameters.strip().removeprefix(b"charset=").strip(b'"')
    return kind.strip() == b"application/json" and charset in (b"", b"utf-8")
