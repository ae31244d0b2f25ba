"""Documentation of the interface: OpenAPI, Swagger UI from our own files, a page per problem."""

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import msgspec

from clinic.domain.errors import NotFound
from clinic.entrypoints.http.api.examples import EXAMPLES, SLOT_EXAMPLE
from clinic.entrypoints.http.api.remedies import problem_page
from clinic.entrypoints.http.api.schemas import ProblemPageOut
from clinic.entrypoints.http.kernel.endpoint import Endpoint, endpoint
from clinic.entrypoints.http.kernel.openapi import Examples, document
from clinic.entrypoints.http.kernel.problems import answered_errors
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext

_TAG = "Documentation"
_STATIC = "/schema/static/"
_KEPT = (b"cache-control", b"public, max-age=86400")
#: lets the page load only our own files; Swagger UI writes styles into the page
_CSP = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    b" img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    b" frame-ancestors 'none'"
)
_FILES = {
    "swagger-ui.css": b"text/css; charset=utf-8",
    "swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "start.js": b"text/javascript; charset=utf-8",
    "favicon-32x32.png": b"image/png",
}
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Clinic API</title>
<link rel="stylesheet" href="{_STATIC}swagger-ui.css">
<link rel="icon" href="{_STATIC}favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{_STATIC}swagger-ui-bundle.js"></script>
<script src="{_STATIC}start.js"></script>
</body>
</html>
""".encode()


@endpoint("GET", "/schema", tag=_TAG, summary="Browse this interface", answers=None, needs=None)
async def get_page(call: RequestContext) -> Reply:
    """Swagger UI, from this server alone."""
    headers = [(b"content-security-policy", _CSP), (b"cache-control", b"no-cache")]
    return Reply(200, _PAGE, headers, b"text/html; charset=utf-8")


@endpoint(
    "GET", "/schema/swagger", tag=_TAG, summary="Browse this interface", answers=None, needs=None
)
async def get_swagger(call: RequestContext) -> Reply:
    """The same as /schema."""
    return await get_page.handle(call)


@endpoint(
    "GET", "/schema/static/{name}", tag=_TAG, summary="A file of it", answers=None, needs=None
)
async def get_file(call: RequestContext, name: str) -> Reply:
    if name not in _FILES:
        raise NotFound()
    content, tag = _file(name)
    headers = [_KEPT, (b"etag", tag)]
    if call.headers.get(b"if-none-match") == tag:
        return Reply(304, headers=headers)
    return Reply(200, content, headers, _FILES[name])


@endpoint(
    "GET",
    "/problems/{code}",
    tag=_TAG,
    summary="Read what a problem means and how to fix it",
    answers=ProblemPageOut,
    needs=None,
    refuses=(NotFound,),
)
async def get_problem(call: RequestContext, code: str) -> Reply:
    """What the `type` of every problem leads to."""
    page = _problem_pages().get(code)
    if page is None:
        raise NotFound()
    return Reply(200, page, [_KEPT])


def endpoints(described: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Return the endpoints of the documentation, which describes `described` and the problems."""

    @cache
    def body() -> bytes:
        return msgspec.json.encode(documented(described))

    @endpoint(
        "GET",
        "/schema/openapi.json",
        tag=_TAG,
        summary="This interface as OpenAPI 3.1",
        answers=None,
        needs=None,
    )
    async def get_document(call: RequestContext) -> Reply:
        return Reply(200, body(), [(b"cache-control", b"no-cache")])

    return get_page, get_swagger, get_file, get_document, get_problem


def documented(described: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI document of `described` and the pages of problems."""
    return document(
        (*described, get_problem), Examples(EXAMPLES, {"slot_taken": {"nearest": [SLOT_EXAMPLE]}})
    )


@cache
def _file(name: str) -> tuple[bytes, bytes]:
    """Return a file's content and its entity tag."""
    folder = files("clinic.entrypoints.http") / "static"
    part = folder / name if name == "start.js" else folder / "swagger-ui" / name
    content = part.read_bytes()
    return content, b'"' + sha256(content).hexdigest()[:32].encode() + b'"'


@cache
def _problem_pages() -> dict[str, bytes]:
    return {kind.code: msgspec.json.encode(problem_page(kind)) for kind in answered_errors()}
