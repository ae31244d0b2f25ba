"""Pages that say why a page could not be shown, or a form not be sent."""

from typing import Any, cast

import httpx
import pytest
from litestar import route
from litestar.params import FromPath

from clinic.bootstrap import in_memory
from clinic.domain.contact import LANGUAGES
from clinic.domain.errors import (
    ForgedRequest,
    InsideNotice,
    NotSignedIn,
    OutcomeUnknown,
    PermissionDenied,
    QuotaExceeded,
    SlotTaken,
    TemporaryFailure,
)
from clinic.entrypoints.http.app import create_app
from clinic.entrypoints.http.kernel.access import Access
from clinic.entrypoints.http.kernel.deadlines import Deadlines
from clinic.entrypoints.http.kernel.ordinary import group, guarded
from clinic.entrypoints.http.kernel.problems import RequestTimeout
from clinic.entrypoints.http.pages.rendering import render_page
from clinic.settings import Settings
from clinic.testing.builders import NOW
from clinic.testing.clock import FixedClock
from clinic.translations import translations_of

AWAY = (
    "We cannot do this right now",
    "Nothing was changed. Please open the link again in a few minutes.",
)
UNKNOWN = (
    "We do not know whether this worked",
    "Please open the link again: it shows whether it was done.",
)
SIGNED_OUT = (
    "You are not signed in",
    "Please sign in, then open this page again.",
)
FORGED = (
    "This form is out of date",
    "Nothing was changed. Please open the page again and send its form.",
)
DENIED = (
    "This page is not open to you",
    "If you should be able to use it, please ask the clinic.",
)
IMPOSSIBLE = (
    "This is not possible",
    "Nothing was changed. Please open the page again: it shows what is possible.",
)

FAILURES = {
    "away": TemporaryFailure(),
    "late": RequestTimeout(),
    "lost": OutcomeUnknown(),
    "signed-out": NotSignedIn(),
    "forged": ForgedRequest(),
    "denied": PermissionDenied(),
    "taken": SlotTaken(),
    "policy": InsideNotice(),
    "second": QuotaExceeded(retryAfterS=1),
    "seconds": QuotaExceeded(retryAfterS=120),
    "minutes": QuotaExceeded(retryAfterS=121),
}


@route("/fails/{how:str}", http_method=["GET", "POST"], guards=[guarded(Access())])
async def fails(how: FromPath[str]) -> None:
    raise FAILURES[how]


async def shown(api, method: str, how: str, language: str) -> httpx.Response:
    app = create_app(api.services)
    app.register(group("/", (fails,), deadlines=Deadlines(5), renderer=render_page))
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
        return await client.request(method, f"/fails/{how}", headers={"accept-language": language})


@pytest.mark.parametrize(
    ("method", "how", "says"),
    [
        # Nothing was to be changed, so nothing can have been.
        ("GET", "late", AWAY),
        ("GET", "lost", AWAY),
        ("POST", "away", AWAY),
        ("POST", "late", UNKNOWN),
        ("POST", "lost", UNKNOWN),
        ("GET", "signed-out", SIGNED_OUT),
        ("POST", "forged", FORGED),
        ("GET", "denied", DENIED),
        ("POST", "taken", IMPOSSIBLE),
        ("POST", "policy", IMPOSSIBLE),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_refusal_is_in_the_words_that_fit(api, method, how, says, language) -> None:
    page = await shown(api, method, how, language)

    title, line = map(translations_of(language).gettext, says)
    assert f"<h1>{title}</h1>" in page.text
    assert f"<p>{line}</p>" in page.text
    assert (title == says[0], line == says[1]) == (language == "en", language == "en")


@pytest.mark.parametrize(
    ("how", "english", "german"),
    [
        ("second", "wait a second,", "warten Sie eine Sekunde und"),
        ("seconds", "wait 120 seconds,", "warten Sie 120 Sekunden und"),
        ("minutes", "wait 3 minutes,", "warten Sie 3 Minuten und"),
    ],
)
async def test_how_long_to_wait_is_in_words(api, how, english, german) -> None:
    assert english in (await shown(api, "GET", how, "en")).text
    assert german in (await shown(api, "GET", how, "de")).text


async def test_limit_on_the_first_page_is_audited_by_a_name() -> None:
    services = in_memory(clock=FixedClock(NOW), settings=Settings(anonymous_limit="1/60"))
    app = create_app(services)
    async with app.lifespan():
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
            answers = [await client.get("/") for _ in range(2)]
        await services.audit.flush()

    assert [answer.status_code for answer in answers] == [200, 429]
    [*_, refused] = cast(Any, services.store).events
    assert (refused.entity, refused.outcome) == ("request", "quota_exceeded")
