"""Parameters of prepared statements reach PostgreSQL unchanged, alone and in arrays."""

from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinic.adapters.postgres.engine.prepared_statements import PreparedConnection

pytestmark = pytest.mark.anyio


class Colour(StrEnum):
    RED = "red"
    ODD = 'o"d\\d'


ODD_TEXTS = [
    "",
    "null",
    "NULL",
    " spaces ",
    "a,b",
    "{}",
    'a "quoted" word',
    "back\\slash",
    "\\",
    "\\\\",
    '\\"',
    "\\n",
    "\n",
    "\\\n",
    "\t\b\f\r\x1b\x7f",
    "é 漢 🙂",
    "/",
]
#: seconds in an offset, which JSON cannot express
ACCRA = timezone(timedelta(seconds=-16))
INSTANTS = [
    datetime(2026, 7, 1, 12, 30, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 7, 1, 12, 30, 0, 1, tzinfo=ZoneInfo("Europe/Amsterdam")),
    datetime(1900, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")),
    datetime(1900, 1, 1, tzinfo=ACCRA),
]
ARRAYS = [
    ("text", []),
    ("text", [None, None]),
    ("text", ODD_TEXTS),
    ("text", [None, *ODD_TEXTS, None]),
    *[("text", [each]) for each in ODD_TEXTS],
    ("text", [Colour.RED, None, Colour.ODD]),
    ("uuid", [UUID(int=0), None, UUID(int=2**128 - 1)]),
    ("int8", [0, None, -1, 2**63 - 1]),
    ("timestamptz", INSTANTS[:3]),
    ("timestamptz", [None, *INSTANTS]),
    *[("timestamptz", [each]) for each in INSTANTS],
    ("bytea", [b"", b"\x00\\\xff\"'", None]),
    ("bytea", [b"\x00\\\xff\"'", b"", b"{,}"]),
    ("bytea", [b""]),
]


@pytest.fixture
async def prepared(module_postgres_urls):
    connection = await PreparedConnection.connect(module_postgres_urls.app_url, autocommit=True)
    async with connection:
        # Every instant can then be read back, including those that have no local time.
        await connection.execute("SET timezone = 'UTC'")
        yield connection


@pytest.mark.parametrize(("kind", "array"), ARRAYS)
async def test_array_is_read_as_it_was_written(prepared, kind: str, array: list[object]) -> None:
    [(back,)] = await prepared.fetch(f"SELECT $1::{kind}[]", [array])

    assert back == array


@pytest.mark.parametrize("instant", INSTANTS)
async def test_instant_is_read_as_it_was_written(prepared, instant: datetime) -> None:
    [(back,)] = await prepared.fetch("SELECT $1::timestamptz", [instant])

    assert back == instant


@pytest.mark.parametrize("parameter", ["a\0b", ["a\0b"], ["\n", "\0"]])
async def test_nul_is_refused_before_it_is_sent(prepared, parameter: object) -> None:
    with pytest.raises(psycopg.DataError, match="NUL"):
        await prepared.fetch(f"SELECT $1::text{'[]' * isinstance(parameter, list)}", [parameter])

    assert await prepared.fetch("SELECT $1::int", [1]) == [(1,)]


@given(st.lists(st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"))))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_texts_are_read_as_they_were_written(prepared, texts: list[str | None]) -> None:
    [(back,)] = await prepared.fetch("SELECT $1::text[]", [texts])

    assert back == texts
