"""Booking appointments of a type: their length, buffers, and who may book them."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from clinic.domain.appointments.types import AppointmentType, BookableBy, Offer
from clinic.domain.calendar.slots import SlotState
from clinic.testing.builders import (
    a_block,
    a_slot,
    a_type,
    seed_closings,
    seed_slots,
    seed_state,
    seed_type,
)

pytestmark = pytest.mark.anyio

Seed = Callable[..., Awaitable[AppointmentType]]


@pytest.fixture
def seed(api) -> Seed:
    async def add(name: str = "Check-up", minutes: int = 30, **more: Any) -> AppointmentType:
        kind = a_type(api.world.clinic, name, minutes, **more)
        await seed_type(api.services.store, kind)
        return kind

    return add


async def book(api, slot: int, *, who: str = "patient", **body: Any) -> Any:
    sent = {"slotId": str(api.world.slots[slot].id), **body}
    return await api.send("POST", "/appointments", sent, who=who)


async def free(api) -> list[int]:
    """Return the numbers of the doctor's slots that are free."""
    query = "status=all&limit=200"
    found = (await api.send("GET", f"/slots?{query}", who="receptionist")).json()["items"]
    taken = {each["id"] for each in found if each["taken"]}
    return [n for n, slot in enumerate(api.world.slots) if str(slot.id) not in taken]


async def test_appointment_lasts_as_long_as_its_type(api, seed) -> None:
    kind = await seed("Long check-up", 60)

    booked = await book(api, 1, type="long CHECK-UP")

    assert booked.status_code == 201, booked.text
    body = booked.json()
    assert (body["type"], body["typeId"], body["duration"]) == ("Long check-up", str(kind.id), 60)
    assert await free(api) == [0, 3, 4]
    read = (await api.send("GET", f"/appointments/{body['id']}")).json()
    assert read == body
    await api.send(
        "PATCH",
        f"/appointments/{body['id']}",
        {"status": "CANCELLED"},
        headers={"if-match": "*"},
    )
    assert await free(api) == [0, 1, 2, 3, 4]


async def test_default_type_is_booked_when_none_is_named(api, seed) -> None:
    await seed("Other", 30)
    await seed("Usual", 20, is_default=True, after_min=10)

    booked = (await book(api, 1)).json()

    assert (booked["type"], booked["duration"]) == ("Usual", 20)
    assert await free(api) == [0, 2, 3, 4]


@pytest.mark.parametrize(
    ("body", "pointer", "types"),
    [
        ({"type": "Chek-up"}, "/type", ["Check-up"]),
        ({}, "/type", ["Check-up"]),
        ({"typeId": str(UUID(int=7))}, "/typeId", ["Check-up"]),
    ],
)
async def test_type_that_the_clinic_does_not_have(api, seed, body, pointer, types) -> None:
    await seed()
    await seed("Old", is_active=False)
    await seed("Internal", bookable_by=BookableBy.STAFF)
    before = await api.everything()

    refused = await book(api, 1, **body)

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (400, "unknown_type")
    assert ([each["pointer"] for each in problem["errors"]], problem["types"]) == (
        [pointer],
        types,
    )
    assert await api.everything() == before


async def test_type_is_named_once(api, seed) -> None:
    kind = await seed()

    refused = await book(api, 1, type="Check-up", typeId=str(kind.id))

    assert refused.status_code == 400
    assert [each["pointer"] for each in refused.json()["errors"]] == ["/typeId"]


async def test_clinic_without_types_books_any_text(api) -> None:
    booked = (await book(api, 1, type="Anything")).json()

    assert (booked["type"], booked["typeId"], booked["duration"]) == ("Anything", None, 30)


@pytest.mark.parametrize("is_inactive", [True, False])
async def test_id_of_a_type_at_a_clinic_without_active_types(api, seed, is_inactive) -> None:
    kind_id = (await seed(is_active=False)).id if is_inactive else UUID(int=7)
    before = await api.everything()

    refused = await book(api, 1, typeId=str(kind_id))

    assert (refused.status_code, refused.json()["code"]) == (400, "unknown_type")
    assert [each["pointer"] for each in refused.json()["errors"]] == ["/typeId"]
    assert await api.everything() == before


async def test_type_that_lasts_beyond_the_hours(api, seed) -> None:
    await seed("Long", 60)
    before = await api.everything()

    refused = await book(api, 4, type="Long")

    assert (refused.status_code, refused.json()["code"]) == (409, "does_not_fit")
    assert await api.everything() == before


async def test_type_that_meets_another_appointment(api, seed) -> None:
    await seed("Long", 60)
    await seed("Short", 30)
    await book(api, 2, type="Short", who="other")

    refused = await book(api, 1, type="Long")

    assert (refused.status_code, refused.json()["code"]) == (409, "slot_taken")


async def test_taken_slot_before_a_blocked_one_is_refused_as_blocked(api, seed) -> None:
    """As the explanation names it: what blocks a time comes before who has taken it."""
    await seed("Long check-up", 60)
    await seed("Short", 30)
    await book(api, 1, type="Short", who="other")
    await seed_state(api.services.store, SlotState.BLOCKED, api.world.slots[2])

    refused = await book(api, 1, type="Long check-up")

    assert (refused.status_code, refused.json()["code"]) == (409, "slot_blocked")


async def test_buffers_keep_the_doctor_and_not_the_patient(api, seed) -> None:
    await seed("Buffered", 30, before_min=5, after_min=5)
    await seed("Short", 30)

    booked = await book(api, 2, type="Buffered")

    assert booked.json()["duration"] == 30
    assert await free(api) == [0, 4]
    beside = {"slotId": str(api.world.colleague_slots[3].id), "type": "Short"}
    assert (await api.send("POST", "/appointments", beside)).status_code == 201


async def test_doctor_who_does_not_offer_it(api, seed) -> None:
    await seed("Surgery", 30, offered_by=(Offer(api.world.colleague.id, 60),))
    slots = api.world.colleague_slots

    refused = await book(api, 1, type="Surgery")
    booked = await api.send(
        "POST", "/appointments", {"slotId": str(slots[1].id), "type": "Surgery"}
    )

    assert (refused.status_code, refused.json()["code"]) == (409, "not_offered")
    assert (booked.status_code, booked.json()["duration"]) == (201, 60)


async def test_type_for_staff_and_for_known_patients(api, seed) -> None:
    await seed("Internal", bookable_by=BookableBy.STAFF)
    await seed("Follow-up", bookable_by=BookableBy.KNOWN_PATIENTS)
    patient = str(api.world.patients[0].id)

    own = [await book(api, 1, type=name) for name in ("Internal", "Follow-up")]
    by_staff = [
        await book(api, slot, type=name, who="receptionist", patientId=patient)
        for slot, name in ((1, "Internal"), (2, "Follow-up"))
    ]

    assert [each.status_code for each in own] == [422, 422]
    assert {each.json()["code"] for each in own} == {"type_not_bookable"}
    assert [each.status_code for each in by_staff] == [201, 201]


async def test_move_keeps_the_length(api, seed) -> None:
    await seed("Long", 60)
    booked = (await book(api, 0, type="Long")).json()
    path, headers = f"/appointments/{booked['id']}", {"if-match": "*"}

    moved = await api.send("PATCH", path, {"slotId": str(api.world.slots[1].id)}, headers=headers)
    beyond = await api.send("PATCH", path, {"slotId": str(api.world.slots[4].id)}, headers=headers)

    assert (moved.status_code, moved.json()["duration"]) == (200, 60)
    assert (beyond.status_code, beyond.json()["code"]) == (409, "does_not_fit")
    assert await free(api) == [0, 3, 4]


async def test_refused_move_names_the_nearest_slots_in_which_the_type_fits(api, seed) -> None:
    """Only the slots in which it fits as a new appointment: at 11:00 the hours end too early."""
    await seed("Long", 60)
    await seed("Short", 30)
    at_the_colleague = {"slotId": str(api.world.colleague_slots[0].id), "type": "Long"}
    booked = (await api.send("POST", "/appointments", at_the_colleague)).json()
    await book(api, 2, type="Short", who="other")

    refused = await api.send(
        "PATCH",
        f"/appointments/{booked['id']}",
        {"slotId": str(api.world.slots[2].id)},
        headers={"if-match": "*"},
    )

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (409, "slot_taken")
    nearest = {(each["doctorId"], each["startsAt"]) for each in problem["nearest"]}
    fitting = {
        (str(slot.doctor_id), slot.starts_at.isoformat().replace("+00:00", "Z"))
        for slot in (
            *(api.world.slots[number] for number in (0, 3)),
            *(api.world.colleague_slots[number] for number in (2, 3)),
        )
    }
    assert nearest
    assert nearest <= fitting, problem["nearest"]


async def test_move_to_a_doctor_who_does_not_offer_it(api, seed) -> None:
    await seed("Surgery", 30, offered_by=(Offer(api.world.doctor.id),))
    booked = (await book(api, 0, type="Surgery")).json()
    target = {"slotId": str(api.world.colleague_slots[2].id)}

    refused = await api.send(
        "PATCH", f"/appointments/{booked['id']}", target, headers={"if-match": "*"}
    )

    assert (refused.status_code, refused.json()["code"]) == (409, "not_offered")


async def test_notice_of_the_type_comes_before_the_clinics(api, seed) -> None:
    kind = a_type(api.world.clinic, "Planned", 30)
    far = AppointmentType(
        kind.id, kind.clinic_id, "Planned", 30, notice_min=60 * 24 * 30, horizon_days=90
    )
    await seed_type(api.services.store, far)

    refused = await book(api, 1, type="Planned")

    assert (refused.status_code, refused.json()["code"]) == (422, "inside_notice")


async def test_long_appointment_whose_second_slot_is_closed_is_stranded(api, seed) -> None:
    """Given an appointment of two slots
    When the time of the second one is blocked, and again when something else changes that day
    Then both answers, and the preview, name it, and opening the time again lets it be."""
    await seed("Long", 60)
    booked = (await book(api, 1, type="Long")).json()
    second = api.world.slots[2]
    block = {
        "doctorId": str(api.world.doctor.id),
        "from": second.starts_at.isoformat(),
        "to": second.ends_at.isoformat(),
    }

    preview = await api.send("POST", "/blocks?preview=true", block, who="receptionist")
    blocked = await api.send("POST", "/blocks", block, who="receptionist")
    later = block | {
        "from": api.world.slots[4].starts_at.isoformat(),
        "to": api.world.slots[4].ends_at.isoformat(),
    }
    again = await api.send("POST", "/blocks", later, who="receptionist")
    opened = await api.send("DELETE", f"/blocks/{blocked.json()['id']}", who="receptionist")

    for answer in (preview, blocked, again):
        assert answer.is_success, answer.text
        [stranded] = answer.json()["slotsOpened"]["stranded"]
        assert stranded["id"] == booked["id"]
    assert opened.json()["slotsOpened"]["stranded"] == []


async def listed(api, query: str, who: str = "patient") -> list[str]:
    """Return the starts on all pages, in order."""
    path, found = f"/slots?{query}", []
    while path:
        answer = await api.send("GET", path, who=who)
        assert answer.status_code == 200, answer.text
        found += [slot["id"] for slot in answer.json()["items"]]
        path = answer.links.get("next", {}).get("url")
    return found


@pytest.mark.parametrize("limit", [1, 2, 200])
@pytest.mark.parametrize(
    ("minutes", "before", "after"), [(30, 0, 0), (60, 0, 0), (20, 10, 0), (30, 5, 5), (90, 0, 30)]
)
async def test_starts_that_are_listed_are_those_that_can_be_booked(
    api, seed, minutes, before, after, limit
) -> None:
    """Given a day with an appointment, one with a buffer, and a blocked slot
    When the starts of a type are listed, whatever the size of the pages
    Then each of them can be booked, and no other."""
    kind = await seed("Wanted", minutes, before_min=before, after_min=after)
    await seed("Short", 30)
    await seed("Buffered", 30, after_min=10)
    await book(api, 4, type="Short", who="other")
    colleague = {"slotId": str(api.world.colleague_slots[1].id), "type": "Buffered"}
    await api.send("POST", "/appointments", colleague, who="other")
    blocked = {"status": "BLOCKED"}
    await api.send(
        "PATCH", f"/slots/{api.world.colleague_slots[4].id}", blocked, who="receptionist"
    )

    found = await listed(api, f"typeId={kind.id}&limit={limit}")
    by_name = await listed(api, f"type=wanted&limit={limit}")
    doctors = (api.world.doctor, api.world.colleague)
    by_doctor: list[str] = []
    for doctor in doctors:
        by_doctor += await listed(api, f"type=wanted&limit={limit}&doctor={doctor.id}")

    possible = []
    for slot in (*api.world.slots, *api.world.colleague_slots):
        body = {"slotId": str(slot.id), "typeId": str(kind.id)}
        answer = await api.send("POST", "/appointments", body)
        if answer.status_code == 201:
            possible.append(str(slot.id))
            path = f"/appointments/{answer.json()['id']}"
            cancel = {"status": "CANCELLED"}
            await api.send("PATCH", path, cancel, headers={"if-match": "*"})
    assert found == by_name
    assert sorted(by_doctor) == sorted(found)
    assert sorted(found) == sorted(possible)
    assert len(found) == len(set(found))


async def test_starts_of_a_type_go_backwards_too(api, seed) -> None:
    await seed("Long", 60)
    forwards = await listed(api, "type=Long&limit=200")
    doctor = f"doctor={api.world.doctor.id}"

    second = await api.send("GET", f"/slots?type=Long&{doctor}&limit=2")
    third = await api.send("GET", second.links["next"]["url"])
    back = await api.send("GET", third.links["prev"]["url"])

    ids = [[slot["id"] for slot in each.json()["items"]] for each in (second, third, back)]
    own = [str(slot.id) for slot in api.world.slots]
    assert ids[0] + ids[1] == [each for each in forwards if each in own]
    assert ids[2] == ids[0]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("type=Nothing", "unknown_type"),
        (f"typeId={UUID(int=3)}", "unknown_type"),
        (f"type=Check-up&typeId={UUID(int=3)}", "invalid_input"),
        ("type=", "invalid_input"),
    ],
)
async def test_starts_of_a_type_that_cannot_be(api, seed, query, code) -> None:
    await seed()

    refused = await api.send("GET", f"/slots?{query}")

    assert (refused.status_code, refused.json()["code"]) == (400, code)


@pytest.mark.parametrize("slot", [2, 4])
async def test_nearest_slots_are_those_in_which_the_type_fits(api, seed, slot) -> None:
    """Given a doctor whose third slot is taken, and a type of two slots
    When it is asked for where it does not fit
    Then each of the slots that are named can be booked."""
    await seed("Long", 60)
    await seed("Short", 30)
    await book(api, 2, type="Short", who="other")

    refused = await book(api, slot, type="Long")

    problem = refused.json()
    assert problem["code"] in ("slot_taken", "does_not_fit")
    own = [str(each.id) for each in api.world.slots]
    assert [own.index(each["id"]) for each in problem["nearest"]] == [0, 3]
    for each in problem["nearest"]:
        body = {"slotId": each["id"], "type": "Long"}
        booked = await api.send("POST", "/appointments", body)
        assert booked.status_code == 201, booked.text


async def test_buffers_never_reach_into_closed_time_without_slots(api, seed) -> None:
    """Given a block right after the doctor's last slot, where no hours are
    When a type that needs time after it is listed, booked there and moved there
    Then it is refused, as long as the block is there."""
    kind = await seed("Buffered", 30, after_min=10)
    last = api.world.slots[4]
    block = {
        "doctorId": str(api.world.doctor.id),
        "from": last.ends_at.isoformat(),
        "to": (last.ends_at + timedelta(hours=1)).isoformat(),
    }
    made = (await api.send("POST", "/blocks", block, who="receptionist")).json()
    query = f"doctor={api.world.doctor.id}&typeId={kind.id}"

    found = await listed(api, query)
    refused = await book(api, 4, type="Buffered")
    booked = (await book(api, 0, type="Buffered")).json()
    path, headers = f"/appointments/{booked['id']}", {"if-match": "*"}
    moved = await api.send("PATCH", path, {"slotId": str(last.id)}, headers=headers)
    await api.send("DELETE", f"/blocks/{made['id']}", who="receptionist")
    after = await api.send("PATCH", path, {"slotId": str(last.id)}, headers=headers)

    assert found == [str(slot.id) for slot in api.world.slots[:4]]
    assert (refused.status_code, refused.json()["code"]) == (409, "slot_blocked")
    assert refused.json()["detail"].startswith("The time that the type needs before or after")
    assert (moved.status_code, moved.json()["code"]) == (409, "slot_blocked")
    assert after.status_code == 200, after.text


@pytest.mark.parametrize("fits", [True, False])
async def test_swap_of_unlike_lengths(api, seed, fits) -> None:
    """Given an appointment of two slots, and one of a single slot, with a free one after it or not
    When they are swapped
    Then each keeps its length at the other's place, or both stay."""
    await seed("Long", 60)
    await seed("Short", 30)
    long = (await book(api, 0, type="Long")).json()
    short = (await book(api, 3 if fits else 4, type="Short", who="other")).json()
    before = await api.everything()

    body = {"appointmentIds": [long["id"], short["id"]]}
    swapped = await api.send("POST", "/swaps", body, who="receptionist")

    if fits:
        assert swapped.status_code == 200, swapped.text
        assert await free(api) == [1, 2]
    else:
        assert (swapped.status_code, swapped.json()["code"]) == (409, "not_swappable")
        assert await api.everything() == before


async def test_swap_keeps_buffers_out_of_closed_time(api, seed) -> None:
    """As a booking there does: after the last slot a block begins, where there are no slots."""
    await seed("Buffered", 30, after_min=15)
    await seed("Short", 30)
    last = api.world.slots[-1]
    ids = [
        (await book(api, 0, type="Buffered")).json()["id"],
        (await book(api, 4, type="Short", who="other")).json()["id"],
    ]
    await seed_closings(api.services.store, a_block(api.world.doctor, last.ends_at))
    before = await api.everything()

    refused = await api.send("POST", "/swaps", {"appointmentIds": ids}, who="receptionist")

    assert (refused.status_code, refused.json()["code"]) == (409, "slot_blocked")
    assert await api.everything() == before


async def test_patients_move_within_the_notice_of_the_type(api, seed) -> None:
    kind = a_type(api.world.clinic, "Planned", 30)
    await seed_type(api.services.store, replace(kind, notice_min=60 * 24 * 30))
    booked = await book(
        api,
        0,
        type="Planned",
        who="receptionist",
        patientId=str(api.world.patients[0].id),
        override=True,
    )
    path, target = f"/appointments/{booked.json()['id']}", {"slotId": str(api.world.slots[2].id)}
    before = await api.everything()

    refused = await api.send("PATCH", path, target, headers={"if-match": "*"})

    assert (refused.status_code, refused.json()["code"]) == (422, "inside_notice")
    assert await api.everything() == before
    by_staff = await api.send(
        "PATCH", path, {**target, "override": True}, headers={"if-match": "*"}, who="receptionist"
    )
    assert by_staff.status_code == 200


async def test_permission_is_checked_before_what_the_doctor_offers(api, seed) -> None:
    colleague = Offer(api.world.colleague.id)
    await seed("Theirs", 60, offered_by=(colleague,))
    patient = str(api.world.patients[0].id)

    refused = await book(api, 0, type="Theirs", who="colleague", patientId=patient)

    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")


async def test_move_beyond_the_hours_names_the_nearest_slots_in_which_the_type_fits(
    api, seed
) -> None:
    await seed("Long", 60)
    booked = (await book(api, 0, type="Long")).json()
    path, last = f"/appointments/{booked['id']}", {"slotId": str(api.world.slots[4].id)}

    refused = await api.send("PATCH", path, last, headers={"if-match": "*"})

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (409, "does_not_fit")
    assert problem["nearest"]
    for each in problem["nearest"]:
        moved = await api.send("PATCH", path, {"slotId": each["id"]}, headers={"if-match": "*"})
        assert moved.status_code == 200, moved.text


async def test_swap_keeps_the_length_of_an_appointment_without_a_type(api, seed) -> None:
    """Given an appointment of 30 minutes from before there were types, and a typed one as long,
    which begins in a slot of 40 minutes
    When they are swapped
    Then both last as long as before."""
    untyped = await api.book(0)
    longer = a_slot(
        api.world.colleague, api.world.slots[0].starts_at + timedelta(days=1), minutes=40
    )
    await seed_slots(api.services.store, longer)
    await seed("Short", 30)
    body = {"slotId": str(longer.id), "type": "Short"}
    typed = (await api.send("POST", "/appointments", body, who="other")).json()

    ids = [untyped["id"], typed["id"]]
    swapped = await api.send("POST", "/swaps", {"appointmentIds": ids}, who="receptionist")

    assert [each["duration"] for each in swapped.json()["items"]] == [30, 30]
