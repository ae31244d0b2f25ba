"""Who may do what: every route × every role × own data, another's, another clinic's.

The routes are the application's own list, so a new one without a line here fails. Each is
requested for another clinic's entity first, then another person's, then the caller's own: a
refused request that changed anything would show in the next responses.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.apps import an_app

from clinic.bootstrap import Services, in_memory
from clinic.domain.calendar.changes import CalendarChange
from clinic.domain.people.memberships import OFFER_LASTS, MembershipOffer
from clinic.domain.people.people import Role
from clinic.domain.people.sessions import hash_of
from clinic.entrypoints.http.app import create_app
from clinic.entrypoints.http.kernel.tokens import issue_token
from clinic.settings import Settings
from clinic.testing import FixedClock, World, a_user, an_availability, seed_booking, seed_world
from clinic.testing.builders import (
    MORNING,
    NOW,
    a_block,
    a_closure,
    a_leave,
    a_location,
    a_place,
    a_resource,
    a_resource_closure,
    a_session,
    a_type,
    an_exception,
    new_id,
)

ROLES = ("patient", "doctor", "receptionist", "admin")
FAR = MORNING + timedelta(days=99)
#: responses for the caller's own, another's here, another clinic's; one for routes without an id
Answers = tuple[int, ...]

PUBLIC = {
    "POST /sessions",
    "POST /users",
    # With a session, or with email and password; the matrix uses a session, or neither.
    "POST /memberships",
    "POST /invitations/accepted",
    "GET /",
    "GET /health/live",
    "GET /health/ready",
    "GET /schema",
    "GET /schema/swagger",
    "GET /schema/static/{name}",
    "GET /schema/openapi.json",
    "GET /problems/{code}",
    "POST /password-resets",
    # Anyone with the link may follow it; it is signed for one appointment or account.
    "GET /email-verifications/{token}",
    "POST /email-verifications/{token}",
    "GET /password-resets/{token}",
    "POST /password-resets/{token}",
    "GET /invitations/{token}",
    "POST /invitations/{token}",
    "GET /m/{token}",
    "POST /m/{token}",
    "GET /unsubscribe/{token}",
    "POST /unsubscribe/{token}",
}
Row = dict[str, Answers]


def _row(*answers: int) -> Row:
    return dict.fromkeys(ROLES, answers)


_EVERYONE = _row(200)
_STAFF: Row = {**_EVERYONE, "patient": (403,)}
_OFFICE: Row = {**_STAFF, "doctor": (403,)}
_ADMIN: Row = {**_OFFICE, "receptionist": (403,)}


def _made(row: Row) -> Row:
    return {role: (201,) if answer == (200,) else answer for role, answer in row.items()}


def _gone(row: Row) -> Row:
    return {role: (204,) if answer == (200,) else answer for role, answer in row.items()}


def _calendar(done: int) -> Row:
    return {
        "patient": (403, 403, 403),
        "doctor": (done, 403, 404),
        "receptionist": (done, done, 404),
        "admin": (done, done, 404),
    }


_HERE = _row(200, 200, 404)
_OWN: Row = {"patient": (200, 404, 404), "doctor": (200, 404, 404)}
_OFFICE_ALL: Row = {"receptionist": (200, 200, 404), "admin": (200, 200, 404)}
_ADMIN_ALL = _row(403, 403, 403)

#: of somebody's: others' are not found, as if they did not exist
_THEIRS: Row = {**_OWN, **_OFFICE_ALL, "patient": (403,) * 3}
#: of the whole clinic: the clinic's, another clinic's
_CLOSING: Row = {
    "patient": (403, 403, 403),
    "doctor": (403, 403, 403),
    **_OFFICE_ALL,
}

#: method and path → role → responses
MATRIX: dict[str, Row] = {
    "POST /appointments": {
        "patient": (201, 404, 404),
        "doctor": (201, 403, 404),
        "receptionist": (201, 201, 404),
        "admin": (201, 201, 404),
    },
    "GET /appointments": _EVERYONE,
    "GET /appointments/{appointment_id}": {**_OWN, **_OFFICE_ALL},
    "PATCH /appointments/{appointment_id}": {**_OWN, **_OFFICE_ALL},
    "GET /appointments/{appointment_id}/audit": {**_OWN, **_OFFICE_ALL, "patient": (403,) * 3},
    "GET /appointments/{appointment_id}/notifications": {
        **_OWN,
        **_OFFICE_ALL,
        "patient": (403,) * 3,
    },
    "POST /swaps": {
        "patient": (403,) * 3,
        "doctor": (200, 404, 404),
        **_OFFICE_ALL,
    },
    "GET /appointment-types": _EVERYONE,
    "POST /appointment-types": _made(_ADMIN),
    "GET /appointment-types/{type_id}": _HERE,
    "PATCH /appointment-types/{type_id}": {**_ADMIN_ALL, "admin": (200, 200, 404)},
    "GET /locations": _EVERYONE,
    "POST /locations": _made(_ADMIN),
    "GET /locations/{location_id}": _HERE,
    "PATCH /locations/{location_id}": {**_ADMIN_ALL, "admin": (200, 200, 404)},
    "GET /resources": _STAFF,
    "POST /resources": _made(_ADMIN),
    "GET /resources/{resource_id}": {**_HERE, "patient": (403,) * 3},
    "PATCH /resources/{resource_id}": {**_ADMIN_ALL, "admin": (200, 200, 404)},
    "GET /resources/{resource_id}/closures": {**_HERE, "patient": (403,) * 3},
    "POST /resources/{resource_id}/closures": {**_ADMIN_ALL, "admin": (201, 201, 404)},
    "DELETE /resources/{resource_id}/closures/{resource_closure_id}": {
        **_ADMIN_ALL,
        "admin": (200, 200, 404),
    },
    "GET /slots": _EVERYONE,
    "GET /slots/explanation": {**_HERE, "doctor": (200, 403, 403)},
    "GET /slots/{slot_id}": _HERE,
    "PATCH /slots/{slot_id}": _calendar(200),
    "GET /doctors/{doctor_id}/slots": _HERE,
    "PATCH /doctors/{doctor_id}/slots": _calendar(200),
    "POST /doctors/{doctor_id}/slots": {**_calendar(200), "doctor": (200, 403, 403)},
    "GET /availabilities": _STAFF,
    "POST /availabilities": _calendar(201),
    "GET /availabilities/{availability_id}": {**_OWN, **_OFFICE_ALL, "patient": (403,) * 3},
    "PATCH /availabilities/{availability_id}": _calendar(200),
    "DELETE /availabilities/{availability_id}": _calendar(200),
    "GET /availability-exceptions": _STAFF,
    "POST /availability-exceptions": _calendar(201),
    "GET /availability-exceptions/{exception_id}": {**_OWN, **_OFFICE_ALL, "patient": (403,) * 3},
    "DELETE /availability-exceptions/{exception_id}": _calendar(200),
    "GET /closures": _EVERYONE,
    "POST /closures": _made(_OFFICE),
    "GET /closures/{closure_id}": _HERE,
    "PATCH /closures/{closure_id}": _CLOSING,
    "DELETE /closures/{closure_id}": _CLOSING,
    "GET /leaves": _STAFF,
    "POST /leaves": _calendar(201),
    "GET /leaves/{leave_id}": {**_OWN, **_OFFICE_ALL, "patient": (403,) * 3},
    "PATCH /leaves/{leave_id}": _THEIRS,
    "DELETE /leaves/{leave_id}": _THEIRS,
    "GET /blocks": _STAFF,
    "POST /blocks": _calendar(201),
    "GET /blocks/{block_id}": {**_OWN, **_OFFICE_ALL, "patient": (403,) * 3},
    "DELETE /blocks/{block_id}": _THEIRS,
    "GET /added-places": _STAFF,
    "POST /added-places": _calendar(201),
    "GET /added-places/{place_id}": {**_OWN, **_OFFICE_ALL, "patient": (403,) * 3},
    "DELETE /added-places/{place_id}": _THEIRS,
    "GET /calendar-changes": _OFFICE,
    "GET /calendar-changes/{change_id}": _CLOSING,
    "GET /doctors": _EVERYONE,
    "POST /doctors": _made(_ADMIN),
    "GET /doctors/{doctor_id}": _HERE,
    "PATCH /doctors/{doctor_id}": {**_ADMIN_ALL, "admin": (200, 200, 404)},
    "GET /patients": _STAFF,
    "POST /patients": _made(_OFFICE),
    "GET /patients/{patient_id}": {**_HERE, "patient": (200, 404, 404)},
    "GET /clinics/current": _EVERYONE,
    "PATCH /clinics/current": _ADMIN,
    # Always refused to administrators, with a code that says who can do it.
    "POST /clinics": _row(403),
    "GET /sessions": _EVERYONE,
    "DELETE /sessions": _gone(_EVERYONE),
    "DELETE /sessions/current": _gone(_EVERYONE),
    "DELETE /sessions/{session_id}": _row(204, 404, 404),
    "DELETE /users/{user_id}/sessions": {**_ADMIN_ALL, "admin": (204, 204, 404)},
    "GET /users": _ADMIN,
    "GET /users/me": _EVERYONE,
    "PATCH /users/me": _EVERYONE,
    "PUT /users/me/password": _row(403),
    "GET /users/me/export": _EVERYONE,
    "POST /users/me/email-verification": _row(202),
    "GET /users/me/notification-preferences": _EVERYONE,
    "PUT /users/me/notification-preferences": _EVERYONE,
    "GET /users/{user_id}": {**_ADMIN_ALL, "admin": (200, 200, 404)},
    "PATCH /users/{user_id}": {**_ADMIN_ALL, "admin": (200, 200, 404)},
    # Two patients without a password; for other invitations see test_invitations.py.
    "POST /users/{user_id}/invitations": {
        **_ADMIN_ALL,
        "receptionist": (201, 201, 404),
        "admin": (201, 201, 404),
    },
    # Always refused, with a code that says what to do.
    "PUT /users/{user_id}/membership": {**_ADMIN_ALL, "admin": (409, 409, 409)},
    "DELETE /users/{user_id}/membership": {**_ADMIN_ALL, "admin": (204, 204, 404)},
    "POST /membership-offers": _made(_ADMIN),
    "GET /users/me/membership-offers": _EVERYONE,
    "DELETE /membership-offers/{offer_id}": {**_ADMIN_ALL, "admin": (204, 204, 404)},
    "POST /memberships": _row(409),
    "POST /users/{user_id}/erasure": {**_ADMIN_ALL, "admin": (200, 200, 404)},
    "GET /notifications": _STAFF,
    "GET /audit": _OFFICE,
    "GET /graphql": _EVERYONE,
    "POST /graphql": _EVERYONE,
}


@dataclass
class Town:
    """Two clinics with the same entities in both, and a way to send requests."""

    client: httpx.AsyncClient
    services: Services
    here: World
    there: World
    ids: dict[str, tuple[dict[str, UUID], dict[str, UUID], dict[str, UUID]]]
    tokens: dict[str, str]

    async def ask(
        self, method: str, path: str, who: str | None, target: int, body: Any
    ) -> httpx.Response:
        ids = self.ids[who or "patient"][target]
        headers = {"idempotency-key": str(new_id()), "if-match": "*"}
        if who is not None:
            headers["authorization"] = f"Bearer {self.tokens[who]}"
        where = path.format_map({**ids, "name": "x.js", "code": "slot_taken", "token": "x"})
        query = QUERIES.get(path, "").format_map(ids) if method == "GET" else ""
        return await self.client.request(method, where + query, json=body, headers=headers)


@pytest.fixture
async def town():
    clock = FixedClock(NOW)
    services = in_memory(clock=clock, settings=Settings(log_level="error", fast_passwords=True))
    app = an_app(services)
    async with app.lifespan():
        here = await seed_world(services.store, patients="ABCD", with_hours=True)
        there = await seed_world(services.store, patients="ABCD", with_hours=True)
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
            yield await _settle(client, services, here, there)


async def _settle(client: httpx.AsyncClient, services: Services, here: World, there: World) -> Town:
    ids: dict[str, Any] = {role: [] for role in ROLES}
    staff = {Role.RECEPTIONIST: a_user(Role.RECEPTIONIST), Role.ADMIN: a_user(Role.ADMIN)}
    own_users = {
        "patient": here.patients[0].id,
        "doctor": here.doctor.id,
        "receptionist": staff[Role.RECEPTIONIST].id,
        "admin": staff[Role.ADMIN].id,
    }
    roles = dict(zip(ROLES, (Role.PATIENT, Role.DOCTOR, *staff), strict=True))
    mine, others = await _things(services, here)
    foreign, _ = await _things(services, there)
    async with services.store.begin() as unit:
        for user in staff.values():
            await unit.people.add_user(user)
            await unit.accounts.add_staff(here.clinic.id, user.id)
        for role, user_id in own_users.items():
            await unit.sessions.add(a_session(here.clinic, user_id, roles[role]))
            ids[role] = new_id()
            spare = replace(
                a_session(here.clinic, user_id, roles[role]),
                id=ids[role],
                token_hash=hash_of(str(ids[role])),
            )
            await unit.sessions.add(spare)
        other = a_session(here.clinic, here.patients[1].id, Role.PATIENT)
        far = a_session(there.clinic, there.patients[0].id, Role.PATIENT)
        await unit.sessions.add(other)
        await unit.sessions.add(far)
        await unit.commit()
    settings = services.settings
    return Town(
        client,
        services,
        here,
        there,
        {
            role: (
                {**mine, "session_id": ids[role]},
                {**others, "session_id": other.id},
                {**foreign, "session_id": far.id},
            )
            for role in ROLES
        },
        {
            role: issue_token(
                settings,
                user_id=own_users[role],
                role=roles[role],
                clinic_id=here.clinic.id,
                now=NOW,
                lifetime_s=3600,
                session_id=own_users[role],
            )
            for role in ROLES
        },
    )


async def _things(services: Services, world: World) -> tuple[dict[str, UUID], dict[str, UUID]]:
    """Make two of every entity: the doctor's with the first patient, the colleague's with the
    second."""
    made: list[dict[str, UUID]] = []
    change = CalendarChange(
        new_id(),
        world.clinic.id,
        "add_closure",
        "closure",
        new_id(),
        new_id(),
        NOW,
        date(2027, 4, 1),
        date(2027, 4, 1),
        doctors=0,
    )
    async with services.store.begin() as unit:
        await unit.calendar_changes.add(change, [])
        await unit.commit()
    for doctor, slots, patient in (
        (world.doctor, world.slots, world.patients[0]),
        (world.colleague, world.colleague_slots, world.patients[1]),
    ):
        booked = await seed_booking(services.store, world.clinic, slots[0], patient)
        third = world.patients[2 if doctor is world.doctor else 3]
        second = await seed_booking(services.store, world.clinic, slots[1], third)
        hours, day_off = an_availability(doctor), an_exception(doctor)
        offer = MembershipOffer(
            world.clinic.id, new_id(), Role.ADMIN, None, new_id(), NOW, NOW + OFFER_LASTS
        )
        leave, block = a_leave(doctor, date(2027, 3, 1)), a_block(doctor, FAR)
        place = a_place(doctor, FAR + timedelta(days=1))
        closure = a_closure(world.clinic, date(2027, 4, 1 + len(made)))
        type = a_type(world.clinic, f"Type {len(made)}", is_default=not made)
        location = a_location(world.clinic, f"Branch {len(made)}")
        room = a_resource(world.clinic)
        room_closed = a_resource_closure(room, FAR)
        async with services.store.begin() as unit:
            await unit.resources.add(room)
            await unit.resources.add_closure(room_closed)
            await unit.calendars.add_availability(hours)
            await unit.calendars.add_exception(day_off)
            await unit.appointment_types.add(type)
            await unit.locations.add(location)
            await unit.closings.add(closure)
            await unit.closings.add(leave)
            await unit.closings.add(block)
            await unit.closings.add(place)
            await unit.memberships.add_offer(offer)
            await unit.commit()
        made.append(
            {
                "appointment_id": booked.id,
                "second_id": second.id,
                "slot_id": slots[2].id,
                "doctor_id": doctor.id,
                "patient_id": patient.id,
                "user_id": patient.id,
                "availability_id": hours.id,
                "exception_id": day_off.id,
                "offer_id": offer.id,
                "leave_id": leave.id,
                "block_id": block.id,
                "place_id": place.id,
                "closure_id": closure.id,
                "type_id": type.id,
                "location_id": location.id,
                "resource_id": room.id,
                "resource_closure_id": room_closed.id,
                "change_id": change.id,
            }
        )
    return made[0], made[1]


def body_of(operation: str, ids: dict[str, UUID], who: str, number: int) -> Any:
    """Return a body that is valid for callers with permission."""
    given = {name: str(value) for name, value in ids.items()}
    person = {"name": "New Person", "email": f"new{number}@example.org"}
    late = {"date": f"2027-01-{number + 4:02}", "startTime": "07:00", "endTime": "08:00"}
    bodies: dict[str, Any] = {
        "POST /appointments": {
            "slotId": given["slot_id"],
            "patientId": given["patient_id"],
            "override": who != "patient",
        },
        "PATCH /appointments/{appointment_id}": {"status": "CONFIRMED"},
        "POST /swaps": {"appointmentIds": [given["appointment_id"], given["second_id"]]},
        "PATCH /slots/{slot_id}": {"status": "BLOCKED"},
        "PATCH /doctors/{doctor_id}/slots": {
            "from": "2026-11-24T00:00:00Z",
            "to": "2026-11-25T00:00:00Z",
            "status": "BLOCKED",
        },
        "POST /doctors/{doctor_id}/slots": {},
        "POST /availabilities": {"doctorId": given["doctor_id"], "slotMinutes": 30, **late},
        "PATCH /availabilities/{availability_id}": {"reason": "new"},
        "POST /availability-exceptions": {
            "doctorId": given["doctor_id"],
            "kind": "remove",
            "date": late["date"],
        },
        "POST /appointment-types": {
            "name": f"New type {number}",
            "visibleMin": 30,
            "offeredBy": [{"doctorId": given["doctor_id"]}],
        },
        "PATCH /appointment-types/{type_id}": {"name": f"Renamed {number}"},
        "POST /locations": {"name": f"New branch {number}"},
        "PATCH /locations/{location_id}": {"name": f"Renamed branch {number}"},
        "POST /resources": {"kind": "room", "name": f"Room {number}"},
        "PATCH /resources/{resource_id}": {"name": f"Renamed {number}"},
        "POST /resources/{resource_id}/closures": {
            "from": f"{late['date']}T09:00:00Z",
            "to": f"{late['date']}T10:00:00Z",
        },
        "POST /closures": {"name": "Outing", "from": f"2027-05-{number + 4:02}"},
        "PATCH /closures/{closure_id}": {"name": "Staff outing"},
        "POST /leaves": {"doctorId": given["doctor_id"], "from": late["date"]},
        "PATCH /leaves/{leave_id}": {"until": "2027-03-02"},
        "POST /blocks": {
            "doctorId": given["doctor_id"],
            "from": f"{late['date']}T09:00:00Z",
            "to": f"{late['date']}T10:00:00Z",
        },
        "POST /added-places": {
            "doctorId": given["doctor_id"],
            "from": f"{late['date']}T03:00:00Z",
            "to": f"{late['date']}T03:20:00Z",
        },
        "POST /doctors": {**person, "specialty": "General"},
        "PATCH /doctors/{doctor_id}": {"lastDay": "2027-06-30"},
        "POST /patients": person,
        "PATCH /clinics/current": {"name": "Renamed"},
        "PATCH /users/me": {"name": "Myself"},
        "PUT /users/me/password": {"current": "wrong", "password": "seven quiet otters"},
        "PUT /users/me/notification-preferences": {},
        "PATCH /users/{user_id}": {"disabled": True},
        "POST /users/{user_id}/invitations": {},
        "PUT /users/{user_id}/membership": {},
        "POST /membership-offers": {"email": person["email"], "role": "ADMIN"},
        "POST /memberships": {"offer": "x.y"},
        "POST /users/{user_id}/erasure": {},
        "POST /graphql": {"query": "{me{id}}"},
    }
    return bodies.get(operation)


#: paths that need a query
QUERIES = {
    "/graphql": "?query={{me{{id}}}}",
    "/slots/explanation": "?doctor={doctor_id}&at=2026-11-24T09:00:00Z",
}


def operations() -> list[str]:
    app = create_app(in_memory())
    return [f"{method} {path}" for method, path, _ in app.state.accesses if method != "HEAD"]


def test_every_route_of_the_application_has_its_line() -> None:
    app = create_app(in_memory())
    listed = {path for _, path, _ in app.state.accesses}

    assert {route.path.replace(":str}", "}") for route in app.routes} == listed
    assert set(operations()) == set(MATRIX) | PUBLIC
    public = {
        f"{method} {path}"
        for method, path, access in app.state.accesses
        if access.needs is None and method != "HEAD"
    }
    assert public == PUBLIC


@pytest.mark.parametrize("who", ROLES)
@pytest.mark.parametrize("operation", MATRIX)
async def test_matrix(town, operation, who):
    method, path = operation.split(" ")
    expected = MATRIX[operation][who]
    if path == "/users/{user_id}/erasure":
        await _cancel_all(town)

    answers: list[httpx.Response] = []
    for target in reversed(range(len(expected))):
        body = body_of(operation, town.ids[who][target], who, target)
        answers.insert(0, await town.ask(method, path, who, target, body))

    assert [answer.status_code for answer in answers] == list(expected), answers[0].text
    assert [answer.text for answer in answers if "internal" in answer.text] == []


@pytest.mark.parametrize("operation", MATRIX)
async def test_nobody_passes_without_signing_in(town, operation):
    method, path = operation.split(" ")

    answer = await town.ask(method, path, None, 0, body_of(operation, town.ids["admin"][0], "", 1))

    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")


async def _cancel_all(town: Town) -> None:
    for target in (0, 1):
        for name in ("appointment_id", "second_id"):
            path = f"/appointments/{town.ids['admin'][target][name]}"
            answer = await town.ask("PATCH", path, "admin", target, {"status": "CANCELLED"})
            assert answer.status_code == 200


#: lists that filter by an id
FILTERED = (
    "GET /slots/explanation?doctor={doctor_id}&at=2026-11-24T09:00:00Z",
    "GET /slots/explanation?doctor={doctor_id}&patient={patient_id}&at=2026-11-24T09:00:00Z",
    "GET /appointments?doctor={doctor_id}",
    "GET /appointments?patient={patient_id}",
    "GET /slots?doctor={doctor_id}",
    "GET /availabilities?doctor={doctor_id}",
    "GET /availability-exceptions?doctor={doctor_id}",
    "GET /leaves?doctor={doctor_id}",
    "GET /blocks?doctor={doctor_id}",
    "GET /added-places?doctor={doctor_id}",
    "GET /audit?actor={user_id}",
    "GET /audit?patient={patient_id}",
    "GET /audit?entity={appointment_id}",
)
#: GraphQL documents with variables of these ids
DOCUMENTS = {
    "query($d:ID){slots(doctorId:$d first:3){edges{node{id}}}}": {"d": "doctor_id"},
    "query($d:ID){appointments(doctorId:$d first:3){edges{node{id}}}}": {"d": "doctor_id"},
    "query($p:ID){appointments(patientId:$p first:3){edges{node{id}}}}": {"p": "patient_id"},
    "query($d:ID){leaves(doctorId:$d){id}}": {"d": "doctor_id"},
    "query($d:ID){blocks(doctorId:$d){id}}": {"d": "doctor_id"},
    "query($d:ID){addedPlaces(doctorId:$d){id}}": {"d": "doctor_id"},
    "query($i:ID!){calendarChange(id:$i){id}}": {"i": "change_id"},
    'mutation($d:ID!){addAppointmentType(name:"New" visibleMin:20 offeredBy:[{doctorId:$d}]'
    ' idempotencyKey:"KEY"){appointmentType{name} errors{code message}}}': {"d": "doctor_id"},
    'mutation($i:ID!){changeAppointmentType(id:$i name:"Renamed")'
    "{appointmentType{name} errors{code message}}}": {"i": "type_id"},
    'mutation{addLocation(name:"KEY" idempotencyKey:"KEY"){errors{code message}}}': {},
    'mutation($i:ID!){changeLocation(id:$i name:"Renamed"){location{name} errors{code message}}}': {
        "i": "location_id"
    },
    "query($l:ID){slots(locationId:$l){edges{node{id}}}}": {"l": "location_id"},
    'mutation($d:ID!){addLeave(doctorId:$d from:"2026-11-24" idempotencyKey:"KEY")'
    "{leave{from} errors{code message}}}": {"d": "doctor_id"},
    'mutation($d:ID!){addLeave(doctorId:$d from:"2026-11-24" preview:true)'
    "{leave{from} errors{code message}}}": {"d": "doctor_id"},
    'mutation($d:ID!){addBlock(doctorId:$d from:"2026-11-24T09:00Z" to:"2026-11-24T10:00Z"'
    ' idempotencyKey:"KEY"){block{from} errors{code message}}}': {"d": "doctor_id"},
    'mutation($d:ID!){addPlace(doctorId:$d from:"2026-11-24T03:00Z" to:"2026-11-24T03:20Z"'
    ' idempotencyKey:"KEY"){place{from} errors{code message}}}': {"d": "doctor_id"},
    'mutation($d:ID!){addPlace(doctorId:$d from:"2026-11-24T03:00Z" to:"2026-11-24T03:20Z"'
    " preview:true){place{from} errors{code message}}}": {"d": "doctor_id"},
    "mutation($i:ID!){deleteClosure(id:$i){closure{id} errors{code message}}}": {"i": "closure_id"},
    "mutation($i:ID!){deleteLeave(id:$i){leave{id} errors{code message}}}": {"i": "leave_id"},
    "mutation($i:ID!){deleteBlock(id:$i){block{id} errors{code message}}}": {"i": "block_id"},
    "mutation($i:ID!){deletePlace(id:$i){place{id} errors{code message}}}": {"i": "place_id"},
    'mutation($s:ID!,$p:ID){bookAppointment(slotId:$s patientId:$p idempotencyKey:"KEY")'
    "{appointment{id} errors{code message pointer}}}": {"s": "slot_id", "p": "patient_id"},
    "mutation($i:ID!){updateStatus(id:$i status:CONFIRMED)"
    "{appointment{id} errors{code message}}}": {"i": "appointment_id"},
    "mutation($i:ID!,$s:ID!){rescheduleAppointment(id:$i slotId:$s)"
    "{appointment{id} errors{code message}}}": {"i": "appointment_id", "s": "slot_id"},
    'mutation($i:[ID!]!){swapAppointments(ids:$i idempotencyKey:"KEY")'
    "{appointments{id} errors{code message}}}": {"i": "appointment_id"},
}


def _told(answer: httpx.Response, ids: dict[str, UUID]) -> tuple[Any, ...]:
    """Return a response without its request id and the requested ids."""
    request_id = answer.headers["x-request-id"]
    own = {value: key for key, value in ids.items()} | {request_id: "request"}

    def without_own(text: str) -> str:
        for value, name in own.items():
            text = text.replace(str(value), name)
        return text

    headers = {
        name: without_own(value)
        for name, value in answer.headers.items()
        if name not in ("content-length", "ratelimit")
    }
    return answer.status_code, without_own(answer.text), headers


def _made_up(ids: dict[str, UUID]) -> dict[str, UUID]:
    """Return unused ids, equal where these are equal."""
    replaced = {value: new_id() for value in set(ids.values())}
    return {name: replaced[value] for name, value in ids.items()}


async def _ask(town: Town, operation: str, who: str, ids: dict[str, UUID], key: str) -> Any:
    method, path = operation.split(" ")
    headers = {
        "authorization": f"Bearer {town.tokens[who]}",
        "idempotency-key": key,
        "if-match": "*",
    }
    body = body_of(operation, ids, who, 1)
    answer = await town.client.request(method, path.format_map(ids), json=body, headers=headers)
    return _told(answer, ids)


@pytest.mark.parametrize("who", ROLES)
async def test_another_clinics_ids_are_answered_as_ids_that_nobody_has(town, who):
    """Every route with ids in its path, filters or body, compared byte for byte."""
    with_ids = {
        one
        for one in MATRIX
        if "_id}" in one or one in ("POST /appointments", "POST /swaps", "POST /availabilities")
    }
    with_ids |= {"POST /availability-exceptions", "POST /leaves", "POST /blocks"}
    with_ids |= {"POST /added-places", "POST /appointment-types", *FILTERED}

    differing = []
    for number, operation in enumerate(sorted(with_ids)):
        theirs = town.ids[who][2]
        nobodys = _made_up(theirs)
        # Each is requested twice, to show side effects of the first request.
        answers = [
            await _ask(town, operation, who, ids, f"{number:020}-{name}-{turn}")
            for turn in range(2)
            for name, ids in (("theirs", theirs), ("nobodys", nobodys))
        ]
        if len({repr(each) for each in answers}) > 1:
            differing.append((operation, *answers))

    assert differing == []


@pytest.mark.parametrize("who", ROLES)
async def test_another_clinics_ids_are_answered_alike_over_graphql(town, who):
    theirs = town.ids[who][2]
    nobodys = _made_up(theirs)
    for document, names in DOCUMENTS.items():
        answers = []
        for ids in (theirs, nobodys):
            variables: dict[str, Any] = {name: str(ids[field]) for name, field in names.items()}
            if "swap" in document:
                variables = {"i": [str(ids["appointment_id"]), str(ids["second_id"])]}
            answer = await town.client.post(
                "/graphql",
                json={"query": document.replace("KEY", str(new_id())), "variables": variables},
                headers={"authorization": f"Bearer {town.tokens[who]}"},
            )
            answers.append(_told(answer, ids))

        assert answers[0] == answers[1], document
        assert "syntax" not in answers[0][1].lower()
        assert answers[0][0] != 422, answers[0]


ADDING = {
    "POST /users": {"role": "PATIENT"},
    "POST /users as doctor": {"role": "DOCTOR", "specialty": "General"},
    "POST /doctors": {"specialty": "General"},
    "POST /patients": {},
}


async def _added(town: Town, operation: str, who: str, email: str) -> tuple[Any, ...]:
    method, path = operation.split(" ")[:2]
    answer = await town.client.request(
        method,
        path,
        json={"name": "New Person", "email": email, **ADDING[operation]},
        headers={
            "authorization": f"Bearer {town.tokens[who]}",
            "idempotency-key": str(new_id()),
        },
    )
    return _told(answer, {})


@pytest.mark.parametrize(
    ("operation", "who"),
    [*((one, "admin") for one in ADDING), ("POST /patients", "receptionist")],
)
async def test_an_address_that_is_taken_is_answered_alike_wherever_it_is_known(
    town, operation, who
):
    here = (town.here.patients[1].email, town.here.patients[2].email)
    there = (town.there.patients[1].email, town.there.patients[2].email.upper())

    answers = [await _added(town, operation, who, email) for email in (*here, *there)]

    assert {repr(answer) for answer in answers} == {repr(answers[0])}
    assert answers[0][0] == 409
