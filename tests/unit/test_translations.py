"""The catalogues: complete, and in step with what mail and pages say."""

import ast
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

import clinic.translations
from clinic.domain.contact import LANGUAGES
from clinic.translations import ENGLISH, translations_of, zone_name

ROOT = Path(__file__).parents[2]
FOLDER = Path(clinic.translations.__file__).parent
TRANSLATED = [language for language in LANGUAGES if language != ENGLISH]
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="module")
def in_use(tmp_path_factory) -> Catalog:
    """Every text that templates and code ask for, as CONTRIBUTING.md extracts it."""
    path = tmp_path_factory.mktemp("extracted") / "clinic.pot"
    pybabel = [sys.executable, "-m", "babel.messages.frontend", "-q"]
    extract = ["extract", "-F", "pyproject.toml", "-o", str(path), "src/clinic"]
    subprocess.run([*pybabel, *extract], cwd=ROOT, check=True)
    return catalogue_in(path)


def catalogue_in(path: Path, language: str | None = None) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def forms_of(text) -> tuple[str, ...]:
    return text if isinstance(text, tuple) else (text,)


def placeholders(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"%(?:\(\w*\))?.?", text))


def texts_of(catalogue: Catalog) -> dict[tuple[str | None, tuple[str, ...]], Message]:
    return {(each.context, forms_of(each.id)): each for each in catalogue if each.id}


def problems_of(catalogue: Catalog, in_use: Catalog) -> set[str]:
    """Return what is wrong with a catalogue, of the texts that are in use."""
    asked, found = texts_of(in_use), texts_of(catalogue)
    problems = {f"missing: {ids[0]}" for _, ids in asked.keys() - found.keys()}
    problems |= {f"not in use: {ids[0]}" for _, ids in found.keys() - asked.keys()}
    problems |= {f"not in use: {forms_of(each.id)[0]}" for each in catalogue.obsolete.values()}
    for (_, ids), message in found.items():
        forms = forms_of(message.string)
        if not all(forms) or len(forms) != (catalogue.num_plurals if len(ids) > 1 else 1):
            problems.add(f"empty: {ids[0]}")
        if message.fuzzy:
            problems.add(f"fuzzy: {ids[0]}")
        # "a second" need not say the number, and a language may say it all the same.
        allowed = {placeholders(each) for each in ids}
        first, *others = (placeholders(each) for each in forms)
        if all(forms) and (first not in allowed or set(others) - {placeholders(ids[-1])}):
            problems.add(f"placeholders differ: {ids[0]}")
    return problems


@pytest.mark.parametrize("language", TRANSLATED)
def test_catalogue_has_a_translation_of_every_text_and_no_other(language, in_use) -> None:
    catalogue = catalogue_in(FOLDER / language / "LC_MESSAGES" / "clinic.po", language)

    assert problems_of(catalogue, in_use) == set()


def test_templates_and_code_are_both_extracted(in_use) -> None:
    texts = {ids[0] for _, ids in texts_of(in_use)}

    assert {
        "You have an appointment at %(clinic)s:",
        "For developers and operators",
        "That was too often",
        "a second",
        "%(start)s to %(end)s",
    } <= texts


def test_every_language_has_a_catalogue_and_every_catalogue_a_language() -> None:
    folders = {path.parent.parent.name for path in FOLDER.glob("*/LC_MESSAGES/clinic.po")}

    assert folders == set(TRANSLATED)


SECONDS = ("a second", "%(n)s seconds")


@pytest.mark.parametrize(
    ("text", "translation", "problem"),
    [
        ("At %(clinic)s", "Bei %(clinic)s", None),
        ("At %(clinic)s", None, "missing"),
        ("At %(clinic)s", "", "empty"),
        ("At %(clinic)s", "Bei %(klinik)s", "placeholders differ"),
        ("At %(clinic)s", "Bei %(clinic)", "placeholders differ"),
        ("At %(clinic)s", "Bei uns", "placeholders differ"),
        (SECONDS, ("eine Sekunde", "%(n)s Sekunden"), None),
        (SECONDS, ("%(n)s Sekunde", "%(n)s Sekunden"), None),
        (SECONDS, ("eine Sekunde", ""), "empty"),
        (SECONDS, ("eine Sekunde",), "empty"),
        (SECONDS, ("eine Sekunde", "Sekunden"), "placeholders differ"),
        (SECONDS, ("%(m)s Sekunde", "%(n)s Sekunden"), "placeholders differ"),
    ],
)
def test_what_is_wrong_with_a_catalogue_is_seen(text, translation, problem) -> None:
    in_use, catalogue = Catalog(), Catalog("de")
    in_use.add(text)
    if translation is not None:
        catalogue.add(text, translation)

    expected = {f"{problem}: {forms_of(text)[0]}"} if problem else set()
    assert problems_of(catalogue, in_use) == expected


def test_doubtful_and_forgotten_translations_are_seen() -> None:
    in_use, catalogue = Catalog(), Catalog("de")
    in_use.add("Yes")
    catalogue.add("Yes", "Ja", flags={"fuzzy"})
    catalogue.add("No", "Nein")
    catalogue.obsolete["Perhaps"] = Message("Perhaps", "Vielleicht")

    assert problems_of(catalogue, in_use) == {"fuzzy: Yes", "not in use: No", "not in use: Perhaps"}


def test_translations_import_only_babel() -> None:
    imported = set()
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])

    assert imported - sys.stdlib_module_names == {"babel"}


@pytest.mark.parametrize("language", ["fr", "", "../translations/de", "de/LC_MESSAGES"])
def test_language_without_a_catalogue_is_english(language) -> None:
    assert translations_of(language) is translations_of(ENGLISH)
    assert translations_of(language).gettext("Call") == "Call"


@pytest.mark.parametrize(
    ("language", "date", "times", "time"),
    [
        ("en", "Sunday, 1 March 2026", "08:05 to 13:30", "08:05"),
        ("de", "Sonntag, 1. März 2026", "08:05 bis 13:30 Uhr", "08:05 Uhr"),
    ],
)
def test_days_and_times_are_by_the_clinics_clock(language, date, times, time) -> None:
    starts_at = datetime(2026, 3, 1, 7, 5, tzinfo=UTC)
    ends_at = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    written = translations_of(language)

    assert written.date(starts_at, BERLIN) == date
    assert written.times(starts_at, ends_at, BERLIN) == times
    assert written.time(starts_at, BERLIN) == time


def test_offset_tells_a_repeated_hour_apart() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)

    assert zone_name(first, BERLIN) == "Europe/Berlin, UTC+02:00"
    assert zone_name(first + timedelta(hours=1), BERLIN) == "Europe/Berlin, UTC+01:00"


def test_forms_of_a_count() -> None:
    german = translations_of("de")

    assert german.ngettext("a second", "%(number)s seconds", 1) == "eine Sekunde"
    assert german.ngettext("a second", "%(number)s seconds", 0) == "%(number)s Sekunden"
