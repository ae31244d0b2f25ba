"""README.md lists every setting with its default, and documents name existing files."""

import json
import re
from pathlib import Path

import pytest

from clinic.settings import PREFIX, Settings

ROOT = Path(__file__).parents[3]
ROW = re.compile(r"^\| `(CLINIC_[A-Z_]+)` \| (.*?) \| (.+) \|$", re.MULTILINE)


def told() -> dict[str, str]:
    return {name: default for name, default, _ in ROW.findall((ROOT / "README.md").read_text())}


def defaults() -> dict[str, str]:
    texts = {}
    for name, value in zip(Settings.__struct_fields__, Settings.__struct_defaults__, strict=True):
        text = value if isinstance(value, str) else json.dumps(value)
        texts[f"{PREFIX}{name.upper()}"] = f"`{text}`" if text else ""
    # Long, and not worth documenting.
    texts["CLINIC_SECRET"] = "a public one"
    return texts


def test_readme_tells_every_setting_with_its_default():
    assert {name: default.strip() for name, default in told().items()} == defaults()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_page_names_only_files_that_exist(page):
    text = (ROOT / page).read_text()
    linked = re.findall(r"\]\(((?!https?:)[^)#]+)", text)
    named = re.findall(r"`(src/clinic/[^`\s]*|tests/[^`\s]*|docs/[^`\s]*)`", text)

    folder = (ROOT / page).parent
    assert [path for path in linked if not (folder / path).exists()] == []
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_decisions_are_all_listed():
    folder = ROOT / "docs" / "decisions"
    listed = set(re.findall(r"\]\((\d{3}-[^)]+)\)", (folder / "README.md").read_text()))

    assert listed == {path.name for path in folder.glob("[0-9]*.md")}
