"""A list of a doctor's free slots has an entity tag that identifies its content."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from clinic.domain.appointments.types import Offer
from clinic.testing.builders import MORNING, a_type, seed_type

pytestmark = pytest.mark.anyio


def _path(api, **filters) -> str:
    more = "".join(f"&{name}={value}" for name, value in filters.items())
    return f"/slots?doctor={api.world.doctor.id}{more}"


async def _read(api, path=None, tag=None, **more):
    headers = {"if-none-match": tag} if tag else {}
    return await api.send("GET", path or _path(api), headers=headers, **more)


async def test_the_same_slots_are_answered_by_304(api):
    first = await _read(api)

    again = await _read(api, tag=first.headers["etag"])

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["cache-control"] == first.headers["cache-control"] == "private, no-cache"
    assert "ratelimit" in again.headers


async def test_the_answer_from_memory_is_the_first_one_word_for_word(api):
    path = _path(api, limit=2)
    first = await _read(api, path)

    again = await _read(api, path)

    volatile = ("x-request-id", "ratelimit")
    headers = [
        {name: text for name, text in each.headers.items() if name not in volatile}
        for each in (first, again)
    ]
    assert (again.content, headers[1]) == (first.content, headers[0])
    assert "next" in again.links


async def test_a_booking_changes_the_tag_and_the_slots(api):
    first = await _read(api)
    booked = await api.book(1)

    again = await _read(api, tag=first.headers["etag"])

    assert again.status_code == 200
    shown = {each["id"] for each in again.json()["items"]}
    assert {each["id"] for each in first.json()["items"]} - shown == {booked["slotId"]}


async def test_cancelling_brings_the_first_tag_back(api):
    first = await _read(api)
    booked = await api.book(1)
    await api.send(
        "PATCH",
        f"/appointments/{booked['id']}",
        {"status": "CANCELLED"},
        headers={"if-match": '"1"'},
    )

    again = await _read(api, tag=first.headers["etag"])

    assert again.status_code == 304


async def test_time_alone_takes_slots_away(api):
    """Given a first slot just outside the clinic's notice
    When a minute has passed
    Then it is inside, and the tag is no longer valid."""
    notice = timedelta(minutes=api.world.clinic.policy.notice_min)
    api.clock.set(MORNING - notice)
    first = await _read(api)

    api.clock.set(MORNING - notice + timedelta(minutes=1))
    again = await _read(api, tag=first.headers["etag"])

    assert again.status_code == 200
    assert [each["id"] for each in first.json()["items"]][1:] == [
        each["id"] for each in again.json()["items"]
    ]


async def test_other_words_for_the_same_slots_share_neither_cursor_nor_link(api):
    start = MORNING.isoformat().replace("+00:00", "Z")
    plain, filtered = _path(api, limit=2), _path(api, limit=2, **{"from": start})
    one, other = await _read(api, plain), await _read(api, filtered)

    assert one.json()["items"] == other.json()["items"]
    assert one.json()["next"] != other.json()["next"]
    assert one.headers["link"] != other.headers["link"]


async def test_a_new_zone_or_policy_is_seen_at_once(api):
    first = await _read(api)

    zone = {"timeZone": "Europe/Paris"}
    any_version = {"if-match": "*"}
    path = "/clinics/current"
    changed = await api.send("PATCH", path, zone, who="admin", headers=any_version)
    again = await _read(api, tag=first.headers["etag"])

    assert changed.status_code == 200, changed.text
    assert again.status_code == 200
    [before, after] = [each.json()["items"][0]["startsAt"] for each in (first, again)]
    assert before[-6:] != after[-6:]

    horizon = {"policy": {"horizonDays": 1, "noticeMin": 20_000}}
    changed = await api.send("PATCH", path, horizon, who="admin", headers=any_version)
    assert changed.status_code == 200, changed.text
    assert (await _read(api)).json()["items"] == []


async def test_304_is_for_those_who_may_read(api):
    tag = (await _read(api)).headers["etag"]
    nobody = await _read(api, tag=tag, who=None)
    await api.send("DELETE", "/sessions")
    signed_out = await _read(api, tag=tag)

    assert (nobody.status_code, signed_out.status_code) == (401, 401)


@pytest.mark.parametrize(
    "path",
    [
        "/slots?doctor={doctor}",
        "/slots?doctor={nobody}",
        "/doctors/{doctor}/slots?limit=1",
        "/slots",
        "/slots?specialty=Cardiology",
        "/slots?doctor={doctor}&specialty=Cardiology",
        "/slots?doctor={doctor}&status=all",
        "/slots?doctor={doctor}&limit=1&cursor={cursor}",
        "/slots?doctor={doctor}&limit=0",
        "/slots?doctor={doctor}&from=2026-11-25T00:00:00Z&to=2026-11-24T00:00:00Z",
    ],
)
async def test_no_list_of_slots_is_for_a_session_that_has_ended(api, path):
    page = await api.send("GET", _path(api, limit=1), who="receptionist")
    cursor = page.links["next"]["url"].partition("cursor=")[2].partition("&")[0]
    path = path.format(doctor=api.world.doctor.id, nobody=uuid4(), cursor=cursor)
    before = await api.send("GET", path, who="receptionist")
    await api.send("DELETE", "/sessions", who="receptionist")

    after = await api.send("GET", path, who="receptionist")

    assert before.status_code in (200, 400, 404)
    assert (after.status_code, after.json()["code"]) == (401, "not_signed_in")


@pytest.mark.parametrize(
    ("header", "status"), [("*", 304), ('"other"', 200), ('W/"other", "more"', 200), ("odd", 400)]
)
async def test_if_none_match_is_read_as_it_is_written(api, header, status):
    await _read(api)

    assert (await _read(api, tag=header)).status_code == status


async def test_a_weak_copy_of_the_tag_counts(api):
    tag = (await _read(api)).headers["etag"]

    assert (await _read(api, tag=f'"other", W/{tag}')).status_code == 304


async def test_head_has_the_tag_and_no_body(api):
    tag = (await _read(api)).headers["etag"]

    head = await api.send("HEAD", _path(api))

    assert (head.status_code, head.headers["etag"], head.content) == (200, tag, b"")


async def test_both_addresses_of_a_doctors_slots_are_tagged(api):
    path = f"/doctors/{api.world.doctor.id}/slots"
    first = await _read(api, path)

    assert (await _read(api, path, tag=first.headers["etag"])).status_code == 304


async def test_what_only_staff_see_has_no_tag(api):
    answer = await _read(api, _path(api, status="all"), who="receptionist")

    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


async def _replace(api, kind) -> None:
    async with api.services.store.begin() as unit:
        await unit.appointment_types.replace(kind)
        await unit.commit()


async def test_starts_of_a_type_have_a_tag_that_identifies_them(api):
    """Given the starts of a type, which lasts two slots
    When another slot is booked, or the type or who offers it changes, which leaves the slots as
    they are
    Then the tag is no longer valid, and the starts are the new ones."""
    kind = a_type(api.world.clinic, "Long", 60)
    await seed_type(api.services.store, kind, a_type(api.world.clinic, "Other", is_default=True))
    path = _path(api, type="long")
    slots = [str(slot.id) for slot in api.world.slots]
    first = await _read(api, path)
    assert (await _read(api, path, first.headers["etag"])).status_code == 304
    await api.book(3)
    seen = [await _read(api, path, first.headers["etag"])]
    for changed in (
        replace(kind, visible_min=90),
        replace(kind, visible_min=20),
        replace(kind, offered_by=(Offer(api.world.doctor.id, 40),)),
        replace(kind, after_min=10),
        replace(kind, offered_by=(Offer(api.world.colleague.id),)),
    ):
        await _replace(api, changed)
        seen.append(await _read(api, path, seen[-1].headers.get("etag")))

    found = [[slots.index(each["id"]) for each in one.json()["items"]] for one in (first, *seen)]
    assert found == [[0, 1, 2, 3], [0, 1], [0], [0, 1, 2, 4], [0, 1], [0], []]


async def test_time_alone_adds_starts_of_a_type(api):
    """Given a type whose horizon ends with the start of the second slot
    When a minute has passed
    Then it may begin there, although the free slots are the same."""
    kind = replace(a_type(api.world.clinic, "Long", 60), horizon_days=1, notice_min=0)
    await seed_type(api.services.store, kind)
    api.clock.set(api.world.slots[1].starts_at - timedelta(days=1))
    first = await _read(api, _path(api, type="Long"))
    api.clock.set(api.world.slots[1].starts_at - timedelta(days=1) + timedelta(minutes=1))

    again = await _read(api, _path(api, type="Long"), first.headers["etag"])

    assert [len(each.json()["items"]) for each in (first, again)] == [1, 2]
