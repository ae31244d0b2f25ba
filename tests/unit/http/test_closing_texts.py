"""Names and reasons of what closes and opens calendars: checked when entered, not when read."""

from dataclasses import replace

import pytest

from clinic.ports.closings import Closing
from clinic.testing import a_block, a_closure, a_leave, a_place
from clinic.testing.builders import MORNING, seed_closings

#: marks that change the writing direction, which older rules may have accepted
OLD, NEW = "Old\u202e name", "New\u202e name"
SPAN = {"from": "2026-12-01T20:00:00Z", "to": "2026-12-01T20:20:00Z"}
#: path → the member with the text, and the others of a body
KINDS = {
    "/closures": ("name", {"from": "2026-12-01"}),
    "/leaves": ("reason", {"from": "2026-12-01"}),
    "/blocks": ("reason", SPAN),
    "/added-places": ("reason", SPAN),
}


@pytest.fixture
async def stored(api):
    """The addresses of one of each kind, with a text that is not accepted any more."""
    doctor = api.world.doctor
    rows: dict[str, Closing] = {
        "/closures": a_closure(api.world.clinic, name=OLD),
        "/leaves": replace(a_leave(doctor), reason=OLD),
        "/blocks": a_block(doctor, reason=OLD),
        "/added-places": a_place(doctor, MORNING.replace(hour=20), reason=OLD),
    }
    await seed_closings(api.services.store, *rows.values())
    return {path: f"{path}/{row.id}" for path, row in rows.items()}


def body_of(api, path, text):
    member, others = KINDS[path]
    doctor = {} if path == "/closures" else {"doctorId": str(api.world.doctor.id)}
    return {**doctor, **others, member: text}


@pytest.mark.parametrize("path", KINDS)
async def test_text_that_is_no_longer_accepted_is_still_read(api, stored, path):
    one = await api.send("GET", stored[path], who="admin")
    [listed] = (await api.send("GET", path, who="admin")).json()["items"]

    assert one.status_code == 200, one.text
    assert one.json() == listed
    assert listed[KINDS[path][0]] == OLD


@pytest.mark.parametrize("path", ["/closures", "/leaves"])
async def test_change_of_something_else_keeps_it(api, stored, path):
    member = KINDS[path][0]

    changed = await api.send("PATCH", stored[path], {"until": "2026-11-26"}, who="admin")
    other = await api.send("PATCH", stored[path], {member: NEW}, who="admin")

    assert (changed.status_code, changed.json()[member]) == (200, OLD), changed.text
    assert other.status_code == 400
    assert other.json()["errors"][0]["pointer"] == f"/{member}"
    kept = (await api.send("GET", stored[path], who="admin")).json()
    assert (kept[member], kept["until"]) == (OLD, "2026-11-26")


async def test_name_that_is_sent_as_it_was_is_kept(api, stored):
    body = {"name": OLD, "until": "2026-11-26"}

    changed = await api.send("PATCH", stored["/closures"], body, who="admin")

    assert (changed.status_code, changed.json()["name"]) == (200, OLD), changed.text


@pytest.mark.parametrize("preview", ["", "?preview=true"])
@pytest.mark.parametrize("text", [NEW, "", "x" * 201, "\u200b"])
@pytest.mark.parametrize("path", KINDS)
async def test_new_text_is_checked(api, path, text, preview):
    before = await api.everything()

    answer = await api.send("POST", f"{path}{preview}", body_of(api, path, text), who="admin")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input"), answer.text
    assert answer.json()["errors"][0]["pointer"] == f"/{KINDS[path][0]}"
    assert await api.everything() == before


@pytest.mark.parametrize("path", KINDS)
async def test_new_text_is_stored_on_one_line(api, path):
    added = await api.send("POST", path, body_of(api, path, "  Cafe\u0301 \n two "), who="admin")

    assert added.status_code == 201, added.text
    assert added.json()[KINDS[path][0]] == "Café two"
    [listed] = (await api.send("GET", path, who="admin")).json()["items"]
    assert listed[KINDS[path][0]] == "Café two"


@pytest.mark.parametrize("path", ["/closures", "/leaves"])
async def test_changed_text_is_stored_on_one_line(api, path):
    added = (await api.send("POST", path, body_of(api, path, "Away"), who="admin")).json()

    address = f"{path}/{added['id']}"
    changed = await api.send("PATCH", address, {KINDS[path][0]: " Cafe\u0301  two "}, who="admin")

    assert changed.json()[KINDS[path][0]] == "Café two"
