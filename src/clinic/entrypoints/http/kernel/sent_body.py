"""The body of a request to an ordinary handler, read ahead if a form must prove its origin."""

from collections.abc import Callable
from urllib.parse import parse_qsl

from clinic.domain.errors import ForgedRequest
from clinic.entrypoints.http.kernel.reply import Message, Receive
from clinic.entrypoints.http.kernel.request_context import ClientGone, RequestContext

#: the field of a form that holds its page's CSRF token
CSRF_FIELD = "csrf"
FIELDS_MAX = 256


class SentBody:
    """The ASGI `receive` of one request. If the client disconnects in the middle of its body, it
    raises ClientGone, until a response has started; from then on it returns the message."""

    def __init__(self, receive: Receive, max_bytes: int, has_started: Callable[[], bool]) -> None:
        self._receive, self._max_bytes, self._has_started = receive, max_bytes, has_started
        self._is_whole = False
        self._read_ahead: bytes | None = None

    async def __call__(self) -> Message:
        if self._read_ahead is not None:
            body, self._read_ahead = self._read_ahead, None
            return {"type": "http.request", "body": body, "more_body": False}
        message = await self._receive()
        if message["type"] == "http.request":
            self._is_whole = not message.get("more_body", False)
        elif not self._is_whole and not self._has_started():
            raise ClientGone
        return message

    async def csrf_token(self, call: RequestContext) -> str:
        """Return the value of a form's field `csrf`. The handler can read the form afterwards.

        Raises ForgedRequest if the body is no form, or has no such field or several; BodyTooLarge,
        ClientGone.
        """
        kind = call.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/x-www-form-urlencoded":
            raise ForgedRequest()
        body = await call.receive_all(self._max_bytes)
        self._read_ahead = body
        try:
            pairs = parse_qsl(body.decode("latin-1"), max_num_fields=FIELDS_MAX)
        except ValueError:
            raise ForgedRequest() from None
        tokens = [value for name, value in pairs if name == CSRF_FIELD]
        if len(tokens) != 1:
            raise ForgedRequest()
        return tokens[0]
