"""The page behind an invitation's link: choose a password."""

from clinic.domain.errors import InvitationInvalid, PasswordRefused
from clinic.domain.rate_limits import RateClass
from clinic.entrypoints.http.call import Call
from clinic.entrypoints.http.endpoint import endpoint
from clinic.entrypoints.http.pages.forms import read_form
from clinic.entrypoints.http.pages.rendering import facts_of, page_reply
from clinic.entrypoints.http.pages.words import WORDS, words_in
from clinic.entrypoints.http.problems import status_of
from clinic.entrypoints.http.reply import Reply
from clinic.usecases.invite_people import accept_invitation
from clinic.usecases.open_account_link import AccountPage, open_invitation

_TAG = "Pages"

_NAME = "invitation"


@endpoint("GET", "/invitations/{token}", tag=_TAG, summary="Invited", answers=None, needs=None)
async def get_invitation(call: Call, token: str) -> Reply:
    """A form for the password; opening it spends nothing."""
    try:
        page = await _opened(call, token)
    except InvitationInvalid as error:
        return _refused(error)
    return _form(200, page, token)


@endpoint(
    "POST",
    "/invitations/{token}",
    tag=_TAG,
    summary="Choose a password",
    answers=None,
    needs=None,
    rate=RateClass.REGISTER,
)
async def post_invitation(call: Call, token: str) -> Reply:
    """Set the password, once."""
    services = call.services
    form = await read_form(call)
    try:
        page = await _opened(call, token)
        await accept_invitation(
            call.anonymous(),
            token,
            form.get("password", ""),
            secret=services.settings.secret,
            hasher=services.hasher,
        )
    except PasswordRefused as error:
        return _form(status_of(type(error)), page, token, refused=True)
    except InvitationInvalid as error:
        return _refused(error)
    title = words_in(page.language)[f"{_NAME}_done"]
    return page_reply(200, "link.html", facts_of(page.clinic, page.language, title))


ENDPOINTS = (get_invitation, post_invitation)


async def _opened(call: Call, token: str) -> AccountPage:
    services = call.services
    return await open_invitation(call.anonymous(), token, secret=services.settings.secret)


def _form(status: int, page: AccountPage, token: str, *, refused: bool = False) -> Reply:
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
    return page_reply(status, "password.html", facts)


def _refused(error: InvitationInvalid) -> Reply:
    # Whose it was is not known, so the language is not either.
    title = " · ".join(words["failed"] for words in WORDS.values())
    lines = [words[f"{_NAME}_invalid"] for words in WORDS.values()]
    return page_reply(status_of(type(error)), "link.html", facts_of(None, "en", title, *lines))
