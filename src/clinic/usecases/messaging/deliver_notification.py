"""Deliver one message: claim it, check that it is still valid, hand it over, log it.

The database is asked again immediately before the hand-over, and every step that fails leaves the
message where the next attempt finds it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from clinic.domain.errors import TemporaryFailure
from clinic.domain.messaging.deliveries import (
    ATTEMPTS_MAX,
    AmbiguousMail,
    Claim,
    DeliveryVerdict,
    Outcome,
    OutgoingMessage,
    Record,
    backoff,
    judged,
    message_id_of,
    shortened,
)
from clinic.domain.notifications import EMAIL
from clinic.ports.job_queue import QueueUnavailable
from clinic.ports.notifier import Notifier, TransportError
from clinic.usecases.faults import kind_of, place_of
from clinic.usecases.messaging.delivery_services import DeliveryServices
from clinic.usecases.messaging.outgoing_message import outgoing_message_for

logger = logging.getLogger(__name__)
_BROKE = "message %s of kind %s broke: %s\n%s"

T = TypeVar("T")

#: how long to keep trying to log the outcome of a hand-over
LOG_TRIES_S = 120.0
LOG_PAUSE_S = 0.25
#: how soon a held message is checked again, unless it is released sooner
HELD_FOR = timedelta(minutes=5)
_HOLDING = {
    DeliveryVerdict.UNPROVEN: "the email address is not verified yet",
    DeliveryVerdict.TOO_MANY: "the mailbox got as many messages as it may within an hour",
}


class Delivered(StrEnum):
    """The result of one attempt; the metrics count each."""

    SENT = "sent"
    #: no longer valid, or not wanted
    DISCARDED = "discarded"
    #: finally failed, and logged as such
    FAILED = "failed"
    RETRIED = "retried"
    #: waiting for its mailbox, whose address is not verified or which has reached its limit
    HELD = "held"
    DEAD = "dead"
    #: another worker's, gone, or not due yet
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of one attempt at a message, and how late it was sent."""

    result: Delivered
    late_s: float | None = None
    maybe_twice: bool = False


async def deliver_notification(
    services: DeliveryServices, *, clinic_id: UUID, message_id: UUID
) -> Delivery:
    """Return the result of the attempt. Raises TemporaryFailure when the database is unreachable:
    the sweep then finds the message again."""
    claim = await services.outbox.claim(
        clinic_id, message_id, token=services.new_id(), lease=services.lease
    )
    if isinstance(claim, timedelta):
        await _postpone(services, clinic_id, message_id, claim)
        return Delivery(Delivered.SKIPPED)
    if claim is None:
        return Delivery(Delivered.SKIPPED)
    loop = asyncio.get_running_loop()
    claimed_s = loop.time()
    try:
        delivery = await _deliver(services, claim)
    except (TemporaryFailure, asyncio.CancelledError):
        raise
    except Exception as error:  # noqa: BLE001 - one message must not hold up the others
        # A message that cannot be written must be retried neither immediately nor forever.
        _report(claim, error)
        return await _again(services, claim, kind_of(error), ambiguous=False)
    if delivery.result is not Delivered.SENT:
        return delivery
    late = (claim.claimed_at - claim.message.scheduled_for).total_seconds()
    return replace(delivery, late_s=late + loop.time() - claimed_s)


async def _deliver(services: DeliveryServices, claim: Claim) -> Delivery:
    verdict = judged(claim)
    if verdict is DeliveryVerdict.STALE and not claim.ambiguous:
        return await _ended(services.outbox.discard(claim), Delivered.DISCARDED)
    if claim.ambiguous:
        settled = await _settle_doubt(services, claim, verdict)
        if settled is not None:
            return settled
    if verdict is DeliveryVerdict.EXPIRED:
        return await _log(services, claim, Outcome.FAILED, error="too late to be of use")
    if verdict in _HOLDING:
        return await _hold(services, claim, _HOLDING[verdict])
    if claim.attempts > ATTEMPTS_MAX:
        error = "tried too often; the last attempts ended without a word"
        aside = services.outbox.set_aside(claim, error=error, ambiguous=claim.ambiguous)
        return await _ended(aside, Delivered.DEAD)
    return await _hand_over(services, claim)


async def _hold(services: DeliveryServices, claim: Claim, why: str) -> Delivery:
    """Return the message to the outbox for HELD_FOR, without counting an attempt."""
    given_back = await services.outbox.retry_later(
        claim, after=HELD_FOR, error=why, ambiguous=False, attempts=claim.attempts - 1
    )
    if not given_back:
        return Delivery(Delivered.SKIPPED)
    await _postpone(services, claim.message.clinic_id, claim.message.id, HELD_FOR)
    return Delivery(Delivered.HELD)


async def _settle_doubt(
    services: DeliveryServices, claim: Claim, verdict: DeliveryVerdict
) -> Delivery | None:
    """Settle a message that may have been handed over before; return None to send it again."""
    notifier, _ = _notifier(services, claim)
    message_id = message_id_of(claim.message, services.mail_domain)
    if services.on_ambiguous is AmbiguousMail.ASK and await notifier.was_accepted(message_id):
        return await _log(services, claim, Outcome.SENT, message_id=message_id)
    if verdict is not DeliveryVerdict.SEND:
        # It may have been sent while it was valid; the log must say so.
        error = "the mail server's answer was lost, and it is no longer right"
        return await _log(services, claim, Outcome.FAILED, message_id=message_id, error=error)
    if services.on_ambiguous is AmbiguousMail.RESEND or not claim.interrupted:
        return None
    if (
        services.on_ambiguous is AmbiguousMail.ASK
        and await notifier.was_accepted(message_id) is False
    ):
        return None
    error = "the mail server's answer was lost: unknown whether it was sent"
    return await _ended(
        services.outbox.set_aside(claim, error=error, ambiguous=True), Delivered.DEAD
    )


async def _hand_over(services: DeliveryServices, claim: Claim) -> Delivery:
    notifier, channel = _notifier(services, claim)
    outgoing = outgoing_message_for(services, claim)

    permitted = False

    async def may_send() -> bool:
        nonlocal permitted
        permitted = await services.outbox.begin_sending(claim, lease=services.lease)
        return permitted

    try:
        handed_over = await notifier.deliver(outgoing, may_send)
        if not handed_over:
            # Claimed by another worker, or no longer valid: the next claim shows which.
            return await _after_withdrawal(services, claim)
        return await _log(
            services, claim, Outcome.SENT, message_id=outgoing.message_id, channel=channel
        )
    except (TemporaryFailure, asyncio.CancelledError):
        raise
    except TransportError as error:
        # An error while waiting for the answer leaves open whether the message was accepted.
        if error.permanent:
            return await _log(
                services,
                claim,
                Outcome.FAILED,
                message_id=outgoing.message_id,
                error=error.message,
                channel=channel,
            )
        if error.ambiguous:
            return await _in_doubt(services, claim, notifier, outgoing, channel, error.message)
        return await _again(
            services, claim, error.message, ambiguous=False, of_channel=error.of_channel
        )
    except Exception as error:
        if not permitted:
            raise
        _report(claim, error)
        return await _in_doubt(services, claim, notifier, outgoing, channel, kind_of(error))


async def _in_doubt(
    services: DeliveryServices,
    claim: Claim,
    notifier: Notifier,
    outgoing: OutgoingMessage,
    channel: str,
    error: str,
) -> Delivery:
    """Settle a message that the other side may have accepted just now."""
    if services.on_ambiguous is AmbiguousMail.RESEND:
        return await _again(services, claim, error, ambiguous=True)
    accepted = (
        await notifier.was_accepted(outgoing.message_id)
        if services.on_ambiguous is AmbiguousMail.ASK
        else None
    )
    if accepted:
        return await _log(
            services, claim, Outcome.SENT, message_id=outgoing.message_id, channel=channel
        )
    if accepted is False:
        return await _again(services, claim, error, ambiguous=False)
    aside = services.outbox.set_aside(claim, error=shortened(error), ambiguous=True)
    return await _ended(aside, Delivered.DEAD)


async def _after_withdrawal(services: DeliveryServices, claim: Claim) -> Delivery:
    """Make the message due now: `begin_sending` refused it, so a new claim must judge it again."""
    at_once = timedelta(0)
    given_back = await services.outbox.retry_later(
        claim, after=at_once, error="changed while it was being sent", ambiguous=False
    )
    return await _given_back(services, claim, given_back, at_once)


def _notifier(services: DeliveryServices, claim: Claim) -> tuple[Notifier, str]:
    addressee = claim.snapshot.addressee
    wanted = addressee.preferences.channel if addressee else EMAIL
    channel = wanted if wanted in services.notifiers else EMAIL
    return services.notifiers[channel], channel


def _report(claim: Claim, error: Exception) -> None:
    message = claim.message
    logger.error(_BROKE, message.id, message.kind, kind_of(error), place_of(error))


async def _again(
    services: DeliveryServices,
    claim: Claim,
    error: str,
    *,
    ambiguous: bool,
    of_channel: bool = False,
) -> Delivery:
    """Return the message to the outbox for another attempt, or set it aside after ATTEMPTS_MAX.

    While the channel itself cannot be used, a message is retried until it expires.
    """
    error = shortened(error)
    ambiguous = ambiguous or claim.ambiguous
    attempts = min(claim.attempts, ATTEMPTS_MAX - 1) if of_channel else claim.attempts
    if attempts >= ATTEMPTS_MAX:
        aside = services.outbox.set_aside(claim, error=error, ambiguous=ambiguous)
        return await _ended(aside, Delivered.DEAD)
    after = backoff(attempts)

    async def give_back() -> bool:
        return await services.outbox.retry_later(
            claim, after=after, error=error, ambiguous=ambiguous, attempts=attempts
        )

    return await _given_back(services, claim, await _insisting(give_back), after)


async def _given_back(
    services: DeliveryServices, claim: Claim, given_back: bool, after: timedelta
) -> Delivery:
    if not given_back:
        return Delivery(Delivered.SKIPPED)
    await _postpone(services, claim.message.clinic_id, claim.message.id, after)
    return Delivery(Delivered.RETRIED)


async def _log(
    services: DeliveryServices,
    claim: Claim,
    status: Outcome,
    *,
    message_id: str | None = None,
    error: str | None = None,
    channel: str = EMAIL,
) -> Delivery:
    record = Record(
        claim.message,
        status,
        claim.attempts,
        maybe_twice=claim.ambiguous,
        message_id=message_id,
        error=shortened(error) if error else None,
        channel=channel,
    )

    async def write() -> bool:
        return await services.outbox.finish(claim, record)

    await _insisting(write)
    if status is Outcome.FAILED:
        return Delivery(Delivered.FAILED)
    return Delivery(Delivered.SENT, maybe_twice=record.maybe_twice)


async def _insisting(write: Callable[[], Awaitable[T]]) -> T:
    """Return what `write` returns, retried while the database is unreachable: a result must be
    stored before another worker acts without it. Raises TemporaryFailure after two minutes."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    deadline = loop.time() + LOG_TRIES_S
    while True:
        try:
            return await write()
        except TemporaryFailure:
            # A database client that loses its connection may turn a cancellation into this failure.
            if loop.time() > deadline or (task is not None and task.cancelling()):
                raise
        await asyncio.sleep(LOG_PAUSE_S)


async def _ended(write: Awaitable[bool], result: Delivered) -> Delivery:
    return Delivery(result if await write else Delivered.SKIPPED)


async def _postpone(
    services: DeliveryServices, clinic_id: UUID, message_id: UUID, wait: timedelta
) -> None:
    try:
        await services.queue.postpone(clinic_id, message_id, wait=wait)
    except QueueUnavailable:
        # The sweep finds it when it is overdue, the resync when the queue is back.
        logger.warning("the queue is away; message %s is left to the sweep", message_id)
