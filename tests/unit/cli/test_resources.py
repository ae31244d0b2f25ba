"""`clinic resources …`: rooms and equipment."""

import pytest


@pytest.fixture(autouse=True)
def clinic(line):
    line("clinic", "create", "Riverside", "Europe/London")


def listed(line):
    return line.json("resources", "list")


def test_resource_is_added_changed_and_listed(line):
    added = line.json("resources", "add", "ultrasound room", "Room 2", "--capacity", "4")

    assert added == {
        "id": added["id"],
        "kind": "ultrasound room",
        "name": "Room 2",
        "capacity": 4,
        "locationId": None,
        "active": True,
    }
    line("resources", "add", "chair", "Chair 1")
    assert listed(line)[0] == added
    assert [one["name"] for one in line.json("resources", "list", "--kind", "CHAIR")] == ["Chair 1"]
    options = ("--name", "Room 3", "--capacity", "1", "--inactive")
    changed = line.json("resources", "change", added["id"], *options)
    want = {**added, "name": "Room 3", "capacity": 1, "active": False}
    assert changed == {**want, "stranded": []}
    assert listed(line)[0] == want
    assert line("resources", "change", added["id"], "--name", "Room 3") == (
        "The resource is the same as before.\n"
    )


def test_resource_is_closed_and_opened_again(line):
    room = line.json("resources", "add", "room", "Room 1")["id"]

    days = ("--from", "2040-11-24", "--to", "2040-11-25")
    told = line("resources", "close", room, *days, "--reason", "Paint")
    [closure] = line.json("resources", "closures", room)

    assert told == f"Added closure {closure['id']}\n"
    assert closure == {
        "id": closure["id"],
        "resourceId": room,
        "from": "2040-11-24 00:00:00+00:00",
        "to": "2040-11-26 00:00:00+00:00",
        "reason": "Paint",
    }
    assert line("resources", "reopen", room, closure["id"]) == f"Deleted closure {closure['id']}\n"
    assert line.json("resources", "closures", room) == []


def test_type_needs_what_there_is(line):
    line("resources", "add", "Room", "Room 1")

    added = line.json("types", "add", "Scan", "20", "--needs", "room")

    assert added["needs"] == ["Room"]
    assert line.json("types", "change", added["id"], "--clear", "needs")["needs"] == []
