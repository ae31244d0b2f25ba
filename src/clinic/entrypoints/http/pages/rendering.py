"""Renders a page from a template, with a policy that lets it load nothing."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

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


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("clinic.entrypoints.http.pages", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> str:
    return files("clinic.entrypoints.http.pages").joinpath(_TEMPLATES, "page.css").read_text()
