"""Checks that ports' deprecated names work in the shipped stores, and warn, until version 0.2."""

from typing import Any

import pytest

from clinic.domain.people.people import system_actor
from clinic.testing.builders import a_booking, seed_world


class DeprecatedNames:
    """Added to the shipped stores' contract tests; other stores need only the new names."""

    async def test_old_names_of_the_booking_desk_warn_and_book(self, store: Any) -> None:
        world = await seed_world(store)
        clinic, slot, patient = world.clinic, world.slots[0], world.patients[0]

        with pytest.warns(DeprecationWarning, match=r"look is now load_facts") as looked:
            facts = await store.desk.look(system_actor(clinic.id), slot.id, patient.id)
        with pytest.warns(DeprecationWarning, match=r"take is now reserve") as taken:
            await store.desk.take(a_booking(clinic, slot, patient))

        assert facts.slot == slot
        again = await store.desk.load_facts(system_actor(clinic.id), slot.id, patient.id)
        assert again.slot.taken
        assert {each.filename for each in (*looked, *taken)} == {__file__}


class DeprecatedNotifierNames:
    """Added to the contract tests of the shipped notifiers; those of others need the new name."""

    async def test_old_name_of_was_accepted_warns_and_answers(self, notifier: Any) -> None:
        with pytest.warns(DeprecationWarning, match=r"took is now was_accepted") as warned:
            accepted = await notifier.took("<unknown@clinic.example>")

        assert not accepted
        assert [each.filename for each in warned] == [__file__]
