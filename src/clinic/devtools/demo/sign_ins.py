"""An email address and a password for one person of each role, the same at every start."""

import hmac
from collections.abc import Mapping
from uuid import UUID

from clinic.bootstrap import Services
from clinic.devtools.demo.sample import Sample, acting
from clinic.usecases.people.invite_people import accept_invitation, invite

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
    """Return how to sign in as each role, after setting the passwords that are missing."""
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
    secret, links = services.settings.secret, services.invitation_links
    invited = await invite(acting(services, sample.system), user_id, links=links, hand_over=True)
    assert invited.token is not None
    await accept_invitation(
        services.anonymous(), invited.token, password, secret=secret, hasher=services.hasher
    )


def _password(secret: str, role: str) -> str:
    """Return a password that only someone with the demo's folder can know."""
    return hmac.digest(secret.encode(), f"demo {role}".encode(), "sha256").hex()[:PASSWORD_CHARS]
