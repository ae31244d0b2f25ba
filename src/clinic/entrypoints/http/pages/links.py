"""The pages behind the links of messages. GET shows, only POST acts."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from clinic.domain.errors import (
    ClinicError,
    InsideCancelNotice,
    LinkInvalid,
    LinkOutdated,
    PolicyRefused,
    SlotBlocked,
    SlotTaken,
    TemporaryFailure,
)
from clinic.domain.links import LinkSigner, Purpose
from clinic.entrypoints.http.call import Call
from clinic.entrypoints.http.endpoint import endpoint
from clinic.entrypoints.http.pages.rendering import page_reply
from clinic.entrypoints.http.pages.words import WORDS, times
from clinic.entrypoints.http.problems import status_of
from clinic.entrypoints.http.reply import Reply
from clinic.usecases.follow_link import (
    LinkPage,
    follow_link,
    open_link,
    open_unsubscribe,
    unsubscribe,
)

_TAG = "Pages"


class MoveQuery(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Where a move is to go."""

    slot: Annotated[UUID | None, Meta(description="the slot to move into")] = None


@endpoint("GET", "/m/{token}", tag=_TAG, summary="A link's page", answers=None, needs=None)
async def get_link(call: Call, token: str) -> Reply:
    """What the link would do, with a button that does it."""
    services = call.services
    try:
        page = await open_link(
            store=services.store, signer=_signer(call), clock=services.clock, token=token
        )
    except ClinicError as error:
        return _refused(error)
    return _shown(page, token)


@endpoint("POST", "/m/{token}", tag=_TAG, summary="Do it", answers=None, needs=None)
async def post_link(call: Call, token: str, query: MoveQuery) -> Reply:
    """Confirm, cancel or move the appointment; twice is as good as once."""
    services = call.services
    try:
        page = await follow_link(
            store=services.store,
            transactions=services.transactions,
            signer=_signer(call),
            clock=services.clock,
            new_id=services.new_id,
            token=token,
            slot_id=query.slot,
            request_id=call.request_id,
            ip=call.address,
        )
    except ClinicError as error:
        return _refused(error)
    return _shown(page, token)


@endpoint(
    "GET", "/unsubscribe/{token}", tag=_TAG, summary="Stop messages?", answers=None, needs=None
)
async def get_unsubscribe(call: Call, token: str) -> Reply:
    """Ask; opening the link stops nothing."""
    try:
        await open_unsubscribe(signer=_signer(call), clock=call.services.clock, token=token)
    except ClinicError as error:
        return _refused(error)
    return _told("unsubscribe", f"/unsubscribe/{token}")


@endpoint("POST", "/unsubscribe/{token}", tag=_TAG, summary="Stop", answers=None, needs=None)
async def post_unsubscribe(call: Call, token: str) -> Reply:
    """Stop, at once and without cookies: also what a mail program's own button sends (RFC 8058)."""
    services = call.services
    try:
        await unsubscribe(
            store=services.store,
            transactions=services.transactions,
            signer=_signer(call),
            clock=services.clock,
            new_id=services.new_id,
            token=token,
            request_id=call.request_id,
            ip=call.address,
        )
    except ClinicError as error:
        return _refused(error)
    return _told("unsubscribe_done", None)


ENDPOINTS = (get_link, post_link, get_unsubscribe, post_unsubscribe)


def _signer(call: Call) -> LinkSigner:
    return LinkSigner(call.services.settings.secret)


def _shown(page: LinkPage, token: str) -> Reply:
    words = WORDS.get(page.preferences.language, WORDS["en"])
    appointment, zone = page.view.appointment, page.view.zone
    date, span, zone_text = times(appointment.starts_at, appointment.ends_at, zone)
    name = page.purpose.name.lower()
    moves = page.purpose is Purpose.MOVE
    lines, button = [], None
    if not page.done and moves:
        lines = [words["move_line"] if page.choices else words["move_none"]]
    elif not page.done:
        button = words[f"{name}_button"]
    choices = []
    for choice in page.choices:
        day, hours, _ = times(choice.slot.starts_at, choice.slot.ends_at, zone)
        choices.append({"id": choice.slot.id, "text": f"{day}, {hours}"})
    return page_reply(
        200,
        "link.html",
        {
            "language": page.preferences.language,
            "clinic": page.clinic_name,
            "title": words[f"{name}_done"] if page.done else words[name],
            "date": date,
            "times": span,
            "zone": zone_text,
            "lines": lines,
            "button": button,
            "action": f"/m/{token}",
            "choices": choices,
        },
    )


def _told(name: str, action: str | None) -> Reply:
    # Whose choice it is stays unsaid, so the language is not known either.
    languages = ("en", "de")
    asks = action is not None
    return page_reply(
        200,
        "link.html",
        {
            "language": "en",
            "clinic": "",
            "title": " · ".join(WORDS[each][name] for each in languages),
            "date": None,
            "lines": [WORDS[each]["unsubscribe_line"] for each in languages],
            "button": (
                " · ".join(WORDS[each]["unsubscribe_button"] for each in languages)
                if asks
                else None
            ),
            "action": action,
            "choices": [],
        },
    )


def _refused(error: ClinicError) -> Reply:
    """Return a page that says what went wrong and what to do about it."""
    if isinstance(error, TemporaryFailure):
        # The envelope says it in its own way, and that it may be tried again.
        raise error
    reasons: dict[type[ClinicError], str] = {
        LinkInvalid: "invalid",
        LinkOutdated: "outdated",
        InsideCancelNotice: "late",
        PolicyRefused: "late",
        SlotTaken: "move_taken",
        SlotBlocked: "move_taken",
    }
    name = next((text for kind, text in reasons.items() if isinstance(error, kind)), "call")
    return page_reply(
        status_of(type(error)),
        "link.html",
        {
            "language": "en",
            "clinic": "",
            "title": WORDS["en"]["failed"],
            "date": None,
            "lines": [WORDS["en"][name], WORDS["de"][name]],
            "button": None,
            "action": None,
            "choices": [],
        },
    )
