"""The page at `/`, for whoever opens the service's own address: what it is, and where to go on."""

from litestar import get
from litestar.response import Template

from clinic.entrypoints.http.kernel.languages import asked_language
from clinic.entrypoints.http.kernel.ordinary import Asked, guarded
from clinic.entrypoints.http.pages.handlers import PUBLIC
from clinic.entrypoints.http.pages.rendering import page_response
from clinic.entrypoints.http.pages.words import words_in


@get("/", guards=[guarded(PUBLIC)])
async def get_index(call: Asked) -> Template:
    """Says what this service is, and where its documentation and its health are; no data."""
    settings = call.services.settings
    language = asked_language(call.header(b"accept-language")) or "en"
    words = words_in(language)
    links = [
        ("/schema", words["index_schema"]),
        ("/schema/openapi.json", words["index_openapi"]),
        ("/health/live", words["index_live"]),
        ("/health/ready", words["index_ready"]),
    ]
    if settings.mailbox:
        links.append(("/mailbox", words["index_mailbox"]))
    facts: dict[str, object] = {
        "language": language,
        "title": words["index"],
        "lines": [words["index_line"], words["index_patients"]],
        "home": settings.frontend_url,
        "home_label": words["index_home"],
        "technical": words["index_technical"],
        "links": links,
    }
    return page_response(200, "index.html", facts, vary="Accept-Language")


HANDLERS = (get_index,)
