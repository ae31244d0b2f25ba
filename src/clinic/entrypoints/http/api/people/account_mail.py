"""Account mail: request a link that verifies an email address, or that sets a new password."""

import asyncio

import msgspec

from clinic.domain.errors import QuotaExceeded, TemporaryFailure, UserNotFound
from clinic.domain.permissions import Operation
from clinic.domain.rate_limits import RateClass
from clinic.entrypoints.http.api.people.guesses import account_key
from clinic.entrypoints.http.api.people.schemas import AcceptedOut, PasswordResetIn
from clinic.entrypoints.http.kernel.endpoint import endpoint
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.usecases.people.reset_password import request_password_reset
from clinic.usecases.people.verify_email import request_verification

_TAG = "Users"
_encode = msgspec.json.Encoder().encode

#: longer than the work takes, so that the response time does not tell whether a user was found
ANSWER_AFTER_S = 0.25
_RESET = "If somebody with a password has this address, a message with a link is on its way."
_VERIFICATION = "If your address is not verified yet, a message with a link is on its way."


@endpoint(
    "POST",
    "/password-resets",
    tag=_TAG,
    summary="Ask for a new password by email",
    status=202,
    answers=AcceptedOut,
    needs=None,
    rate=RateClass.MAIL,
    refuses=(QuotaExceeded, TemporaryFailure),
)
async def post_password_reset(call: RequestContext, body: PasswordResetIn) -> Reply:
    """Whether or not anybody has this address, the answer is the same. The link in the message
    works once and for an hour; its page sets the password and ends every session."""
    services = call.services
    await call.guard.count(call, RateClass.MAILBOX, account_key(call, body.email))
    # Both run at once: the answer is sent when the later one ends.
    await asyncio.gather(
        request_password_reset(call.anonymous(), body.email, sign_ins=services.sign_ins),
        asyncio.sleep(ANSWER_AFTER_S),
    )
    return Reply(202, _encode(AcceptedOut(_RESET)))


@endpoint(
    "POST",
    "/users/me/email-verification",
    tag=_TAG,
    summary="Request another link that verifies your email address",
    status=202,
    answers=AcceptedOut,
    needs=Operation.MANAGE_OWN_ACCOUNT,
    rate=RateClass.MAIL,
    refuses=(UserNotFound,),
)
async def post_verification(call: RequestContext) -> Reply:
    """The link works once, for three days, and only while the address stays the same."""
    await call.guard.count(call, RateClass.MAILBOX, str(call.actor.user_id))
    await request_verification(call.context())
    return Reply(202, _encode(AcceptedOut(_VERIFICATION)))


ENDPOINTS = (post_password_reset, post_verification)
