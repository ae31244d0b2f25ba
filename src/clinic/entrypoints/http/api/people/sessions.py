"""Sessions: sign in, list sessions, sign out."""

from datetime import timedelta
from uuid import UUID

import msgspec

from clinic.domain.errors import (
    ClinicNotNamed,
    ForgedRequest,
    QuotaExceeded,
    SessionNotFound,
    SignInFailed,
    TemporaryFailure,
    UserNotFound,
)
from clinic.domain.people.sessions import SessionKind, csrf_token
from clinic.domain.permissions import Operation
from clinic.domain.rate_limits import RateClass
from clinic.entrypoints.http.api.people.guesses import count_guess, remember_device
from clinic.entrypoints.http.api.people.schemas import SessionOut, SignedInOut, SignInIn
from clinic.entrypoints.http.kernel.cookies import clear_cookie, set_cookie
from clinic.entrypoints.http.kernel.endpoint import endpoint
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut
from clinic.entrypoints.http.kernel.tokens import token_of
from clinic.usecases.people.sign_in import (
    Credentials,
    NewSession,
    own_sessions,
    revoke_sessions,
    sign_in,
    sign_out,
)

_TAG = "Sessions"
_encode = msgspec.json.Encoder().encode


@endpoint(
    "POST",
    "/sessions",
    tag=_TAG,
    summary="Sign in",
    status=201,
    answers=SignedInOut,
    needs=None,
    rate=RateClass.SIGN_IN,
    headers=("Set-Cookie",),
    refuses=(SignInFailed, ClinicNotNamed, ForgedRequest, QuotaExceeded, TemporaryFailure),
)
async def post_session(call: RequestContext, body: SignInIn) -> Reply:
    """Whatever is wrong with address or password, the answer is the same. With `cookie`, a browser
    gets a cookie instead of a token, and sends `csrfToken` back as `X-CSRF-Token` when it changes
    anything."""
    services = call.services
    if body.cookie:
        call.guard.check_origin(call)
    await count_guess(call, body.email)
    made = await sign_in(
        call.anonymous(),
        Credentials(body.email, body.password, body.clinic),
        services.sign_ins,
        kind=SessionKind.COOKIE if body.cookie else SessionKind.BEARER,
        lifetime=timedelta(hours=services.settings.session_hours),
    )
    reply = signed_in_reply(call, made)
    if body.cookie:
        reply.headers.append((b"set-cookie", remember_device(call, body.email)))
    return reply


def signed_in_reply(call: RequestContext, made: NewSession) -> Reply:
    """Return the new session: as a token, or as a cookie with its CSRF token."""
    session, settings = made.session, call.services.settings
    if session.kind is SessionKind.COOKIE:
        cookie = set_cookie(
            session.clinic_id, made.reference, session.expires_at, session.created_at
        )
        body = SignedInOut.of(made, None, csrf_token(settings.secret, session.id))
        return Reply(201, _encode(body), [(b"set-cookie", cookie)])
    token = token_of(made, settings)
    return Reply(201, _encode(SignedInOut.of(made, token, None)))


@endpoint(
    "GET",
    "/sessions",
    tag=_TAG,
    summary="List where one is signed in",
    answers=ItemsOut[SessionOut],
    needs=Operation.MANAGE_OWN_ACCOUNT,
)
async def get_sessions(call: RequestContext) -> Reply:
    found = await own_sessions(call.context())
    current = call.actor.session_id
    return Reply(200, _encode(ItemsOut([SessionOut.of(one, current) for one in found])))


@endpoint(
    "DELETE",
    "/sessions/current",
    tag=_TAG,
    summary="Sign out",
    status=204,
    answers=None,
    needs=Operation.MANAGE_OWN_ACCOUNT,
    refuses=(SessionNotFound,),
)
async def delete_current(call: RequestContext) -> Reply:
    """At once, on every server."""
    await _sign_out(call)
    return Reply(204, headers=[(b"set-cookie", clear_cookie())] if call.by_cookie else [])


@endpoint(
    "DELETE",
    "/sessions",
    tag=_TAG,
    summary="Sign out everywhere",
    status=204,
    answers=None,
    needs=Operation.MANAGE_OWN_ACCOUNT,
)
async def delete_all(call: RequestContext) -> Reply:
    """This session ends too."""
    await _sign_out(call, everywhere=True)
    return Reply(204, headers=[(b"set-cookie", clear_cookie())] if call.by_cookie else [])


@endpoint(
    "DELETE",
    "/sessions/{session_id}",
    tag=_TAG,
    summary="Sign out somewhere else",
    status=204,
    answers=None,
    needs=Operation.MANAGE_OWN_ACCOUNT,
    refuses=(SessionNotFound,),
)
async def delete_session(call: RequestContext, session_id: UUID) -> Reply:
    await _sign_out(call, session_id=session_id)
    return Reply(204)


@endpoint(
    "DELETE",
    "/users/{user_id}/sessions",
    tag=_TAG,
    summary="End somebody's sessions at the clinic",
    status=204,
    answers=None,
    needs=Operation.MANAGE_USERS,
    refuses=(UserNotFound,),
)
async def delete_users_sessions(call: RequestContext, user_id: UUID) -> Reply:
    await revoke_sessions(call.context(), user_id)
    return Reply(204)


async def _sign_out(
    call: RequestContext, *, session_id: UUID | None = None, everywhere: bool = False
) -> None:
    await sign_out(call.context(), session_id=session_id, everywhere=everywhere)


ENDPOINTS = (
    post_session,
    get_sessions,
    delete_current,
    delete_all,
    delete_session,
    delete_users_sessions,
)
