"""Groups of columns agree with the tables, and each finds its own part of a row."""

import re
from importlib import import_module
from pkgutil import walk_packages

import pytest

from clinic.adapters import postgres
from clinic.adapters.postgres.engine.mapping import Columns, Layout, of_table
from clinic.adapters.postgres.schema import metadata

#: the table of each alias, in all statements built from groups
TABLES = {
    "a": "appointments",
    "c": "clinics",
    "d": "doctors_profiles",
    "k": "idempotency_keys",
    "p": None,
    "pu": "users",
    "s": "slots",
    "u": "users",
    "x": "sessions",
    "xu": "users",
}
PLAIN = re.compile(r"(\w+)\.(\w+)")
PREFIX = "clinic.adapters.postgres."
MODULES = [
    module.name.removeprefix(PREFIX)
    for module in walk_packages(postgres.__path__, PREFIX)
    if not module.name.startswith(f"{PREFIX}migrations")
]
GROUPS = {
    f"{module}.{name}": found
    for module in MODULES
    for name, found in vars(import_module(PREFIX + module)).items()
    if isinstance(found, Columns)
}


def test_every_group_is_held_against_the_tables() -> None:
    assert {
        "people.mapping.CLINIC",
        "people.sessions._SESSION",
        "appointments.mapping.VIEW",
        "appointments.booking_facts._SLOT_FACTS",
        "messaging.outbox_statements._CLAIMED",
    } <= set(GROUPS)


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_columns_exist(group: Columns) -> None:
    for expression in group.sql.split(",\n       "):
        found = PLAIN.fullmatch(expression)
        table = TABLES.get(found[1]) if found else None
        if found and table:
            assert found[2] in metadata.tables[table].c, expression


def test_each_group_gets_its_part_of_a_row() -> None:
    first, second, third = (
        of_table("a", "one", "two"),
        Columns(three="f(b.x, 3)"),
        of_table("c", "d"),
    )
    layout = Layout(first, second, third)

    assert layout.sql.split() == ["a.one,", "a.two,", "f(b.x,", "3),", "c.d"]
    assert layout.parts((1, 2, 3, 4)) == ((1, 2), (3,), (4,))
    assert first.named((1, 2)) == {"one": 1, "two": 2}


@pytest.mark.parametrize("row", [(1, 2, 3), (1, 2, 3, 4, 5)])
def test_a_row_of_another_width_is_refused(row: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"columns where 4 were asked for"):
        Layout(of_table("a", "b", "c"), of_table("d", "e", "f")).parts(row)
