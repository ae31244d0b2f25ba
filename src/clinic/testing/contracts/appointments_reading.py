"""The contract of AppointmentReader: one appointment, lists, trails."""

from dataclasses import replace
from datetime import timedelta

from clinic.domain.appointments.appointments import (
    Appointment,
    Status,
)
from clinic.domain.paging import Keyset, PageRequest
from clinic.domain.people.people import Scope, system_actor
from clinic.ports.appointments import AppointmentQuery, ScheduleEntry
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    World,
    a_booking,
    a_move,
    a_status_change,
    new_id,
    seed_booking,
    seed_change,
    seed_world,
)
from clinic.testing.contracts.appointments_steps import (
    book_place,
    listed_appointments,
    view_of,
    whole_clinic,
)
from clinic.testing.contracts.contract import Contract


class AppointmentReaderContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_get_returns_the_appointment_with_names_and_zone(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world)

        assert await store.appointments.get(whole_clinic(world), booked.id) == view_of(
            world, booked
        )

    async def test_get_unknown_is_none(self, store: Store) -> None:
        world = await seed_world(store)

        assert await store.appointments.get(whole_clinic(world), new_id()) is None

    async def test_get_outside_the_scope_is_none(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        booked = await book_place(store, world)
        mine, others = world.patients[0].id, world.patients[1].id

        found = [
            await store.appointments.get(scope, booked.id)
            for scope in (
                Scope(world.clinic.id, patient_id=mine),
                Scope(world.clinic.id, doctor_id=world.doctor.id),
                Scope(world.clinic.id, patient_id=others),
                Scope(world.clinic.id, doctor_id=world.colleague.id),
                Scope(other.clinic.id),
            )
        ]

        assert found == [view_of(world, booked)] * 2 + [None] * 3

    async def _booked_all(self, store: Store, world: World) -> list[Appointment]:
        """Book slots in an order other than by start; return the appointments by (start, id)."""
        booked = [
            await book_place(store, world, slot, patient)
            for slot, patient in ((3, 0), (0, 0), (2, 1), (1, 2))
        ]
        elsewhere = await seed_booking(
            store, world.clinic, world.colleague_slots[0], world.patients[1]
        )
        return sorted([*booked, elsewhere], key=lambda one: (one.starts_at, one.id))

    async def test_list_goes_by_start_then_id(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        await book_place(store, await seed_world(store))

        assert await listed_appointments(store, AppointmentQuery(whole_clinic(world))) == booked

    async def test_list_filters_by_doctor_patient_and_both(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        doctor_id, patient_id = world.doctor.id, world.patients[1].id
        query = AppointmentQuery(whole_clinic(world))

        by_doctor = await listed_appointments(store, replace(query, doctor_id=doctor_id))
        by_patient = await listed_appointments(store, replace(query, patient_id=patient_id))
        by_both = await listed_appointments(
            store, replace(query, doctor_id=doctor_id, patient_id=patient_id)
        )

        assert by_doctor == [one for one in booked if one.doctor_id == doctor_id]
        assert by_patient == [one for one in booked if one.patient_id == patient_id]
        assert by_both == [one for one in by_patient if one.doctor_id == doctor_id]
        assert (len(by_doctor), len(by_patient), len(by_both)) == (4, 2, 1)

    async def test_list_keeps_to_the_scope_whatever_the_filter(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        mine, others = world.patients[0].id, world.patients[1].id

        own = await listed_appointments(
            store, AppointmentQuery(Scope(world.clinic.id, patient_id=mine))
        )
        prying = await listed_appointments(
            store, AppointmentQuery(Scope(world.clinic.id, patient_id=mine), patient_id=others)
        )
        colleagues = await listed_appointments(
            store, AppointmentQuery(Scope(world.clinic.id, doctor_id=world.colleague.id))
        )

        assert own == [one for one in booked if one.patient_id == mine]
        assert prying == []
        assert colleagues == [one for one in booked if one.doctor_id == world.colleague.id]

    async def test_list_keeps_to_the_half_open_range(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        first, last = world.slots[1].starts_at, world.slots[3].starts_at

        found = await listed_appointments(
            store, AppointmentQuery(whole_clinic(world), starts_from=first, starts_before=last)
        )

        assert found == [one for one in booked if first <= one.starts_at < last]
        assert len(found) == 2

    async def test_list_filters_by_status(self, store: Store) -> None:
        world = await seed_world(store)
        stays, goes = await book_place(store, world, 0), await book_place(store, world, 1, 1)
        change = a_status_change(world.clinic, goes, Status.CANCELLED)
        await seed_change(store, change)
        query = AppointmentQuery(whole_clinic(world))

        gone = await listed_appointments(store, replace(query, statuses=(Status.CANCELLED,)))
        either = await listed_appointments(
            store, replace(query, statuses=(Status.BOOKED, Status.CANCELLED))
        )

        assert (gone, either) == ([change.after], [stays, change.after])

    async def test_list_gives_one_more_than_the_page(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)

        assert (
            await listed_appointments(store, AppointmentQuery(whole_clinic(world)), PageRequest(2))
            == booked[:3]
        )

    async def test_list_goes_on_after_a_place(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        query = AppointmentQuery(whole_clinic(world))

        found = [
            await listed_appointments(store, query, PageRequest(1, Keyset(one.starts_at, one.id)))
            for one in booked
        ]

        assert found == [booked[place + 1 : place + 3] for place in range(len(booked))]

    async def test_list_backwards_gives_the_nearest_before_earliest_first(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        place = Keyset(booked[4].starts_at, booked[4].id, backwards=True)

        found = await listed_appointments(
            store, AppointmentQuery(whole_clinic(world)), PageRequest(2, place)
        )

        assert found == booked[1:4]

    async def test_schedule_finds_what_list_finds_in_its_order(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        await seed_change(store, a_status_change(world.clinic, booked[0], Status.CANCELLED))
        clinic_id, doctor_id, patient_id = world.clinic.id, world.doctor.id, world.patients[1].id
        queries = [
            AppointmentQuery(whole_clinic(world)),
            AppointmentQuery(whole_clinic(world), doctor_id=doctor_id),
            AppointmentQuery(whole_clinic(world), patient_id=patient_id),
            AppointmentQuery(Scope(clinic_id, doctor_id=doctor_id), patient_id=patient_id),
            AppointmentQuery(Scope(clinic_id, patient_id=patient_id), doctor_id=doctor_id),
            AppointmentQuery(Scope(clinic_id, doctor_id=doctor_id), doctor_id=world.colleague.id),
            AppointmentQuery(
                whole_clinic(world),
                starts_from=booked[1].starts_at,
                starts_before=booked[3].starts_at,
            ),
            AppointmentQuery(whole_clinic(world), statuses=(Status.CANCELLED, Status.COMPLETED)),
            AppointmentQuery(Scope(new_id())),
        ]

        for query in queries:
            views = await store.appointments.list(
                system_actor(query.scope.clinic_id), query, PageRequest()
            )

            assert list(await store.appointments.schedule(query, 50)) == [
                ScheduleEntry(
                    str(view.appointment.id),
                    view.patient_name,
                    view.doctor_name,
                    view.appointment.starts_at,
                    view.appointment.ends_at,
                    view.appointment.type,
                    view.appointment.status,
                    world.clinic.time_zone,
                )
                for view in views
            ]

    async def test_nothing_after_the_booking_horizon_is_found(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        horizon = timedelta(days=world.clinic.policy.horizon_days)

        for last in (booked[0], booked[2]):
            query = AppointmentQuery(whole_clinic(world), horizon_from=last.starts_at - horizon)
            expected = [one for one in booked if one.starts_at <= last.starts_at]

            assert await listed_appointments(store, query) == expected
            found = await store.appointments.schedule(query, 50)
            assert [entry.id for entry in found] == [str(one.id) for one in expected]

    async def test_schedule_gives_no_more_than_the_limit(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)

        found = await store.appointments.schedule(AppointmentQuery(whole_clinic(world)), 2)

        assert [entry.id for entry in found] == [str(one.id) for one in booked[:2]]

    async def test_trail_goes_by_version(self, store: Store) -> None:
        world = await seed_world(store)
        booking = a_booking(world.clinic, world.slots[0], world.patients[0])
        await store.desk.reserve(booking)
        confirm = a_status_change(world.clinic, booking.appointment, Status.CONFIRMED)
        await seed_change(store, confirm)
        move = a_move(world.clinic, confirm.after, world.slots[1])
        await seed_change(store, move)

        trail = await store.appointments.trail(whole_clinic(world), booking.appointment.id)

        assert list(trail) == [booking.audit, confirm.audit, move.audit]

    async def test_trail_outside_the_scope_is_empty(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        booked = await book_place(store, world)

        found = [
            list(await store.appointments.trail(scope, booked.id))
            for scope in (
                Scope(other.clinic.id),
                Scope(world.clinic.id, patient_id=world.patients[1].id),
                Scope(world.clinic.id, doctor_id=world.colleague.id),
            )
        ]

        assert found == [[], [], []]

    async def test_occupying_leaves_out_the_cancelled_and_other_slots(self, store: Store) -> None:
        world = await seed_world(store)
        late, early = await book_place(store, world, 2, 2), await book_place(store, world, 1, 1)
        await book_place(store, world, 3, 0)
        gone = await book_place(store, world, 0, 0)
        await seed_change(store, a_status_change(world.clinic, gone, Status.CANCELLED))
        asked = [slot.id for slot in (*world.slots[:3], world.slots[4])]

        found = await store.appointments.occupying(world.clinic.id, asked)

        assert list(found) == [view_of(world, early), view_of(world, late)]

    async def test_occupying_keeps_to_the_clinic(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        booked = await book_place(store, world)

        assert list(await store.appointments.occupying(other.clinic.id, [booked.slot_id])) == []
