"""Lines of text that people type: names, specialties, types, reasons."""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

from clinic.domain.errors import InvalidInput

ZWNJ, ZWJ = "\u200c", "\u200d"
#: control characters that str.split treats as spaces
_SEPARATORS = "\x1c\x1d\x1e\x1f"
# Letters and symbols that show nothing: a name of these alone would look empty.
_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_SELECTORS = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# The flags of England, Scotland and Wales, whose letters are invisible tags.
_FLAGS = re.compile(
    "\U0001f3f4(?:\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067"
    "|\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074"
    "|\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073)\U000e007f"
)
# Reserved for pictographs and ideographs: emoji and names newer than this Python are accepted.
_RESERVED = re.compile("[\U0001f000-\U0001faff\U00020000-\U0002fffd\U00030000-\U0003fffd]")
_UNNAMED = {
    "Cc": "a control character",
    "Cs": "half of a surrogate pair",
    "Co": "for private use",
    "Cn": "assigned to no character",
}
_VIRAMA = 9
_WORD_MAX_CHARS = 64
#: the fewest characters that are taken for a shortened word
_SHORTENED_MIN_CHARS = 3


def plain_line(value: str) -> str:
    """Return `value` normalized for storage and comparison: in NFC, on one line, trimmed, and with
    single spaces inside."""
    line = " ".join(value.split())
    return line if line.isascii() else unicodedata.normalize("NFC", line)


def checked_line(value: str, what: str, *, max_chars: int, pointer: str, min_chars: int = 1) -> str:
    """Return `value` as a plain line; `what` names it in messages, such as "name".

    Raises InvalidInput when it is too short, too long, invisible, or holds a character that is not
    accepted; the message names that character and its place, counted from 1.
    """
    # The fast path: nearly all text is plain, and every booking's type and reason come here.
    is_plain = value.isascii() and value.isprintable()
    if not is_plain:
        refuse_odd(value, what, pointer)
    line = " ".join(value.split()) if is_plain else plain_line(value)
    if not min_chars <= len(line) <= max_chars:
        bounds = f"{min_chars} to {max_chars}" if min_chars else f"at most {max_chars}"
        raise InvalidInput(f"Write a {what} of {bounds} characters.", pointer=pointer)
    if line and not is_plain and not any(map(_is_visible, line)):
        raise InvalidInput(
            f"This {what} has no visible characters; write it with letters.", pointer=pointer
        )
    return line


def near_word(word: str, words: Iterable[str]) -> str | None:
    """Return the one of `words` closest to `word`, ignoring case; None when none is close."""
    known = {each.casefold(): each for each in words}
    meant = plain_line(word[:_WORD_MAX_CHARS]).casefold().replace(" ", "_")
    near = get_close_matches(meant, known, n=1, cutoff=0.7)
    if not near and len(meant) >= _SHORTENED_MIN_CHARS:
        longer = [each for each in known if each.startswith(meant) or meant.startswith(each)]
        near = longer if len(longer) == 1 else []
    return known[near[0]] if near else None


def words_told(word: object, words: Iterable[str]) -> str:
    """Return a sentence that lists the accepted words and suggests the closest."""
    known = list(words)
    near = near_word(word, known) if isinstance(word, str) else None
    sentence = f"write one of: {', '.join(known)}"
    return f"{sentence}; did you mean {near}?" if near else f"{sentence}."


def refuse_odd(value: str, what: str, pointer: str) -> None:
    """Raise InvalidInput for the first character that is not accepted at its place."""
    flags: set[int] = set()
    for flag in _FLAGS.finditer(value):
        flags.update(range(*flag.span()))
    for place, character in enumerate(value):
        if place in flags or _is_accepted(value, place, character):
            continue
        if character in (ZWJ, ZWNJ):
            cure = "it is accepted only once between two letters or emoji; remove it"
        else:
            cure = f"a {what} may not hold it there; remove it"
        raise InvalidInput(
            f"Character {place + 1} of the {what} is {_called(character)}: {cure}.", pointer=pointer
        )


def _is_accepted(value: str, place: int, character: str) -> bool:
    if character.isspace():
        return character not in _SEPARATORS
    if _SELECTORS.match(character):
        before = value[place - 1] if place else " "
        return not (before.isspace() or before in (ZWJ, ZWNJ) or _SELECTORS.match(before))
    if character.isprintable():
        return True
    if character in (ZWJ, ZWNJ):
        return _joins(value, place)
    is_free = unicodedata.category(character) == "Cn"
    return is_free and _RESERVED.match(character) is not None


def _joins(value: str, place: int) -> bool:
    """Return whether the joiner at `place` is between two letters or emoji, or ends a word after a
    virama, as in Malayalam; anywhere else it would only make two names look alike."""
    if place == 0:
        return False
    before, after = value[place - 1], value[place + 1 : place + 2]
    if not _is_inked(before):
        return False
    if not after or after.isspace():
        return unicodedata.combining(before) == _VIRAMA
    return _is_inked(after) and not _SELECTORS.match(after)


def _is_inked(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMNS" or _RESERVED.match(character) is not None


def _is_visible(character: str) -> bool:
    if character in _BLANKS:
        return False
    return unicodedata.category(character)[0] in "LNPS" or _RESERVED.match(character) is not None


def _called(character: str) -> str:
    """Return a character's number and name, such as U+202E RIGHT-TO-LEFT OVERRIDE."""
    number = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "")
    return f"{number} {name or _UNNAMED.get(unicodedata.category(character), '')}".rstrip()
