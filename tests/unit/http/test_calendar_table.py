"""What a calendar does that others got wrong: each line of the table of inputs, over HTTP.

State follows from what people entered, and is never remembered, so each of these holds whatever
else was changed in between.
"""

from datetime import UTC, datetime

import httpx
import pytest

DAY = "2026-12-07"
#: the slots of hours from 09:00 to 12:00 by 20 minutes
BY_20 = [f"{hour:02}:{minute:02}" for hour in (9, 10, 11) for minute in (0, 20, 40)]


async def block(calendar, first, last):
    return await calendar.add(
        "/blocks", **{"from": f"{first}T00:00:00Z", "to": f"{last}T00:00:00Z"}
    )


async def test_block_of_a_day_holds_when_the_slots_get_another_length(calendar):
    hours = await calendar.add_hours("09:00", "12:00", 30)
    await block(calendar, DAY, "2026-12-08")

    path = f"/availabilities/{hours['id']}"
    changed = await calendar.send("PATCH", path, {"slotMinutes": 20})
    [slot, *_] = await calendar.slots(DAY)
    booking = {"slotId": slot["id"]}
    refused = await calendar.send("POST", "/appointments", booking, who="patient", status=409)

    assert changed["slotsOpened"]["added"] > 0
    assert await calendar.day(DAY) == [f"{time} BLOCKED" for time in BY_20]
    assert refused["code"] == "slot_blocked"
    assert await calendar.day("2026-12-08") == [f"{time} OPEN" for time in BY_20]


async def test_block_of_a_day_holds_when_the_hours_move_by_a_quarter_of_an_hour(calendar):
    hours = await calendar.add_hours("09:00", "12:00", 30)
    await block(calendar, DAY, "2026-12-08")

    later = {"startTime": "09:15", "endTime": "12:15"}
    await calendar.send("PATCH", f"/availabilities/{hours['id']}", later)

    times = ["09:15", "09:45", "10:15", "10:45", "11:15", "11:45"]
    assert await calendar.day(DAY) == [f"{time} BLOCKED" for time in times]
    assert await calendar.day("2026-12-08") == [f"{time} OPEN" for time in times]


async def test_block_of_a_day_holds_when_a_day_off_is_entered_and_deleted(calendar):
    await calendar.add_hours("09:00", "12:00", 30)
    await block(calendar, DAY, "2026-12-08")
    before = await calendar.slots(DAY)

    off = await calendar.add("/availability-exceptions", date=DAY, kind="remove")
    during = await calendar.slots(DAY)
    await calendar.send("DELETE", f"/availability-exceptions/{off['id']}")

    assert {slot["status"] for slot in before} == {"BLOCKED"}
    assert (len(before), during) == (6, [])
    assert await calendar.slots(DAY) == before


async def test_block_beyond_the_horizon_holds_for_slots_that_are_opened_later(calendar):
    """Given a horizon of 28 days, and a block of the days 100 to 110
    When slots are opened until day 115
    Then those of the days 100 to 110 are blocked, and the others open."""
    await calendar.change_clinic(policy={"horizonDays": 28})
    await calendar.add_hours("09:00", "10:00", 30)

    blocked = await block(calendar, "2027-03-03", "2027-03-14")
    path = f"/doctors/{calendar.doctor}/slots"
    opened = await calendar.send("POST", path, {"until": "2027-03-18"})

    nothing = {"added": 0, "retired": 0, "blocked": 0, "unblocked": 0, "stranded": []}
    note = "No slots are open on these days: they are over, or have not been opened yet."
    assert blocked["slotsOpened"] == {**nothing, "note": note}
    # Of the days 29 to 115.
    assert opened["added"] == 2 * 87
    slots = await calendar.slots("2027-03-02", "2027-03-14")
    by_state = {slot["date"]: slot["status"] for slot in slots}
    days = {f"2027-03-{day:02}": "BLOCKED" for day in range(3, 14)}
    assert by_state == {"2027-03-02": "OPEN", **days, "2027-03-14": "OPEN"}
    assert len(slots) == 2 * 13


async def test_slot_of_a_day_off_that_is_taken_back_is_open_once_its_patient_cancels(calendar):
    """Given a slot that is booked on a day that is then taken off, and given back
    When the patient cancels
    Then the slot is open again, under its old id."""
    await calendar.add_hours("09:00", "11:00", 30)
    before = await calendar.slots(DAY)
    booked = await calendar.book(DAY, "09:30")
    slot = f"/slots/{booked['slotId']}"

    off = await calendar.add("/availability-exceptions", date=DAY, kind="remove")
    during = await calendar.send("GET", slot)
    await calendar.send("DELETE", f"/availability-exceptions/{off['id']}")
    after = await calendar.day(DAY)
    await calendar.cancel(booked)

    assert off["slotsOpened"]["stranded"] == [booked]
    assert (during["status"], during["blockedBy"]) == ("BLOCKED", [{"kind": "no_hours"}])
    assert after == ["09:00 OPEN", "09:30 OPEN taken", "10:00 OPEN", "10:30 OPEN"]
    assert await calendar.slots(DAY) == before


async def test_slot_of_a_day_off_that_is_taken_back_can_be_swapped(calendar):
    await calendar.add_hours("09:00", "11:00", 30)
    one = await calendar.book(DAY, "09:30")
    two = await calendar.book(DAY, "10:30", who="other")

    off = await calendar.add("/availability-exceptions", date=DAY, kind="remove")
    both = {"appointmentIds": [one["id"], two["id"]]}
    refused = await calendar.send("POST", "/swaps", both, status=409)
    await calendar.send("DELETE", f"/availability-exceptions/{off['id']}")
    await calendar.send("POST", "/swaps", both)

    moved = await calendar.send("GET", f"/appointments/{one['id']}")
    assert refused["code"] == "slot_blocked"
    assert moved["slotId"] == two["slotId"]


async def test_slots_of_another_length_are_on_offer_as_soon_as_the_patient_cancels(calendar):
    """Given half an hour that is booked, and hours that then divide into 20 minutes
    When the patient cancels
    Then both slots of 20 minutes in its time are on offer, at once."""
    hours = await calendar.add_hours("09:00", "10:00", 30)
    booked = await calendar.book(DAY, "09:30")

    path = f"/availabilities/{hours['id']}"
    changed = await calendar.send("PATCH", path, {"slotMinutes": 20})
    before = await calendar.day(DAY)
    await calendar.cancel(booked)

    assert changed["slotsOpened"]["stranded"] == []
    assert before == ["09:00 OPEN", "09:20 OPEN taken", "09:40 OPEN taken"]
    assert await calendar.day(DAY) == ["09:00 OPEN", "09:20 OPEN", "09:40 OPEN"]


async def test_deleted_hours_report_those_who_were_blocked_before_as_well(calendar):
    hours = await calendar.add_hours("09:00", "12:00", 30)
    one = await calendar.book(DAY, "09:30")
    two = await calendar.book("2026-12-08", "09:30", who="other")

    blocked = await block(calendar, DAY, "2026-12-08")
    deleted = await calendar.send("DELETE", f"/availabilities/{hours['id']}")

    assert blocked["slotsOpened"]["stranded"] == [one]
    assert deleted["slotsOpened"]["stranded"] == [one, two]


async def test_another_time_zone_takes_slots_sheets_and_doctors_notices_along(calendar):
    """Given hours from 09:00 to 12:00 in New York, with an appointment
    When the clinic's zone becomes Berlin's
    Then the slots are at 09:00 in Berlin, the appointment keeps its instant and is reported, the
    day's sheet goes out at 18:00 in Berlin, and a later booking of that day is news to the doctor.
    """
    api = calendar.api
    await calendar.change_clinic(timeZone="America/New_York")
    await calendar.add_hours("09:00", "12:00", 60)
    booked = await calendar.book(DAY, "09:00")

    changed = await calendar.change_clinic(timeZone="Europe/Berlin", confirm=1)
    day = await calendar.day(DAY)
    due = {"kind": "day_sheet", "from": "2026-12-06T00:00:00Z", "to": "2026-12-07T12:00:00Z"}
    sheets = await calendar.send("GET", f"/notifications?{httpx.QueryParams(due)}")
    own = [each for each in sheets["items"] if each["userId"] == calendar.doctor]
    api.clock.set(datetime(2026, 12, 6, 17, 30, tzinfo=UTC))
    late = await calendar.book(DAY, "10:00", who="other")
    path = f"/appointments/{late['id']}/notifications"
    kinds = {each["kind"] for each in (await calendar.send("GET", path))["items"]}

    assert booked["startsAt"] == "2026-12-07T09:00:00-05:00"
    [stranded] = changed["slotsOpened"]["stranded"]
    assert (stranded["id"], stranded["startsAt"]) == (booked["id"], "2026-12-07T15:00:00+01:00")
    assert day == ["09:00 OPEN", "10:00 OPEN", "11:00 OPEN"]
    assert [each["scheduledFor"] for each in own] == ["2026-12-06T17:00:00Z"]
    assert "doctor_change" in kinds


async def test_disabled_doctor_is_not_offered_and_not_opened_until_enabled_again(calendar):
    """Given a doctor with hours, an appointment ahead and free slots
    When the doctor is disabled
    Then no slot is on offer or can be booked or opened, and the appointment stays;
    and the slots come back, with their ids, once the doctor is enabled."""
    await calendar.add_hours("09:00", "11:00", 30)
    before = await calendar.slots(DAY, status="open")
    booked = await calendar.book(DAY, "09:00")
    user = f"/users/{calendar.doctor}"

    undecided = await calendar.send("PATCH", user, {"disabled": True}, who="admin", status=409)
    decision = {"disabled": True, "appointments": "keep"}
    disabled = await calendar.send("PATCH", user, decision, who="admin")
    during = await calendar.slots(DAY, status="open")
    booking = {"slotId": before[1]["id"]}
    late = await calendar.send("POST", "/appointments", booking, who="other", status=404)
    opened = await calendar.send("POST", f"/doctors/{calendar.doctor}/slots", {})
    kept = await calendar.send("GET", f"/appointments/{booked['id']}")
    listed, kept_for_staff = [
        {doctor["id"] for doctor in (await calendar.send("GET", "/doctors", who=who))["items"]}
        for who in ("patient", "receptionist")
    ]
    await calendar.send("PATCH", user, {"disabled": False}, who="admin")

    assert (undecided["code"], undecided["appointmentsAhead"]) == ("confirmation_needed", 1)
    assert disabled["slotsOpened"]["stranded"] == [booked]
    assert (during, late["code"]) == ([], "slot_not_found")
    assert (opened["added"], opened["stranded"]) == (0, [booked])
    assert kept["status"] == "BOOKED"
    assert kept_for_staff - listed == {calendar.doctor}
    assert await calendar.slots(DAY, status="open") == before[1:]


async def test_doctor_whose_last_day_has_passed_is_shown_to_staff_only(calendar):
    """Given a clinic in Kiritimati, where it is 22:00 on the 23rd
    Then patients see the doctor until that day ends there, and staff see them afterwards as well.
    """
    await calendar.change_clinic(timeZone="Pacific/Kiritimati")
    doctor = f"/doctors/{calendar.doctor}"
    last_day = {"lastDay": "2026-11-23"}
    await calendar.send("PATCH", doctor, last_day, who="admin")

    async def sees(who, path):
        listed = (await calendar.send("GET", path, who=who))["items"]
        return calendar.doctor in {each["id"] for each in listed}

    async def shown():
        return [
            await sees(who, path)
            for path in ("/doctors", "/doctors?specialty=General")
            for who in ("patient", "doctor", "receptionist")
        ]

    on_the_day = await shown()
    calendar.api.clock.set(datetime(2026, 11, 23, 10, 0, tzinfo=UTC))
    afterwards = await shown()
    await calendar.send("PATCH", doctor, {"lastDay": None}, who="admin")

    assert on_the_day == [True, True, True] * 2
    assert afterwards == [False, True, True] * 2
    assert await shown() == [True, True, True] * 2


async def test_doctor_who_is_enabled_during_a_closure_comes_back_to_blocked_slots(calendar):
    await calendar.add_hours("09:00", "10:00", 30)
    user = f"/users/{calendar.doctor}"

    await calendar.send("PATCH", user, {"disabled": True}, who="admin")
    await calendar.add("/closures", name="Training", **{"from": DAY})
    during = await calendar.day(DAY)
    await calendar.send("PATCH", user, {"disabled": False}, who="admin")

    assert during == []
    assert await calendar.day(DAY) == ["09:00 BLOCKED", "09:30 BLOCKED"]


async def test_hours_of_one_day_can_be_other_ones_instead(calendar):
    """Given a day that is taken off
    When hours are entered for it
    Then it has these, and the usual ones as well once the day off is taken back."""
    await calendar.add_hours("09:00", "10:00", 30)
    evening = {"startTime": "18:00", "endTime": "20:00", "slotMinutes": 40}

    off = await calendar.add("/availability-exceptions", date=DAY, kind="remove")
    added = await calendar.add("/availability-exceptions", date=DAY, kind="add", **evening)
    during = await calendar.day(DAY)
    await calendar.send("DELETE", f"/availability-exceptions/{off['id']}")

    instead = ["18:00 OPEN", "18:40 OPEN", "19:20 OPEN"]
    assert added["slotsOpened"]["added"] == 3
    assert during == instead
    assert await calendar.day(DAY) == ["09:00 OPEN", "09:30 OPEN", *instead]


async def test_hours_can_be_entered_within_those_that_were_removed(calendar):
    await calendar.add_hours("09:00", "13:00", 60)
    morning = {"startTime": "09:00", "endTime": "12:00"}
    part = {"startTime": "10:00", "endTime": "12:00", "slotMinutes": 40}

    await calendar.add("/availability-exceptions", date=DAY, kind="remove", **morning)
    added = await calendar.add("/availability-exceptions", date=DAY, kind="add", **part)

    assert added["slotsOpened"]["added"] == 3
    assert await calendar.day(DAY) == ["10:00 OPEN", "10:40 OPEN", "11:20 OPEN", "12:00 OPEN"]


async def test_the_same_day_off_twice_is_refused(calendar):
    await calendar.add_hours("09:00", "10:00", 30)
    off = {"date": DAY, "kind": "remove"}

    first = await calendar.add("/availability-exceptions", **off)
    body = {"doctorId": calendar.doctor, **off}
    second = await calendar.send("POST", "/availability-exceptions", body, status=409)
    await calendar.send("DELETE", f"/availability-exceptions/{first['id']}")

    assert (second["code"], second["exceptionId"]) == ("availability_overlap", first["id"])
    assert await calendar.day(DAY) == ["09:00 OPEN", "09:30 OPEN"]


@pytest.mark.parametrize("last", ["24:00", "00:00"])
async def test_hours_last_until_midnight(calendar, last):
    overnight = {} if last == "24:00" else {"overnight": True}

    added = await calendar.add_hours("22:00", last, 60, weekdays=["mon"], **overnight)

    assert (added["endTime"], added["overnight"]) == ("24:00", False)
    assert await calendar.day(DAY) == ["22:00 OPEN", "23:00 OPEN"]
    assert await calendar.day("2026-12-08") == []


async def test_hours_last_over_midnight(calendar):
    body = {"doctorId": calendar.doctor, "weekdays": ["mon"], "slotMinutes": 120}
    night = {**body, "startTime": "22:00", "endTime": "06:00"}

    refused = await calendar.send("POST", "/availabilities", night, status=400)
    added = await calendar.send("POST", "/availabilities", {**night, "overnight": True})

    assert refused["code"] == "end_before_start"
    assert "set overnight" in refused["detail"]
    assert (added["endTime"], added["overnight"]) == ("06:00", True)
    assert await calendar.day(DAY) == ["22:00 OPEN"]
    assert await calendar.day("2026-12-08") == ["00:00 OPEN", "02:00 OPEN", "04:00 OPEN"]


async def test_leave_of_the_second_day_blocks_only_what_of_the_night_is_in_it(calendar):
    await calendar.add_hours("22:00", "02:00", 60, weekdays=["mon"], overnight=True)

    await calendar.add("/leaves", **{"from": "2026-12-08"})

    assert await calendar.day(DAY) == ["22:00 OPEN", "23:00 OPEN"]
    assert await calendar.day("2026-12-08") == ["00:00 BLOCKED", "01:00 BLOCKED"]
