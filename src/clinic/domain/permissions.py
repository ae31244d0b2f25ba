"""Who may do what: one table, consulted by every use case and every entrypoint.

`people.scope_of` gives the filter in SQL for whose rows a reader returns; this table decides
whether an operation is allowed at all, and how far it reaches.
"""

from collections.abc import Mapping
from enum import Enum, IntEnum
from uuid import UUID

from clinic.domain.errors import PermissionDenied
from clinic.domain.people.people import Actor, Role


class Reach(IntEnum):
    """How far an operation reaches for a role."""

    NOTHING = 0
    #: the actor's own data
    OWN = 1
    #: the actor's own calendar, as a doctor
    CALENDAR = 2
    #: everything of the actor's clinic
    CLINIC = 3


class Operation(Enum):
    """The operations that permissions are granted for."""

    # Use object's C hash: Enum.__hash__ is Python, and this is looked up per request.
    __hash__ = object.__hash__

    READ_CLINIC = "read the clinic, its locations, its doctors and their open slots"
    READ_CALENDAR = "read slots that are taken or blocked, and doctors' hours"
    READ_RESOURCES = "read rooms and equipment"
    CHANGE_CALENDAR = "change hours and leave, open and block slots"
    OPEN_ALL_CALENDARS = "open the slots of all doctors"
    CLOSE_CLINIC = "close the clinic on days, and open it again"
    EXPLAIN_TIMES = "ask why a time can be booked or not"
    BOOK = "book an appointment"
    OVERRIDE_POLICY = "book inside the notice or beyond the horizon"
    READ_APPOINTMENTS = "read appointments"
    CHANGE_APPOINTMENT = "change or move an appointment"
    UNDO = "take back an appointment's arrival, end or cancellation"
    SWAP_APPOINTMENTS = "exchange the slots of two appointments"
    READ_TRAIL = "read an appointment's audit trail and messages"
    READ_PATIENT = "read a patient's data"
    LIST_PATIENTS = "list the clinic's patients"
    ADD_PATIENT = "add a patient"
    INVITE_PATIENT = "invite a patient who has no password yet"
    MANAGE_OWN_ACCOUNT = "read and change one's own data, password and sessions"
    EXPORT_OWN_DATA = "export all that is kept about oneself"
    MANAGE_USERS = (
        "add, invite, disable, enable and erase people; offer and end memberships; end sessions"
    )
    CHANGE_CLINIC = (
        "change the clinic's settings, locations, types of appointments, rooms and equipment;"
        " add doctors"
    )
    CREATE_CLINIC = "create clinics: the operator's alone"
    READ_AUDIT = "read the clinic's audit log"


def _row(
    patient: Reach = Reach.NOTHING,
    doctor: Reach = Reach.NOTHING,
    receptionist: Reach = Reach.NOTHING,
    admin: Reach = Reach.CLINIC,
) -> Mapping[Role, Reach]:
    return {
        Role.PATIENT: patient,
        Role.DOCTOR: doctor,
        Role.RECEPTIONIST: receptionist,
        Role.ADMIN: admin,
        Role.SYSTEM: Reach.CLINIC,
    }


_NOTHING, _OWN, _CALENDAR, _CLINIC = Reach

#: operation → role → reach, in the order patient, doctor, receptionist, administrator
POLICY: Mapping[Operation, Mapping[Role, Reach]] = {
    Operation.READ_CLINIC: _row(_CLINIC, _CLINIC, _CLINIC),
    Operation.READ_CALENDAR: _row(_NOTHING, _CLINIC, _CLINIC),
    Operation.READ_RESOURCES: _row(_NOTHING, _CLINIC, _CLINIC),
    Operation.CHANGE_CALENDAR: _row(_NOTHING, _CALENDAR, _CLINIC),
    Operation.OPEN_ALL_CALENDARS: _row(_NOTHING, _NOTHING, _CLINIC),
    Operation.CLOSE_CLINIC: _row(_NOTHING, _NOTHING, _CLINIC),
    Operation.EXPLAIN_TIMES: _row(_OWN, _CALENDAR, _CLINIC),
    Operation.BOOK: _row(_OWN, _CALENDAR, _CLINIC),
    Operation.OVERRIDE_POLICY: _row(_NOTHING, _CALENDAR, _CLINIC),
    Operation.READ_APPOINTMENTS: _row(_OWN, _CALENDAR, _CLINIC),
    Operation.CHANGE_APPOINTMENT: _row(_OWN, _CALENDAR, _CLINIC),
    Operation.UNDO: _row(_NOTHING, _CALENDAR, _CLINIC),
    Operation.SWAP_APPOINTMENTS: _row(_NOTHING, _CALENDAR, _CLINIC),
    Operation.READ_TRAIL: _row(_NOTHING, _CALENDAR, _CLINIC),
    Operation.READ_PATIENT: _row(_OWN, _CLINIC, _CLINIC),
    Operation.LIST_PATIENTS: _row(_NOTHING, _CLINIC, _CLINIC),
    Operation.ADD_PATIENT: _row(_NOTHING, _NOTHING, _CLINIC),
    Operation.INVITE_PATIENT: _row(_NOTHING, _NOTHING, _CLINIC),
    Operation.MANAGE_OWN_ACCOUNT: _row(_OWN, _OWN, _OWN, _OWN),
    Operation.EXPORT_OWN_DATA: _row(_OWN, _OWN, _OWN, _OWN),
    Operation.MANAGE_USERS: _row(),
    Operation.CHANGE_CLINIC: _row(),
    Operation.CREATE_CLINIC: _row(admin=_NOTHING),
    Operation.READ_AUDIT: _row(_NOTHING, _NOTHING, _CLINIC),
}


#: operations that show a patient's data; reading it is audited
PATIENT_DATA = frozenset(
    {
        Operation.READ_APPOINTMENTS,
        Operation.READ_TRAIL,
        Operation.READ_PATIENT,
        Operation.LIST_PATIENTS,
        Operation.EXPORT_OWN_DATA,
        Operation.MANAGE_USERS,
    }
)


def reach_of(role: Role, operation: Operation) -> Reach:
    """Return how far `operation` reaches for `role`."""
    return POLICY[operation][role]


def permit(actor: Actor, operation: Operation, *, doctor_id: UUID | None = None) -> Reach:
    """Return how far `operation` reaches for `actor`, on this doctor's calendar if one is given.

    Raises PermissionDenied.
    """
    reach = reach_of(actor.role, operation)
    others_calendar = doctor_id is not None and doctor_id != actor.user_id
    if reach is Reach.NOTHING or (reach is Reach.CALENDAR and others_calendar):
        raise PermissionDenied()
    return reach
