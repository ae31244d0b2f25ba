"""The requests to send, as bytes, made before anything is measured."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from urllib.parse import quote
from uuid import UUID, uuid4

from clinic.devtools.bench.world import (
    CLINIC_ID,
    DOCTOR_IDS,
    OFFICES,
    PATIENT_IDS,
    SESSION_IDS,
    SLOT_IDS,
    World,
    numbered,
    office_id,
)
from clinic.domain.people.people import Role
from clinic.entrypoints.http.kernel.tokens import issue_token
from clinic.settings import Settings

TOKEN_LIFETIME_S = 6 * 3600
LISTING_DAYS = 14


class Tokens:
    """A token for each patient and one for the office, signed once."""

    def __init__(self, settings: Settings, now: datetime) -> None:
        self._settings = settings
        self._now = now
        self._made: dict[int, str] = {}

    def of_patient(self, patient: int) -> str:
        if patient not in self._made:
            self._made[patient] = self._issue(
                numbered(PATIENT_IDS, patient), Role.PATIENT, numbered(SESSION_IDS, patient)
            )
        return self._made[patient]

    def of_offices(self) -> list[str]:
        """Return the tokens of all users who may list all appointments."""
        ids = [office_id(number) for number in range(OFFICES)]
        return [self._issue(each, Role.RECEPTIONIST, each) for each in ids]

    def _issue(self, user_id: UUID, role: Role, session_id: UUID) -> str:
        return issue_token(
            self._settings,
            user_id=user_id,
            role=role,
            clinic_id=CLINIC_ID,
            now=self._now,
            lifetime_s=TOKEN_LIFETIME_S,
            session_id=session_id,
        )


def bookings(
    world: World, first: int, number: int, *, tokens: Tokens | None = None
) -> Iterator[bytes]:
    """Yield `number` booking requests: as signed-in patients, or bare ones naming the patient."""
    for booking in range(first, first + number):
        slot = world.slot_of(booking)
        patient = world.patient_of(slot)
        yield booking_of(slot, patient, tokens.of_patient(patient) if tokens else None)


def booking_of(slot: int, patient: int, token: str | None, *, type: str = "Consultation") -> bytes:
    """Return the request of one patient for an appointment that begins in this slot."""
    slot_id = numbered(SLOT_IDS, slot)
    whose = "" if token else f'"patientId":"{numbered(PATIENT_IDS, patient)}",'
    body = f'{{"slotId":"{slot_id}",{whose}"type":"{type}","reason":"Bench"}}'
    return request("POST", "/appointments", token, body, key=f"bench-{uuid4()}")


def listings(
    world: World, tokens: Tokens | None, number: int, *, differ: bool = True
) -> Iterator[bytes]:
    """Yield requests for the open slots of one doctor after another, for 14 days.

    If they `differ`, each range ends at another instant of the same night, so that the same slots
    are requested by a URL that no server can have seen before.
    """
    start = world.first_day
    end = start.replace(hour=0) + timedelta(days=LISTING_DAYS)
    for each in range(number):
        doctor = numbered(DOCTOR_IDS, each % world.doctors)
        until = end + timedelta(microseconds=each if differ else 0)
        span = f"from={quote(start.isoformat())}&to={quote(until.isoformat())}&limit=200"
        token = tokens.of_patient(each % world.patients) if tokens else None
        yield request("GET", f"/slots?doctor={doctor}&{span}", token)


def known(requests: Iterable[bytes], tags: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the requests of a client that has the answers with these entity tags."""
    for asked, tag in zip(requests, tags, strict=True):
        yield asked.replace(b"\r\n", b"\r\nIf-None-Match: %s\r\n" % tag, 1)


def days(dates: list[date], limit: int, tokens: list[str], number: int) -> Iterator[bytes]:
    """Yield requests for the first appointments of one day after another; without authorization
    if there are no `tokens`."""
    for each in range(number):
        path = f"/appointments?date={dates[each % len(dates)]}&limit={limit}"
        yield request("GET", path, tokens[each % len(tokens)] if tokens else None)


def sign_ins(world: World, tokens: Tokens) -> Iterator[bytes]:
    """Yield one read by every patient, since patients read something before they book."""
    path = f"/doctors/{numbered(DOCTOR_IDS, 0)}"
    for patient in range(world.patients):
        yield request("GET", path, tokens.of_patient(patient))


def request(
    method: str, path: str, token: str | None, body: str = "", *, key: str | None = None
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", "Accept: application/json"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if key is not None:
        lines.append(f"Idempotency-Key: {key}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", body]).encode()
