"""The rules of the store comparison that take an appointment's status back."""

from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from clinic.domain.appointments.appointments import Appointment, AppointmentView, Status
from clinic.domain.appointments.transitions import UNDOS
from clinic.domain.people.people import Actor, Role
from clinic.usecases.appointments.change_appointment import undo_status

_ROLES = st.sampled_from((Role.RECEPTIONIST, Role.RECEPTIONIST, Role.ADMIN, Role.PATIENT))


class UndoRules(RuleBasedStateMachine):
    """For a machine that drives two stores by `both`."""

    appointments: list[Appointment]

    def both(self, act: Callable[[Any], Awaitable[Any]]) -> Any:
        """Call `act` on both stores, and return their common answer."""
        raise NotImplementedError

    def actor(self, role: Role, pick: int) -> Actor:
        """Return an actor in this role."""
        raise NotImplementedError

    @precondition(lambda self: any(one.status in UNDOS for one in self.appointments))
    @rule(pick=st.integers(0, 99), role=_ROLES, override=st.booleans())
    def take_a_status_back(self, pick: int, role: Role, override: bool) -> None:
        """Undo the latest change of an appointment: it is in the status before, or as it was."""
        found = [one for one in self.appointments if one.status in UNDOS]
        before, actor = found[pick % len(found)], self.actor(role, pick)

        answer = self.both(
            lambda side: undo_status(side.context(actor), before.id, override=override)
        )

        [after] = [one for one in self.appointments if one.id == before.id]
        if not isinstance(answer, AppointmentView):
            assert after == before, "a refusal that changed something"
            return
        assert answer.appointment == after
        assert after.status in UNDOS[before.status]
        assert (after.slot_id, after.visible) == (before.slot_id, before.visible)
        is_back = before.status is Status.CANCELLED
        assert after.schedule_version == before.schedule_version + is_back
