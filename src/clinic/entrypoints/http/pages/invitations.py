"""The page behind an invitation's link: choose a password."""

from litestar import get, post
from litestar.params import FromPath
from litestar.response import Template

from clinic.domain.errors import InvitationInvalid, PasswordRefused
from clinic.entrypoints.http.kernel.ordinary import Asked, guarded
from clinic.entrypoints.http.kernel.problems import status_of
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.pages.handlers import HASHING, PUBLIC, PasswordForm
from clinic.entrypoints.http.pages.rendering import (
    PASSWORD_REFUSED,
    facts_of,
    page_of_invalid_link,
    page_response,
)
from clinic.translations import N_, translations_of
from clinic.usecases.people.invite_people import accept_invitation
from clinic.usecases.people.open_account_link import AccountPage, open_invitation


@get("/invitations/{token:str}", guards=[guarded(PUBLIC)])
async def get_invitation(call: Asked, token: FromPath[str]) -> Template:
    """Show a form for the password; opening the link does not use it up."""
    try:
        page = await _opened(call, token)
    except InvitationInvalid as error:
        return _refused(error)
    return _form(200, page, token)


@post("/invitations/{token:str}", status_code=200, guards=[guarded(HASHING)])
async def post_invitation(call: Asked, token: FromPath[str], data: PasswordForm) -> Template:
    """Set the password, once."""
    services = call.services
    try:
        page = await _opened(call, token)
        await accept_invitation(
            call.anonymous(),
            token,
            data.password,
            secret=services.settings.secret,
            hasher=services.hasher,
        )
    except PasswordRefused as error:
        return _form(status_of(type(error)), page, token, refused=True)
    except InvitationInvalid as error:
        return _refused(error)
    _ = translations_of(page.language).gettext
    title = _("Your password is set. You can sign in with it now.")
    return page_response(200, "link.html", facts_of(page.clinic, page.language, title))


HANDLERS = (get_invitation, post_invitation)


async def _opened(call: RequestContext, token: str) -> AccountPage:
    services = call.services
    return await open_invitation(call.anonymous(), token, secret=services.settings.secret)


def _form(status: int, page: AccountPage, token: str, *, refused: bool = False) -> Template:
    _ = translations_of(page.language).gettext
    line = N_("8 characters or more. You will sign in with it.")
    facts = facts_of(
        page.clinic,
        page.language,
        _("Choose a password"),
        _(PASSWORD_REFUSED if refused else line),
        label=_("Password"),
        button=_("Set the password"),
        action=f"/invitations/{token}",
    )
    return page_response(status, "password.html", facts)


def _refused(error: InvitationInvalid) -> Template:
    why = N_("This link is not valid, or no longer works. Ask the clinic for a new one.")
    return page_of_invalid_link(status_of(type(error)), None, why)
