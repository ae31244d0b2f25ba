"""An email address and a password for one person of each role, the same at every start."""

import hmac
from collections.abc import Mapping
from uuid import UUID

from clinic.bootstrap import Services
from clinic.entrypoints.cli.demo.sample import Sample, writing_as
from clinic.usecases.invite_people import accept_invitation, invite

PASSWORD_CHARS = 20


def people_of(sample: Sample) -> Mapping[str, UUID]:
    """Return the id of one person of each role."""
    return {
        "patient": sample.patients[0].id,
        "doctor": sample.doctors[0].id,
        "receptionist": sample.receptionist.id,
        "admin": sample.admin.id,
    }


async def make_sign_ins(services: Services, sample: Sample) -> Mapping[str, Mapping[str, str]]:
    """Return how to sign in as each role; whoever has no password yet is given one."""
    made = {}
    for role, user_id in people_of(sample).items():
        account = await services.store.accounts.account(user_id)
        assert account is not None
        password = _password(services.settings.secret, role)
        if account.password_hash is None:
            await _set_password(services, sample, user_id, password)
        made[role] = {"email": account.user.email, "password": password}
    return made


async def _set_password(services: Services, sample: Sample, user_id: UUID, password: str) -> None:
    secret, writing = services.settings.secret, writing_as(services, sample.system)
    mail_works = services.settings.mail_works
    invited = await invite(user_id, secret=secret, mail_works=mail_works, hand_over=True, **writing)
    assert invited.token is not None
    await accept_invitation(
        invited.token,
        password,
        secret=secret,
        hasher=services.hasher,
        accounts=services.store.accounts,
        transactions=services.transactions,
        clock=services.clock,
        new_id=services.new_id,
    )


def _password(secret: str, role: str) -> str:
    """Return a password that only who has the demo's folder can know."""
    return hmac.digest(secret.encode(), f"demo {role}".encode(), "sha256").hex()[:PASSWORD_CHARS]
