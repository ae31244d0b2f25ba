"""Shows the system at its main job: races for one slot and for the last room, and changes of what
the winner booked."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from clinic.devtools.demo.offer import CONSULTATION, ULTRASOUND
from clinic.devtools.demo.scenario import Scenario
from clinic.devtools.http_client import Request, Response, send, send_together
from clinic.domain.calendar.availability import day_interval
from clinic.domain.paging import LIMIT_MAX
from clinic.entrypoints.cli.output import print_table

RACERS = 200
#: how a booking is refused that was too late for the room
NO_ROOM = ("slot_taken", "no_resource_free")
AUDIT_COLUMNS = ("version", "at", "by", "action", "from", "to", "reason")


@dataclass(frozen=True, slots=True)
class Racer:
    """A patient in the race: the request sent, and the answer that came back."""

    name: str
    request: Request
    answer: Response | Exception


class Show:
    """Plays the show against a running server and collects what went wrong."""

    def __init__(self, host: str, port: int, scenario: Scenario) -> None:
        self._host, self._port, self._scenario = host, port, scenario
        #: what went wrong, in words; empty when every count was right
        self.faults: list[str] = []

    async def play(self) -> None:
        """Look at the closed day; race, repeat, move, cancel, and print the trail."""
        await self._closed_day()
        racers = await self._race()
        winners = [racer for racer in racers if _status(racer) == 201]
        if not winners:
            return
        appointment = await self._repeat(winners[0])
        moved = await self._move(winners[0], appointment)
        await self._cancel(winners[0], moved)
        await self._trail(str(appointment["id"]))
        await self._race_for_room()

    async def _closed_day(self) -> None:
        """Show that a closure blocks the slots of all doctors."""
        scenario, closure = self._scenario, self._scenario.closure
        if closure is None or closure.first is None:
            return
        day = day_interval(closure.first, scenario.sample.clinic.zone)
        numbers = {}
        for status in ("open", "blocked"):
            query = urlencode(
                {
                    "from": day.starts_at.isoformat(),
                    "to": day.ends_at.isoformat(),
                    "status": status,
                    "limit": LIMIT_MAX,
                }
            )
            request = Request("GET", f"/slots?{query}", scenario.tokens["receptionist"])
            answer = await send(self._host, self._port, request)
            items = answer.json["items"] if answer.status == 200 else []
            numbers[status] = Counter(
                each.get("name") for slot in items for each in slot.get("blockedBy", [{}])
            )
        print(f"The clinic is closed on {closure.first:%A %d %B}: {closure.name}")
        blocked, free = numbers["blocked"][closure.name], numbers["open"].total()
        print(f"  {blocked} slots of its doctors are blocked, {free} can be booked")
        self._expect("slots open on the closed day", free, 0)
        self._expect("whether the closure blocks slots", int(blocked > 0), 1)

    async def _race(self) -> Sequence[Racer]:
        scenario = self._scenario
        start = _clock(scenario.slot.starts_at, scenario.sample.clinic.zone)
        print(f"\n{RACERS} patients race for one slot: {scenario.doctor.name}, {start}")
        requests = [
            self._booking(scenario.patient_token(patient), str(scenario.slot.id))
            for patient in scenario.racers
        ]
        answers = await send_together(self._host, self._port, requests)
        racers = [
            Racer(patient.name, request, answer)
            for patient, request, answer in zip(scenario.racers, requests, answers, strict=True)
        ]
        booked = sum(_status(racer) == 201 for racer in racers)
        taken = sum(_refused_as_taken(racer.answer) for racer in racers)
        errors = len(racers) - booked - taken
        print(
            f"  {booked} booked, {taken} refused because the slot was just taken, {errors} errors"
        )
        self._expect("booked", booked, 1)
        self._expect("told that the slot was just taken", taken, RACERS - 1)
        self._expect("errors", errors, 0)
        if errors:
            print(f"  the errors: {dict(Counter(map(_named, racers)))}")
        return racers

    async def _race_for_room(self) -> None:
        """Show that a room is not booked twice, whichever doctors it is booked with."""
        scenario, race = self._scenario, self._scenario.room_race
        if race is None:
            return
        office = scenario.tokens["receptionist"]
        for slot, patient in zip(race.before, race.patients, strict=True):
            request = self._booking(office, str(slot.id), ULTRASOUND, patient_id=str(patient.id))
            answer = await send(self._host, self._port, request)
            self._expect("rooms booked before", answer.status, 201)
        requests = [
            self._booking(
                scenario.patient_token(patient),
                str(race.slots[number % len(race.slots)].id),
                ULTRASOUND,
            )
            for number, patient in enumerate(race.racers)
        ]
        answers = await send_together(self._host, self._port, requests)
        booked = sum(isinstance(each, Response) and each.status == 201 for each in answers)
        refused = sum(
            isinstance(each, Response) and each.status == 409 and each.code in NO_ROOM
            for each in answers
        )
        start = _clock(race.slots[0].starts_at, scenario.sample.clinic.zone)
        print(f"\n{len(requests)} patients race for the last ultrasound room: {start}")
        errors = len(requests) - booked - refused
        print(f"  {booked} got it, {refused} were refused, {errors} errors")
        self._expect("rooms booked in the race", booked, 1)
        self._expect("refused a room", refused, len(requests) - 1)

    async def _repeat(self, winner: Racer) -> dict[str, object]:
        again = await send(self._host, self._port, winner.request)
        assert isinstance(winner.answer, Response)
        same = (again.status, again.body) == (winner.answer.status, winner.answer.body)
        print(f"{winner.name} won, and sends the request again with the same Idempotency-Key")
        print("  the same answer, and no second appointment" if same else "  ANOTHER ANSWER")
        self._expect("equal answers to a repeated request", int(same), 1)
        appointment: dict[str, object] = winner.answer.json
        return appointment

    async def _move(self, winner: Racer, appointment: dict[str, object]) -> dict[str, object]:
        scenario = self._scenario
        when = _clock(scenario.other_slot.starts_at, scenario.sample.clinic.zone)
        print(f"{winner.name} moves it to {when}")
        body = {"slotId": str(scenario.other_slot.id), "reason": "That day suits me better"}
        return await self._patch(winner.request.token, appointment, body)

    async def _cancel(self, winner: Racer, appointment: dict[str, object]) -> None:
        print(f"{winner.name} calls the clinic, and the receptionist cancels it")
        body = {"status": "CANCELLED", "reason": "The patient called: feeling well again"}
        after = await self._patch(self._scenario.tokens["receptionist"], appointment, body)
        self._expect("appointments cancelled", int(after.get("status") == "CANCELLED"), 1)

    async def _patch(
        self, token: str, appointment: dict[str, object], body: dict[str, str]
    ) -> dict[str, object]:
        path = f"/appointments/{appointment['id']}"
        version = f'"{appointment["version"]}"'
        answer = await send(
            self._host, self._port, Request("PATCH", path, token, body, version=version)
        )
        wanted = "slotId" if "slotId" in body else "status"
        done = answer.status == 200 and answer.json[wanted] == body[wanted]
        self._expect(f"changes of {wanted} done", int(done), 1)
        if not done:
            print(f"  refused: {answer.status} {answer.code}")
            return appointment
        print(f"  done, version {answer.json['version']}")
        changed: dict[str, object] = answer.json
        return changed

    async def _trail(self, appointment_id: str) -> None:
        token = self._scenario.tokens["receptionist"]
        request = Request("GET", f"/appointments/{appointment_id}/audit", token)
        answer = await send(self._host, self._port, request)
        entries = answer.json["items"] if answer.status == 200 else []
        print("Everything that happened to it:")
        zone = self._scenario.sample.clinic.zone
        print_table(AUDIT_COLUMNS, [_entry(entry, zone) for entry in entries])
        self._expect("entries in the audit trail", len(entries), 3)

    def _booking(
        self, token: str, slot_id: str, type: str = CONSULTATION, *, patient_id: str | None = None
    ) -> Request:
        body = {"slotId": slot_id, "type": type, "reason": "Booked in the show"}
        if patient_id is not None:
            body["patientId"] = patient_id
        return Request("POST", "/appointments", token, body, key=secrets.token_urlsafe(24))

    def _expect(self, what: str, found: int, wanted: int) -> None:
        if found != wanted:
            self.faults.append(f"{what}: {found} instead of {wanted}")


def play(host: str, port: int, scenario: Scenario) -> list[str]:
    """Play the show and return what went wrong."""
    show = Show(host, port, scenario)
    asyncio.run(show.play())
    return show.faults


def _status(racer: Racer) -> int:
    return racer.answer.status if isinstance(racer.answer, Response) else 0


def _refused_as_taken(answer: Response | Exception) -> bool:
    return isinstance(answer, Response) and answer.status == 409 and answer.code == "slot_taken"


def _named(racer: Racer) -> str:
    if not isinstance(racer.answer, Response):
        return f"{type(racer.answer).__name__} {racer.answer}"
    return f"{racer.answer.status} {racer.answer.code}"


def _clock(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%A %d %B, %H:%M}"


def _entry(entry: dict[str, object], zone: ZoneInfo) -> list[str]:
    moment = datetime.fromisoformat(str(entry["at"])).astimezone(zone)
    return [
        str(entry["version"]),
        f"{moment:%H:%M:%S}",
        str(entry.get("actorRole")),
        str(entry["action"]),
        str(entry.get("fromStatus") or "-"),
        str(entry["toStatus"]),
        str(entry["reason"]),
    ]
