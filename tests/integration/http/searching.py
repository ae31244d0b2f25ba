"""Searches every column of every table and everything in Valkey for values, in every form."""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from unicodedata import normalize
from urllib.parse import quote, quote_plus

import psycopg
import redis
from psycopg import sql
from psycopg.rows import dict_row

#: partitions are reported under their table's name
_MONTH = re.compile(r"_(\d{4}_\d\d|default)$")
_MODULUS = 3


class Searched:
    """Everything that PostgreSQL and Valkey hold."""

    def __init__(self, owner_url: str, valkey_url: str) -> None:
        self._owner_url, self._valkey_url = owner_url, valkey_url

    def found(self, *values: str) -> set[str]:
        """Return where any of the values is, as "table.column" or "valkey type"."""
        wanted = re.compile(b"|".join(re.escape(form) for each in values for form in forms(each)))
        places = [*self._tables(), *self._keys()]
        assert len(places) > 100
        return {where for where, held in places if any(wanted.search(each) for each in held)}

    def _tables(self) -> Iterator[tuple[str, list[bytes]]]:
        with psycopg.connect(self._owner_url, row_factory=dict_row) as connection:
            tables = connection.execute(
                "SELECT table_schema, table_name FROM information_schema.tables"
                " WHERE table_type = 'BASE TABLE'"
                " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
            ).fetchall()
            assert len(tables) > 20
            for table in tables:
                name = sql.Identifier(*table.values())
                shown = _MONTH.sub("", table["table_name"])
                for row in connection.execute(sql.SQL("SELECT * FROM {}").format(name)):
                    for column, value in row.items():
                        yield f"{shown}.{column}", list(held_in(value))

    def _keys(self) -> Iterator[tuple[str, list[bytes]]]:
        with redis.Redis.from_url(self._valkey_url) as client:
            for key in client.scan_iter(count=1000):
                kind = client.type(key).decode()
                read: Any = {
                    "string": client.get,
                    "list": lambda key: client.lrange(key, 0, -1),
                    "hash": client.hgetall,
                    "set": client.smembers,
                    "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
                    "stream": client.xrange,
                }[kind]
                yield f"valkey {kind}", [*held_in(key), *held_in(read(key))]


def held_in(value: Any) -> Iterator[bytes]:
    """Yield the bytes of a value and of everything in it, in lower case."""
    if isinstance(value, bytes | memoryview):
        raw = bytes(value)
        yield raw.decode("utf-8", "surrogateescape").lower().encode("utf-8", "surrogateescape")
        yield raw.hex().encode()
    elif isinstance(value, dict):
        for pair in value.items():
            yield from held_in(pair)
    elif isinstance(value, list | tuple | set):
        for each in value:
            yield from held_in(each)
    else:
        yield str(value).lower().encode()


def forms(value: str) -> set[bytes]:
    """Return how the value may be written, in lower case: plain, composed or not, escaped for JSON
    or a URL, in hex (as bytea is shown too), and in base64 at any offset."""
    found = set()
    for spelled in (value, value.lower(), value.upper(), value.title()):
        for text in (normalize("NFC", spelled), normalize("NFD", spelled)):
            raw = text.encode()
            found |= {text, json.dumps(text)[1:-1], quote(text, safe=""), quote_plus(text)}
            found.add(raw.hex())
            for encode in (b64encode, urlsafe_b64encode):
                for before in range(_MODULUS):
                    # Leave out the letters at both ends that depend on the surrounding bytes.
                    first = (before * 8 + 5) // 6
                    end = (before + len(raw)) * 8 // 6
                    found.add(encode(bytes(before) + raw)[first:end].decode())
    return {form.lower().encode() for form in found}
