"""Reading messages, notification preferences, and the pages behind links."""

from datetime import timedelta

import pytest

from clinic.domain.links import Link, LinkSigner, Purpose
from clinic.domain.notifications import DAY_SHEET, OPTIONAL, REMINDER

pytestmark = pytest.mark.anyio


def a_token(api, appointment, purpose: Purpose, *, version: int = 0) -> str:
    signer = LinkSigner(api.services.settings.secret)
    expires_at = api.clock.now() + timedelta(days=1)
    return signer.sign(Link(purpose, api.world.clinic.id, appointment, version, expires_at))


async def page(api, method: str, path: str):
    """Request a page as a browser with only the link does."""
    return await api.client.request(method, path)


@pytest.fixture
async def booked(api):
    return await api.book()


@pytest.fixture
def appointment_id(booked):
    from uuid import UUID

    return UUID(booked["id"])


async def status_of(api, booked):
    answer = await api.send("GET", f"/appointments/{booked['id']}")
    return answer.json()["status"]


async def test_messages_of_an_appointment_by_time(api, booked) -> None:
    answer = await api.send(
        "GET", f"/appointments/{booked['id']}/notifications", who="receptionist"
    )

    assert answer.status_code == 200
    kinds = [(each["kind"], each["status"]) for each in answer.json()["items"]]
    assert kinds == [
        ("confirmation", "pending"),
        ("reminder_1440m", "pending"),
        ("reminder_120m", "pending"),
    ]


async def test_messages_of_an_appointment_are_for_its_staff(api, booked) -> None:
    path = f"/appointments/{booked['id']}/notifications"

    assert (await api.send("GET", path)).status_code == 403
    assert (await api.send("GET", path, who="doctor")).status_code == 200
    assert (await api.send("GET", path, who="colleague")).status_code == 404


async def test_list_of_messages_in_pages_and_filtered(api, booked) -> None:
    first = await api.send("GET", "/notifications?limit=2", who="receptionist")
    cursor = first.json()["next"]
    second = await api.send("GET", f"/notifications?limit=2&cursor={cursor}", who="receptionist")
    reminders = await api.send("GET", "/notifications?kind=reminder", who="receptionist")
    sent = await api.send("GET", "/notifications?status=SENT", who="receptionist")

    assert [each["kind"] for each in first.json()["items"]] == ["confirmation", "reminder_1440m"]
    assert [each["kind"] for each in second.json()["items"]] == ["reminder_120m"]
    assert len(reminders.json()["items"]) == 2
    assert sent.json()["items"] == []
    assert (await api.send("GET", "/notifications")).status_code == 403


async def test_preferences_are_ones_own(api) -> None:
    path = "/users/me/notification-preferences"
    chosen = {"language": "de", "channel": "email", "optedOut": ["reminder"]}

    before = await api.send("GET", path)
    put = await api.send("PUT", path, chosen)
    other = await api.send("GET", path, who="other")

    assert before.json() == {"language": "en", "channel": "email", "optedOut": []}
    assert (put.status_code, put.json()) == (200, chosen)
    assert (await api.send("GET", path)).json() == chosen
    assert other.json()["language"] == "en"
    wrong = await api.send("PUT", path, {"optedOut": ["cancellation"]})
    assert wrong.status_code == 400


@pytest.mark.parametrize(
    ("purpose", "becomes"), [(Purpose.CONFIRM, "CONFIRMED"), (Purpose.CANCEL, "CANCELLED")]
)
async def test_opening_a_link_changes_nothing_and_its_form_acts_once(
    api, booked, appointment_id, purpose, becomes
) -> None:
    path = f"/m/{a_token(api, appointment_id, purpose)}"

    for method in ("GET", "HEAD", "GET"):
        opened = await page(api, method, path)
        assert opened.status_code == 200
    assert await status_of(api, booked) == "BOOKED"

    first, second = await page(api, "POST", path), await page(api, "POST", path)

    assert (first.status_code, second.status_code) == (200, 200)
    assert "<form" not in first.text
    after = (await api.send("GET", f"/appointments/{booked['id']}")).json()
    assert (after["status"], after["version"]) == (becomes, 2)


async def test_link_page_is_kept_by_nobody_and_loads_nothing(api, appointment_id) -> None:
    answer = await page(api, "GET", f"/m/{a_token(api, appointment_id, Purpose.CONFIRM)}")

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for hidden in ("Patient A", "Grace Hill", "Consultation"):
        assert hidden not in answer.text


async def test_link_is_audited_as_the_patient(api, booked, appointment_id) -> None:
    await page(api, "POST", f"/m/{a_token(api, appointment_id, Purpose.CONFIRM)}")

    trail = await api.send("GET", f"/appointments/{booked['id']}/audit", who="receptionist")
    last = trail.json()["items"][-1]
    assert (last["actorRole"], last["reason"]) == ("PATIENT", "By the link in a message")


async def test_move_offers_free_slots_and_takes_one(api, booked, appointment_id) -> None:
    path = f"/m/{a_token(api, appointment_id, Purpose.MOVE)}"
    opened = await page(api, "GET", path)
    slot = api.world.slots[2].id
    assert str(slot) in opened.text

    nowhere = await page(api, "POST", path)
    moved = await page(api, "POST", f"{path}?slot={slot}")
    stale = await page(api, "GET", path)

    assert (nowhere.status_code, moved.status_code, stale.status_code) == (404, 200, 200)
    assert "has changed" in stale.text
    after = (await api.send("GET", f"/appointments/{booked['id']}")).json()
    assert after["slotId"] == str(slot)


async def test_link_of_an_earlier_time_does_nothing(api, booked, appointment_id) -> None:
    path = f"/m/{a_token(api, appointment_id, Purpose.CANCEL)}"
    body = {"slotId": str(api.world.slots[2].id)}
    await api.send("PATCH", f"/appointments/{booked['id']}", body, headers={"if-match": '"1"'})

    answer = await page(api, "POST", path)

    assert answer.status_code == 404
    assert await status_of(api, booked) == "BOOKED"


async def test_link_inside_the_cancel_notice_says_to_call(api, booked, appointment_id) -> None:
    api.clock.set(api.world.slots[0].starts_at - timedelta(minutes=30))

    answer = await page(api, "POST", f"/m/{a_token(api, appointment_id, Purpose.CANCEL)}")

    assert answer.status_code == 422
    assert "call the clinic" in answer.text


async def test_link_for_another_purpose_is_refused(api, appointment_id) -> None:
    unsubscribe = a_token(api, appointment_id, Purpose.UNSUBSCRIBE, version=1)
    confirm = a_token(api, appointment_id, Purpose.CONFIRM)

    assert (await page(api, "POST", f"/m/{unsubscribe}")).status_code == 404
    assert (await page(api, "POST", f"/unsubscribe/{confirm}")).status_code == 404
    assert (await page(api, "GET", "/m/nonsense")).status_code == 404


@pytest.mark.parametrize("family", [REMINDER, DAY_SHEET])
async def test_unsubscribe_asks_first_and_a_mail_program_need_not(api, family) -> None:
    patient = api.world.patients[0].id
    token = a_token(api, patient, Purpose.UNSUBSCRIBE, version=OPTIONAL[family])
    path = "/users/me/notification-preferences"

    asked = await page(api, "GET", f"/unsubscribe/{token}")
    before = (await api.send("GET", path)).json()["optedOut"]
    one_click = await api.client.post(
        f"/unsubscribe/{token}", data={"List-Unsubscribe": "One-Click"}
    )

    assert (asked.status_code, before) == (200, [])
    assert one_click.status_code == 200
    assert (await api.send("GET", path)).json()["optedOut"] == [family]


async def test_invitation_goes_out_by_mail_and_its_page_sets_the_password_once(api) -> None:
    person = {"name": "Nina New", "email": "nina@example.org", "role": "PATIENT"}
    added = await api.send("POST", "/users", person, who="admin")
    assert added.status_code == 201, added.text
    waiting = await api.send("GET", "/notifications?kind=invitation", who="admin")
    (mail,) = waiting.json()["items"]
    assert mail["userId"] == added.json()["user"]["id"]
    path = f"/invitations/{added.json()['invitation']}"

    opened = await page(api, "GET", path)
    short = await api.client.post(path, data={"password": "short"})
    first = await api.client.post(path, data={"password": "seven green herons"})
    second = await api.client.post(path, data={"password": "eight green herons"})

    assert "<form" in opened.text
    assert short.status_code == 400
    assert (first.status_code, second.status_code) == (200, 401)
    assert "<form" not in first.text
    signed_in = await api.client.post(
        "/sessions",
        json={"email": "nina@example.org", "password": "seven green herons"},
        headers={"idempotency-key": "sign-in-of-this-test-1"},
    )
    assert signed_in.status_code == 201
