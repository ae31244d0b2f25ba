"""The pages behind the links in messages. GET only shows; POST changes data."""

from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath
from litestar.response import Template
from msgspec import Meta, Struct

from clinic.domain.errors import (
    ClinicError,
    PolicyRefused,
    SlotBlocked,
    SlotTaken,
    TemporaryFailure,
)
from clinic.domain.links import LinkSigner, Purpose
from clinic.domain.messaging.link_offers import LinkState
from clinic.entrypoints.http.kernel.ordinary import Asked, guarded
from clinic.entrypoints.http.kernel.problems import status_of
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.pages.handlers import PUBLIC
from clinic.entrypoints.http.pages.rendering import (
    facts_of,
    in_each_language,
    page_of_invalid_link,
    page_response,
)
from clinic.ports.calendars import SlotView
from clinic.translations import N_, Translations, translations_of, zone_name
from clinic.usecases.messaging.follow_link import (
    LinkPage,
    UnsubscribePage,
    clinic_of_link,
    follow_link,
    open_link,
    open_unsubscribe,
    unsubscribe,
)

#: the status when a form could no longer do what it is for
_NOT_DONE = {LinkState.MOVED: 404, LinkState.LATE: 422, LinkState.OVER: 409}
#: states whose page asks people to call the clinic
_SAYS_TO_CALL = (LinkState.MOVED, LinkState.LATE, LinkState.OVER)

_ASKS = {
    Purpose.CONFIRM: N_("Will you come to this appointment?"),
    Purpose.CANCEL: N_("Cancel this appointment?"),
    Purpose.MOVE: N_("Move this appointment"),
}
#: a move has a button for each time instead
_BUTTONS = {
    Purpose.CONFIRM: N_("Yes, I will come"),
    Purpose.CANCEL: N_("Cancel the appointment"),
}
_DONE = {
    Purpose.CONFIRM: N_("Thank you. Your appointment is confirmed."),
    Purpose.CANCEL: N_("Your appointment is cancelled."),
    Purpose.MOVE: N_("Your appointment has moved. A message with the new time is on its way."),
}
#: title and line of a page on which nothing can be done any more
_NOTHING_TO_DO = {
    LinkState.CONFIRMED: (
        N_("This appointment is already confirmed"),
        N_("We look forward to seeing you. There is nothing more to do."),
    ),
    LinkState.CANCELLED: (
        N_("This appointment was cancelled"),
        N_("It will not take place. There is nothing more to do."),
    ),
    LinkState.MOVED: (
        N_("This appointment has changed"),
        N_(
            "The time above is the one that counts. To change it, use the link in the latest"
            " message, or call the clinic."
        ),
    ),
    LinkState.LATE: (
        N_("It is too late to change this here"),
        N_("Your appointment is too soon. Please call the clinic."),
    ),
    LinkState.OVER: (
        N_("This appointment can no longer be changed"),
        N_("If something is wrong, please call the clinic."),
    ),
}


class MoveQuery(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The target of a move."""

    slot: Annotated[UUID | None, Meta(description="the slot to move into")] = None


@get("/m/{token:str}", guards=[guarded(PUBLIC, query=MoveQuery)])
async def get_link(call: Asked, token: FromPath[str]) -> Template:
    """Show what the link would do, with a button that does it, or why it no longer can.

    A form's URL, which contains the slot, shows the same page when it is opened again.
    """
    try:
        page = await open_link(call.anonymous(), token, signer=_signer(call))
    except ClinicError as error:
        return await _refused(call, token, error)
    return _shown(call, page, token)


@post("/m/{token:str}", status_code=200, guards=[guarded(PUBLIC, query=MoveQuery)])
async def post_link(call: Asked, token: FromPath[str]) -> Template:
    """Confirm, cancel or move the appointment; doing it twice changes nothing more."""
    move: MoveQuery = call.query
    try:
        page = await follow_link(call.anonymous(), token, signer=_signer(call), slot_id=move.slot)
    except ClinicError as error:
        return await _refused(call, token, error)
    cancelled_before = page.state is LinkState.CANCELLED and page.purpose is not Purpose.CANCEL
    status = 404 if cancelled_before else _NOT_DONE.get(page.state, 200)
    return _shown(call, page, token, status=status)


@get("/unsubscribe/{token:str}", guards=[guarded(PUBLIC)])
async def get_unsubscribe(call: Asked, token: FromPath[str]) -> Template:
    """Ask for confirmation; opening the link stops nothing."""
    try:
        page = await open_unsubscribe(call.anonymous(), token, signer=_signer(call))
    except ClinicError as error:
        return await _refused(call, token, error)
    return _unsubscribe_page(page, N_("Stop these messages?"), f"/unsubscribe/{token}")


@post("/unsubscribe/{token:str}", status_code=200, guards=[guarded(PUBLIC)])
async def post_unsubscribe(call: Asked, token: FromPath[str]) -> Template:
    """Stop the messages, without cookies: a mail program's own button sends this too (RFC 8058)."""
    try:
        page = await unsubscribe(call.anonymous(), token, signer=_signer(call))
    except ClinicError as error:
        return await _refused(call, token, error)
    return _unsubscribe_page(page, N_("These messages have stopped."), None)


HANDLERS = (get_link, post_link, get_unsubscribe, post_unsubscribe)


def _signer(call: RequestContext) -> LinkSigner:
    return LinkSigner(call.services.settings.secret)


def _shown(
    call: RequestContext,
    page: LinkPage,
    token: str,
    *,
    status: int = 200,
    notice: str | None = None,
) -> Template:
    language = translations_of(page.language)
    appointment, zone, state = page.view.appointment, page.view.zone, page.state
    title, lines = _title_and_lines(page, language)
    asks = state is LinkState.ASKS
    button = _BUTTONS.get(page.purpose) if asks else None
    choices = [
        {
            "id": choice.slot.id,
            "day": language.date(choice.slot.starts_at, zone),
            "times": language.times(choice.slot.starts_at, choice.slot.ends_at, zone),
            # Where it is, when that is elsewhere.
            "place": _elsewhere(page, choice),
        }
        for choice in page.choices
    ]
    is_off = state is LinkState.CANCELLED or (
        state is LinkState.DONE and page.purpose is Purpose.CANCEL
    )
    facts = facts_of(
        page.clinic,
        page.language,
        title,
        *([notice] if notice else []),
        *lines,
        date=language.date(appointment.starts_at, zone),
        times=language.times(appointment.starts_at, appointment.ends_at, zone),
        zone=zone_name(appointment.starts_at, zone),
        place=_place_of(page),
        directions=None if is_off or page.location is None else page.location.directions,
        struck=is_off,
        button=language.gettext(button) if button else None,
        action=f"/m/{token}",
        choices=choices,
        calls=state in _SAYS_TO_CALL or (asks and page.purpose is Purpose.MOVE and not choices),
        home=call.services.settings.frontend_url if is_off else "",
        home_label=language.gettext("Book another appointment"),
    )
    return page_response(status, "link.html", facts)


def _place_of(page: LinkPage) -> list[str]:
    """Return the lines that say where the appointment is, when it is at a location."""
    if page.location is None:
        return []
    address = page.location.address or page.clinic.contact.address or ""
    return [page.location.name, *address.splitlines()]


def _elsewhere(page: LinkPage, choice: SlotView) -> str | None:
    if choice.slot.location_id == page.view.location_id:
        return None
    found = page.location_of(choice.slot.location_id)
    return page.clinic.name if found is None else found.name


def _title_and_lines(page: LinkPage, language: Translations) -> tuple[str, list[str]]:
    _, state = language.gettext, page.state
    if state is LinkState.DONE:
        return _(_DONE[page.purpose]), []
    if state is not LinkState.ASKS:
        title, line = _NOTHING_TO_DO[state]
        return _(title), [_(line)]
    title = _(_ASKS[page.purpose])
    if page.purpose is not Purpose.MOVE:
        return title, []
    if page.choices:
        return title, [_("Choose another time. You keep your current time until you do.")]
    return title, [_("No other time is free at the moment. Please call the clinic.")]


def _unsubscribe_page(page: UnsubscribePage, title: str, action: str | None) -> Template:
    _ = translations_of(page.language).gettext
    facts = facts_of(
        page.clinic,
        page.language,
        _(title),
        _("You will still hear about bookings, changes and cancellations."),
        button=_("Stop them") if action else None,
        action=action,
    )
    return page_response(200, "link.html", facts)


async def _refused(call: RequestContext, token: str, error: ClinicError) -> Template:
    """Return a page that says what went wrong and what to do about it."""
    if isinstance(error, TemporaryFailure):
        # `render_page` says that it may be tried again.
        raise error
    status = status_of(type(error))
    store = call.services.store
    if isinstance(error, SlotTaken | SlotBlocked | PolicyRefused):
        # The link is valid; the times to choose from have changed.
        page = await open_link(call.anonymous(), token, signer=_signer(call))
        notice = translations_of(page.language).gettext("Sorry, that time is no longer free.")
        return _shown(call, page, token, status=status, notice=notice)
    clinic = await clinic_of_link(token, store=store)
    why = N_(
        "This link is not valid, or no longer works. Use the one in the latest message, or call the"
        " clinic."
    )
    call_label = in_each_language(N_("Call"))
    return page_of_invalid_link(status, clinic, why, calls=True, call_label=" · ".join(call_label))
