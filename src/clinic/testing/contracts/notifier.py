"""What a Notifier must do: ask before the point of no return, and hand over only what it may."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from clinic.domain.appointments.appointments import Appointment
from clinic.domain.clinic import Clinic
from clinic.domain.messaging.deliveries import Addressee, Letter, Links, Preferences, message_id_of
from clinic.domain.notifications import CONFIRMATION, Message
from clinic.domain.people.people import Doctor
from clinic.ports.notifier import Notifier
from clinic.testing.builders import (
    MORNING,
    NOW,
    a_clinic,
    a_slot,
    an_appointment,
    new_id,
)
from clinic.testing.contracts.contract import Contract

#: returns the message ids that the other side has taken
Taken = Callable[[], list[str]]


def a_letter(
    kind: str = CONFIRMATION,
    *,
    language: str = "en",
    clinic: Clinic | None = None,
    appointment: Appointment | None = None,
) -> Letter:
    """Return a letter about an appointment, to ada@example.org."""
    clinic = clinic or a_clinic()
    slot = a_slot(Doctor(clinic.id, new_id(), "Dr Grace Hill", "Cardiology"), MORNING)
    appointment = appointment or an_appointment(slot, new_id())
    message = Message(
        new_id(),
        clinic.id,
        appointment.id,
        kind,
        appointment.schedule_version,
        NOW,
        NOW + timedelta(days=1),
        created_at=NOW,
    )
    addressee = Addressee(
        appointment.patient_id, "Ada Adams", "ada@example.org", None, Preferences(language)
    )
    site = "https://clinic.example"
    links = Links(
        confirm=f"{site}/m/confirm",
        cancel=f"{site}/m/cancel",
        move=f"{site}/m/move",
        unsubscribe=f"{site}/unsubscribe/token",
        home=f"{site}/",
    )
    message_id = message_id_of(message, "clinic.example")
    return Letter(message, addressee, clinic, links, message_id, appointment)


class NotifierContract(Contract, contract=True):
    """Give it fixtures `notifier`, and `taken`, which returns the message ids that arrived."""

    async def test_deliver_hands_over_once(self, notifier: Notifier, taken: Taken) -> None:
        letter = a_letter()
        asked = []

        async def may_send() -> bool:
            asked.append(list(taken()))
            return True

        assert await notifier.deliver(letter, may_send)

        assert asked == [[]]
        assert taken() == [letter.message_id]

    async def test_deliver_withdraws_when_it_may_not(
        self, notifier: Notifier, taken: Taken
    ) -> None:
        async def may_not() -> bool:
            return False

        assert not await notifier.deliver(a_letter(), may_not)

        assert taken() == []

    async def test_deliver_goes_on_after_a_withdrawal(
        self, notifier: Notifier, taken: Taken
    ) -> None:
        answers = [False, True, True]

        async def may_send() -> bool:
            return answers.pop(0)

        letters = [a_letter() for _ in range(3)]
        for letter in letters:
            await notifier.deliver(letter, may_send)

        assert sorted(taken()) == sorted(letter.message_id for letter in letters[1:])

    async def test_took_never_denies_what_arrived(self, notifier: Notifier) -> None:
        letter = a_letter()

        async def may_send() -> bool:
            return True

        await notifier.deliver(letter, may_send)

        assert await notifier.took(letter.message_id) in (True, None)
        assert await notifier.took("<unknown@clinic.example>") in (False, None)

    async def test_letters_to_several_people_all_arrive(
        self, notifier: Notifier, taken: Taken
    ) -> None:
        async def may_send() -> bool:
            return True

        letters = [a_letter() for _ in range(3)]
        letters[1] = replace(
            letters[1], addressee=replace(letters[1].addressee, email="ben@example.org")
        )
        for letter in letters:
            assert await notifier.deliver(letter, may_send)

        assert len(taken()) == 3
