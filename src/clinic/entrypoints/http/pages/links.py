"""The pages behind the links of messages. GET shows, only POST acts."""

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
from clinic.entrypoints.http.pages.rendering import facts_of, page_response
from clinic.entrypoints.http.pages.words import WORDS, times, words_in
from clinic.usecases.messaging.follow_link import (
    LinkPage,
    UnsubscribePage,
    clinic_of_link,
    follow_link,
    open_link,
    open_unsubscribe,
    unsubscribe,
)

#: what a form answers that could no longer do what it is for
_NOT_DONE = {LinkState.MOVED: 404, LinkState.LATE: 422, LinkState.OVER: 409}
#: pages that say to call, or that the way to another appointment is the front end's
_SAYS_TO_CALL = (LinkState.MOVED, LinkState.LATE, LinkState.OVER)


class MoveQuery(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Where a move is to go."""

    slot: Annotated[UUID | None, Meta(description="the slot to move into")] = None


@get("/m/{token:str}", guards=[guarded(PUBLIC, query=MoveQuery)])
async def get_link(call: Asked, token: FromPath[str]) -> Template:
    """What the link would do, with a button that does it; or why it no longer can.

    A form's own address, opened again, has the slot in it, and shows the same page.
    """
    try:
        page = await open_link(call.anonymous(), token, signer=_signer(call))
    except ClinicError as error:
        return await _refused(call, token, error)
    return _shown(call, page, token)


@post("/m/{token:str}", status_code=200, guards=[guarded(PUBLIC, query=MoveQuery)])
async def post_link(call: Asked, token: FromPath[str]) -> Template:
    """Confirm, cancel or move the appointment; twice is as good as once."""
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
    """Ask; opening the link stops nothing."""
    try:
        page = await open_unsubscribe(call.anonymous(), token, signer=_signer(call))
    except ClinicError as error:
        return await _refused(call, token, error)
    return _told(page, "unsubscribe", f"/unsubscribe/{token}")


@post("/unsubscribe/{token:str}", status_code=200, guards=[guarded(PUBLIC)])
async def post_unsubscribe(call: Asked, token: FromPath[str]) -> Template:
    """Stop, at once and without cookies: also what a mail program's own button sends (RFC 8058)."""
    try:
        page = await unsubscribe(call.anonymous(), token, signer=_signer(call))
    except ClinicError as error:
        return await _refused(call, token, error)
    return _told(page, "unsubscribe_done", None)


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
    words = words_in(page.language)
    appointment, zone, state = page.view.appointment, page.view.zone, page.state
    date, span, zone_text = times(appointment.starts_at, appointment.ends_at, zone, page.language)
    title, lines = _said(page, words)
    asks = state is LinkState.ASKS
    name = page.purpose.name.lower()
    choices = []
    for choice in page.choices:
        day, hours, _ = times(choice.slot.starts_at, choice.slot.ends_at, zone, page.language)
        choices.append({"id": choice.slot.id, "day": day, "times": hours})
    is_off = state is LinkState.CANCELLED or (
        state is LinkState.DONE and page.purpose is Purpose.CANCEL
    )
    facts = facts_of(
        page.clinic,
        page.language,
        title,
        *([notice] if notice else []),
        *lines,
        date=date,
        times=span,
        zone=zone_text,
        struck=is_off,
        button=words[f"{name}_button"] if asks and page.purpose is not Purpose.MOVE else None,
        action=f"/m/{token}",
        choices=choices,
        calls=state in _SAYS_TO_CALL or (asks and page.purpose is Purpose.MOVE and not choices),
        home=call.services.settings.frontend_url if is_off else "",
        home_label=words["book"],
    )
    return page_response(status, "link.html", facts)


def _said(page: LinkPage, words: dict[str, str]) -> tuple[str, list[str]]:
    """Return the title and the lines of a link's page."""
    name, state = page.purpose.name.lower(), page.state
    if state is LinkState.DONE:
        return words[f"{name}_done"], []
    if state is not LinkState.ASKS:
        said = state.name.lower()
        return words[said], [words[f"{said}_line"]]
    if page.purpose is Purpose.MOVE:
        return words["move"], [words["move_line"] if page.choices else words["move_none"]]
    return words[name], []


def _told(page: UnsubscribePage, name: str, action: str | None) -> Template:
    words = words_in(page.language)
    button = words["unsubscribe_button"] if action else None
    facts = facts_of(
        page.clinic,
        page.language,
        words[name],
        words["unsubscribe_line"],
        button=button,
        action=action,
    )
    return page_response(200, "link.html", facts)


async def _refused(call: RequestContext, token: str, error: ClinicError) -> Template:
    """Return a page that says what went wrong and what to do about it."""
    if isinstance(error, TemporaryFailure):
        # The group says that it may be tried again.
        raise error
    status = status_of(type(error))
    store = call.services.store
    if isinstance(error, SlotTaken | SlotBlocked | PolicyRefused):
        # The link holds, and what else can be chosen has changed.
        page = await open_link(call.anonymous(), token, signer=_signer(call))
        notice = words_in(page.language)["move_taken"]
        return _shown(call, page, token, status=status, notice=notice)
    clinic = await clinic_of_link(token, store=store)
    # Whose link it was is not known, so the language is not either.
    facts = facts_of(
        clinic,
        "en",
        " · ".join(words["failed"] for words in WORDS.values()),
        *(words["invalid"] for words in WORDS.values()),
        calls=True,
        call_label=" · ".join(words["call_button"] for words in WORDS.values()),
    )
    return page_response(status, "link.html", facts)
