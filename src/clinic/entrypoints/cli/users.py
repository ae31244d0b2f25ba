"""`clinic user …`: people who sign in."""

from typing import Annotated
from uuid import UUID

from cyclopts import Parameter

from clinic.domain.errors import InvalidInput
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Role, User
from clinic.domain.text import words_told
from clinic.entrypoints.cli.changing import Preview, deciding
from clinic.entrypoints.cli.output import AsJson, Row, print_row, print_rows
from clinic.entrypoints.cli.rendering import print_effect
from clinic.entrypoints.cli.session import Acting, CommandSession, Where, session
from clinic.ports.accounts import Account
from clinic.usecases.people import invite_people, manage_users, memberships
from clinic.usecases.people.invite_people import Invited

COLUMNS = ("id", "role", "name", "email", "disabled")
PrintLink = Annotated[bool, Parameter(negative="")]
NOBODY, HERE = Acting(), Where()
AHEAD = "Appointments ahead with this doctor: {ahead}."
KEEP = "Move or cancel them, or give --keep-appointments."


async def add(
    name: str,
    email: str,
    role: str,
    /,
    *,
    specialty: str | None = None,
    phone: str | None = None,
    print_link: PrintLink = False,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Add a person in a role, and mail them a link that sets a password.

    Without a mail server, the invitation is printed instead.

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
    print_link
        Also print the link, for a person who cannot get mail yet; audited. Not with --as.
    as_json
        Print JSON.
    """
    kind = _role(role)
    async with session(acting) as at:
        user = User(at.services.new_id(), name, email, kind, phone)
        invited = await invite_people.add_user(
            at.context,
            user,
            specialty=specialty,
            links=at.services.invitation_links,
            contacts=at.services.contacts,
            hand_over=print_link,
        )
    how = {"invitation": invited.token, "mailed": invited.is_mailed}
    link = {"link": _link(at, invited)} if print_link else {}
    print_row({**_row(invited.account), **how, **link}, as_json=as_json)


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
        How many at most, up to 200.
    after
        Only those after this id, to continue where the last list ended.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        found, following = await manage_users.list_users(
            at.context,
            PageRequest(limit),
            role=_role(role) if role is not None else None,
            after=after,
        )
    print_rows([_row(one) for one in found], COLUMNS, as_json=as_json, more=following is not None)


async def invite_again(
    user: UUID,
    /,
    *,
    print_link: PrintLink = False,
    acting: Acting = NOBODY,
) -> None:
    """Mail a person a link that sets a password, once and within a week.

    Without a mail server, the invitation is printed instead.

    Parameters
    ----------
    user
        Id of the person.
    print_link
        Also print the link, for a person who cannot get mail yet; audited. Not with --as.
    """
    async with session(acting) as at:
        invited = await invite_people.invite(
            at.context, user, links=at.services.invitation_links, hand_over=print_link
        )
    if print_link:
        print(_link(at, invited))
    elif invited.token is not None:
        print(invited.token)
    else:
        print("The link is on its way by mail." if invited.is_mailed else "Nothing is mailed.")


async def disable(
    user: UUID,
    /,
    *,
    keep_appointments: bool = False,
    preview: Preview = False,
    acting: Acting = NOBODY,
) -> None:
    """Disable a person and end all their sessions at once.

    Parameters
    ----------
    user
        Id of the person.
    keep_appointments
        Disable a doctor although there are appointments ahead, which stay and are listed.
    """
    await _set_enabled(
        user, acting, enabled=False, keep_appointments=keep_appointments, preview=preview
    )


async def enable(user: UUID, /, *, preview: Preview = False, acting: Acting = NOBODY) -> None:
    """Enable a person again.

    Parameters
    ----------
    user
        Id of the person.
    """
    await _set_enabled(user, acting, enabled=True, preview=preview)


async def offer(
    email: str, role: str, /, *, specialty: str | None = None, acting: Acting = NOBODY
) -> None:
    """Print an offer to join the clinic, valid once and for a week.

    The person accepts it with POST /memberships, signed in elsewhere with this address or by
    sending this address and their password.

    Parameters
    ----------
    email
        Email address that the person signs in with.
    role
        The person's role: patient, doctor, receptionist or admin.
    specialty
        Of a doctor, at this clinic.
    """
    async with session(acting) as at:
        offered = await memberships.offer_membership(
            at.context,
            email,
            _role(role),
            specialty=specialty,
            secret=at.services.settings.secret,
            contacts=at.services.contacts,
        )
    print(offered.token)


async def end_membership(
    user: UUID,
    /,
    *,
    keep_appointments: bool = False,
    preview: Preview = False,
    acting: Acting = NOBODY,
) -> None:
    """End a person's membership of the clinic, and all their sessions there at once.

    Parameters
    ----------
    user
        Id of the person.
    keep_appointments
        End a doctor's although there are appointments ahead, which stay and are listed.
    """
    async with session(acting) as at:
        with deciding(AHEAD, KEEP):
            effect = await memberships.end_membership(
                at.context, user, keep_appointments=keep_appointments, preview=preview
            )
    if preview or effect is not memberships.NO_DOCTOR:
        print_effect(effect)


async def _set_enabled(
    user: UUID,
    acting: Acting,
    *,
    enabled: bool,
    keep_appointments: bool = False,
    preview: bool = False,
) -> None:
    async with session(acting) as at:
        with deciding(AHEAD, KEEP):
            changed = await manage_users.set_enabled(
                at.context,
                user,
                enabled=enabled,
                keep_appointments=keep_appointments,
                preview=preview,
            )
    if preview:
        print(f"This is a preview of {'enabling' if enabled else 'disabling'} the account.")
    print_row(_row(changed.account), as_json=False)
    if changed.effect is not None:
        print_effect(changed.effect)


def _role(word: str) -> Role:
    """Return the role with this name in any case, except SYSTEM. Raises InvalidInput."""
    roles = {each.value.lower(): each for each in Role if each is not Role.SYSTEM}
    if word.lower() not in roles:
        raise InvalidInput(f"There is no role {word!r}; {words_told(word, roles)}")
    return roles[word.lower()]


def _link(at: CommandSession, invited: Invited) -> str:
    """Return the URL of the page where the person sets a password."""
    return f"{at.services.settings.public_url}/invitations/{invited.token}"


def _row(account: Account) -> Row:
    user = account.user
    return {
        "id": user.id,
        "role": user.role.value.lower(),
        "name": user.name,
        "email": user.shown_email,
        "disabled": "yes" if account.disabled_at else "no",
    }
