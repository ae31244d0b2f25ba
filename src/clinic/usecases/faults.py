"""Describes exceptions for logs and stored records: by kind and place.

Messages are left out: databases, mail servers and parsers quote personal data in theirs.
"""

import traceback

_CAUSES_MAX = 8


def kind_of(error: BaseException) -> str:
    """Return the kinds of `error` and its causes, such as "OutcomeUnknown < OSError"."""
    kinds: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(kinds) < _CAUSES_MAX:
        kinds.append(type(seen).__qualname__)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return " < ".join(kinds)


def place_of(error: BaseException) -> str:
    """Return the lines of code that `error` passed through, as in a traceback."""
    return "".join(traceback.format_tb(error.__traceback__))
