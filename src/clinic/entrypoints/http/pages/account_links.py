"""The pages behind the links in account mail. GET only shows; POST changes data."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from litestar import get, post
from litestar.params import FromPath
from litestar.response import Template

from clinic.domain.errors import LinkInvalid, PasswordRefused
from clinic.domain.links import LinkSigner, Purpose
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
from clinic.usecases.messaging.follow_link import clinic_of_link
from clinic.usecases.people.open_account_link import AccountPage, show_account_page
from clinic.usecases.people.reset_password import reset_password
from clinic.usecases.people.verify_email import verify_email

_VERIFICATION_INVALID = N_(
    "This link is not valid, or no longer works: perhaps your address is already confirmed, or has"
    " changed. Sign in to check or to ask for a new link."
)
_RESET_INVALID = N_(
    "This link is not valid, or no longer works. It can be used once, and only for a short time."
    " Ask for a new one where you sign in."
)

_Handler = Callable[..., Awaitable[Template]]


def _unless_refused(why: str) -> Callable[[_Handler], _Handler]:
    """Make a handler answer an invalid link with a page that says `why`."""

    def make(handler: _Handler) -> _Handler:
        @wraps(handler)
        async def answer(call: RequestContext, token: str, **more: Any) -> Template:
            try:
                return await handler(call, token, **more)
            except LinkInvalid as error:
                return await _refused(call, token, error, why)

        return answer

    return make


@get("/email-verifications/{token:str}", guards=[guarded(PUBLIC)])
@_unless_refused(_VERIFICATION_INVALID)
async def get_verification(call: Asked, token: FromPath[str]) -> Template:
    """Ask for confirmation; opening the link verifies nothing."""
    return _asked(await _shown(call, token, Purpose.EMAIL_VERIFICATION), token)


@post("/email-verifications/{token:str}", status_code=200, guards=[guarded(PUBLIC)])
@_unless_refused(_VERIFICATION_INVALID)
async def post_verification(call: Asked, token: FromPath[str]) -> Template:
    """Mark the address as verified, once."""
    page = await verify_email(call.anonymous(), token, signer=_signer(call))
    return _done(page, N_("Thank you. Your email address is confirmed."))


@get("/password-resets/{token:str}", guards=[guarded(PUBLIC)])
@_unless_refused(_RESET_INVALID)
async def get_reset(call: Asked, token: FromPath[str]) -> Template:
    """Show a form for the password; opening the link does not use it up."""
    return _form(200, await _shown(call, token, Purpose.PASSWORD_RESET), token)


@post(
    "/password-resets/{token:str}",
    status_code=200,
    guards=[guarded(HASHING)],
)
@_unless_refused(_RESET_INVALID)
async def post_reset(call: Asked, token: FromPath[str], data: PasswordForm) -> Template:
    """Set the password, once, and end every session."""
    services = call.services
    try:
        page = await reset_password(
            call.anonymous(),
            token,
            data.password,
            hasher=services.hasher,
            signer=_signer(call),
        )
    except PasswordRefused as error:
        page = await _shown(call, token, Purpose.PASSWORD_RESET)
        return _form(status_of(type(error)), page, token, refused=True)
    return _done(page, N_("Your new password is set. You can sign in with it now."))


HANDLERS = (get_verification, post_verification, get_reset, post_reset)


def _signer(call: RequestContext) -> LinkSigner:
    return LinkSigner(call.services.settings.secret)


async def _shown(call: RequestContext, token: str, purpose: Purpose) -> AccountPage:
    return await show_account_page(call.anonymous(), token, purpose, signer=_signer(call))


def _asked(page: AccountPage, token: str) -> Template:
    _ = translations_of(page.language).gettext
    facts = facts_of(
        page.clinic,
        page.language,
        _("Is this your email address?"),
        _("You followed the link that we sent to it."),
        button=_("Yes, this is my address"),
        action=f"/email-verifications/{token}",
    )
    return page_response(200, "link.html", facts)


def _form(status: int, page: AccountPage, token: str, *, refused: bool = False) -> Template:
    _ = translations_of(page.language).gettext
    line = N_("8 characters or more. You will be signed out everywhere.")
    facts = facts_of(
        page.clinic,
        page.language,
        _("Choose a new password"),
        _(PASSWORD_REFUSED if refused else line),
        label=_("New password"),
        button=_("Set the password"),
        action=f"/password-resets/{token}",
    )
    return page_response(status, "password.html", facts)


def _done(page: AccountPage, what: str) -> Template:
    title = translations_of(page.language).gettext(what)
    return page_response(200, "link.html", facts_of(page.clinic, page.language, title))


async def _refused(call: RequestContext, token: str, error: LinkInvalid, why: str) -> Template:
    clinic = await clinic_of_link(token, store=call.services.store)
    return page_of_invalid_link(status_of(type(error)), clinic, why)
