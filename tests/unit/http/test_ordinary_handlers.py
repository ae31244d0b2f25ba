"""Ordinary Litestar handlers behind access control: a page, a form, a stream of events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

import httpx
import pytest
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import ImproperlyConfiguredException
from litestar.params import SkipValidation, URLEncodedBody
from litestar.response import ServerSentEvent
from msgspec import Meta, Struct
from tests.unit.http.test_notifications import a_token

from clinic.bootstrap import in_memory
from clinic.domain.errors import (
    AuditUnavailable,
    OutcomeUnknown,
    PatientNotFound,
    SlotTaken,
    TemporaryFailure,
)
from clinic.domain.links import Purpose
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.app import create_app
from clinic.entrypoints.http.kernel.access import Access
from clinic.entrypoints.http.kernel.deadlines import LOOK_S, Deadlines
from clinic.entrypoints.http.kernel.ordinary import group, guarded
from clinic.entrypoints.http.kernel.renderers import render_outcome
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.pages.rendering import render_page
from clinic.settings import Settings
from clinic.testing.builders import NOW
from clinic.testing.clock import FixedClock

Asked = NamedDependency[SkipValidation[RequestContext]]
TIMEOUT_S = 0.2


class Note(Struct):
    text: Annotated[str, Meta(max_length=20)]


@get("/staff/page", guards=[guarded(Access(Operation.LIST_PATIENTS))])
async def page(call: Asked) -> Response[str]:
    return Response(f"<h1>{call.actor.role}</h1>", media_type="text/html")


@post("/staff/notes", status_code=200, guards=[guarded(Access(Operation.LIST_PATIENTS))])
async def note(call: Asked, data: URLEncodedBody[Note]) -> Response[str]:
    return Response(data.text, media_type="text/plain")


@get("/staff/events", guards=[guarded(Access(Operation.LIST_PATIENTS))])
async def events(call: Asked) -> ServerSentEvent:
    async def counted() -> AsyncIterator[str]:
        for number in range(3):
            yield str(number)
            # Longer than any other response may take.
            await asyncio.sleep(TIMEOUT_S + 2 * LOOK_S)

    return ServerSentEvent(counted())


@get("/staff/slow", guards=[guarded(Access())])
async def slow() -> None:
    await asyncio.sleep(30)


FAILURES = {
    "away": TemporaryFailure,
    "lost": OutcomeUnknown,
    "absent": PatientNotFound,
    "taken": SlotTaken,
    "broken": ZeroDivisionError,
}


@get("/staff/fails/{how:str}", guards=[guarded(Access())])
async def fails(call: Asked) -> None:
    raise FAILURES[call.path.rsplit("/", 1)[1]]()


HANDLERS = (page, note, events, slow, fails)


@pytest.fixture(params=[render_page, render_outcome], ids=["pages", "fhir"])
def renderer(request):
    return request.param


@pytest.fixture
async def site(api, renderer):
    """Mount the handlers in the application as a separate group."""
    app = create_app(api.services)
    app.register(group("/", HANDLERS, deadlines=Deadlines(TIMEOUT_S), renderer=renderer))
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
        yield client


def refusal(answer: httpx.Response, renderer):
    """Return the code of a refusal, rendered as in its group."""
    if renderer is render_page:
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "<h1>" in answer.text
        return ""
    assert answer.headers["content-type"] == "application/fhir+json"
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    [issue] = body["issue"]
    return issue["code"] + " " + issue["details"]["coding"][0]["code"]


async def test_handler_answers_whom_it_is_for(api, site, renderer) -> None:
    shown = await site.get("/staff/page", headers=api.bearer("receptionist"))
    patient = await site.get("/staff/page", headers=api.bearer("patient"))
    nobody = await site.get("/staff/page")

    assert (shown.status_code, shown.text) == (200, "<h1>RECEPTIONIST</h1>")
    assert shown.headers["ratelimit-policy"].startswith('"read"')
    assert (patient.status_code, nobody.status_code) == (403, 401)
    assert nobody.headers["www-authenticate"] == 'Bearer realm="clinic"'
    assert refusal(patient, renderer) in ("", "forbidden permission_denied")
    assert refusal(nobody, renderer) in ("", "login not_signed_in")


async def test_reads_and_refusals_are_audited(api, site) -> None:
    await site.get("/staff/page", headers=api.bearer("receptionist"))
    await site.get("/staff/page", headers=api.bearer("patient"))
    await api.services.audit.flush()

    told = [(one.action, one.outcome, one.detail["route"]) for one in api.services.store.events]
    assert told[-2:] == [
        ("read", "done", "/staff/page"),
        ("get", "permission_denied", "/staff/page"),
    ]


async def test_what_cannot_be_audited_is_not_shown(api, site, renderer, monkeypatch) -> None:
    def full(event) -> None:
        raise AuditUnavailable()

    monkeypatch.setattr(type(api.services.audit), "add", lambda self, event: full(event))

    hidden = await site.get("/staff/page", headers=api.bearer("receptionist"))

    assert hidden.status_code == 503
    assert "RECEPTIONIST" not in hidden.text
    assert refusal(hidden, renderer) in ("", "transient audit_unavailable")


async def test_form_is_read_by_litestar(api, site, renderer) -> None:
    desk = api.bearer("receptionist")
    kept = await site.post("/staff/notes", data={"text": "quiet"}, headers=desk)
    wrong = await site.post("/staff/notes", data={"text": "x" * 21}, headers=desk)

    assert (kept.status_code, kept.text) == (200, "quiet")
    assert wrong.status_code == 400
    assert refusal(wrong, renderer) in ("", "invalid bad_request")


async def test_stream_outlives_the_limit_of_time(api, site) -> None:
    told = await site.get("/staff/events", headers=api.bearer("receptionist"))

    assert told.status_code == 200
    assert told.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert [line for line in told.text.split("\r\n") if line] == ["data: 0", "data: 1", "data: 2"]


async def test_handler_that_does_not_answer_in_time_is_ended(site, renderer) -> None:
    late = await site.get("/staff/slow")

    assert (late.status_code, late.headers["retry-after"]) == (503, "1")
    assert refusal(late, renderer) in ("", "transient timeout")


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("away", 503, "transient temporary_failure"),
        ("lost", 503, "transient outcome_unknown"),
        ("absent", 404, "not-found patient_not_found"),
        ("taken", 409, "conflict slot_taken"),
        ("broken", 500, "exception internal_error"),
    ],
)
async def test_failure_is_rendered_by_the_group(site, renderer, how, status, code) -> None:
    failed = await site.get(f"/staff/fails/{how}")

    assert failed.status_code == status
    assert refusal(failed, renderer) in ("", code)


async def test_parameter_that_does_not_exist_is_refused(api, site, renderer) -> None:
    odd = await site.get("/staff/page?x=1", headers=api.bearer("receptionist"))

    assert odd.status_code == 400
    assert refusal(odd, renderer) in ("", "invalid unknown_parameter")


async def test_head_gets_no_body(api, site) -> None:
    head = await site.head("/staff/page", headers=api.bearer("receptionist"))

    assert (head.status_code, head.content) == (200, b"")


async def test_handler_without_a_guard_is_not_mounted() -> None:
    @get("/open")
    async def unguarded() -> None: ...

    with pytest.raises(ImproperlyConfiguredException, match="guarded"):
        group("/", [unguarded], deadlines=Deadlines(TIMEOUT_S))


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("en", "We cannot do this right now"),
        ("de-AT", "Das geht im Moment nicht"),
        (None, "We cannot do this right now · Das geht im Moment nicht"),
    ],
)
async def test_link_shows_a_page_while_the_database_is_away(
    api, monkeypatch, language, title
) -> None:
    """Given a link from a message, and a database that is down
    When the link is opened
    Then a page says so in the language that the browser requests."""
    appointment = await api.book()
    token = a_token(api, UUID(appointment["id"]), Purpose.CONFIRM)

    async def away(*_):
        raise TemporaryFailure()

    monkeypatch.setattr(api.services.store.appointments, "get", away)
    headers = {"accept-language": language} if language else {"accept-language": ""}
    for method in ("GET", "POST"):
        answer = await api.client.request(method, f"/m/{token}", headers=headers)

        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert f"<h1>{title}</h1>" in answer.text
        assert "form-action 'self'" in answer.headers["content-security-policy"]


async def test_link_opened_too_often_shows_a_page() -> None:
    services = in_memory(clock=FixedClock(NOW), settings=Settings(anonymous_limit="2/60"))
    app = create_app(services)
    async with app.lifespan():
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
            answers = [
                await client.get("/m/x", headers={"accept-language": "de"}) for _ in range(3)
            ]

    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert "<h1>Das war zu oft</h1>" in answers[2].text
    assert f"Bitte warten Sie {answers[2].headers['retry-after']} Sekunden" in answers[2].text
