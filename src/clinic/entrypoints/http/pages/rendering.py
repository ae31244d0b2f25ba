"""Renders a page from a template, with a policy that lets it load nothing."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from clinic.bootstrap import shown_phone
from clinic.domain.clinic import Clinic
from clinic.domain.contact import Contact
from clinic.entrypoints.http.pages.words import words_in
from clinic.entrypoints.http.reply import Reply

_TEMPLATES = "templates"


def page_reply(status: int, template: str, facts: dict[str, object]) -> Reply:
    """Return a page that no cache keeps, no search engine lists and no other site frames."""
    html = _environment().get_template(template).render(facts, style=_style())
    digest = b64encode(sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'; img-src 'self'; frame-src 'self'"
    )
    headers = [
        (b"content-security-policy", policy.encode()),
        (b"x-robots-tag", b"noindex, nofollow"),
    ]
    return Reply(status, html.encode(), headers, b"text/html; charset=utf-8")


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
def _environment() -> Environment:
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
