"""Documents name only files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "clinic"
PAGES = ("docs/architecture.md", "docs/where.md", "CONTRIBUTING.md", "README.md")

#: every file of the code, as a path that ends in what a document may name
FILES = ["/" + str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*.py")]
FILES += ["/" + str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py")]
RECORDS = sorted((ROOT / "docs").rglob("*.md"))

_IN_BACKTICKS = re.compile(r"`([^`\s]+)`")
_TREE_LINE = re.compile(r"^ {2}(\w+(?:/|\.py)) ", re.MULTILINE)
#: with a folder, or a Python file; quotas such as 30/60 are not
_PATH = re.compile(r"(?:[a-z_<>]+/)+(?:\w+\.\w+)?|\w+\.py")


def paths_in(text: str) -> list[str]:
    """Return what is named below src/clinic or below the checkout; URLs and commands are not."""
    words = [word.rstrip(".") for word in _IN_BACKTICKS.findall(text)]
    found = [word for word in words if _PATH.fullmatch(word)]
    return found + _TREE_LINE.findall(text)


def exists(path: str) -> bool:
    """Say whether a path is there; `<topic>` stands for any name, at least one."""
    pattern = re.sub(r"<\w+>", "*", path.rstrip("/"))
    return any(next(base.glob(pattern), None) for base in (ROOT, SOURCES))


@pytest.mark.parametrize("page", PAGES)
def test_every_path_on_the_page_exists(page):
    named = paths_in((ROOT / page).read_text())

    assert named
    assert [path for path in named if not exists(path)] == []


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.name)
def test_every_python_file_in_a_document_exists(record):
    named = [word for word in _IN_BACKTICKS.findall(record.read_text()) if word.endswith(".py")]

    assert [word for word in named if not any(path.endswith(f"/{word}") for path in FILES)] == []
