"""Entity tags and conditional requests: tags are an appointment's version, or a digest."""

import re

from clinic.domain.errors import InvalidInput, VersionMissing
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")
_VERSION = re.compile(r'"([1-9][0-9]{0,8})"')


def etag(version: int) -> str:
    return f'"{version}"'


def expected_versions(call: RequestContext) -> set[int] | None:
    """Return the versions that If-Match allows, None for `*`.

    Raises VersionMissing, InvalidInput.
    """
    header = call.header(b"if-match")
    if header is None:
        raise VersionMissing()
    return _versions(header, "If-Match", weakly=False)


def is_unchanged(call: RequestContext, version: int) -> bool:
    """Return whether If-None-Match names this version, so that 304 is the answer."""
    header = call.header(b"if-none-match")
    if header is None:
        return False
    versions = _versions(header, "If-None-Match", weakly=True)
    return versions is None or version in versions


def unless_known(call: RequestContext, reply: Reply) -> Reply:
    """Return the reply, or 304 if If-None-Match names its entity tag. Raises InvalidInput."""
    header = call.header(b"if-none-match")
    if header is None:
        return reply
    tag = dict(reply.headers)[b"etag"].decode()
    text = header.strip()
    # The header is nearly always the single tag that was sent.
    if text not in (tag, "*") and tag not in _tags(text, "If-None-Match"):
        return reply
    return Reply(304, headers=[pair for pair in reply.headers if pair[0] != b"link"])


def expected_tags(call: RequestContext) -> set[str] | None:
    """Return the tags that If-Match allows, None for `*`. Raises VersionMissing, InvalidInput."""
    header = call.header(b"if-match")
    if header is None:
        raise VersionMissing()
    return None if header.strip() == "*" else set(_tags(header, "If-Match", weakly=False))


def _versions(header: str, name: str, *, weakly: bool) -> set[int] | None:
    """Return the versions among the tags, None for `*`."""
    text = header.strip()
    if text == "*":
        return None
    tags = (_VERSION.fullmatch(tag) for tag in _tags(text, name, weakly=weakly))
    return {int(version.group(1)) for version in tags if version}


def _tags(header: str, name: str, *, weakly: bool = True) -> list[str]:
    """Return the tags without W/; weak ones are left out unless compared `weakly`.

    Raises InvalidInput.
    """
    text = header.strip()
    if not _TAGS.fullmatch(text):
        raise InvalidInput(
            f'{name} holds entity tags in double quotes, such as "3", or *.', pointer=name
        )
    found = re.findall(_TAG, text)
    return [tag.removeprefix("W/") for tag in found if weakly or not tag.startswith("W/")]
