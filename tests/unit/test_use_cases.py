"""Signatures of use cases: a context first, and few more parameters."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

import clinic

SOURCES = Path(clinic.__file__).parent
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
PARAMETERS_MAX = 5
#: the parts of a context
HELD = {"actor", "store", "transactions", "clock", "new_id", "reason", "request_id", "ip"}


def parameters_of(function):
    arguments = function.args
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def functions():
    """Yield every public function of the use cases, with its module's name and its own."""
    for path in sorted((SOURCES / "usecases").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_":
                yield pytest.param(node, id=f"{path.stem}.{node.name}")


@pytest.mark.parametrize("function", list(functions()))
def test_use_case_takes_few_parameters_and_nothing_twice(function) -> None:
    names = [each.arg for each in parameters_of(function)]

    assert "context" not in names or names[0] == "context"
    assert len([name for name in names if name != "context"]) <= PARAMETERS_MAX
    if "context" in names:
        assert HELD.isdisjoint(names)


def spread_dictionaries(tree):
    """Yield the line of each call that unpacks a dictionary without a static type."""
    untyped = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and _is_untyped(node.returns)
    }
    untyped |= {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and _is_untyped(node.annotation)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            value = keyword.value.func if isinstance(keyword.value, ast.Call) else keyword.value
            name = getattr(value, "id", getattr(value, "attr", None))
            if keyword.arg is None and name in untyped:
                yield node.lineno


def _is_untyped(annotation) -> bool:
    return annotation is not None and ast.unparse(annotation) == "dict[str, Any]"


def test_spread_dictionary_is_seen() -> None:
    tree = ast.parse("def f() -> dict[str, Any]: ...\nx: dict[str, Any]\nact(**f())\nact(**x)")

    assert list(spread_dictionaries(tree)) == [3, 4]


def test_no_layer_passes_an_untyped_dictionary_on_as_arguments() -> None:
    found = [
        f"{path.relative_to(SOURCES)}:{line}"
        for path in sorted(SOURCES.rglob("*.py"))
        # Inside an adapter, rows become values by the names of their columns.
        if "adapters" not in path.parts
        for line in spread_dictionaries(ast.parse(path.read_text()))
    ]

    assert found == []


def test_the_contract_on_technology_names_every_third_party_package() -> None:
    imported = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    contracts = tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]
    [forbidden] = [
        each["forbidden_modules"]
        for each in contracts
        if each["name"] == "The inside knows no technology"
    ]

    assert set(forbidden) == imported - sys.stdlib_module_names - {"clinic"}


def test_people_are_added_in_one_place() -> None:
    """Another one would be a door with checks of its own."""
    adding = {"add_user", "add_doctor", "add_patient", "add_staff"}
    places = {
        (path.name, node.attr)
        for path in (SOURCES / "usecases").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in adding
    }

    assert places == {("new_person.py", name) for name in adding}
