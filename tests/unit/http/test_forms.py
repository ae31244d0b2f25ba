"""Forms of pages for users with a session cookie: the CSRF token is in a field."""

from typing import Annotated
from urllib.parse import urlencode

import httpx
import pytest
from litestar import Response, get, post
from litestar.params import URLEncodedBody
from msgspec import Meta, Struct
from tests.unit.http.conftest import a_scope
from tests.unit.http.test_sign_in import ada, bearer, browser, settings, sign_in

from clinic.domain.permissions import Operation
from clinic.entrypoints.http.app import create_app
from clinic.entrypoints.http.kernel.access import Access
from clinic.entrypoints.http.kernel.deadlines import Deadlines
from clinic.entrypoints.http.kernel.endpoint import CALL
from clinic.entrypoints.http.kernel.ordinary import Asked, group, guarded
from clinic.entrypoints.http.pages.rendering import render_page

__all__ = ["ada", "settings"]

OWN = Access(Operation.BOOK)
FORM = "application/x-www-form-urlencoded"
TEXT_MAX = 20


class Note(Struct, forbid_unknown_fields=True, frozen=True):
    text: Annotated[str, Meta(max_length=TEXT_MAX)]
    csrf: str = ""


@get("/own/notes", guards=[guarded(OWN)])
async def show(call: Asked) -> Response[str]:
    return Response(call.csrf_token(), media_type="text/html")


@post("/own/notes", status_code=200, guards=[guarded(OWN)])
async def keep(call: Asked, data: URLEncodedBody[Note]) -> Response[str]:
    return Response(f"{call.by_cookie} {data.text}", media_type="text/plain")


@post("/own/open", status_code=200, guards=[guarded(Access(knows_actor=True))])
async def keep_open(call: Asked, data: URLEncodedBody[Note]) -> Response[str]:
    return Response(f"{call.known_actor is not None} {data.text}", media_type="text/plain")


def application(services):
    app = create_app(services)
    handlers = (show, keep, keep_open)
    app.register(group("/", handlers, deadlines=Deadlines(5), renderer=render_page))
    return app


@pytest.fixture
async def site(api):
    transport = httpx.ASGITransport(application(api.services))
    async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
        yield client


async def post_form(site, headers, path="/own/notes", **fields):
    return await site.post(path, data=fields, headers=headers)


async def test_form_sends_back_the_token_of_its_page(api, site, ada) -> None:
    """Given a user who signed in by cookie, and a page with a form
    When the form is sent with the page's token in its field
    Then the handler reads the form, including the token."""
    reading, _ = await browser(api)
    token = (await site.get("/own/notes", headers=reading)).text

    kept = await post_form(site, reading, text="quiet", csrf=token)

    assert (kept.status_code, kept.text) == (200, "True quiet")


async def test_header_is_as_good_as_the_field(api, site, ada) -> None:
    _, changing = await browser(api)

    kept = await post_form(site, changing, text="quiet")

    assert (kept.status_code, kept.text) == (200, "True quiet")


@pytest.mark.parametrize(
    "body",
    [
        "text=quiet",
        "text=quiet&csrf=",
        "text=quiet&csrf=x",
        "text=quiet&csrf=%ff%fe",
        "text=quiet&csrf={token}&csrf={token}",
        "text=quiet&Csrf={token}",
        "text=quiet&csrf={token}x",
        "text=quiet;csrf={token}",
        "&".join(f"a{number}=" for number in range(300)) + "&csrf={token}",
    ],
    ids=lambda body: body[:40],
)
async def test_form_without_its_token_is_refused(api, site, ada, body) -> None:
    reading, changing = await browser(api)
    content = body.format(token=changing["x-csrf-token"])

    refused = await site.post(
        "/own/notes", content=content, headers={**reading, "content-type": FORM}
    )

    assert refused.status_code == 403
    assert refused.headers["content-type"] == "text/html; charset=utf-8"
    await api.services.audit.flush()
    assert api.services.store.events[-1].outcome == "forged_request"


async def test_header_that_is_wrong_is_not_made_good_by_the_field(api, site, ada) -> None:
    reading, changing = await browser(api)
    token = changing["x-csrf-token"]

    refused = await post_form(site, {**reading, "x-csrf-token": "x"}, text="quiet", csrf=token)

    assert refused.status_code == 403


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", ""])
async def test_only_forms_carry_the_token_in_a_field(api, site, ada, content_type) -> None:
    reading, changing = await browser(api)
    content = urlencode({"text": "quiet", "csrf": changing["x-csrf-token"]})

    refused = await site.post(
        "/own/notes", content=content, headers={**reading, "content-type": content_type}
    )

    assert refused.status_code == 403


async def test_somebody_elses_token_is_refused(api, site, ada) -> None:
    reading, _ = await browser(api)
    _, other = await browser(api)

    refused = await post_form(site, reading, text="quiet", csrf=other["x-csrf-token"])

    assert refused.status_code == 403


async def test_json_interface_takes_no_token_from_a_body(api, site, ada) -> None:
    reading, changing = await browser(api)

    refused = await post_form(
        site, reading, "/users/me/email-verification", csrf=changing["x-csrf-token"]
    )

    assert (refused.status_code, refused.json()["code"]) == (403, "forged_request")


async def test_browser_that_hides_where_it_comes_from_says_that_it_is_this_site(
    api, site, ada
) -> None:
    """Pages have Referrer-Policy: no-referrer, so browsers send `Origin: null`."""
    reading, changing = await browser(api)
    token = changing["x-csrf-token"]
    answers = [
        await post_form(site, {**reading, "origin": "null", **more}, text="quiet", csrf=token)
        for more in (
            {"sec-fetch-site": "same-origin"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "none"},
            {},
        )
    ]

    assert [answer.status_code for answer in answers] == [200, 403, 403, 403, 403]


async def test_bearer_needs_no_token(api, site, ada) -> None:
    kept = await post_form(site, bearer(await sign_in(api)), text="quiet")

    assert (kept.status_code, kept.text) == (200, "False quiet")


async def test_public_form_knows_its_actor_by_the_token(api, site, ada) -> None:
    reading, changing = await browser(api)
    known = await post_form(site, reading, "/own/open", text="quiet", csrf=changing["x-csrf-token"])
    forged = await post_form(site, reading, "/own/open", text="quiet")
    nobody = await post_form(site, {}, "/own/open", text="quiet", csrf="x")

    assert [known.text, forged.status_code, nobody.text] == ["True quiet", 403, "False quiet"]


@pytest.mark.parametrize("is_announced", [True, False])
async def test_form_that_is_too_large_is_refused_and_counted(api, site, ada, is_announced) -> None:
    reading, _ = await browser(api)

    async def pieces():
        for _ in range(6):
            yield b"x" * 1024

    content = b"x" * 5000 if is_announced else pieces()
    refused = await site.post(
        "/own/notes", content=content, headers={**reading, "content-type": FORM}
    )

    assert refused.status_code == 413
    assert refused.headers["ratelimit-policy"].startswith('"anonymous"')


async def test_form_that_came_in_pieces_is_read_whole(api, site, ada) -> None:
    reading, changing = await browser(api)
    body = urlencode({"text": "quiet", "csrf": changing["x-csrf-token"]}).encode()

    async def pieces():
        for at in range(0, len(body), 7):
            yield body[at : at + 7]

    kept = await site.post(
        "/own/notes", content=pieces(), headers={**reading, "content-type": FORM}
    )

    assert (kept.status_code, kept.text) == (200, "True quiet")


@pytest.mark.parametrize("is_signed_in", [True, False])
@pytest.mark.parametrize("path", ["/own/notes", "/invitations/x"])
async def test_client_that_hangs_up_in_the_middle_of_a_form_is_no_fault(
    api, ada, path, is_signed_in, caplog
) -> None:
    headers = (await browser(api))[0] if is_signed_in else bearer(await sign_in(api))
    came = [
        {"type": "http.request", "body": b"text=qui", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent = []

    async def receive():
        return came.pop(0)

    async def send(message):
        sent.append(message)

    caplog.clear()
    scope = a_scope("POST", path, {"content-type": FORM, **headers})
    await application(api.services)(scope, receive, send)

    assert sent == []
    assert CALL not in scope
    assert caplog.records == []
