"""One request as the handlers see it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol
from uuid import UUID

import msgspec

from clinic.bootstrap import Services
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
from clinic.usecases.people.add_people import read_clinic


class Addresses(Protocol):
    """Tells where requests come from."""

    def address_of(self, call: "RequestContext") -> str | None: ...


class Doorkeeper(Protocol):
    """Lets requests in, counts them, and notes what was refused and what was read."""

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
    """The client hung up before it had sent its request."""


# A Struct, because each request makes one: in C.
class RequestContext(msgspec.Struct, eq=False):
    """A request: its headers by lower-case name, who sent it, its path. Read the body once."""

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
    #: whoever bears the token, once the guard has let them in
    known_actor: Actor | None = None
    #: the proof was a cookie
    by_cookie: bool = False
    #: what the limit on requests says
    rate_headers: Headers = []
    #: for the audit trail: the thing and the patient that were read, and what a list showed
    subject: tuple[UUID | None, UUID | None] = (None, None)
    read_ids: list[str] = []
    #: the actor's clinic, where it was read with the session
    known_clinic: Clinic | None = None
    #: what has been written out before, in this process
    responses: ResponseCache = msgspec.field(default_factory=ResponseCache)
    #: as they were when they were last read, in this process
    clinics: dict[UUID, Clinic] = {}
    #: of an ordinary handler, once it was reached
    access: Access | None = None
    #: the query as the Struct that the guard of an ordinary handler names
    query: Any = None
    #: said by what the endpoint itself cannot tell in advance
    reads_patients: bool = False
    #: returns the CSRF token in the form that was sent; of an ordinary handler
    form_token: Callable[["RequestContext"], Awaitable[str]] | None = None

    @property
    def actor(self) -> Actor:
        assert self.known_actor is not None
        return self.known_actor

    async def clinic(self) -> Clinic:
        """Return the actor's clinic, read at most once for a request. Raises ClinicNotFound."""
        if self.known_clinic is None:
            self.known_clinic = await read_clinic(self.context())
        return self.known_clinic

    @property
    def address(self) -> str | None:
        """The client's address, as far as proxies that are trusted tell it."""
        return self.authenticator.address_of(self)

    def context(self, reason: str | None = None) -> Context:
        """Return what a use case needs that acts for who asks, who does it for `reason`."""
        return self.services.context(self.actor, reason)

    def anonymous(self) -> AnonymousContext:
        """Return what a use case needs that does not know who asks."""
        return self.services.anonymous(Origin(self.request_id, self.address))

    def csrf_token(self) -> str:
        """Return what forms of the page that is shown must send back in a field named `csrf`.

        It is empty unless somebody signed in by cookie.
        """
        session_id = self.known_actor.session_id if self.known_actor and self.by_cookie else None
        return csrf_token(self.services.settings.secret, session_id) if session_id else ""

    def note_patient(self, entity_id: UUID, patient_id: UUID) -> None:
        """Note for the audit trail what was read, and about whom."""
        self.subject = (entity_id, patient_id)

    def note_ids(self, ids: Iterable[UUID]) -> None:
        """Note for the audit trail what a list showed."""
        # In C: thirty times str(id) costs as much as reading thirty rows.
        self.read_ids = msgspec.to_builtins(list(ids))

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def values_of(self, name: bytes) -> list[str]:
        """Return the values of a header that stands several times, in order."""
        return [value.decode("latin-1") for key, value in self.scope["headers"] if key == name]

    def path_id(self, name: str) -> UUID:
        """Return an id in the path. Raises NotFound for what cannot be one."""
        text = self.scope["path_params"][name]
        try:
            found = UUID(text)
        except ValueError:
            raise NotFound() from None
        # UUID() reads braces, urn: and missing hyphens too; one thing has one address.
        if str(found) != text.lower():
            raise NotFound()
        return found

    def read_body(self) -> Awaitable[bytes]:
        """Return what gives the whole body. Awaiting it raises BodyTooLarge, UnsupportedMediaType,
        ClientGone."""
        if not _is_json(self.headers.get(b"content-type", b"")):
            return self._refuse_body()
        return self.receive_all(self.services.settings.body_max_bytes)

    async def _refuse_body(self) -> bytes:
        if await self.receive_all(self.services.settings.body_max_bytes):
            raise UnsupportedMediaType()
        return b""

    async def receive_all(self, max_bytes: int) -> bytes:
        """Return the body as it is sent. Raises BodyTooLarge, ClientGone."""
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
                # Nearly always there is no other.
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
