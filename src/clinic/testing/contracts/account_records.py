"""The contract of Accounts: what is stored about a person who signs in."""

from dataclasses import replace

import anyio
import pytest

from clinic.domain.errors import AlreadyExists, EmailInUse, UserNotFound
from clinic.domain.people.people import Role, User
from clinic.ports.accounts import Account
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    NOW,
    a_user,
    new_id,
    seed_clinic,
    seed_doctor,
    seed_patient,
)
from clinic.testing.contracts.accounts_steps import seed_staff
from clinic.testing.contracts.attempts import attempt
from clinic.testing.contracts.contract import Contract


class AccountRecordsContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_account_of_each_role_belongs_to_its_clinic(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        doctor, patient = await seed_doctor(store, clinic), await seed_patient(store, clinic)
        receptionist = await seed_staff(store, clinic)

        for user_id in (doctor.id, patient.id, receptionist.id):
            account = await store.accounts.account(user_id)
            assert account is not None
            assert (account.clinics, account.password_hash) == ((clinic.id,), None)
            assert account.disabled_at is None

    async def test_account_belongs_to_every_clinic_of_its_staff(self, store: Store) -> None:
        one, two = await seed_clinic(store), await seed_clinic(store)
        user = await seed_staff(store, one)

        async with store.begin() as unit:
            await unit.accounts.add_staff(two.id, user.id)
            await unit.commit()

        account = await store.accounts.account(user.id)
        assert account == Account(user, None, None, tuple(sorted((one.id, two.id))))

    async def test_account_without_a_fitting_profile_belongs_nowhere(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        admin = a_user(Role.ADMIN)
        async with store.begin() as unit:
            await unit.people.add_user(admin)
            await unit.people.add_patient(clinic.id, admin.id)
            await unit.commit()

        account = await store.accounts.account(admin.id)

        assert account is not None
        assert account.clinics == ()

    async def test_account_by_email_without_case(self, store: Store) -> None:
        user = await seed_staff(store, await seed_clinic(store))

        found = await store.accounts.by_email(user.email.upper())

        assert found is not None
        assert found.user == user
        assert await store.accounts.by_email("nobody@example.org") is None
        assert await store.accounts.by_email("%") is None

    async def test_unknown_account_is_none(self, store: Store) -> None:
        assert await store.accounts.account(new_id()) is None

    async def test_accounts_of_a_clinic_by_id(self, store: Store) -> None:
        clinic, other = await seed_clinic(store), await seed_clinic(store)
        people = [await seed_staff(store, clinic) for _ in range(3)]
        patient = await seed_patient(store, clinic)
        await seed_staff(store, other)

        everyone = await store.accounts.accounts(clinic.id, limit=10)
        office = await store.accounts.accounts(clinic.id, role=Role.RECEPTIONIST, limit=10)
        beyond = await store.accounts.accounts(clinic.id, after=office[0].user.id, limit=1)

        ids = [account.user.id for account in everyone]
        assert ids == sorted([*(user.id for user in people), patient.id])
        assert [account.user for account in office] == sorted(people, key=lambda user: user.id)
        assert [account.user.id for account in beyond] == [ids[ids.index(office[0].user.id) + 1]]

    async def test_password_and_disabling_last(self, store: Store) -> None:
        user = await seed_staff(store, await seed_clinic(store))

        async with store.begin() as unit:
            await unit.accounts.set_password_hash(user.id, "hash")
            await unit.accounts.set_disabled_at(user.id, NOW)
            await unit.commit()
        account = await store.accounts.account(user.id)

        assert account is not None
        assert (account.password_hash, account.disabled_at) == ("hash", NOW)

    async def test_changes_of_nobody_are_refused(self, store: Store) -> None:
        stranger = a_user()

        async with store.begin() as unit:
            with pytest.raises(UserNotFound):
                await unit.accounts.set_password_hash(stranger.id, "x")
        async with store.begin() as unit:
            with pytest.raises(UserNotFound):
                await unit.accounts.set_disabled_at(stranger.id, NOW)
        async with store.begin() as unit:
            with pytest.raises(UserNotFound):
                await unit.accounts.set_email_verified_at(stranger.id, NOW)
        async with store.begin() as unit:
            with pytest.raises(UserNotFound):
                await unit.accounts.replace_user(stranger)

    async def test_name_email_and_phone_are_replaced_and_the_role_is_not(
        self, store: Store
    ) -> None:
        user = await seed_staff(store, await seed_clinic(store))
        changed = User(user.id, "New Name", "new@example.org", Role.ADMIN, "+442079460018")

        async with store.begin() as unit:
            await unit.accounts.replace_user(changed)
            await unit.commit()

        assert await store.people.user(user.id) == replace(changed, role=user.role)
        assert await store.accounts.by_email(user.email) is None

    async def test_somebody_elses_email_is_refused(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        one, two = await seed_staff(store, clinic), await seed_staff(store, clinic)

        async with store.begin() as unit:
            with pytest.raises(EmailInUse):
                await unit.accounts.replace_user(replace(one, email=two.email.upper()))

    async def test_own_email_in_another_case_is_taken(self, store: Store) -> None:
        user = await seed_staff(store, await seed_clinic(store))
        changed = replace(user, email=user.email.upper())

        async with store.begin() as unit:
            await unit.accounts.replace_user(changed)
            await unit.commit()

        assert await store.people.user(user.id) == changed

    async def test_email_is_kept_as_typed_and_found_in_ascii(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user, number = await seed_staff(store, clinic), new_id().hex
        typed = f"{number}@m\u00fcnchen.example"
        changed = replace(user, email=f"{number}@xn--mnchen-3ya.example", email_typed=typed)

        async with store.begin() as unit:
            await unit.accounts.replace_user(changed)
            await unit.commit()
        found = await store.accounts.by_email(changed.email)
        async with store.begin() as unit:
            with pytest.raises(EmailInUse):
                await unit.people.add_user(a_user(email=changed.email.upper()))

        assert found is not None
        assert found.user == changed == await store.people.user(user.id)
        assert found.user.shown_email == typed
        assert await store.accounts.by_email(typed) is None

    async def test_new_account_is_not_verified(self, store: Store) -> None:
        user = await seed_staff(store, await seed_clinic(store))

        account = await store.accounts.account(user.id)

        assert account is not None
        assert (account.email_verified_at, account.link_version) == (None, 0)

    async def test_verified_email_stays_so_in_another_case(self, store: Store) -> None:
        user = await seed_staff(store, await seed_clinic(store))

        async with store.begin() as unit:
            await unit.accounts.set_email_verified_at(user.id, NOW)
            await unit.accounts.replace_user(replace(user, name="New", email=user.email.upper()))
            await unit.commit()
        account = await store.accounts.account(user.id)

        assert account is not None
        assert (account.email_verified_at, account.link_version) == (NOW, 0)

    async def test_another_email_is_not_verified_and_outdates_links(self, store: Store) -> None:
        user = await seed_staff(store, await seed_clinic(store))

        async with store.begin() as unit:
            await unit.accounts.set_email_verified_at(user.id, NOW)
            await unit.accounts.replace_user(replace(user, email="other@example.org"))
            await unit.accounts.replace_user(user)
            await unit.commit()
        account = await store.accounts.by_email(user.email)

        assert account is not None
        assert (account.user, account.email_verified_at) == (user, None)
        assert account.link_version == 2

    async def test_disabling_and_enabling_outdate_links(self, store: Store) -> None:
        user = await seed_staff(store, await seed_clinic(store))

        async with store.begin() as unit:
            await unit.accounts.set_email_verified_at(user.id, NOW)
            await unit.accounts.set_disabled_at(user.id, NOW)
            await unit.accounts.set_disabled_at(user.id, None)
            await unit.commit()
        account = await store.accounts.account(user.id)

        assert account is not None
        assert (account.email_verified_at, account.link_version) == (NOW, 2)

    async def test_staff_of_a_clinic_once(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await seed_staff(store, clinic)

        async with store.begin() as unit:
            with pytest.raises(AlreadyExists):
                await unit.accounts.add_staff(clinic.id, user.id)

    async def test_locked_account_waits_for_the_change_before(self, store: Store) -> None:
        user = await seed_staff(store, await seed_clinic(store))

        async def seen() -> str | None:
            async with store.begin() as unit:
                account = await unit.accounts.lock(user.id)
                assert account is not None
                return account.password_hash

        found: list[str | None] = []

        async def look() -> None:
            found.append(await seen())

        async with anyio.create_task_group() as group, store.begin() as unit:
            await unit.accounts.lock(user.id)
            await unit.accounts.set_password_hash(user.id, "new")
            other = await attempt(group, look, self)
            waited = not other.has_ended
            await unit.commit()

        assert (waited, await other.outcome(), found) == (True, None, ["new"])

    async def test_locking_nobody_is_none(self, store: Store) -> None:
        async with store.begin() as unit:
            assert await unit.accounts.lock(new_id()) is None
