"""A patient's life at a clinic: every entry point, with values that can be searched for."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import msgspec

from clinic.adapters.memory.notifier import MemoryNotifier
from clinic.bootstrap import build_worker
from clinic.domain.messaging.deliveries import Outcome, OutgoingMessage, Record
from clinic.domain.people.people import Actor, Role
from clinic.testing.builders import an_event, new_id
from clinic.usecases.messaging.deliver_notification import deliver_notification
from clinic.usecases.messaging.read_notifications import drop_notification, retry_notification
from clinic.usecases.messaging.relay_outbox import relay_outbox

NAME, FIRST, LAST = "Zdeňka Quellenreuther", "Zdeňka", "Quellenreuther"
LATER_NAME = "Zdeňka Wellenbrink"
EMAIL, LATER_EMAIL = "Zdenka.Q@Praxis-München.example", "zq77@Geheim-Köln.example"
PHONE = "+442079460958"
PASSWORD, LATER_PASSWORD = "eight loud badgers", "nine quiet herons"
TYPE = "Botox as last time"
#: contained in every reason
REASON = "who is allergic to ivermectin"
#: everything that must be gone
VALUES = (
    FIRST,
    LAST,
    "Wellenbrink",
    "zdenka.q@",
    "zq77@",
    "praxis-münchen",
    "xn--praxis-mnchen",
    "geheim-köln",
    "xn--geheim-kln",
    "2079460958",
    "20 7946 0958",
    PASSWORD,
    LATER_PASSWORD,
    TYPE,
    REASON,
)
#: chosen by the client, and its address
KEY_WORD, REQUEST_WORD, IP = "zdenkas-own-key", "zdenkas-own-request", "203.0.113.77"
LEASE = timedelta(minutes=1)


def why(what: str) -> str:
    return f"{what} for {NAME}, {REASON}"


async def ok(answering: Any) -> Any:
    answer = await answering
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.headers.get("content-type", "").startswith("app") else None


def at(client: httpx.AsyncClient, ip: str) -> httpx.AsyncClient:
    """Return a client of the same application, at another address."""
    transport: Any = client._transport
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(transport.app, client=(ip, 40000)),
        base_url=client.base_url,
        headers={"x-request-id": f"{REQUEST_WORD}-0001"},
    )


class Life:
    """A patient with everything that can be stored about one."""

    def __init__(self, api: Any, database: Any) -> None:
        self.api, self.database = api, database
        self.id = ""
        self.me: dict[str, str] = {}
        self.home = at(api.client, IP)
        #: requests with keys: path, body and headers
        self.sent: list[tuple[str, Any, dict[str, str]]] = []
        #: the key of a booking by staff
        self.by_staff = ""
        #: a mutation
        self.asked: dict[str, Any] = {}

    async def live(self) -> None:
        async with self.home:
            await self._register()
            await self._press("email_verification", "account")
            await self._guess()
            one = await self._book_and_change()
            await self._press("reschedule", "confirm")
            await self._press("reminder%", "unsubscribe")
            await self._change_account()
        await self._be_looked_at(one)
        await self._messages()
        await self._events()
        audit = self.api.services.audit
        # Refusals that were only counted are written too.
        await audit.close()
        await audit.open()

    async def begin(self) -> None:
        """Create reasons, answers and copies of answers."""
        async with self.home:
            await self._register()
            await self._press("email_verification", "account")
            one = await self._book_and_change()
        await self.keyed("PATCH", f"/appointments/{one['id']}", self._cancelled())
        await self._messages()
        await self._events()
        await self.api.services.audit.flush()

    async def _register(self) -> None:
        body = {"name": NAME, "email": EMAIL, "password": PASSWORD, "phone": PHONE}
        await ok(self.home.post("/users", json=body))
        await self._sign_in(EMAIL.upper(), PASSWORD)
        chosen = {"language": "de", "channel": "email", "optedOut": []}
        path = "/users/me/notification-preferences"
        await ok(self.home.put(path, json=chosen, headers=self.me))

    async def _sign_in(self, email: str, password: str) -> None:
        body = {"email": email, "password": password}
        signed_in = await ok(self.home.post("/sessions", json=body))
        self.id = signed_in["user"]["id"]
        self.me = {"authorization": f"Bearer {signed_in['token']}"}

    async def _guess(self) -> None:
        """Fail at every entry point where guessing is possible."""
        post = self.home.post
        for email in (EMAIL, f"x{EMAIL}"):
            for _ in range(3):
                body = {"email": email, "password": REASON}
                refused = await post("/sessions", json=body)
                assert refused.status_code == 401
        # Requests for a link, a token or a page with the patient's name find nothing.
        for path in (f"/m/{FIRST}", f"/unsubscribe/{LAST}", f"/invitations/{FIRST}", f"/{LAST}"):
            assert (await self.home.get(path)).status_code < 500
        forged = {"authorization": f"Bearer {LAST}.{LAST}.{LAST}"}
        assert (await self.home.get("/users/me", headers=forged)).status_code == 401
        body = {"name": NAME, "email": EMAIL, "password": PASSWORD, "phone": PHONE}
        assert (await post("/users", json=body)).status_code == 409
        refused = await self.home.get(f"/slots?specialty={LAST}", headers=self.me)
        assert refused.status_code in (200, 404)

    async def keyed(
        self, method: str, path: str, body: Any, headers: Any = None, patient: str = ""
    ) -> Any:
        """Send with a key, twice, so that a copy of the answer is in Valkey."""
        whose = KEY_WORD if patient in ("", self.id) else "somebody-elses-key"
        key = f"{whose}-{len(self.sent):04}"
        client = self.home if headers else self.api.client
        sent = {**(headers or self.api.bearer(None)), "idempotency-key": key}
        if method == "PATCH":
            sent["if-match"] = "*"
        self.sent.append((path, body, sent))
        first = await ok(client.request(method, path, json=body, headers=sent))
        assert await ok(client.request(method, path, json=body, headers=sent)) == first
        return first

    async def _book_and_change(self) -> Any:
        """Return an appointment that is still booked."""
        api, slots = self.api, [str(slot.id) for slot in self.api.slots]
        mine = {"slotId": slots[0], "type": TYPE, "reason": why("Check-up")}
        one = await self.keyed("POST", "/appointments", mine, self.me)
        body = {"slotId": slots[1], "patientId": self.id, "type": TYPE, "reason": why("Booked")}
        two = await self.keyed("POST", "/appointments", body)
        self.by_staff = self.sent[-1][2]["idempotency-key"]
        others = str(api.patients[0].id)
        theirs = {"slotId": slots[2], "patientId": others}
        other = await self.keyed("POST", "/appointments", theirs, patient=others)
        swapped = {"appointmentIds": [two["id"], other["id"]], "reason": why("Swapped")}
        await self.keyed("POST", "/swaps", swapped)
        moved = {"slotId": slots[3], "reason": why("Moved")}
        await self.keyed("PATCH", f"/appointments/{one['id']}", moved, self.me)
        # The slot is taken: a refusal is stored with its key as well.
        refused = {"slotId": slots[3], "patientId": self.id, "reason": why("Again")}
        headers = {**api.bearer(None), "idempotency-key": f"{KEY_WORD}-of-a-refusal"}
        answer = await api.client.post("/appointments", json=refused, headers=headers)
        assert answer.status_code == 409
        await self.keyed("PATCH", f"/appointments/{two['id']}", self._cancelled())
        query = (
            "mutation ($slot: ID!, $patient: ID!, $key: String!, $why: String!) { bookAppointment("
            "slotId: $slot, patientId: $patient, idempotencyKey: $key, reason: $why)"
            " { appointment { id patientName } errors { code } } }"
        )
        values = {"slot": slots[4], "patient": self.id, "key": f"{KEY_WORD}-by-graphql"}
        self.asked = {"query": query, "variables": {**values, "why": why("By GraphQL")}}
        made = await ok(api.client.post("/graphql", json=self.asked, headers=api.bearer(None)))
        three = made["data"]["bookAppointment"]["appointment"]
        assert three["patientName"] == NAME
        await self.keyed("PATCH", f"/appointments/{three['id']}", self._cancelled())
        return one

    def _cancelled(self) -> dict[str, str]:
        return {"status": "CANCELLED", "reason": why("Cancelled")}

    async def _press(self, message: str, *links: str) -> None:
        """Deliver messages of a kind, and follow links in the last of them."""
        outgoing = await self._delivered(message)
        for link in links:
            path = urlsplit(getattr(outgoing.links, link)).path
            assert (await self.home.get(path)).status_code == 200, link
            assert (await self.home.post(path)).status_code == 200, link

    async def _delivered(self, kind: str) -> OutgoingMessage:
        """Deliver the messages of a kind, and return the last; all go to the queue in Valkey."""
        services = self.api.services
        store = services.store
        scheduling = build_worker(services.settings, store=store)
        await relay_outbox(outbox=store.outbox, queue=scheduling.queue)
        await scheduling.queue.stop(timeout_s=5)
        settings = msgspec.structs.replace(services.settings, broker_url="memory://")
        delivery = build_worker(settings, store=store).delivery
        for clinic_id, message_id in self._waiting(kind):
            await deliver_notification(delivery, clinic_id=clinic_id, message_id=message_id)
        notifier = delivery.notifiers["email"]
        assert isinstance(notifier, MemoryNotifier)
        return notifier.sent[-1]

    def _waiting(self, kind: str = "%") -> list[tuple[UUID, UUID]]:
        """Return clinic and id of every message of the kind, all due now."""
        self.database.execute("UPDATE notification_outbox SET next_at = now()")
        found: list[tuple[UUID, UUID]] = self.database.execute(
            "SELECT o.clinic_id, o.id FROM notification_outbox o LEFT JOIN appointments a"
            " ON a.id = o.appointment_id WHERE %s IN (o.user_id, a.patient_id)"
            " AND kind LIKE %s ORDER BY o.id",
            [self.id, kind],
        ).fetchall()
        return found

    async def _change_account(self) -> None:
        body = {"name": LATER_NAME, "email": LATER_EMAIL, "current": PASSWORD}
        await ok(self.home.patch("/users/me", json=body, headers=self.me))
        changed = {"current": PASSWORD, "password": LATER_PASSWORD}
        await ok(self.home.put("/users/me/password", json=changed, headers=self.me))
        await self.home.post("/password-resets", json={"email": LATER_EMAIL})
        await ok(self.home.get("/users/me/export", headers=self.me))

    async def _be_looked_at(self, one: Any) -> None:
        """Have the office read everything it may, change the name back, and cancel."""
        staff = {"headers": self.api.bearer(None)}
        for path in (
            f"/patients/{self.id}",
            "/patients",
            f"/appointments/{one['id']}",
            f"/appointments/{one['id']}/audit",
            f"/appointments/{one['id']}/notifications",
            f"/appointments?patient={self.id}",
        ):
            await ok(self.api.client.get(path, **staff))
        await self.keyed("PATCH", f"/appointments/{one['id']}", self._cancelled())

    async def _messages(self) -> None:
        """Create a sent message, and others in every earlier state, each with an error."""
        outbox = self.api.services.store.outbox
        waiting = self._waiting()
        assert len(waiting) >= 7
        claims = [await outbox.claim(*row, token=new_id(), lease=LEASE) for row in waiting]
        # One that may still be sent: the others are about the cancelled appointment.
        begun = [claim for claim in claims if await outbox.begin_sending(claim, lease=LEASE)]
        sent = begun[0]
        failed, retried, dead, dropped, revived, away, *_ = (
            one for one in claims if one is not sent
        )
        error = f"550 {EMAIL}: mailbox of {NAME} is full"
        for claim, status in ((sent, Outcome.SENT), (failed, Outcome.FAILED)):
            record = Record(claim.message, status, 1, False, "<1@clinic.test>", error)
            assert await outbox.finish(claim, record)
        hour = timedelta(hours=1)
        assert await outbox.retry_later(retried, after=hour, error=error, ambiguous=False)
        assert await outbox.set_aside(dead, error=error, ambiguous=False)
        assert await outbox.set_aside(dropped, error=error, ambiguous=False)
        assert await outbox.set_aside(revived, error=error, ambiguous=False)
        admin = Actor(new_id(), Role.ADMIN, self.api.clinic_id)
        context = self.api.services.context(admin, why("Mended"))
        for end, claim in ((drop_notification, dropped), (retry_notification, revived)):
            await end(context, claim.message.id)
        self.database.execute(
            "UPDATE notification_outbox SET last_error = %s WHERE id = %s", [error, away.message.id]
        )

    async def _events(self) -> None:
        """Create events about the patient with reasons, by every kind of author."""
        clinic = await self.api.services.store.people.clinic(self.api.clinic_id)
        mine = UUID(self.id)
        async with self.api.services.store.begin() as unit:
            for event in (
                replace(an_event(clinic), entity_id=mine, reason=why("Invited")),
                replace(an_event(clinic), patient_id=mine, reason=why("Looked")),
                replace(an_event(clinic), actor_id=mine, reason=why("Did something")),
            ):
                await unit.events.add(event)
            await unit.commit()
