"""The page at `/`, for anyone who opens the service's URL: what it is, and where to continue."""

from litestar import get
from litestar.response import Template

from clinic.entrypoints.http.kernel.languages import asked_language
from clinic.entrypoints.http.kernel.ordinary import Asked, guarded
from clinic.entrypoints.http.pages.handlers import PUBLIC
from clinic.entrypoints.http.pages.rendering import page_response


@get("/", guards=[guarded(PUBLIC)])
async def get_index(call: Asked) -> Template:
    """Show what this service is, and where its documentation and health are; no data."""
    settings = call.services.settings
    facts: dict[str, object] = {
        "language": asked_language(call.header(b"accept-language")) or "en",
        "title": "Clinic",
        "home": settings.frontend_url,
        "mailbox": settings.mailbox,
    }
    return page_response(200, "index.html", facts, vary="Accept-Language")


HANDLERS = (get_index,)
