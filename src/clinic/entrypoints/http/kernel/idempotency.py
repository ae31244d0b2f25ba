"""Requests with an Idempotency-Key: the header, the fingerprint, and stored answers as replies."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from clinic.domain.errors import ClinicError, IdempotencyKeyMalformed, IdempotencyKeyMissing
from clinic.domain.idempotency import Answer, IdempotentRequest, checked_key, fingerprint
from clinic.entrypoints.http.kernel.problems import problem_answer
from clinic.entrypoints.http.kernel.reply import JSON_TYPE, PROBLEM_TYPE, Headers, Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.usecases.context import Context
from clinic.usecases.idempotency import IdempotentCall, KeyedAnswer, answer_once

T = TypeVar("T")

HEADER = b"idempotency-key"
_canonical = msgspec.json.Encoder(order="sorted").encode


def key_of(call: RequestContext, *, required: bool) -> str | None:
    """Return the request's key. Raises IdempotencyKeyMissing, IdempotencyKeyMalformed."""
    header = call.header(HEADER)
    if header is None:
        if required:
            raise IdempotencyKeyMissing(pointer="Idempotency-Key")
        return None
    # A comma may be part of the key, or separate two of them.
    if "," in header and len(call.values_of(HEADER)) > 1:
        raise IdempotencyKeyMalformed("Send one Idempotency-Key.")
    return checked_key(header)


def keyed_by(
    key: str, call: RequestContext, body: msgspec.Struct | None, render: Callable[[T], Answer]
) -> IdempotentCall[T]:
    """Return the request bound to its clinic, principal, key and content."""
    actor = call.actor
    content = b"" if body is None else _canonical(body)
    request = IdempotentRequest(
        actor.clinic_id, actor.user_id, key, fingerprint(call.method, call.path, content)
    )

    def refuse(error: ClinicError) -> Answer:
        return problem_answer(error, instance=call.path, request_id=call.request_id)

    return IdempotentCall(request, render, refuse)


async def answer_keyed(
    call: RequestContext,
    body: msgspec.Struct | None,
    act: Callable[[Context], Awaitable[T]],
    render: Callable[[T], Answer],
    *,
    required: bool = True,
    reason: str | None = None,
) -> Reply:
    """Return the reply to `act`; with a key, the reply to it the first time."""
    key = key_of(call, required=required)
    context = call.context(reason)
    if key is None:
        return reply_with(render(await act(context)))
    outcome = await answer_once(
        context, act, keyed_by(key, call, body, render), cache=call.services.cache
    )
    return reply_to(outcome)


def reply_to(outcome: KeyedAnswer) -> Reply:
    """Return the answer as a reply whose headers say whether it is a replay."""
    reply = reply_with(outcome.answer)
    if outcome.replayed:
        reply.headers.append((b"idempotency-replayed", b"true"))
    return reply


def reply_with(answer: Answer) -> Reply:
    headers: Headers = []
    if answer.location is not None:
        headers.append((b"location", answer.location.encode()))
    if answer.etag is not None:
        headers.append((b"etag", answer.etag.encode()))
    media_type = JSON_TYPE if answer.status < 400 else PROBLEM_TYPE
    return Reply(answer.status, answer.body, headers, media_type)
