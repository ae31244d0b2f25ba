"""Prove that an email address is its user's: a link goes there, and its page says so."""

from contextlib import suppress
from uuid import UUID

from clinic.domain.account_links import verification_mail
from clinic.domain.audit import event_by
from clinic.domain.errors import TemporaryFailure, UserNotFound
from clinic.domain.links import LinkSigner, Purpose
from clinic.domain.people import Actor
from clinic.domain.permissions import Operation, permit
from clinic.ports.clock import Clock, IdSource
from clinic.ports.outbox import Outbox
from clinic.ports.unit_of_work import Store, UnitOfWork
from clinic.usecases.open_account_link import AccountPage, check_account_link, open_account_link
from clinic.usecases.sign_in import Origin
from clinic.usecases.transactions import Transactions

_PURPOSE = Purpose.EMAIL_VERIFICATION


async def request_verification(
    *, transactions: Transactions, clock: Clock, new_id: IdSource, actor: Actor
) -> None:
    """Send the actor a link anew, unless the address is verified.

    Raises PermissionDenied, UserNotFound.
    """
    permit(actor, Operation.MANAGE_OWN_ACCOUNT)

    async def work(unit: UnitOfWork) -> None:
        account = await unit.accounts.lock(actor.user_id)
        if account is None:
            raise UserNotFound()
        if account.email_verified_at is not None:
            return
        mail = verification_mail(
            clinic_id=actor.clinic_id, user_id=actor.user_id, now=clock.now(), new_id=new_id
        )
        await unit.messages.add([mail])
        action = "request_email_verification"
        await unit.events.add(
            event_by(actor, action, "user", actor.user_id, now=clock.now(), event_id=new_id())
        )

    await transactions.run(work)


async def verify_email(
    token: str,
    *,
    store: Store,
    transactions: Transactions,
    signer: LinkSigner,
    clock: Clock,
    new_id: IdSource,
    origin: Origin,
) -> AccountPage:
    """Note that the address is the user's, once. Raises LinkInvalid."""
    link, known, page = await open_account_link(
        token, _PURPOSE, store=store, signer=signer, clock=clock
    )
    user_id = link.subject_id
    actor = Actor(user_id, known.user.role, link.clinic_id, origin.request_id, origin.ip)

    async def work(unit: UnitOfWork) -> None:
        account = await unit.accounts.lock(user_id)
        # Again under the lock: the address may just have changed, or been verified.
        check_account_link(token, _PURPOSE, account, signer=signer, now=clock.now())
        await unit.accounts.set_email_verified_at(user_id, clock.now())
        await unit.events.add(
            event_by(actor, "verify_email", "user", user_id, now=clock.now(), event_id=new_id())
        )

    await transactions.run(work)
    await let_mail_go(store.outbox, user_id)
    return page


async def let_mail_go(outbox: Outbox, user_id: UUID) -> None:
    """Send what was held until the address was verified; what this misses goes a little later."""
    with suppress(TemporaryFailure):
        await outbox.release(user_id)
