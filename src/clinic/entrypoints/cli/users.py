"""`clinic user …`: people who sign in."""

from typing import Any
from uuid import UUID

from clinic.domain.errors import InvalidInput
from clinic.domain.paging import PageRequest
from clinic.domain.people import Role, User
from clinic.domain.text import words_told
from clinic.entrypoints.cli.output import AsJson, Row, print_row, print_rows
from clinic.entrypoints.cli.session import Acting, Session, Where, session
from clinic.ports.accounts import Account
from clinic.usecases import manage_users, memberships

COLUMNS = ("id", "role", "name", "email", "disabled")
NOBODY, HERE = Acting(), Where()


async def add(
    name: str,
    email: str,
    role: str,
    /,
    *,
    specialty: str | None = None,
    phone: str | None = None,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Add a person in a role, and print the invitation with which they set a password.

    Parameters
    ----------
    name
        Full name.
    email
        Email address, with which the person signs in.
    role
        patient, doctor, receptionist or admin.
    specialty
        Of a doctor, such as Cardiology.
    phone
        Phone number.
    as_json
        Print JSON.
    """
    kind = _role(role)
    async with session(acting) as at:
        user = User(at.services.new_id(), name, email, kind, phone)
        invited = await manage_users.add_user(
            user,
            specialty=specialty,
            secret=at.services.settings.secret,
            phones=at.services.phones,
            emails=at.services.emails,
            **_writing(at, acting.reason),
        )
    print_row({**_row(invited.account), "invitation": invited.token}, as_json=as_json)


async def list_people(
    *,
    role: str | None = None,
    limit: int = 50,
    after: UUID | None = None,
    where: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """List the clinic's people.

    Parameters
    ----------
    role
        Only those in this role.
    limit
        At most so many, up to 200.
    after
        Only those after this id, to go on where the last list ended.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        found, following = await manage_users.list_users(
            accounts=at.services.store.accounts,
            actor=at.actor,
            role=_role(role) if role is not None else None,
            after=after,
            page=PageRequest(limit),
        )
    print_rows([_row(one) for one in found], COLUMNS, as_json=as_json, more=following is not None)


async def invite_again(user: UUID, /, *, acting: Acting = NOBODY) -> None:
    """Print a new invitation, with which the person sets a password once within a week.

    Parameters
    ----------
    user
        Id of the person.
    """
    async with session(acting) as at:
        invited = await manage_users.invite(
            user, secret=at.services.settings.secret, **_writing(at, acting.reason)
        )
    print(invited.token)


async def disable(user: UUID, /, *, acting: Acting = NOBODY) -> None:
    """Disable a person; every session ends at once.

    Parameters
    ----------
    user
        Id of the person.
    """
    await _set_enabled(user, acting, enabled=False)


async def enable(user: UUID, /, *, acting: Acting = NOBODY) -> None:
    """Enable a person again.

    Parameters
    ----------
    user
        Id of the person.
    """
    await _set_enabled(user, acting, enabled=True)


async def offer(
    email: str, role: str, /, *, specialty: str | None = None, acting: Acting = NOBODY
) -> None:
    """Print an offer to join the clinic, good once within a week.

    The person accepts it with POST /memberships, signed in elsewhere with this address.

    Parameters
    ----------
    email
        Email address that the person signs in with.
    role
        What the person is: patient, doctor, receptionist or admin.
    specialty
        Of a doctor, at this clinic.
    """
    async with session(acting) as at:
        offered = await memberships.offer_membership(
            email,
            _role(role),
            specialty=specialty,
            secret=at.services.settings.secret,
            emails=at.services.emails,
            **_writing(at, acting.reason),
        )
    print(offered.token)


async def end_membership(user: UUID, /, *, acting: Acting = NOBODY) -> None:
    """End a person's membership of the clinic; every session there ends at once.

    Parameters
    ----------
    user
        Id of the person.
    """
    async with session(acting) as at:
        await memberships.end_membership(user, **_writing(at, acting.reason))


async def _set_enabled(user: UUID, acting: Acting, *, enabled: bool) -> None:
    async with session(acting) as at:
        account = await manage_users.set_enabled(
            user, enabled=enabled, **_writing(at, acting.reason)
        )
    print_row(_row(account), as_json=False)


def _role(word: str) -> Role:
    """Return the role that people have, by its name without case. Raises InvalidInput."""
    roles = {each.value.lower(): each for each in Role if each is not Role.SYSTEM}
    if word.lower() not in roles:
        raise InvalidInput(f"There is no role {word!r}; {words_told(word, roles)}")
    return roles[word.lower()]


def _writing(at: Session, reason: str | None) -> dict[str, Any]:
    return {
        "transactions": at.services.transactions,
        "clock": at.services.clock,
        "new_id": at.services.new_id,
        "actor": at.actor,
        "reason": reason,
    }


def _row(account: Account) -> Row:
    user = account.user
    return {
        "id": user.id,
        "role": user.role.value.lower(),
        "name": user.name,
        "email": user.shown_email,
        "disabled": "yes" if account.disabled_at else "no",
    }
