"""Checks, for both stores, that people whose only membership ended can come back, over HTTP."""

from collections.abc import Callable
from itertools import count
from typing import Any

import httpx

PASSWORD = "seven quiet otters"
_keys = count(1)
Headers = dict[str, str]


class Person:
    """A person with a password, whose membership `admin` can end and offer again."""

    def __init__(self, client: httpx.AsyncClient, admin: Headers, *, later: Callable[[], Any]):
        self.client = client
        self.admin = admin
        #: advances a fixed clock
        self.later = later
        self.email = f"person{next(_keys)}@example.org"
        self.role = "PATIENT"
        self.id = ""

    async def register(self) -> "Person":
        body = {"name": "Ada Lovett", "email": self.email, "password": PASSWORD}
        added = await self.client.post("/users", json=body)
        assert added.status_code == 201, added.text
        self.id = added.json()["user"]["id"]
        return self

    async def be_invited(self, role: str) -> "Person":
        self.role = role
        body = {"name": "Robin Ray", "email": self.email, "role": role, **self._specialty()}
        added = await self.client.post("/users", json=body, headers=self.admin)
        assert added.status_code == 201, added.text
        self.id = added.json()["user"]["id"]
        accepted = {"token": added.json()["invitation"], "password": PASSWORD}
        assert (await self.client.post("/invitations/accepted", json=accepted)).is_success
        return self

    async def sign_in(self) -> httpx.Response:
        body = {"email": self.email, "password": PASSWORD}
        return await self.client.post("/sessions", json=body)

    async def bearer(self) -> Headers:
        made = await self.sign_in()
        assert made.status_code == 201, made.text
        return {"authorization": f"Bearer {made.json()['token']}"}

    async def leave(self) -> None:
        ended = await self.client.delete(f"/users/{self.id}/membership", headers=self.admin)
        assert ended.status_code == 204, ended.text
        self.later()

    async def offer(self, email: str | None = None) -> str:
        body = {"email": email or self.email, "role": self.role, **self._specialty()}
        made = await self.client.post("/membership-offers", json=body, headers=self.admin)
        assert made.status_code == 201, made.text
        return str(made.json()["offer"])

    async def accept(self, token: str, headers: Headers | None = None, **more: Any) -> Any:
        body = {"offer": token, "email": self.email, "password": PASSWORD, **more}
        sent = {name: value for name, value in body.items() if value is not None}
        return await self.client.post("/memberships", json=sent, headers=headers)

    async def book(self, slot_id: Any, headers: Headers, **more: Any) -> httpx.Response:
        key = {"idempotency-key": f"key-of-coming-back-{next(_keys):08}"}
        body = {"slotId": str(slot_id), **more}
        return await self.client.post("/appointments", json=body, headers={**headers, **key})

    def _specialty(self) -> dict[str, str]:
        return {"specialty": "General"} if self.role == "DOCTOR" else {}


async def check_patient_comes_back(person: Person, slots: list[Any]) -> None:
    """Check that everything a patient could do is possible again, and nothing was lost."""
    await person.register()
    before = await person.book(slots[0], await person.bearer())
    await person.leave()
    away = await person.sign_in()
    closed = await person.book(slots[1], person.admin, patientId=person.id)

    accepted = await person.accept(await person.offer())

    assert before.status_code == 201, before.text
    assert (away.status_code, away.json()["code"]) == (401, "sign_in_failed")
    assert (closed.status_code, closed.json()["code"]) == (409, "patient_disabled")
    assert accepted.status_code == 201, accepted.text
    assert accepted.json()["role"] == "PATIENT"
    headers = await person.bearer()
    own = await person.book(slots[1], headers)
    by_desk = await person.book(slots[2], person.admin, patientId=person.id)
    listed = (await person.client.get("/appointments", headers=headers)).json()["items"]
    booked = {answer.json()["id"] for answer in (before, own, by_desk)}
    assert (own.status_code, by_desk.status_code) == (201, 201)
    assert {each["id"] for each in listed} == booked


#: what each role may read, and no lesser one
READS = {"DOCTOR": "/availabilities", "RECEPTIONIST": "/audit", "ADMIN": "/users"}


async def check_staff_come_back(person: Person, role: str) -> None:
    """Check that a member of staff works in the role again."""
    await person.be_invited(role)
    await person.leave()
    away = await person.sign_in()

    accepted = await person.accept(await person.offer())

    assert away.status_code == 401
    assert (accepted.status_code, accepted.json()["role"]) == (201, role), accepted.text
    headers = await person.bearer()
    me = await person.client.get("/users/me", headers=headers)
    read = await person.client.get(READS[role], headers=headers)
    assert (me.json()["role"], read.status_code) == (role, 200)
