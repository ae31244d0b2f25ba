"""The bare application: the same work and the same bytes with nothing around it.

It authenticates no one, counts nothing and writes no log, so what a real request costs in addition
is the price of all that. A booking writes the same rows as the baseline's statement and the real
application, including its idempotency key. Only `clinic bench` runs it, on its own database: no
command serves it, and no setting turns the real application into it.
"""

import datetime as dt
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from litestar import Litestar
from litestar.handlers import asgi

from clinic.bootstrap import Services, build
from clinic.devtools.bench.world import CLINIC_ID, ZONE
from clinic.domain.appointments.appointments import AppointmentView
from clinic.domain.calendar.availability import day_interval
from clinic.domain.errors import ClinicError
from clinic.domain.idempotency import Answer, IdempotentRequest, fingerprint
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Role, Scope, system_actor
from clinic.entrypoints.http.api.appointments.schemas import AppointmentOut, BookIn
from clinic.entrypoints.http.api.calendar.schemas import SlotOut
from clinic.entrypoints.http.asgi import tune_gc
from clinic.entrypoints.http.kernel.schemas import ItemsOut
from clinic.ports.appointments import AppointmentQuery
from clinic.ports.calendars import SlotQuery
from clinic.settings import settings_from_environment
from clinic.usecases.appointments.book import book_once
from clinic.usecases.idempotency import IdempotentCall

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(BookIn).decode
_ZONE = ZoneInfo(ZONE)


def make_app() -> Litestar:
    """Return the application on the database that the settings of this process name."""
    services = build(settings_from_environment())

    async def close() -> None:
        await services.store.close()

    async def open_store() -> None:
        await services.store.open()
        tune_gc()

    return Litestar(
        [
            asgi("/appointments", copy_scope=False)(_appointments(services)),
            asgi("/slots", copy_scope=False)(_slots(services)),
            asgi("/health/live", copy_scope=False)(_live),
        ],
        on_startup=[open_store],
        on_shutdown=[close],
        openapi_config=None,
        logging_config=None,
    )


def _appointments(services: Services) -> Any:
    async def appointments(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            await _book(services, scope, receive, send)
        else:
            await _list(services, scope, send)

    return appointments


async def _book(services: Services, scope: Any, receive: Any, send: Any) -> None:
    content = (await receive())["body"]
    body = _decode(content)
    assert body.patient_id is not None
    key = dict(scope["headers"])[b"idempotency-key"].decode()
    request = IdempotentRequest(
        CLINIC_ID, body.patient_id, key, fingerprint("POST", "/appointments", content)
    )
    outcome = await book_once(
        services.context(Actor(body.patient_id, Role.PATIENT, CLINIC_ID), body.reason),
        IdempotentCall(request, _booked, _refused),
        body.slot_id,
        type=body.type,
    )
    await _answer(send, outcome.answer.status, outcome.answer.body)


def _booked(view: AppointmentView) -> Answer:
    return Answer(201, _encode(AppointmentOut.of(view)))


def _refused(_: ClinicError) -> Answer:
    return Answer(409, b"{}")


async def _list(services: Services, scope: Any, send: Any) -> None:
    """Answer with one page of a day's appointments, as the real application does."""
    asked = dict(parse_qsl(scope["query_string"].decode()))
    day = day_interval(dt.date.fromisoformat(asked["date"]), _ZONE)
    query = AppointmentQuery(Scope(CLINIC_ID), starts_from=day.starts_at, starts_before=day.ends_at)
    limit = int(asked["limit"])
    views = await services.store.appointments.list(
        system_actor(CLINIC_ID), query, PageRequest(limit)
    )
    body = _encode(ItemsOut([AppointmentOut.of(view) for view in views[:limit]]))
    await _answer(send, 200, body)


def _slots(services: Services) -> Any:
    async def slots(scope: Any, receive: Any, send: Any) -> None:
        asked = dict(parse_qsl(scope["query_string"].decode()))
        query = SlotQuery(
            CLINIC_ID,
            dt.datetime.fromisoformat(asked["from"]),
            dt.datetime.fromisoformat(asked["to"]),
            doctor_id=UUID(asked["doctor"]),
        )
        views = await services.store.calendars.list_slots(query, PageRequest(int(asked["limit"])))
        await _answer(send, 200, _encode(ItemsOut([SlotOut.of(view, _ZONE) for view in views])))

    return slots


async def _live(scope: Any, receive: Any, send: Any) -> None:
    await _answer(send, 200, b"{}")


async def _answer(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
