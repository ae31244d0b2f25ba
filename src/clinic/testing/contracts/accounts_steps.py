"""What the contracts of accounts have in common."""

from clinic.domain.clinic import Clinic
from clinic.domain.people.people import Role, User
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    a_user,
)


async def seed_staff(store: Store, clinic: Clinic, role: Role = Role.RECEPTIONIST) -> User:
    user = a_user(role)
    async with store.begin() as unit:
        await unit.people.add_user(user)
        await unit.accounts.add_staff(clinic.id, user.id)
        await unit.commit()
    return user
