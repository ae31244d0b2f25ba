"""The search of tables and keys finds a value in every form in which it may be stored."""

import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from tests.integration.http.searching import forms, held_in

VALUE = "Zdeňka O'Neill?>"


@pytest.mark.parametrize(
    "kept",
    [
        f"Dear {VALUE},",
        VALUE.upper(),
        VALUE.encode(),
        b"\xff\x00" + VALUE.encode() + b"\xff",
        json.dumps({"name": VALUE}),
        {"a": [{"b": VALUE}]},
        {VALUE: 1},
        [(b"key", VALUE.encode())],
        quote(f"name={VALUE}"),
        "\\x" + VALUE.encode().hex(),
        *(b64encode(b"x" * n + VALUE.encode() + b"y" * n) for n in range(4)),
        *(urlsafe_b64encode(b"x" * n + VALUE.encode() + b"y" * n).decode() for n in range(4)),
    ],
)
def test_value_is_seen(kept):
    assert any(form in held for held in held_in(kept) for form in forms(VALUE))


@pytest.mark.parametrize("kept", ["Zdenka", 5, None, b"\xff", ["Zde", "ňka"]])
def test_anything_else_is_not(kept):
    assert not any(form in held for held in held_in(kept) for form in forms(VALUE))
