"""The pages that say where things are name only paths that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "clinic"
PAGES = ("docs/architecture.md", "docs/where.md", "CONTRIBUTING.md", "README.md")

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
