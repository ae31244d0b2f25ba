"""The contract of Notifier: ask before the point of no return, and send only what it may."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from clinic.domain.appointments.appointments import Appointment
from clinic.domain.clinic import Clinic
from clinic.domain.messaging.deliveries import (
    Addressee,
    Links,
    OutgoingMessage,
    Preferences,
    message_id_of,
)
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

#: returns the message ids that the other side has accepted
Taken = Callable[[], list[str]]


def an_outgoing_message(
    kind: str = CONFIRMATION,
    *,
    language: str = "en",
    clinic: Clinic | None = None,
    appointment: Appointment | None = None,
) -> OutgoingMessage:
    """Return a message about an appointment, to ada@example.org."""
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
    return OutgoingMessage(message, addressee, clinic, links, message_id, appointment)


class NotifierContract(Contract, contract=True):
    """Needs fixtures `notifier`, and `taken`, which returns the message ids that arrived."""

    async def test_deliver_hands_over_once(self, notifier: Notifier, taken: Taken) -> None:
        outgoing = an_outgoing_message()
        asked = []

        async def may_send() -> bool:
            asked.append(list(taken()))
            return True

        assert await notifier.deliver(outgoing, may_send)

        assert asked == [[]]
        assert taken() == [outgoing.message_id]

    async def test_deliver_withdraws_when_it_may_not(
        self, notifier: Notifier, taken: Taken
    ) -> None:
        async def may_not() -> bool:
            return False

        assert not await notifier.deliver(an_outgoing_message(), may_not)

        assert taken() == []

    async def test_deliver_goes_on_after_a_withdrawal(
        self, notifier: Notifier, taken: Taken
    ) -> None:
        answers = [False, True, True]

        async def may_send() -> bool:
            return answers.pop(0)

        several = [an_outgoing_message() for _ in range(3)]
        for outgoing in several:
            await notifier.deliver(outgoing, may_send)

        assert sorted(taken()) == sorted(outgoing.message_id for outgoing in several[1:])

    async def test_took_never_denies_what_arrived(self, notifier: Notifier) -> None:
        outgoing = an_outgoing_message()

        async def may_send() -> bool:
            return True

        await notifier.deliver(outgoing, may_send)

        assert await notifier.was_accepted(outgoing.message_id) in (True, None)
        assert await notifier.was_accepted("<unknown@clinic.example>") in (False, None)

    async def test_letters_to_several_people_all_arrive(
        self, notifier: Notifier, taken: Taken
    ) -> None:
        async def may_send() -> bool:
            return True

        several = [an_outgoing_message() for _ in range(3)]
        several[1] = replace(
            several[1], addressee=replace(several[1].addressee, email="ben@example.org")
        )
        for outgoing in several:
            assert await notifier.deliver(outgoing, may_send)

        assert len(taken()) == 3


def __getattr__(name: str) -> object:
    if name == "a_letter":
        message = "a_letter is now an_outgoing_message; the old name is gone in version 0.2"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return an_outgoing_message
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
