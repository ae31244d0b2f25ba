"""Paging through lists in both directions, and invalid cursors."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest


def links(answer) -> dict[str, str]:
    found = re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers["link"])
    return {relation: address for address, relation in found}


async def walk(api, path, who, relation="next"):
    """Follow links from `path` on; return the ids on each page, and the last response."""
    pages = []
    while True:
        answer = await api.send("GET", path, who=who)
        assert answer.status_code == 200, answer.text
        pages.append([item["id"] for item in answer.json()["items"]])
        path = links(answer).get(relation)
        assert len(pages) < 50
        if path is None:
            return pages, answer


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 9, 10, 11])
@pytest.mark.parametrize("path", ["/slots", "/slots?status=all", "/slots?specialty=General"])
async def test_a_walk_meets_every_slot_once_in_both_directions(api, limit, path):
    joint = "&" if "?" in path else "?"
    whole = await api.send("GET", path, who="receptionist")
    ids = [item["id"] for item in whole.json()["items"]]
    assert len(ids) == 10

    there, last = await walk(api, f"{path}{joint}limit={limit}", "receptionist")
    start = links(last).get("prev")
    back, _ = await walk(api, start, "receptionist", "prev") if start else ([], None)

    assert [one for page in there for one in page] == ids
    assert all(len(page) == limit for page in there[:-1])
    assert [one for page in reversed(back) for one in page] == ids[: -len(there[-1])]


async def test_the_body_names_the_same_cursor_as_the_link(api):
    answer = await api.send("GET", "/slots?limit=3&doctor=" + str(api.world.doctor.id))

    cursor = answer.json()["next"]
    assert links(answer)["next"].endswith(f"limit=3&cursor={cursor}")
    assert "prev" not in links(answer)
    last = await api.send("GET", links(answer)["next"])
    assert last.json()["next"] is None
    assert "next" not in links(last)
    assert links(last)["first"] == f"/slots?doctor={api.world.doctor.id}&limit=3"


async def test_a_walk_meets_every_appointment_and_patient_once(api):
    booked = []
    for number, who in enumerate(["patient", "other", "third"]):
        booked.append((await api.book(number, who=who))["id"])

    appointments, last = await walk(api, "/appointments?limit=1&status=BOOKED", "receptionist")
    back, _ = await walk(api, links(last)["prev"], "receptionist", "prev")
    patients, last = await walk(api, "/patients?limit=2", "receptionist")
    patients_back, _ = await walk(api, links(last)["prev"], "receptionist", "prev")

    assert appointments == [[one] for one in booked]
    assert back == [[booked[1]], [booked[0]]]
    assert sorted(one for page in patients for one in page) == sorted(
        str(patient.id) for patient in api.world.patients
    )
    assert [len(page) for page in patients] == [2, 1]
    assert patients_back == [patients[0]]


async def test_what_comes_and_goes_between_two_pages_disturbs_no_other(api):
    path = f"/slots?limit=2&doctor={api.world.doctor.id}"
    first = await api.send("GET", path)
    await api.book(0, who="other")
    await api.book(3, who="third")

    second = await api.send("GET", links(first)["next"])

    assert [item["id"] for item in second.json()["items"]] == [
        str(api.world.slots[2].id),
        str(api.world.slots[4].id),
    ]


async def test_a_cursor_is_good_for_its_own_list_and_filters_only(api):
    doctor = str(api.world.doctor.id)
    answer = await api.send("GET", f"/slots?limit=2&doctor={doctor}")
    cursor = answer.json()["next"]

    same = await api.send("GET", f"/slots?doctor={doctor}&cursor={cursor}&limit=1")
    for path in (
        f"/slots?cursor={cursor}",
        f"/slots?cursor={cursor}&doctor={api.world.colleague.id}",
        f"/doctors/{doctor}/slots?cursor={cursor}",
        f"/appointments?cursor={cursor}&doctor={doctor}",
    ):
        refused = await api.send("GET", path)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_cursor"), path

    assert same.status_code == 200


async def test_a_cursor_that_was_touched_anywhere_is_refused(api):
    cursor = (await api.send("GET", "/slots?limit=2")).json()["next"]
    raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))

    for place in range(len(raw)):
        touched = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        text = urlsafe_b64encode(touched).rstrip(b"=").decode()
        answer = await api.send("GET", f"/slots?cursor={text}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor"), place
