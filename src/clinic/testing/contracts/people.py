"""The contract of People and PeopleReader."""

from dataclasses import replace

import anyio
import pytest

from clinic.domain.clinic import Clinic, Policy
from clinic.domain.contact import Contact
from clinic.domain.errors import AlreadyExists, ClinicNotFound, EmailInUse, NotFound
from clinic.domain.people.people import Doctor, Patient, Role, User
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    a_clinic,
    a_user,
    new_id,
    seed_clinic,
    seed_doctor,
    seed_patient,
)
from clinic.testing.contracts.attempts import attempt, outcome_of
from clinic.testing.contracts.contract import Contract


async def _add_user(store: Store, user: User) -> None:
    async with store.begin() as unit:
        await unit.people.add_user(user)
        await unit.commit()


class PeopleContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store."""

    async def test_clinics_come_by_id(self, store: Store) -> None:
        first, second = sorted([a_clinic(), a_clinic()], key=lambda clinic: clinic.id)

        await seed_clinic(store, second)
        await seed_clinic(store, first)

        assert list(await store.people.clinics()) == [first, second]

    async def test_clinic_keeps_zone_and_policy(self, store: Store) -> None:
        policy = Policy(30, 14, 45, 5, (60, 15))
        clinic = a_clinic(name="Hôpital du Lac", time_zone="Asia/Kathmandu", policy=policy)

        await seed_clinic(store, clinic)

        assert await store.people.clinic(clinic.id) == clinic

    async def test_clinic_keeps_its_contact(self, store: Store) -> None:
        contact = Contact("Marktplatz 1\n70173 Stuttgart", "+4971112345678", "de")
        clinic = await seed_clinic(store, a_clinic(contact=contact))
        moved = replace(clinic, contact=Contact())

        assert await store.people.clinic(clinic.id) == clinic
        assert list(await store.people.clinics()) == [clinic]
        async with store.begin() as unit:
            assert await unit.people.lock_clinic(clinic.id) == clinic
            await unit.people.replace_clinic(moved)
            await unit.commit()
        assert await store.people.clinic(clinic.id) == moved

    async def test_clinic_unknown_is_none(self, store: Store) -> None:
        assert await store.people.clinic(new_id()) is None

    async def test_clinic_added_twice_is_refused(self, store: Store) -> None:
        clinic = await seed_clinic(store)

        assert await outcome_of(lambda: seed_clinic(store, clinic)) is AlreadyExists

    async def test_replace_clinic_writes_it_anew(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        other = await seed_clinic(store)
        new = replace(
            clinic, name="Hillside", time_zone="Australia/Lord_Howe", policy=Policy(notice_min=0)
        )

        async with store.begin() as unit:
            await unit.people.replace_clinic(new)
            await unit.commit()

        assert await store.people.clinic(clinic.id) == new
        assert await store.people.clinic(other.id) == other

    async def test_lock_clinic_waits_for_a_change_and_returns_what_it_wrote(
        self, store: Store
    ) -> None:
        clinic = await seed_clinic(store)
        new = replace(clinic, name="Hillside")

        async def lock() -> Clinic | None:
            async with store.begin() as unit:
                return await unit.people.lock_clinic(clinic.id)

        found: list[Clinic | None] = []

        async def keep() -> None:
            found.append(await lock())

        async with anyio.create_task_group() as group, store.begin() as unit:
            await unit.people.replace_clinic(new)
            waiting = await attempt(group, keep, self)
            assert not waiting.has_ended
            await unit.commit()

        assert found == [new]

    async def test_lock_clinic_keeps_it_from_changing(self, store: Store) -> None:
        clinic = await seed_clinic(store)

        async def change() -> None:
            async with store.begin() as unit:
                await unit.people.replace_clinic(replace(clinic, name="Hillside"))
                await unit.commit()

        async with anyio.create_task_group() as group, store.begin() as unit:
            assert await unit.people.lock_clinic(clinic.id) == clinic
            waiting = await attempt(group, change, self)
            assert not waiting.has_ended

    async def test_lock_clinic_unknown_is_none(self, store: Store) -> None:
        async with store.begin() as unit:
            assert await unit.people.lock_clinic(new_id()) is None

    async def test_replace_clinic_unknown_raises(self, store: Store) -> None:
        async with store.begin() as unit:
            with pytest.raises(ClinicNotFound):
                await unit.people.replace_clinic(a_clinic())

    async def test_user_is_read_as_added(self, store: Store) -> None:
        user = replace(a_user(Role.RECEPTIONIST, name="Zoë O’Neil"), phone="+441632960001")

        await _add_user(store, user)

        assert await store.people.user(user.id) == user

    @pytest.mark.parametrize(
        "name",
        [
            "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
            "\U0001f468\u200d\U0001f469\u200d\U0001f467",
            "Tomás",
        ],
        ids=["joined", "emoji", "composed"],
    )
    async def test_texts_are_kept_to_the_letter(self, store: Store, name: str) -> None:
        clinic = await seed_clinic(store, a_clinic(name=name))
        doctor = await seed_doctor(store, clinic, name=name, specialty=name)

        assert await store.people.clinic(clinic.id) == clinic
        assert await store.people.doctor(clinic.id, doctor.id) == doctor
        assert list(await store.people.doctors(clinic.id, name)) == [doctor]

    async def test_what_older_rules_accepted_is_still_read(self, store: Store) -> None:
        clinic = a_clinic(name="River\u202eside\u200d", time_zone="posix/Europe/London")
        await seed_clinic(store, clinic)
        user = User(new_id(), "Toma\u0301s \u202e", "a..b@example..org", Role.DOCTOR, "call me")

        async with store.begin() as unit:
            await unit.people.add_user(user)
            await unit.people.add_doctor(clinic.id, user.id, "\u202eGeneral ")
            await unit.commit()

        doctor = Doctor(clinic.id, user.id, user.name, "\u202eGeneral ")
        assert await store.people.clinic(clinic.id) == clinic
        assert list(await store.people.clinics()) == [clinic]
        assert await store.people.user(user.id) == user
        assert await store.people.doctor(clinic.id, user.id) == doctor
        account = await store.accounts.account(user.id)
        assert account is not None
        assert account.user == user

    async def test_user_unknown_is_none(self, store: Store) -> None:
        assert await store.people.user(new_id()) is None

    async def test_add_user_with_an_email_in_use_raises_without_case(self, store: Store) -> None:
        await _add_user(store, a_user(email="Ada@Example.org"))

        refused = await outcome_of(lambda: _add_user(store, a_user(email="ada@example.ORG")))

        assert refused is EmailInUse

    async def test_add_user_waits_for_a_twin(self, store: Store) -> None:
        second = a_user(email="ADA@example.org")

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.people.add_user(a_user(email="ada@example.org"))
                twin = await attempt(group, lambda: _add_user(store, second), self)
                waited = not twin.has_ended
                await unit.commit()
            outcome = await twin.outcome()

        assert (waited, outcome) == (True, EmailInUse)
        assert await store.people.user(second.id) is None

    async def test_doctor_is_a_user_with_a_specialty(self, store: Store) -> None:
        clinic, user = await seed_clinic(store), a_user(Role.DOCTOR, name="Dr Noor Khan")

        async with store.begin() as unit:
            await unit.people.add_user(user)
            await unit.people.add_doctor(clinic.id, user.id, "Cardiology")
            await unit.commit()

        expected = Doctor(clinic.id, user.id, "Dr Noor Khan", "Cardiology")
        assert await store.people.doctor(clinic.id, user.id) == expected

    async def test_doctor_of_another_clinic_is_none(self, store: Store) -> None:
        clinic, other = await seed_clinic(store), await seed_clinic(store)
        doctor = await seed_doctor(store, other)

        assert await store.people.doctor(clinic.id, doctor.id) is None

    async def test_doctors_come_by_name_then_id(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        hill = await seed_doctor(store, clinic, name="Dr Hill")
        adams = [await seed_doctor(store, clinic, name="Dr Adams") for _ in range(2)]
        await seed_doctor(store, await seed_clinic(store))

        found = list(await store.people.doctors(clinic.id))

        assert found == [*sorted(adams, key=lambda doctor: doctor.id), hill]

    async def test_doctors_of_a_specialty_match_it_whole_and_without_case(
        self, store: Store
    ) -> None:
        clinic = await seed_clinic(store)
        wanted = await seed_doctor(store, clinic, specialty="Cardiology")
        await seed_doctor(store, clinic, specialty="Paediatric cardiology")

        assert list(await store.people.doctors(clinic.id, "cardiology")) == [wanted]
        assert list(await store.people.doctors(clinic.id, "cardio%")) == []

    async def test_staff_may_belong_to_several_clinics(self, store: Store) -> None:
        clinic, other = await seed_clinic(store), await seed_clinic(store)
        doctor = await seed_doctor(store, clinic)

        async with store.begin() as unit:
            await unit.people.add_doctor(other.id, doctor.id, "Surgery")
            await unit.commit()

        assert await store.people.doctor(clinic.id, doctor.id) == doctor
        assert await store.people.doctor(other.id, doctor.id) == replace(
            doctor, clinic_id=other.id, specialty="Surgery"
        )

    async def test_add_doctor_twice_raises(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        doctor = await seed_doctor(store, clinic)

        async with store.begin() as unit:
            with pytest.raises(AlreadyExists):
                await unit.people.add_doctor(clinic.id, doctor.id, "General")

    async def test_add_patient_twice_raises(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        patient = await seed_patient(store, clinic)

        async with store.begin() as unit:
            with pytest.raises(AlreadyExists):
                await unit.people.add_patient(clinic.id, patient.id)

    async def test_profile_of_nobody_is_refused(self, store: Store) -> None:
        clinic = await seed_clinic(store)

        async with store.begin() as unit:
            with pytest.raises(NotFound):
                await unit.people.add_patient(clinic.id, new_id())
        async with store.begin() as unit:
            with pytest.raises(NotFound):
                await unit.people.add_doctor(clinic.id, new_id(), "General")

    async def test_patient_is_read_as_added(self, store: Store) -> None:
        clinic, other = await seed_clinic(store), await seed_clinic(store)
        user = replace(a_user(), phone="+441632960001")

        async with store.begin() as unit:
            await unit.people.add_user(user)
            await unit.people.add_patient(clinic.id, user.id)
            await unit.commit()

        expected = Patient(clinic.id, user.id, user.name, user.email, user.phone)
        assert await store.people.patient(clinic.id, user.id) == expected
        assert await store.people.patient(other.id, user.id) is None

    async def test_patient_is_read_with_the_email_as_typed(self, store: Store) -> None:
        clinic, number = await seed_clinic(store), new_id().hex
        typed = f"{number}@m\u00fcnchen.example"
        user = replace(a_user(email=f"{number}@xn--mnchen-3ya.example"), email_typed=typed)

        async with store.begin() as unit:
            await unit.people.add_user(user)
            await unit.people.add_patient(clinic.id, user.id)
            await unit.commit()

        patient = await store.people.patient(clinic.id, user.id)
        assert patient is not None
        assert patient.email == typed
        assert await store.people.user(user.id) == user

    async def test_patients_come_by_id_in_pages(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        added = [await seed_patient(store, clinic) for _ in range(3)]
        await seed_patient(store, await seed_clinic(store))
        by_id = sorted(added, key=lambda patient: patient.id)

        first = list(await store.people.patients(clinic.id, limit=2))
        rest = list(await store.people.patients(clinic.id, after=by_id[1].id, limit=2))

        assert (first, rest) == (by_id[:2], by_id[2:])

    async def test_patients_come_backwards_by_id_too(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        added = [await seed_patient(store, clinic) for _ in range(4)]
        by_id = sorted(added, key=lambda patient: patient.id)

        found = await store.people.patients(clinic.id, after=by_id[3].id, backwards=True, limit=2)

        assert list(found) == by_id[1:3]
