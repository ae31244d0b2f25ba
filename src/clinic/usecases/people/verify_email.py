"""Verify that an email address is its user's, with a link sent to it."""

from contextlib import suppress
from uuid import UUID

from clinic.domain.errors import TemporaryFailure, UserNotFound
from clinic.domain.links import LinkSigner, Purpose
from clinic.domain.messaging.account_links import verification_mail
from clinic.domain.permissions import Operation, permit
from clinic.ports.outbox import Outbox
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.context import AnonymousContext, Context
from clinic.usecases.people.open_account_link import (
    AccountPage,
    check_account_link,
    open_account_link,
)

_PURPOSE = Purpose.EMAIL_VERIFICATION


async def request_verification(context: Context) -> None:
    """Send the actor a new link, unless the address is verified.

    Raises PermissionDenied, UserNotFound.
    """
    permit(context.actor, Operation.MANAGE_OWN_ACCOUNT)

    async def work(unit: UnitOfWork) -> None:
        account = await unit.accounts.lock(context.actor.user_id)
        if account is None:
            raise UserNotFound()
        if account.email_verified_at is not None:
            return
        mail = verification_mail(
            clinic_id=context.actor.clinic_id,
            user_id=context.actor.user_id,
            now=context.clock.now(),
            new_id=context.new_id,
        )
        await unit.messages.add([mail])
        action = "request_email_verification"
        await unit.events.add(context.event(action, "user", context.actor.user_id))

    await context.transactions.run(work)


async def verify_email(context: AnonymousContext, token: str, *, signer: LinkSigner) -> AccountPage:
    """Record that the address is the user's; a link works once. Raises LinkInvalid."""
    link, known, page = await open_account_link(context, token, _PURPOSE, signer=signer)
    user_id = link.subject_id
    acting = context.acting_as(user_id, known.user.role, link.clinic_id)

    async def work(unit: UnitOfWork) -> None:
        account = await unit.accounts.lock(user_id)
        # Again under the lock: the address may just have changed, or been verified.
        check_account_link(token, _PURPOSE, account, signer=signer, now=context.clock.now())
        await unit.accounts.set_email_verified_at(user_id, context.clock.now())
        await unit.events.add(acting.event("verify_email", "user", user_id))

    await context.transactions.run(work)
    await let_mail_go(context.store.outbox, user_id)
    return page


async def let_mail_go(outbox: Outbox, user_id: UUID) -> None:
    """Send messages held until the address was verified; any missed here go a little later."""
    with suppress(TemporaryFailure):
        await outbox.release(user_id)
