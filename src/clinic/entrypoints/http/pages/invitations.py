"""The page behind an invitation's link: choose a password."""

from urllib.parse import parse_qs

from clinic.domain.errors import ClinicError, InvitationInvalid, PasswordRefused
from clinic.domain.rate_limits import RateClass
from clinic.entrypoints.http.call import Call, ClientGone
from clinic.entrypoints.http.endpoint import endpoint
from clinic.entrypoints.http.pages.rendering import page_reply
from clinic.entrypoints.http.problems import BodyTooLarge, status_of
from clinic.entrypoints.http.reply import Reply
from clinic.usecases.manage_users import accept_invitation

_TAG = "Pages"
FORM_MAX_BYTES = 4096

CHOOSE = "Choose a password · Passwort wählen"
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
    form = parse_qs((await _read_form(call)).decode(errors="replace"), max_num_fields=5)
    try:
        await accept_invitation(
            token,
            form.get("password", [""])[0],
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
        "title": title,
        "lines": lines,
        "action": f"/invitations/{token}" if token else None,
        "button": BUTTON,
    }
    return page_reply(status, "password.html", facts)


async def _read_form(call: Call) -> bytes:
    """Return a form's body. Raises BodyTooLarge, ClientGone."""
    body = bytearray()
    while True:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > FORM_MAX_BYTES:
            raise BodyTooLarge(maxBytes=FORM_MAX_BYTES)
        if not message.get("more_body", False):
            return bytes(body)
