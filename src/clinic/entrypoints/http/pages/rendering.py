"""Renders pages from templates, with a policy that loads nothing from other sites."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from litestar import MediaType
from litestar.response import Template

from clinic.bootstrap import shown_phone
from clinic.domain.clinic import Clinic
from clinic.domain.contact import LANGUAGES, Contact
from clinic.domain.errors import ClinicError
from clinic.entrypoints.http.kernel.access_control import SAFE_METHODS
from clinic.entrypoints.http.kernel.languages import asked_language
from clinic.entrypoints.http.kernel.problems import problem_headers, status_of
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.pages.refusals import refusal_of
from clinic.translations import N_, translations_of

PASSWORD_REFUSED = N_(
    "Choose another password of 8 to 128 characters, one that is hard to guess and not the old one."
)
_TEMPLATES = "templates"


def page_response(status: int, template: str, facts: dict[str, object], **headers: str) -> Template:
    """Return a page that no cache stores, no search engine lists and no other site frames."""
    context = {**facts, "style": _style()}
    return Template(
        template,
        context=context,
        status_code=status,
        headers={**_headers(), **headers},
        media_type=MediaType.HTML,
    )


def render_page(call: RequestContext, error: ClinicError) -> Reply:
    """Return an error page, in the language that the browser asks for, or else in every one."""
    asked = asked_language(call.header(b"accept-language"))
    refusal = refusal_of(error, changes=call.method not in SAFE_METHODS)
    wait_s = error.facts.get("retryAfterS", 0)
    written = [
        refusal.written(translations_of(language), wait_s=wait_s, request_id=call.request_id)
        for language in ([asked] if asked else LANGUAGES)
    ]
    title = " · ".join(title for title, _ in written)
    facts = facts_of(None, asked or "en", title, *(line for _, line in written))
    html = environment().get_template("link.html").render(facts, style=_style())
    headers = [(name.encode(), value.encode()) for name, value in _headers().items()]
    return Reply(
        status_of(type(error)),
        html.encode(),
        [*headers, (b"vary", b"Accept-Language"), *problem_headers(error)],
        b"text/html; charset=utf-8",
    )


def page_of_invalid_link(status: int, clinic: Clinic | None, why: str, **more: object) -> Template:
    """Return the page of an invalid link, in every language, since its recipient is not known."""
    title = " · ".join(in_each_language(N_("This did not work")))
    facts = facts_of(clinic, "en", title, *in_each_language(why), **more)
    return page_response(status, "link.html", facts)


def in_each_language(text: str) -> list[str]:
    """Return `text` in every language."""
    return [translations_of(language).gettext(text) for language in LANGUAGES]


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
    """Return the values for link.html and password.html, with the clinic's if it is known.

    `more` may be any of the names that have a default here.
    """
    contact = clinic.contact if clinic else Contact()
    defaults: dict[str, object] = {
        "date": None,
        "times": None,
        "zone": None,
        # lines that say where the appointment is, when not at the clinic's own address
        "place": [],
        "directions": None,
        # whether the appointment is cancelled
        "struck": False,
        "button": None,
        "action": None,
        "label": None,
        "choices": [],
        # whether to show the phone number as a button
        "calls": False,
        "call_label": translations_of(language).gettext("Call"),
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
    """Return the Jinja environment for the pages' templates."""
    environment = Environment(
        loader=PackageLoader("clinic.entrypoints.http.pages", _TEMPLATES),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown_phone"] = shown_phone
    environment.install_gettext_callables(_gettext, _ngettext, newstyle=True)  # type: ignore[attr-defined]
    return environment


@pass_context
def _gettext(context: Context, text: str) -> str:
    return translations_of(context["language"]).gettext(text)


@pass_context
def _ngettext(context: Context, one: str, many: str, number: int) -> str:
    return translations_of(context["language"]).ngettext(one, many, number)


@cache
def _style() -> str:
    return files("clinic.entrypoints.http.pages").joinpath(_TEMPLATES, "page.css").read_text()
