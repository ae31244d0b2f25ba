"""Which of our languages a client asks for, by Accept-Language (RFC 9110, RFC 4647)."""

import re

from clinic.domain.contact import LANGUAGES

#: a header lists a handful; the rest of a longer one is not read
RANGES_MAX = 32
_RANGE = re.compile(
    r"([a-z]{1,8})(?:-[a-z0-9]{1,8})*[ \t]*(?:;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


def asked_language(header: str | None) -> str | None:
    """Return the language that `header` likes best among ours, None when it likes none of them.

    `de-AT` asks for `de`; of two liked equally the first wins; what is malformed is not read.
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
