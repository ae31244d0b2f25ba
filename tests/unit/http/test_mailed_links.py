"""Links in mail lead somewhere, and only for actions that are still possible and permitted."""

import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from email import message_from_bytes
from email.policy import default
from html import unescape
from uuid import UUID

import pytest
from icalendar import Calendar

from clinic.adapters.email.compose import Composer
from clinic.adapters.memory.notifier import MemoryNotifier
from clinic.adapters.memory.tables import StoredCredentials
from clinic.bootstrap import build_worker
from clinic.bootstrap.mail import composer
from clinic.domain.contact import Contact
from clinic.domain.links import Link, LinkSigner, Purpose
from clinic.domain.messaging.deliveries import Preferences
from clinic.domain.notifications import (
    ACCOUNT_KINDS,
    ADDRESS_CHANGED,
    CANCELLATION,
    CONFIRMATION,
    DAY_SHEET,
    DOCTOR_LEFT,
    EMAIL_VERIFICATION,
    INVITATION,
    PASSWORD_RESET,
    RECIPIENTS,
    REMINDER,
    RESCHEDULE,
    Message,
    Recipient,
    reminder_kind,
)
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Scope
from clinic.ports.outbox import NotificationQuery
from clinic.settings import Settings
from clinic.testing.builders import new_id
from clinic.translations import translations_of
from clinic.usecases.messaging.deliver_notification import Delivered, deliver_notification

SITE = "http://127.0.0.1:8000"
FRONT = "https://book.clinic.example/#/start"
CONTACT = Contact("14 Quay Road\nBristol BS1 6XN", "+441174960123")
TEL = 'href="tel:+441174960123"'
SHOWN = "+44 117 496 0123"
#: a button or link in mail or on a page
HREF = re.compile(r'(?:href|action|src)="([^"]+)"')


@pytest.fixture
def front(request) -> str:
    return getattr(request, "param", "")


@pytest.fixture
def settings(front) -> Settings:
    return Settings(log_level="error", fast_passwords=True, frontend_url=front)


@pytest.fixture
def post(api):
    """Return a function that creates and delivers a message of a kind, and returns it."""
    api.services.store.outbox.now = api.clock.now
    worker = build_worker(api.services.settings, store=api.services.store)
    notifier = worker.delivery.notifiers["email"]
    assert isinstance(notifier, MemoryNotifier)

    async def run(kind, booked=None, *, user_id=None, day=None):
        version = day.toordinal() if day else 0
        if booked is not None:
            key = (api.world.clinic.id, UUID(booked["id"]))
            rows = api.services.store._database.tables.appointments
            version = rows.get(key).schedule_version
        now = api.clock.now()
        message = Message(
            new_id(),
            api.world.clinic.id,
            UUID(booked["id"]) if booked else None,
            kind,
            version,
            now,
            now + timedelta(days=1),
            now,
            user_id=user_id,
            to_email="old@example.org" if kind == ADDRESS_CHANGED else None,
        )
        async with api.services.store.begin() as unit:
            await unit.messages.add([message])
            await unit.commit()
        before = len(notifier.sent)
        delivery = await deliver_notification(
            worker.delivery, clinic_id=message.clinic_id, message_id=message.id
        )
        assert delivery.result is Delivered.SENT, delivery
        (outgoing,) = notifier.sent[before:]
        email = composer(api.services.settings).compose(outgoing)
        return outgoing, message_from_bytes(email, policy=default)

    return run


def part(email, kind):
    (found,) = [each for each in email.walk() if each.get_content_type() == kind]
    return found.get_content()


def urls_of(email):
    """Return every URL in any part of the mail."""
    html = part(email, "text/html")
    text = part(email, "text/plain")
    found = {unescape(url) for url in HREF.findall(html)}
    assert {url for url in found if url.startswith("http")} == set(
        re.findall(r"https?://\S+", text)
    )
    if email["List-Unsubscribe"]:
        found.add(email["List-Unsubscribe"].strip("<>"))
    calendars = [each for each in email.walk() if each.get_content_type() == "text/calendar"]
    for calendar in calendars:
        (event,) = Calendar.from_ical(calendar.get_content()).walk("VEVENT")
        found |= {str(event["URL"])} if "URL" in event else set()
    return found


async def set_contact(api, contact=CONTACT):
    clinic = replace(api.world.clinic, contact=contact)
    async with api.services.store.begin() as unit:
        await unit.people.replace_clinic(clinic)
        await unit.commit()


async def mail_of(api, post, kind):
    """Return mail of this kind, from a situation in which it is sent."""
    if kind == DAY_SHEET:
        await api.book()
        day = api.world.clinic.local_date(api.world.slots[0].starts_at)
        return await post(DAY_SHEET, user_id=api.world.doctor.id, day=day)
    if kind in ACCOUNT_KINDS:
        return await post(kind, user_id=api.world.patients[0].id)
    booked = await api.book()
    if kind == CANCELLATION:
        await cancel(api, booked)
    user_id = api.world.colleague.id if kind == DOCTOR_LEFT else None
    return await post(reminder_kind(1440) if kind == REMINDER else kind, booked, user_id=user_id)


async def cancel(api, booked, *, who="receptionist"):
    answer = await api.send(
        "PATCH",
        f"/appointments/{booked['id']}",
        {"status": "CANCELLED"},
        who=who,
        headers={"if-match": "*"},
    )
    assert answer.status_code == 200, answer.text


async def move(api, booked, slot, *, who="receptionist"):
    answer = await api.send(
        "PATCH",
        f"/appointments/{booked['id']}",
        {"slotId": str(api.world.slots[slot].id)},
        who=who,
        headers={"if-match": "*"},
    )
    assert answer.status_code == 200, answer.text


async def status_of(api, booked):
    return (await api.send("GET", f"/appointments/{booked['id']}")).json()["status"]


def path_of(url):
    return url.removeprefix(SITE)


# --- where links lead


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("kind", sorted(RECIPIENTS))
@pytest.mark.parametrize("front", ["", FRONT], indirect=True)
async def test_every_link_of_every_mail_and_of_its_page_leads_to_a_page(
    api, post, kind, language, front
) -> None:
    """Given mail of every kind in every language
    When every URL in it, and in the page behind it, is opened
    Then each is a page of ours, the front end where there is one, or a phone number."""
    await set_contact(api, replace(CONTACT, language=language))

    _, email = await mail_of(api, post, kind)

    opened = set()
    to_open = urls_of(email)
    has_links = any(url.startswith("http") for url in to_open)
    assert has_links == (kind != ADDRESS_CHANGED) or not front
    while to_open:
        url = to_open.pop()
        opened.add(url)
        if url in (front, f"tel:{CONTACT.phone}"):
            continue
        assert url.startswith((SITE, "/")), url
        answer = await api.client.get(path_of(url))
        assert answer.status_code == 200, (url, answer.text)
        assert answer.headers["content-type"] == "text/html; charset=utf-8", url
        assert f'<html lang="{language}">' in answer.text
        to_open |= {unescape(each) for each in HREF.findall(answer.text)} - opened
    leads_on = RECIPIENTS[kind] is not Recipient.PATIENT or kind == CANCELLATION
    if leads_on and kind not in ACCOUNT_KINDS:
        assert (front in opened) is bool(front)
    assert SITE + "/" not in opened


@pytest.mark.parametrize("front", ["", FRONT], indirect=True)
async def test_index_says_what_this_is_and_where_to_go_on(api, front) -> None:
    english = await api.client.get("/")
    german = await api.client.get("/", headers={"accept-language": "de-AT, en;q=0.5"})
    head = await api.client.head("/")

    assert (english.status_code, head.status_code, head.content) == (200, 200, b"")
    assert english.headers["content-type"] == "text/html; charset=utf-8"
    assert head.headers["content-length"] == str(len(english.content))
    assert "default-src 'none'" in english.headers["content-security-policy"]
    assert '<html lang="en">' in english.text
    assert '<html lang="de">' in german.text
    links = {unescape(url) for url in HREF.findall(english.text)}
    assert links - {FRONT} == {"/schema", "/schema/openapi.json", "/health/live", "/health/ready"}
    assert (FRONT in links) is bool(front)
    for path in links - {FRONT}:
        assert (await api.client.get(path)).status_code == 200
    assert api.world.clinic.name not in english.text


async def test_form_that_was_sent_can_be_opened_again_by_its_address(api, post) -> None:
    outgoing, _ = await post(CONFIRMATION, await api.book())
    path = f"{path_of(outgoing.links.move)}?slot={api.world.slots[2].id}"

    answer = await api.client.get(path)

    assert (answer.status_code, "<form" in answer.text) == (200, True)


# --- what is offered


@pytest.mark.parametrize("kind", [CONFIRMATION, RESCHEDULE, reminder_kind(120)])
@pytest.mark.parametrize("language", ["en", "de"])
async def test_mail_inside_the_cancel_notice_offers_to_call_instead(
    api, post, kind, language
) -> None:
    await set_contact(api, replace(CONTACT, language=language))
    booked = await api.book()
    starts_at = api.world.slots[0].starts_at
    api.clock.set(starts_at - timedelta(minutes=120))
    in_time, _ = await post(kind, booked)
    api.clock.advance(seconds=1)

    outgoing, email = await post(kind, booked)

    assert (in_time.links.move, in_time.links.cancel) != (None, None)
    assert (outgoing.links.move, outgoing.links.cancel) == (None, None)
    assert outgoing.links.confirm is not None
    html = part(email, "text/html")
    assert html.count(TEL) == 2
    call = {"en": "please call the clinic: +44", "de": "nur noch telefonisch: +44"}[language]
    assert call in part(email, "text/plain")


async def test_mail_and_page_offer_to_cancel_within_the_grace_after_booking(api, post) -> None:
    policy = replace(api.world.clinic.policy, cancel_grace_min=30)
    async with api.services.store.begin() as unit:
        await unit.people.replace_clinic(replace(api.world.clinic, policy=policy))
        await unit.commit()
    api.clock.set(api.world.slots[0].starts_at - timedelta(minutes=61))
    booked = await api.book()
    outgoing, _ = await post(CONFIRMATION, booked)
    pages = [path_of(url) for url in (outgoing.links.cancel, outgoing.links.move)]

    in_time = [await api.client.get(page) for page in pages]
    api.clock.advance(minutes=30)
    late = [await api.client.get(page) for page in pages]
    later, _ = await post(reminder_kind(30), booked)

    assert all("<form" in page.text for page in in_time)
    assert all("too late" in page.text and "<form" not in page.text for page in late)
    assert (later.links.cancel, later.links.move) == (None, None)


@pytest.mark.parametrize(
    ("language", "again", "old_page"),
    [
        ("en", "Your appointment takes place after all", "This appointment has changed"),
        ("de", "Ihr Termin findet doch statt", "Dieser Termin hat sich geändert"),
    ],
)
async def test_appointment_that_is_booked_again_has_new_links(
    api, post, language, again, old_page
) -> None:
    await set_contact(api, replace(CONTACT, language=language))
    booked = await api.book()
    old, first = await post(CONFIRMATION, booked)
    await cancel(api, booked)
    path, back = f"/appointments/{booked['id']}", {"status": "BOOKED"}
    await api.send("PATCH", path, back, who="receptionist", headers={"if-match": "*"})

    outgoing, email = await post(CONFIRMATION, booked)
    by_old = await api.client.post(path_of(old.links.cancel))
    still = await status_of(api, booked)
    by_new = await api.client.post(path_of(outgoing.links.cancel))

    assert (str(email["Subject"]), str(first["Subject"]) == again) == (again, False)
    (event,) = Calendar.from_ical(part(email, "text/calendar")).walk("VEVENT")
    assert event["SEQUENCE"] == 2
    assert (by_old.status_code, old_page in by_old.text, still) == (404, True, "BOOKED")
    assert by_new.status_code == 200
    assert await status_of(api, booked) == "CANCELLED"


async def test_mail_about_a_confirmed_appointment_does_not_ask_again(api, post) -> None:
    booked = await api.book()
    body = {"status": "CONFIRMED"}
    await api.send("PATCH", f"/appointments/{booked['id']}", body, headers={"if-match": "*"})

    outgoing, email = await post(reminder_kind(120), booked)

    assert outgoing.links.confirm is None
    assert "Confirm that" not in part(email, "text/html")
    assert None not in (outgoing.links.move, outgoing.links.cancel)


@pytest.mark.parametrize("purpose", ["cancel", "move"])
async def test_page_inside_the_cancel_notice_has_no_button_and_the_number(
    api, post, purpose
) -> None:
    await set_contact(api)
    booked = await api.book()
    outgoing, _ = await post(CONFIRMATION, booked)
    path = path_of(getattr(outgoing.links, purpose))
    api.clock.set(api.world.slots[0].starts_at - timedelta(minutes=119))

    opened = await api.client.get(path)
    sent = await api.client.post(f"{path}?slot={api.world.slots[3].id}")

    assert (opened.status_code, sent.status_code) == (200, 422)
    for answer in (opened, sent):
        assert "too late" in answer.text
        assert answer.text.count(TEL) == answer.text.count(SHOWN) == 2
        assert CONTACT.phone not in answer.text.replace(TEL, "")
        assert "<form" not in answer.text
    assert await status_of(api, booked) == "BOOKED"
    confirm = path_of(outgoing.links.confirm)
    assert "<form" in (await api.client.get(confirm)).text
    assert (await api.client.post(confirm)).status_code == 200


async def test_page_of_a_clinic_without_a_number_says_to_call_all_the_same(api, post) -> None:
    outgoing, email = await post(CONFIRMATION, await api.book())
    api.clock.set(api.world.slots[0].starts_at - timedelta(minutes=119))

    opened = await api.client.get(path_of(outgoing.links.cancel))

    assert "Please call the clinic" in opened.text
    assert "tel:" not in opened.text + part(email, "text/html")


@pytest.mark.parametrize(
    ("language", "cancelled", "moved", "confirmed"),
    [
        ("en", "was cancelled", "has changed", "already confirmed"),
        ("de", "wurde abgesagt", "hat sich geändert", "schon bestätigt"),
    ],
)
async def test_page_after_the_fact_says_what_has_become_of_the_appointment(
    api, post, language, cancelled, moved, confirmed
) -> None:
    await set_contact(api, replace(CONTACT, language=language))
    booked = await api.book()
    old, _ = await post(CONFIRMATION, booked)
    await move(api, booked, 2)
    new, _ = await post(RESCHEDULE, booked)
    await api.client.post(path_of(new.links.confirm))
    new_time = api.world.slots[2].starts_at.strftime("%H:%M")

    confirmed_page = await api.client.get(path_of(new.links.confirm))
    moved_pages = [
        await api.client.get(path_of(url))
        for url in (old.links.confirm, old.links.cancel, old.links.move)
    ]
    moved_sent = await api.client.post(path_of(old.links.cancel))
    unharmed = await status_of(api, booked)
    await cancel(api, booked)
    links = [each for one in (old.links, new.links) for each in (one.confirm, one.cancel, one.move)]
    cancelled_pages = [await api.client.get(path_of(url)) for url in links]
    cancelled_sent = await api.client.post(path_of(new.links.confirm))

    assert confirmed in confirmed_page.text
    for page in moved_pages:
        assert (page.status_code, moved in page.text, new_time in page.text) == (200, True, True)
    assert (moved_sent.status_code, unharmed) == (404, "CONFIRMED")
    for page in cancelled_pages:
        assert (page.status_code, cancelled in page.text) == (200, True)
    assert (cancelled_sent.status_code, cancelled in cancelled_sent.text) == (404, True)
    for page in (confirmed_page, *moved_pages, *cancelled_pages, moved_sent, cancelled_sent):
        assert "<form" not in page.text


@pytest.mark.parametrize("language", ["en", "de"])
async def test_pages_write_days_and_times_as_their_message_does(api, post, language) -> None:
    await set_contact(api, replace(CONTACT, language=language))
    zone = api.world.clinic.zone
    outgoing, email = await post(CONFIRMATION, await api.book())

    page = await api.client.get(path_of(outgoing.links.move))

    booked, other = (api.world.slots[each] for each in (0, 2))
    text = part(email, "text/plain")
    for slot in (booked, other):
        day = translations_of(language).date(slot.starts_at, zone)
        times = translations_of(language).times(slot.starts_at, slot.ends_at, zone)
        assert (day in page.text, times in page.text) == (True, True)
    assert translations_of(language).date(booked.starts_at, zone) in text


async def test_page_of_an_appointment_that_has_begun_offers_nothing(api, post) -> None:
    await set_contact(api)
    booked = await api.book()
    outgoing, _ = await post(CONFIRMATION, booked)
    api.clock.set(api.world.slots[0].starts_at - timedelta(minutes=5))
    arrived = await api.send(
        "PATCH",
        f"/appointments/{booked['id']}",
        {"status": "ARRIVED"},
        who="receptionist",
        headers={"if-match": "*"},
    )
    assert arrived.status_code == 200

    for url in (outgoing.links.confirm, outgoing.links.cancel, outgoing.links.move):
        opened = await api.client.get(path_of(url))
        sent = await api.client.post(path_of(url))

        assert (opened.status_code, sent.status_code) == (200, 409)
        for answer in (opened, sent):
            assert "can no longer be changed" in answer.text
            assert "<form" not in answer.text


async def test_move_to_a_time_just_taken_offers_what_is_left(api, post) -> None:
    booked = await api.book()
    outgoing, _ = await post(CONFIRMATION, booked)
    await api.book(2, who="other")

    answer = await api.client.post(f"{path_of(outgoing.links.move)}?slot={api.world.slots[2].id}")

    assert (answer.status_code, "no longer free" in answer.text) == (409, True)
    assert f"?slot={api.world.slots[2].id}" not in answer.text
    assert f"?slot={api.world.slots[3].id}" in answer.text


# --- how the clinic is reached


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("kind", sorted(RECIPIENTS))
async def test_every_mail_says_how_the_clinic_is_reached(api, post, kind, language) -> None:
    await set_contact(api, replace(CONTACT, language=language))

    _, email = await mail_of(api, post, kind)

    html, text = part(email, "text/html"), part(email, "text/plain")
    for line in (api.world.clinic.name, "14 Quay Road", "Bristol BS1 6XN", SHOWN):
        assert line in html
        assert line in text
    assert TEL in html
    assert CONTACT.phone not in html.replace(TEL, "") + text
    calendars = [each for each in email.walk() if each.get_content_type() == "text/calendar"]
    for calendar in calendars:
        (event,) = Calendar.from_ical(calendar.get_content()).walk("VEVENT")
        assert str(event["LOCATION"]) == "14 Quay Road, Bristol BS1 6XN"
        for hidden in (api.world.doctor.name, "General", "Ada Adams", "Consultation"):
            assert hidden not in calendar.get_content()


# --- to whom links belong


async def of_account(api, booked, post):
    """Return the paths that mail about an appointment holds: what acts, and what unsubscribes."""
    outgoing, _ = await post(reminder_kind(1440), booked)
    links = outgoing.links
    assert links.unsubscribe is not None
    acts = [path_of(url) for url in (links.confirm, links.cancel, links.move)]
    return acts, path_of(links.unsubscribe)


async def change_address(api, email):
    """Change the first patient's address, as the patient."""
    answer = await api.send("PATCH", "/users/me", {"email": email})
    assert answer.status_code == 200, answer.text


async def set_disabled(api, disabled):
    path = f"/users/{api.world.patients[0].id}"
    answer = await api.send("PATCH", path, {"disabled": disabled}, who="admin")
    assert answer.status_code == 200, answer.text


async def assert_dead(api, paths, booked):
    for path in paths:
        for method in ("GET", "POST"):
            answer = await api.client.request(method, path)
            assert answer.status_code == 404, (method, path)
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert "not valid, or no longer" in answer.text
            assert "gilt nicht" in answer.text
            assert TEL in answer.text
            assert "<form" not in answer.text
    patient = api.world.patients[0].id
    chosen = await api.services.store.outbox.preferences(api.world.clinic.id, patient)
    assert chosen.opted_out == frozenset()
    view = await api.send("GET", f"/appointments/{booked['id']}", who="receptionist")
    assert view.json()["status"] == "BOOKED"


async def test_links_fall_with_the_address_they_were_mailed_to(api, post) -> None:
    await set_contact(api)
    booked = await api.book()
    acts, unsubscribe = await of_account(api, booked, post)
    before = api.world.patients[0].email

    await change_address(api, "ada@new.example")

    await assert_dead(api, [*acts, unsubscribe], booked)
    async with api.services.store.begin() as unit:
        # Until then the address gets no messages about appointments.
        await unit.accounts.set_email_verified_at(api.world.patients[0].id, api.clock.now())
        await unit.commit()
    new_acts, new_unsubscribe = await of_account(api, booked, post)
    for path in (*new_acts, new_unsubscribe):
        assert (await api.client.get(path)).status_code == 200
    # Restoring the address does not restore old links.
    await change_address(api, before)
    await assert_dead(api, [*acts, unsubscribe, *new_acts, new_unsubscribe], booked)


async def test_address_in_another_spelling_is_the_same_one(api, post) -> None:
    booked = await api.book()
    acts, unsubscribe = await of_account(api, booked, post)

    await change_address(api, api.world.patients[0].email.upper())

    for path in (*acts, unsubscribe):
        assert (await api.client.get(path)).status_code == 200


async def test_links_of_a_disabled_account_do_nothing(api, post) -> None:
    await set_contact(api)
    booked = await api.book()
    acts, unsubscribe = await of_account(api, booked, post)

    await set_disabled(api, True)
    await assert_dead(api, [*acts, unsubscribe], booked)

    await set_disabled(api, False)
    await assert_dead(api, [*acts, unsubscribe], booked)


async def test_links_of_an_erased_account_do_nothing(api, post) -> None:
    await set_contact(api)
    booked = await api.book()
    acts, unsubscribe = await of_account(api, booked, post)
    await cancel(api, booked)

    path = f"/users/{api.world.patients[0].id}/erasure"
    answer = await api.send("POST", path, {}, who="admin")

    assert answer.status_code == 200, answer.text
    for path in (*acts, unsubscribe):
        for method in ("GET", "POST"):
            dead = await api.client.request(method, path)
            assert (dead.status_code, "not valid" in dead.text) == (404, True)


def mailed_by_the_release_before(api, booked):
    """Return the paths as the previous release signed them: unbound."""
    signer = LinkSigner(api.services.settings.secret)
    clinic_id, until = api.world.clinic.id, api.clock.now() + timedelta(days=1)

    def path(prefix, purpose, subject, version):
        return f"/{prefix}/{signer.sign(Link(purpose, clinic_id, subject, version, until))}"

    appointment_id, patient_id = UUID(booked["id"]), api.world.patients[0].id
    purposes = (Purpose.CONFIRM, Purpose.CANCEL, Purpose.MOVE)
    acts = [path("m", purpose, appointment_id, 0) for purpose in purposes]
    return [*acts, path("unsubscribe", Purpose.UNSUBSCRIBE, patient_id, 1)]


@pytest.mark.parametrize("change", ["address", "disabled"])
async def test_links_of_the_release_before_hold_until_account_or_address_change(
    api, change
) -> None:
    await set_contact(api)
    booked = await api.book()
    paths = mailed_by_the_release_before(api, booked)

    opened = [(await api.client.get(path)).status_code for path in paths]
    if change == "address":
        await change_address(api, "ada@new.example")
    else:
        await set_disabled(api, True)
        await set_disabled(api, False)

    assert opened == [200] * 4
    await assert_dead(api, paths, booked)


async def test_links_of_the_release_before_are_dead_where_it_disabled_the_account(api) -> None:
    await set_contact(api)
    booked = await api.book()
    paths = mailed_by_the_release_before(api, booked)
    credentials = api.services.store._database.tables.credentials
    before_the_migration = StoredCredentials(
        disabled_at=api.clock.now(), link_version=1, unbound_link_version=1
    )

    credentials.put(api.world.patients[0].id, before_the_migration)

    await assert_dead(api, paths, booked)


async def link_of(api, post, kind):
    """Return the path of a link of this kind to the first patient."""
    patient = api.world.patients[0].id
    if kind == "handed over":
        answer = await api.send("POST", f"/users/{patient}/invitations", {}, who="admin")
        return f"/invitations/{answer.json()['invitation']}"
    accounts = {
        Purpose.INVITATION: INVITATION,
        Purpose.EMAIL_VERIFICATION: EMAIL_VERIFICATION,
        Purpose.PASSWORD_RESET: PASSWORD_RESET,
    }
    if kind in accounts:
        outgoing, _ = await post(accounts[kind], user_id=patient)
        return path_of(outgoing.links.account)
    outgoing, _ = await post(reminder_kind(1440), await api.book())
    return path_of(getattr(outgoing.links, kind.name.lower()))


async def take_another_address_and_come_back(api):
    before = api.world.patients[0].email
    await change_address(api, "ada@new.example")
    await change_address(api, before)


async def disable_and_enable(api):
    await set_disabled(api, True)
    await set_disabled(api, False)


#: an offer of a membership is for an address, and an account is not needed for it
MAILED = [purpose for purpose in Purpose if purpose is not Purpose.MEMBERSHIP_OFFER]
CHANGES = [take_another_address_and_come_back, disable_and_enable]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", [*MAILED, "handed over"])
async def test_every_link_falls_with_address_and_account_for_good(api, post, kind, change) -> None:
    path = await link_of(api, post, kind)
    opened = await api.client.get(path)

    await change(api)

    assert (opened.status_code, "<form" in opened.text) == (200, True)
    for method in ("GET", "POST"):
        form = {"password": "three blue herons"} if method == "POST" else None
        answer = await api.client.request(method, path, data=form)
        assert answer.status_code in (401, 404), (method, answer.status_code)
        assert "<form" not in answer.text
    account = await api.services.store.accounts.account(api.world.patients[0].id)
    assert (account.password_hash, account.email_verified_at) == (None, None)


def invitation_of_the_release_before(api):
    """Return an invitation's path as the previous release signed it: bound to the password."""
    until = int((api.clock.now() + timedelta(days=1)).timestamp())
    claims = api.world.patients[0].id.bytes + until.to_bytes(8, "big")
    signed = b"".join(len(each).to_bytes(4, "big") + each for each in (b"invitation", claims, b""))
    mac = hmac.digest(api.services.settings.secret.encode(), signed, "sha256")
    parts = urlsafe_b64encode(claims).decode(), urlsafe_b64encode(mac).decode().rstrip("=")
    return "/invitations/" + ".".join(parts)


@pytest.mark.parametrize("change", CHANGES)
async def test_invitation_of_the_release_before_holds_until_account_or_address_change(
    api, change
) -> None:
    path = invitation_of_the_release_before(api)
    opened = await api.client.get(path)

    await change(api)
    late = await api.client.get(path)

    assert (opened.status_code, late.status_code) == (200, 401)


@pytest.mark.parametrize("disabled", [True, False])
async def test_invitation_page_asks_only_who_may_answer(api, post, disabled) -> None:
    person = {"name": "Nina New", "email": "nina@example.org", "role": "PATIENT"}
    added = await api.send("POST", "/users", person, who="admin")
    path = f"/invitations/{added.json()['invitation']}"
    user = added.json()["user"]["id"]

    await api.send("PATCH", f"/users/{user}", {"disabled": disabled}, who="admin")
    opened = await api.client.get(path)

    assert (opened.status_code, "<form" in opened.text) == (
        (401, False) if disabled else (200, True)
    )
    assert opened.headers["content-type"] == "text/html; charset=utf-8"


# --- the day of a sheet


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(
    ("sent_at", "day"),
    [
        # In Auckland, UTC+13: the sheet of Saturday 28 November 2026.
        ("2026-11-26T10:59:59", None),
        ("2026-11-27T05:00:00", "tomorrow"),
        ("2026-11-27T10:59:59", "tomorrow"),
        ("2026-11-27T11:00:00", "today"),
        ("2026-11-28T10:59:59", "today"),
    ],
)
async def test_day_sheet_says_which_day_it_is_by_the_clinics_clock(
    api, post, sent_at, day, language
) -> None:
    contact = Contact(language=language)
    clinic = replace(api.world.clinic, time_zone="Pacific/Auckland", contact=contact)
    async with api.services.store.begin() as unit:
        await unit.people.replace_clinic(clinic)
        await unit.commit()
    starts_at = datetime.combine(date(2026, 11, 28), time(9), clinic.zone).astimezone(UTC)
    booked = await api.book()
    rows, key = api.services.store._database.tables.appointments, (clinic.id, UUID(booked["id"]))
    times = {"starts_at": starts_at, "ends_at": starts_at + timedelta(minutes=30)}
    rows.put(key, replace(rows.get(key), **times))
    api.clock.set(datetime.fromisoformat(sent_at).replace(tzinfo=UTC))

    _, email = await post(DAY_SHEET, user_id=api.world.doctor.id, day=date(2026, 11, 28))

    written = {
        "en": {"today": "today", "tomorrow": "tomorrow", "date": "Saturday, 28 November 2026"},
        "de": {"today": "heute", "tomorrow": "morgen", "date": "Samstag, 28. November 2026"},
    }[language]
    title = {"en": "Your appointments", "de": "Ihre Termine"}[language]
    relative = written[day] if day else ""
    starts = f"{relative.capitalize()}, {written['date']}" if day else written["date"]
    assert email["Subject"] == f"{title} {relative}".strip()
    assert part(email, "text/plain").splitlines()[2].startswith(starts)


# --- the language


async def everything_due(api):
    """Return the messages of all that is due, delivered."""
    store = api.services.store
    store.outbox.now = api.clock.now
    worker = build_worker(api.services.settings, store=store)
    query = NotificationQuery(Scope(api.world.clinic.id))
    for view in await store.outbox.list(query, PageRequest(100)):
        await deliver_notification(
            worker.delivery, clinic_id=view.message.clinic_id, message_id=view.message.id
        )
    notifier = worker.delivery.notifiers["email"]
    assert isinstance(notifier, MemoryNotifier)
    return notifier.sent


@pytest.mark.parametrize(
    ("asked", "of_clinic", "written"),
    [
        (None, "en", "en"),
        (None, "de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "en", "de"),
        ("en-GB", "de", "en"),
        ("fr, en;q=0.3, de;q=0.7", "en", "de"),
        ("en;q=0, de;q=0.1", "en", "de"),
        ("fr", "de", "de"),
        ("*", "de", "de"),
        ("de;q=2, en", "de", "en"),
        ("de;q=nan", "en", "en"),
        (";;,,=", "de", "de"),
        ("DE", "en", "de"),
        ("deutsch", "en", "en"),
        ("de_AT", "en", "en"),
    ],
)
async def test_first_mail_is_in_the_language_of_the_browser_or_the_clinics(
    api, asked, of_clinic, written
) -> None:
    await set_contact(api, Contact(language=of_clinic))
    headers = {} if asked is None else {"accept-language": asked}
    ada = {"name": "Ada Lovett", "email": "ada@example.org", "password": "seven quiet otters"}

    made = await api.client.post("/users", json=ada, headers=headers)

    (outgoing,) = await everything_due(api)
    data = Composer("no-reply@clinic.example").compose(outgoing)
    email = message_from_bytes(data, policy=default)
    subjects = {"en": "Is this your email address?", "de": "Ist das Ihre E-Mail-Adresse?"}
    assert (outgoing.message.kind, email["Subject"]) == (EMAIL_VERIFICATION, subjects[written])
    page = await api.client.get(path_of(outgoing.links.account))
    assert f'<html lang="{written}">' in page.text
    chosen = await api.services.store.outbox.preferences(
        api.world.clinic.id, UUID(made.json()["user"]["id"])
    )
    assert chosen.language == written


async def test_invitation_is_in_the_clinics_language_until_the_person_chooses(api) -> None:
    await set_contact(api, Contact(language="de"))
    person = {"name": "Nina New", "email": "nina@example.org", "role": "PATIENT"}
    english = {"accept-language": "en"}

    added = await api.send("POST", "/users", person, who="admin", headers=english)
    (first,) = await everything_due(api)
    async with api.services.store.begin() as unit:
        user_id = UUID(added.json()["user"]["id"])
        await unit.messages.choose(api.world.clinic.id, user_id, Preferences("en"))
        await unit.commit()
    await api.send("POST", f"/users/{added.json()['user']['id']}/invitations", {}, who="admin")
    (second,) = await everything_due(api)

    languages = [each.addressee.preferences.language for each in (first, second)]
    assert languages == ["de", "en"]


async def test_unsubscribe_page_speaks_the_persons_language(api, post) -> None:
    await set_contact(api, Contact(language="de"))
    outgoing, _ = await post(reminder_kind(1440), await api.book())
    path = path_of(outgoing.links.unsubscribe)

    opened, done = await api.client.get(path), await api.client.post(path)

    assert "Diese Nachrichten abbestellen?" in opened.text
    assert "Diese Nachrichten sind abbestellt." in done.text
    assert "Stop" not in opened.text + done.text


async def test_mail_and_pages_of_its_links_say_at_which_location_the_appointment_is(api, post):
    """Given an appointment at a location, and a free time at another one
    When it is confirmed by mail, and the patient opens the links
    Then mail and pages name the location with its address, and say which time is elsewhere."""
    branch = {"name": "Harbour", "address": "1 Quay Street\nBristol", "directions": "Ring twice."}
    for name, members, start in (("Harbour", branch, "09:00"), ("Mill", {"name": "Mill"}, "11:00")):
        at = (await api.send("POST", "/locations", members, who="admin")).json()
        assert at["name"] == name
        hours = {"date": "2026-11-28", "startTime": start, "endTime": f"{start[:2]}:30"}
        doctor = {"doctorId": str(api.world.doctor.id), "slotMinutes": 30}
        body = {**doctor, **hours, "locationId": at["id"]}
        assert (await api.send("POST", "/availabilities", body, who="admin")).status_code == 201
    path = "/slots?from=2026-11-28T00:00:00Z&to=2026-11-29T00:00:00Z"
    slot, _ = (await api.send("GET", path)).json()["items"]
    booked = (await api.send("POST", "/appointments", {"slotId": slot["id"]})).json()

    outgoing, email = await post(CONFIRMATION, booked)
    pages = [
        await api.client.get(path_of(url)) for url in (outgoing.links.confirm, outgoing.links.move)
    ]

    text = part(email, "text/plain").replace("\r\n", "\n")
    assert "    Harbour\n    1 Quay Street\n    Bristol\n\nRing twice.\n" in text
    (event,) = Calendar.from_ical(part(email, "text/calendar")).walk("VEVENT")
    assert str(event["LOCATION"]) == "Harbour, 1 Quay Street, Bristol"
    for page in pages:
        assert "<br>Harbour<br>1 Quay Street<br>Bristol</p>" in page.text
        assert "<p>Ring twice.</p>" in page.text
    assert '<span class="whole">11:00 to 11:30</span>, Mill' in pages[1].text
