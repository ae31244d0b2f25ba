"""The sample clinic, in memory."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from clinic.bootstrap import CannotStart, in_memory
from clinic.devtools.demo import sample as sample_module
from clinic.devtools.demo.closings import read_closings
from clinic.devtools.demo.history import PAST, SetClock, at, free_slots
from clinic.devtools.demo.names import PATIENTS, patient_names
from clinic.devtools.demo.sample import make_hours, make_people
from clinic.devtools.demo.scenario import RACERS, prepare_scenario
from clinic.devtools.demo.seed import MARKER, seed
from clinic.domain.appointments.appointments import Status
from clinic.domain.audit.audit import replay
from clinic.domain.calendar.availability import day_interval
from clinic.domain.calendar.slots import SlotState
from clinic.domain.paging import LIMIT_MAX, Keyset, PageRequest
from clinic.domain.people.people import Scope, system_actor
from clinic.ports.appointments import AppointmentQuery
from clinic.settings import Settings
from clinic.usecases.calendar.block_slots import set_slots_state
from clinic.usecases.calendar.check_calendars import CalendarReport, check_calendars

#: a Wednesday, mid-morning in London
NOW = datetime(2026, 11, 25, 10, 40, tzinfo=UTC)


SUNDAY_NIGHT = datetime(2026, 11, 22, 23, 50, tzinfo=UTC)
EARLY_MONDAY = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
FRIDAY_NIGHT = datetime(2026, 11, 27, 23, 50, tzinfo=UTC)
SATURDAY_NIGHT = datetime(2026, 11, 28, 3, 10, tzinfo=UTC)
CLOCKS_GO_BACK = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.fixture
def services():
    return in_memory(clock=SetClock(NOW), settings=Settings(fast_passwords=True))


async def appointments(services, clinic):
    found = []
    after = None
    while True:
        query = AppointmentQuery(Scope(clinic.id))
        page = await services.store.appointments.list(
            system_actor(clinic.id), query, PageRequest(LIMIT_MAX, after)
        )
        found += [view.appointment for view in page[:LIMIT_MAX]]
        if len(page) <= LIMIT_MAX:
            return found
        after = Keyset(found[-1].starts_at, found[-1].id)


async def statuses(services, clinic):
    return Counter(each.status for each in await appointments(services, clinic))


def test_patients_have_names_and_addresses_of_their_own():
    people = list(patient_names())

    assert len({name for name, _ in people}) == len({email for _, email in people}) == PATIENTS
    assert all(email.endswith("@example.org") for _, email in people)


async def test_seed_makes_appointments_in_every_status(services, tmp_path):
    sample, is_new = await seed(services, tmp_path)

    assert is_new
    assert set(await statuses(services, sample.clinic)) == set(Status)
    assert len(sample.doctors) == 5
    assert len({doctor.specialty for doctor in sample.doctors}) == 4
    assert len(sample.patients) == PATIENTS


@pytest.mark.parametrize(
    "now", [SUNDAY_NIGHT, EARLY_MONDAY, FRIDAY_NIGHT, SATURDAY_NIGHT, CLOCKS_GO_BACK]
)
async def test_seed_at_odd_hours_makes_every_status_and_nothing_later(now, tmp_path):
    services = in_memory(clock=SetClock(now), settings=Settings(fast_passwords=True))

    sample, _ = await seed(services, tmp_path)

    assert set(await statuses(services, sample.clinic)) == set(Status)
    scope = Scope(sample.clinic.id)
    for each in await appointments(services, sample.clinic):
        trail = await services.store.appointments.trail(scope, each.id)
        assert [entry.at for entry in trail] == sorted(entry.at for entry in trail)
        assert trail[-1].at <= now


async def test_seed_makes_trails_that_lead_to_what_is(services, tmp_path):
    sample, _ = await seed(services, tmp_path)

    scope = Scope(sample.clinic.id)
    for each in await appointments(services, sample.clinic):
        reached = replay(await services.store.appointments.trail(scope, each.id))
        assert (reached.status, reached.slot_id, reached.version) == (
            each.status,
            each.slot_id,
            each.version,
        )


async def test_seed_puts_outcomes_behind_now_and_plans_ahead_of_it(services, tmp_path):
    sample, _ = await seed(services, tmp_path)

    made = await appointments(services, sample.clinic)
    over = {Status.COMPLETED, Status.NO_SHOW}
    assert all(each.ends_at <= NOW for each in made if each.status in over)
    plans = {Status.BOOKED, Status.CONFIRMED, Status.HELD, Status.EXPIRED}
    assert all(each.starts_at > NOW for each in made if each.status in plans)
    [arrived] = [each for each in made if each.status is Status.ARRIVED]
    assert abs(arrived.starts_at - NOW) < timedelta(hours=2)


async def test_seed_opens_four_weeks(services, tmp_path):
    sample, _ = await seed(services, tmp_path)

    ahead = await free_slots(services, sample, NOW, NOW + timedelta(days=60))
    assert NOW + timedelta(days=27) < ahead[-1].starts_at < NOW + timedelta(days=29)


async def test_seed_closes_a_day_and_the_holidays_and_sends_a_doctor_on_leave(services, tmp_path):
    """Given a clinic that is made in December
    Then its slots are as planned; nobody works on the closed day and on Christmas, one doctor is
    away for a week, and another one is there at night; and nobody has an appointment then."""
    december = replace(services, clock=SetClock(datetime(2026, 12, 7, 10, 40, tzinfo=UTC)))
    sample, _ = await seed(december, tmp_path)

    closings = await read_closings(december, sample)
    closure = closings.next_day(date(2026, 12, 7))
    free = await free_slots(
        december, sample, december.clock.now(), datetime(2027, 1, 9, tzinfo=UTC)
    )
    days = {(slot.starts_at.date(), slot.doctor_id) for slot in free}
    assert closure is not None
    assert closure.first == date(2026, 12, 16)
    doctors = [doctor.id for doctor in sample.doctors]
    assert [day for day, _ in days if day in (closure.first, date(2026, 12, 25))] == []
    week = [date(2026, 12, day) for day in (21, 22, 23, 24)]
    on = [[day for day in week if (day, doctor) in days] for doctor in doctors]
    assert on == [week, [], week, [], [date(2026, 12, 22), date(2026, 12, 24)]]
    nights = {slot.starts_at.hour for slot in free if slot.doctor_id == doctors[3]}
    assert nights == {22, 23, 0, 1, 2, 3, 4, 5}
    assert await check_calendars(december.anonymous()) == CalendarReport()


async def test_folder_of_a_release_with_fewer_doctors_can_be_used(services, tmp_path, monkeypatch):
    monkeypatch.setattr(sample_module, "DOCTORS", sample_module.DOCTORS[:3])
    await seed(services, tmp_path)
    monkeypatch.undo()

    sample, is_new = await seed(services, tmp_path)

    assert not is_new
    assert len(sample.doctors) == 3


async def test_seed_again_changes_nothing(services, tmp_path):
    sample, _ = await seed(services, tmp_path)
    before = await statuses(services, sample.clinic)

    again, is_new = await seed(services, tmp_path)

    assert (again, is_new) == (sample, False)
    assert await statuses(services, sample.clinic) == before


async def test_seed_weeks_later_opens_more(services, tmp_path):
    sample, _ = await seed(services, tmp_path)
    later = NOW + timedelta(days=40)
    then = replace(services, clock=SetClock(later))

    await seed(then, tmp_path)

    assert len(await free_slots(then, sample, later, later + timedelta(days=28))) > 500


async def test_seed_killed_halfway_is_carried_on(services, tmp_path):
    long_ago = at(services, NOW - PAST)
    await make_people(long_ago)
    whole = await make_people(long_ago)
    await make_hours(long_ago, whole)

    sample, is_new = await seed(services, tmp_path)
    (tmp_path / MARKER).unlink()
    once_more, _ = await seed(services, tmp_path)

    assert is_new
    assert len(await services.store.people.clinics()) == 1
    assert (sample.patients, sample.doctors) == (whole.patients, whole.doctors)
    assert once_more == sample
    assert set(await statuses(services, sample.clinic)) == set(Status)


async def test_scenario_has_a_free_slot_and_patients_who_are_free_then(services, tmp_path):
    sample, _ = await seed(services, tmp_path)

    scenario = await prepare_scenario(services, sample)

    busy = {
        each.patient_id
        for each in await appointments(services, sample.clinic)
        if each.status.occupies
        and any(
            each.starts_at < slot.ends_at and slot.starts_at < each.ends_at
            for slot in (scenario.slot, scenario.other_slot)
        )
    }
    assert scenario.slot.is_free
    assert scenario.other_slot.is_free
    assert scenario.slot.doctor_id == scenario.other_slot.doctor_id
    assert len({patient.id for patient in scenario.racers}) == RACERS
    assert busy.isdisjoint(patient.id for patient in scenario.racers)
    assert set(scenario.tokens) == {"patient", "doctor", "receptionist", "admin"}
    json.dumps(dict(scenario.tokens))


async def test_scenario_without_free_slots_opens_evenings(services, tmp_path):
    sample, _ = await seed(services, tmp_path)
    await block_days(services, sample)

    scenario = await prepare_scenario(services, sample)

    assert scenario.slot.is_free
    assert scenario.slot.starts_at.astimezone(sample.clinic.zone).hour >= 18


async def test_scenario_with_nothing_left_is_refused(services, tmp_path):
    sample, _ = await seed(services, tmp_path)
    await block_all(services, sample)

    with pytest.raises(CannotStart, match="No slot of the sample clinic is free"):
        await prepare_scenario(services, sample)


async def block_days(services, sample):
    """Block every day until six in the evening."""
    today = sample.clinic.local_date(NOW)
    for offset in range(60):
        day = day_interval(today + timedelta(days=offset), sample.clinic.zone)
        for doctor in sample.doctors:
            await set_slots_state(
                services.context(sample.system),
                SlotState.BLOCKED,
                doctor_id=doctor.id,
                starts_at=day.starts_at,
                ends_at=day.starts_at + timedelta(hours=18),
            )


async def block_all(services, sample):
    for doctor in sample.doctors:
        await set_slots_state(
            services.context(sample.system),
            SlotState.BLOCKED,
            doctor_id=doctor.id,
            starts_at=NOW,
            ends_at=NOW + timedelta(days=60),
        )
