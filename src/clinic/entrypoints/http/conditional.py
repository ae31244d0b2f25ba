"""Entity tags: an appointment's version, compared strongly."""

import re

from clinic.domain.errors import InvalidInput, VersionMissing
from clinic.entrypoints.http.call import Call

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")
_VERSION = re.compile(r'"([1-9][0-9]{0,8})"')


def etag(version: int) -> str:
    return f'"{version}"'


def expected_versions(call: Call) -> set[int] | None:
    """Return the versions that If-Match allows, None for `*`.

    Raises VersionMissing, InvalidInput.
    """
    header = call.header(b"if-match")
    if header is None:
        raise VersionMissing()
    return _versions(header, "If-Match", weakly=False)


def is_unchanged(call: Call, version: int) -> bool:
    """Say whether If-None-Match names this version, so that 304 is the answer."""
    header = call.header(b"if-none-match")
    if header is None:
        return False
    versions = _versions(header, "If-None-Match", weakly=True)
    return versions is None or version in versions


def _versions(header: str, name: str, *, weakly: bool) -> set[int] | None:
    """Return the versions among the tags; None for `*`."""
    text = header.strip()
    if text == "*":
        return None
    if not _TAGS.fullmatch(text):
        raise InvalidInput(
            f'{name} holds entity tags in double quotes, such as "3", or *.', pointer=name
        )
    found = set()
    for tag in re.findall(_TAG, text):
        if tag.startswith("W/"):
            if not weakly:
                continue
            tag = tag[2:]  # noqa: PLW2901
        version = _VERSION.fullmatch(tag)
        if version:
            found.add(int(version.group(1)))
    return found
