"""Types of appointments that are added at the same time, through the use case, on PostgreSQL."""

import asyncio

import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.domain.errors import ClinicError, DefaultTypeTaken, TypeNameInUse
from clinic.domain.people.people import Role
from clinic.testing.builders import a_context, a_type, an_actor, seed_world
from clinic.usecases.appointments.types import add_type

pytestmark = pytest.mark.anyio

ROUNDS = 10


@pytest.mark.parametrize(
    ("names", "is_default", "error"),
    [
        # lower() leaves these apart, so the index alone would take both.
        (("Straße", "STRASSE"), False, TypeNameInUse),
        (("Check-up", "X-ray"), True, DefaultTypeTaken),
    ],
)
async def test_one_of_two_types_that_exclude_each_other_is_added(
    store: PostgresStore, names, is_default, error
) -> None:
    for _ in range(ROUNDS):
        world = await seed_world(store, slots=0)
        context = a_context(store, an_actor(world.clinic, Role.ADMIN))
        types = [a_type(world.clinic, name, is_default=is_default) for name in names]

        ended = await asyncio.gather(
            *(add_type(context, each) for each in types), return_exceptions=True
        )

        refused = [one for one in ended if isinstance(one, ClinicError)]
        assert [type(one) for one in refused] == [error]
        [kept] = await store.appointment_types.all(world.clinic.id)
        assert kept in ended
        assert refused[0].facts == {"typeId": str(kept.id)}
