"""Reset a forgotten password: request a link by email, and set a new password with it."""

from dataclasses import replace
from uuid import UUID

from clinic.domain.audit.audit import AuditEvent
from clinic.domain.links import LinkSigner, Purpose
from clinic.domain.messaging.account_links import reset_mail
from clinic.domain.networks import network_of
from clinic.domain.people.passwords import checked_password
from clinic.ports.accounts import Account
from clinic.ports.password_hasher import PasswordHasher
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.context import AnonymousContext
from clinic.usecases.people.open_account_link import (
    AccountPage,
    check_account_link,
    open_account_link,
)
from clinic.usecases.people.sign_in import NOBODY_ID, SignInRules
from clinic.usecases.people.verify_email import let_mail_go

_PURPOSE = Purpose.PASSWORD_RESET


async def request_password_reset(
    context: AnonymousContext, email: str, *, sign_ins: SignInRules
) -> None:
    """Send a link to the person with this email address, if there is one who has a password.

    The caller does not learn whether there is; only the duration of the write could reveal it.
    """
    account = await context.store.accounts.by_email(sign_ins.emails.canonical(email))
    clinic_id = account.clinics[0] if account and account.clinics else NOBODY_ID
    event = _request_event(context, account, clinic_id)
    # A person without a password has an invitation, which the clinic can renew.
    usable = account and account.password_hash and account.disabled_at is None and account.clinics
    if account is None or not usable:
        sign_ins.audit.add_denial(replace(event, outcome="denied"))
        return
    mail = reset_mail(
        clinic_id=clinic_id, user_id=account.user.id, now=context.clock.now(), new_id=context.new_id
    )

    async def work(unit: UnitOfWork) -> None:
        await unit.messages.add([mail])
        await unit.events.add(event)

    await context.transactions.run(work)


async def reset_password(
    context: AnonymousContext,
    token: str,
    password: str,
    *,
    hasher: PasswordHasher,
    signer: LinkSigner,
) -> AccountPage:
    """Set the password, once; every session ends, and the address counts as verified.

    Raises LinkInvalid, PasswordRefused.
    """
    link, known, page = await open_account_link(context, token, _PURPOSE, signer=signer)
    checked_password(password, email=known.user.email, name=known.user.name)
    password_hash = await hasher.hash(password, source=network_of(context.origin.ip))
    user_id = link.subject_id
    acting = context.acting_as(user_id, known.user.role, link.clinic_id)

    async def work(unit: UnitOfWork) -> None:
        account = await unit.accounts.lock(user_id)
        # Again under the lock: of two concurrent requests, one finds the password changed.
        check_account_link(token, _PURPOSE, account, signer=signer, now=context.clock.now())
        now = context.clock.now()
        detail = {"issuedBy": str(link.issued_by) if link.issued_by else None}
        await unit.accounts.set_password_hash(user_id, password_hash)
        if account is not None and account.email_verified_at is None:
            await unit.accounts.set_email_verified_at(user_id, now)
        await unit.sessions.revoke(user_id, now)
        await unit.events.add(acting.event("reset_password", "user", user_id, detail=detail))

    await context.transactions.run(work)
    await let_mail_go(context.store.outbox, user_id)
    return page


def _request_event(
    context: AnonymousContext, account: Account | None, clinic_id: UUID
) -> AuditEvent:
    nobody = context.as_system(clinic_id)
    return nobody.event("request_password_reset", "user", account.user.id if account else None)
