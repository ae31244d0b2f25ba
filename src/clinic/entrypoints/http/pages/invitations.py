"""The page behind an invitation's link: choose a password."""

from litestar import get, post
from litestar.params import FromPath
from litestar.response import Template

from clinic.domain.errors import InvitationInvalid, PasswordRefused
from clinic.entrypoints.http.kernel.ordinary import Asked, guarded
from clinic.entrypoints.http.kernel.problems import status_of
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.pages.handlers import HASHING, PUBLIC, PasswordForm
from clinic.entrypoints.http.pages.rendering import facts_of, page_response
from clinic.entrypoints.http.pages.words import WORDS, words_in
from clinic.usecases.people.invite_people import accept_invitation
from clinic.usecases.people.open_account_link import AccountPage, open_invitation

_NAME = "invitation"


@get("/invitations/{token:str}", guards=[guarded(PUBLIC)])
async def get_invitation(call: Asked, token: FromPath[str]) -> Template:
    """A form for the password; opening it spends nothing."""
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
    title = words_in(page.language)[f"{_NAME}_done"]
    return page_response(200, "link.html", facts_of(page.clinic, page.language, title))


HANDLERS = (get_invitation, post_invitation)


async def _opened(call: RequestContext, token: str) -> AccountPage:
    services = call.services
    return await open_invitation(call.anonymous(), token, secret=services.settings.secret)


def _form(status: int, page: AccountPage, token: str, *, refused: bool = False) -> Template:
    words = words_in(page.language)
    facts = facts_of(
        page.clinic,
        page.language,
        words[_NAME],
        words["password_refused" if refused else f"{_NAME}_line"],
        label=words[f"{_NAME}_label"],
        button=words[f"{_NAME}_button"],
        action=f"/invitations/{token}",
    )
    return page_response(status, "password.html", facts)


def _refused(error: InvitationInvalid) -> Template:
    # Whose it was is not known, so the language is not either.
    title = " · ".join(words["failed"] for words in WORDS.values())
    lines = [words[f"{_NAME}_invalid"] for words in WORDS.values()]
    return page_response(status_of(type(error)), "link.html", facts_of(None, "en", title, *lines))
