"""Lines of text: what is accepted, how it is stored, and the errors for the rest."""

import unicodedata

import pytest
from hypothesis import given

from clinic.domain.appointments.appointments import checked_type
from clinic.domain.audit.audit import checked_reason
from clinic.domain.clinic import checked_name
from clinic.domain.errors import InvalidInput
from clinic.domain.people.people import checked_specialty
from clinic.domain.text import plain_line, words_told
from clinic.testing.strategies import typed_lines

CHECKS = (checked_name, checked_specialty, checked_type, checked_reason)
SPELLED = {
    "Persian": "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
    "a Persian ordinal": "\u06f5\u200c\u0627\u0645",
    "Sinhala": "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
    "Bengali": "\u09b0\u200d\u09cd\u09af\u09be\u09ac",
    "Malayalam with a virama and a joiner at the end": "\u0d05\u0d35\u0d28\u0d4d\u200d",
    "a family": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "a heart on fire": "\u2764\ufe0f\u200d\U0001f525",
    "a doctor with a skin tone": "\U0001f469\U0001f3fd\u200d\u2695\ufe0f",
    "a nodding head": "\U0001f642\u200d\u2194\ufe0f",
    "a key": "1\ufe0f\u20e3",
    "Scotland": "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "an ideograph with a variant": "\u845b\U000e0100",
    "an emoji newer than this Python": "\U0001fae8",
    "an ideograph newer than this Python": "\U0002ebf0",
    "Dutch": "Zoë O\u2019Neil-\u0133zer",
}
ODD = {
    "A\u202eda": "Character 2 of the name is U+202E RIGHT-TO-LEFT OVERRIDE: a name may not hold it"
    " there; remove it.",
    "Ada \u2066x\u2069": "Character 5 of the name is U+2066 LEFT-TO-RIGHT ISOLATE",
    "A\u200fda": "Character 2 of the name is U+200F RIGHT-TO-LEFT MARK",
    "A\u200bda": "Character 2 of the name is U+200B ZERO WIDTH SPACE",
    "A\u00adda": "Character 2 of the name is U+00AD SOFT HYPHEN",
    "\ufeffAda": "Character 1 of the name is U+FEFF ZERO WIDTH NO-BREAK SPACE",
    "Ada\x07": "Character 4 of the name is U+0007 a control character",
    "A\x1cda": "Character 2 of the name is U+001C a control character",
    "A\x9bda": "Character 2 of the name is U+009B a control character",
    "A\udc41": "Character 2 of the name is U+DC41 half of a surrogate pair",
    "A\ue000": "Character 2 of the name is U+E000 for private use",
    "A\uffff": "Character 2 of the name is U+FFFF assigned to no character",
    "A\U000e0067da": "Character 2 of the name is U+E0067 TAG LATIN SMALL LETTER G",
    "Ada\u200d": "Character 4 of the name is U+200D ZERO WIDTH JOINER: it is accepted only once"
    " between two letters or emoji; remove it.",
    "\u200cAda": "Character 1 of the name is U+200C ZERO WIDTH NON-JOINER",
    "A\u200d\u200cda": "Character 2 of the name is U+200D ZERO WIDTH JOINER",
    "Ada\u200d Hill": "Character 4 of the name is U+200D ZERO WIDTH JOINER",
    "A\u200d\ufe0fda": "Character 2 of the name is U+200D ZERO WIDTH JOINER",
    "\ufe0fAda": "Character 1 of the name is U+FE0F VARIATION SELECTOR-16",
    "A\ufe0f\ufe0fda": "Character 3 of the name is U+FE0F VARIATION SELECTOR-16",
    "": "Write a name of 1 to 200 characters.",
    " \u2009\n": "Write a name of 1 to 200 characters.",
    "x" * 201: "Write a name of 1 to 200 characters.",
    # In NFC each of these is two characters.
    "\u0958" * 101: "Write a name of 1 to 200 characters.",
    "\u3164": "This name has no visible characters; write it with letters.",
    "\u2800 \u115f\ufe0f": "This name has no visible characters; write it with letters.",
}


@pytest.mark.parametrize("name", SPELLED.values(), ids=SPELLED.keys())
@pytest.mark.parametrize("check", CHECKS)
def test_names_of_every_language_and_emoji_are_kept_to_the_letter(check, name):
    assert check(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(("name", "told"), ODD.items(), ids=map(ascii, ODD))
def test_what_is_wrong_with_a_name_is_told_with_character_and_place(name, told):
    with pytest.raises(InvalidInput) as refused:
        checked_name(name)

    assert refused.value.message.startswith(told)
    assert refused.value.pointer == "/name"


@pytest.mark.parametrize(
    ("check", "told", "pointer"),
    [
        (checked_specialty, "Character 2 of the specialty is U+202E", "/specialty"),
        (checked_type, "Character 2 of the type is U+202E", "/type"),
        (checked_reason, "Character 2 of the reason is U+202E", "/reason"),
    ],
)
def test_every_text_is_checked_alike(check, told, pointer):
    with pytest.raises(InvalidInput) as refused:
        check("A\u202eda")

    assert refused.value.message.startswith(told)
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("Toma\u0301s", "Tomás"),
        ("  Ada \t\n\u00a0 Hill\u3000", "Ada Hill"),
        ("\u212bke", "Åke"),
        ("Line\u2028two", "Line two"),
    ],
)
def test_texts_are_stored_composed_and_with_single_spaces(typed, stored):
    assert [check(typed) for check in CHECKS] == [stored] * len(CHECKS)
    assert plain_line(typed) == stored


@given(typed_lines())
def test_any_text_that_is_accepted_is_composed_and_accepted_again_unchanged(text):
    for check in CHECKS:
        try:
            kept = check(text)
        except InvalidInput:
            continue
        assert kept is not None
        assert check(kept) == kept == plain_line(kept)
        assert unicodedata.is_normalized("NFC", kept)
        assert kept == plain_line(text) or text.strip() == ""


@given(typed_lines())
def test_a_name_that_is_accepted_shows_something(text):
    try:
        name = checked_name(text)
    except InvalidInput:
        return

    assert any(unicodedata.category(each)[0] in "LNPSC" for each in name)
    assert not {*name} & {
        "\u202e",
        "\u2066",
        "\u200b",
        "\u00ad",
        "\ufeff",
        "\x00",
        "\x07",
        "\ue000",
    }


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("BOKED", "write one of: BOOKED, NO_SHOW; did you mean BOOKED?"),
        ("no show", "write one of: BOOKED, NO_SHOW; did you mean NO_SHOW?"),
        ("x" * 10_000, "write one of: BOOKED, NO_SHOW."),
        (3, "write one of: BOOKED, NO_SHOW."),
    ],
)
def test_words_are_listed_and_the_near_one_is_suggested(word, told):
    assert words_told(word, ["BOOKED", "NO_SHOW"]) == told
