"""Chooses one of our languages by Accept-Language (RFC 9110, RFC 4647)."""

import re

from clinic.domain.contact import LANGUAGES

#: headers list a handful of ranges; the rest of a longer one is ignored
RANGES_MAX = 32
_RANGE = re.compile(
    r"([a-z]{1,8})(?:-[a-z0-9]{1,8})*[ \t]*(?:;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


def asked_language(header: str | None) -> str | None:
    """Return the language that `header` prefers among ours, None if it accepts none of them.

    `de-AT` asks for `de`; of two with the same weight the first wins; malformed ranges are ignored.
    """
    best: tuple[float, str] | None = None
    for part in (header or "").lower().split(",", RANGES_MAX)[:RANGES_MAX]:
        match = _RANGE.fullmatch(part.strip())
        if match is None or match[1] not in LANGUAGES:
            continue
        quality = float(match[2] or 1)
        if quality > (best[0] if best else 0):
            best = quality, match[1]
    return best[1] if best else None
