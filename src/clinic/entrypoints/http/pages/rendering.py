"""Renders a page from a template, with a policy that lets it load nothing."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import MediaType
from litestar.response import Template

from clinic.bootstrap import shown_phone
from clinic.domain.clinic import Clinic
from clinic.domain.contact import Contact
from clinic.domain.errors import (
    ClinicError,
    Conflict,
    ForgedRequest,
    NotFound,
    NotSignedIn,
    OutcomeUnknown,
    PermissionDenied,
    PolicyRefused,
    QuotaExceeded,
    TemporaryFailure,
)
from clinic.entrypoints.http.kernel.access_control import SAFE_METHODS
from clinic.entrypoints.http.kernel.languages import asked_language
from clinic.entrypoints.http.kernel.problems import (
    InternalError,
    RequestTimeout,
    problem_headers,
    status_of,
)
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.pages.words import WORDS, wait_words, words_in

_TEMPLATES = "templates"


def page_response(status: int, template: str, facts: dict[str, object], **headers: str) -> Template:
    """Return a page that no cache keeps, no search engine lists and no other site frames."""
    context = {**facts, "style": _style()}
    return Template(
        template,
        context=context,
        status_code=status,
        headers={**_headers(), **headers},
        media_type=MediaType.HTML,
    )


def render_page(call: RequestContext, error: ClinicError) -> Reply:
    """Return the refusal of a page, in the language that the browser asks for, or in each."""
    asked = asked_language(call.header(b"accept-language"))
    languages = [asked] if asked else list(WORDS)
    name = _refusal_named(call, error)
    title = " · ".join(WORDS[language][name] for language in languages)
    lines = [
        WORDS[language][f"{name}_line"].format(
            wait=wait_words(error.facts.get("retryAfterS", 0), language),
            request_id=call.request_id,
        )
        for language in languages
    ]
    facts = facts_of(None, asked or "en", title, *lines)
    html = environment().get_template("link.html").render(facts, style=_style())
    headers = [(name.encode(), value.encode()) for name, value in _headers().items()]
    return Reply(
        status_of(type(error)),
        html.encode(),
        [*headers, (b"vary", b"Accept-Language"), *problem_headers(error)],
        b"text/html; charset=utf-8",
    )


def _refusal_named(call: RequestContext, error: ClinicError) -> str:
    """Return which of the words say it."""
    if isinstance(error, TemporaryFailure) and call.method in SAFE_METHODS:
        # Whatever became of it, nothing was to be changed.
        return "away"
    for kind, name in _REFUSALS.items():
        if isinstance(error, kind):
            return name
    return "not_understood"


#: the first that fits
_REFUSALS: dict[type[ClinicError], str] = {
    OutcomeUnknown: "unknown",
    RequestTimeout: "unknown",
    TemporaryFailure: "away",
    QuotaExceeded: "limited",
    NotSignedIn: "signed_out",
    ForgedRequest: "forged",
    PermissionDenied: "denied",
    Conflict: "impossible",
    PolicyRefused: "impossible",
    NotFound: "no_page",
    InternalError: "broken",
}


@cache
def _headers() -> dict[str, str]:
    digest = b64encode(sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'; img-src 'self'; frame-src 'self'"
    )
    return {"content-security-policy": policy, "x-robots-tag": "noindex, nofollow"}


def facts_of(
    clinic: Clinic | None, language: str, title: str, *lines: str, **more: object
) -> dict[str, object]:
    """Return what link.html and password.html show, of a clinic where it is known.

    `more` is any of the names that have a default here.
    """
    contact = clinic.contact if clinic else Contact()
    defaults: dict[str, object] = {
        "date": None,
        "times": None,
        "zone": None,
        # the appointment is off
        "struck": False,
        "button": None,
        "action": None,
        "label": None,
        "choices": [],
        # show the phone number as something to press
        "calls": False,
        "call_label": words_in(language)["call_button"],
        # a link to the front end
        "home": "",
        "home_label": "",
    }
    assert not more.keys() - defaults.keys()
    return {
        **defaults,
        "language": language,
        "clinic": clinic.name if clinic else "",
        "address": (contact.address or "").splitlines(),
        "phone": contact.phone,
        "title": title,
        "lines": lines,
        **more,
    }


@cache
def environment() -> Environment:
    """Return what knows the templates of the pages."""
    environment = Environment(
        loader=PackageLoader("clinic.entrypoints.http.pages", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown_phone"] = shown_phone
    return environment


@cache
def _style() -> str:
    return files("clinic.entrypoints.http.pages").joinpath(_TEMPLATES, "page.css").read_text()
