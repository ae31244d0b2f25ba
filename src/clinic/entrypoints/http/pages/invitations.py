"""The page behind an invitation's link: choose a password."""

from clinic.domain.errors import ClinicError, InvitationInvalid, PasswordRefused
from clinic.domain.rate_limits import RateClass
from clinic.entrypoints.http.call import Call
from clinic.entrypoints.http.endpoint import endpoint
from clinic.entrypoints.http.pages.forms import read_form
from clinic.entrypoints.http.pages.rendering import page_reply
from clinic.entrypoints.http.problems import status_of
from clinic.entrypoints.http.reply import Reply
from clinic.usecases.manage_users import accept_invitation

_TAG = "Pages"

CHOOSE = "Choose a password · Passwort wählen"
LABEL = "Password · Passwort"
BUTTON = "Keep it · Übernehmen"
DONE = "Your password is set. · Ihr Passwort ist gesetzt."
INVALID = (
    "This link is not valid, or no longer. Ask the clinic for a new one.",
    "Dieser Link gilt nicht oder nicht mehr. Bitten Sie die Praxis um einen neuen.",
)


@endpoint("GET", "/invitations/{token}", tag=_TAG, summary="Invited", answers=None, needs=None)
async def get_invitation(call: Call, token: str) -> Reply:
    """A form for the password; opening it spends nothing, and tells nothing of the account."""
    return _page(200, CHOOSE, token=token)


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
        await accept_invitation(
            token,
            form.get("password", ""),
            secret=services.settings.secret,
            hasher=services.hasher,
            accounts=services.store.accounts,
            transactions=services.transactions,
            clock=services.clock,
            new_id=services.new_id,
            request_id=call.request_id,
            ip=call.address,
        )
    except PasswordRefused as error:
        return _page(status_of(type(error)), CHOOSE, token=token, lines=(error.message,))
    except InvitationInvalid as error:
        return _page(_status(error), CHOOSE, lines=INVALID)
    return _page(200, DONE)


ENDPOINTS = (get_invitation, post_invitation)


def _status(error: ClinicError) -> int:
    return status_of(type(error))


def _page(
    status: int, title: str, *, token: str | None = None, lines: tuple[str, ...] = ()
) -> Reply:
    facts: dict[str, object] = {
        "language": "en",
        "clinic": "",
        "title": title,
        "label": LABEL,
        "lines": lines,
        "action": f"/invitations/{token}" if token else None,
        "button": BUTTON,
    }
    return page_reply(status, "password.html", facts)
