"""Which messages are created, whether they still fit, and how an email looks."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from clinic.adapters.email.compose import Composer
from clinic.domain.calendar.locations import Location
from clinic.domain.clinic import Policy
from clinic.domain.contact import Contact
from clinic.domain.messaging.deliveries import (
    BACKOFF_MAX_S,
    DeliveryVerdict,
    Preferences,
    backoff,
    verdict_on,
)
from clinic.domain.notifications import (
    ADDRESS_CHANGED,
    CANCELLATION,
    CONFIRMATION,
    DAY_SHEET,
    DOCTOR_CHANGE,
    DOCTOR_LEFT,
    EMAIL_VERIFICATION,
    INVITATION,
    PASSWORD_RESET,
    RECIPIENTS,
    REMINDER,
    RESCHEDULE,
    day_sheet_due,
    day_sheets,
    messages_for_doctors,
    messages_for_schedule,
    reminder_kind,
)
from clinic.domain.status import Status
from clinic.testing import a_clinic
from clinic.testing.contracts.notifier import an_outgoing_message

LONDON = ZoneInfo("Europe/London")
NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
ZONES = ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]


def kinds_for(starts_at: datetime, *, now: datetime, leads: tuple[int, ...] = (1440, 120)):
    made = messages_for_schedule(
        kind=CONFIRMATION,
        clinic_id=uuid4(),
        appointment_id=uuid4(),
        version=0,
        starts_at=starts_at,
        policy=Policy(reminder_leads_min=leads),
        now=now,
        new_id=uuid4,
    )
    return [(one.kind, one.scheduled_for, one.expires_at) for one in made]


def test_reminder_is_elapsed_time_whatever_the_clocks_do() -> None:
    # Clocks in London go forward in the night between the reminder and the appointment.
    starts_at = datetime(2026, 3, 29, 14, tzinfo=LONDON).astimezone(UTC)

    made = kinds_for(starts_at, now=NOW)

    assert made == [
        (CONFIRMATION, NOW, starts_at),
        ("reminder_1440m", starts_at - timedelta(hours=24), starts_at - timedelta(hours=2)),
        ("reminder_120m", starts_at - timedelta(hours=2), starts_at),
    ]


@given(
    st.sampled_from(ZONES),
    st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2027, 1, 1)),  # noqa: DTZ001
    st.integers(min_value=3, max_value=80 * 24),
)
def test_reminders_are_ahead_and_expire_in_their_order(zone, local, hours) -> None:
    now = local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    starts_at = now + timedelta(hours=hours)

    reminders = kinds_for(starts_at, now=now)[1:]

    assert all(now < due < expires <= starts_at for _, due, expires in reminders)
    assert [due for _, due, _ in reminders] == sorted(due for _, due, _ in reminders)
    assert all(
        (starts_at - due) in (timedelta(days=1), timedelta(hours=2)) for _, due, _ in reminders
    )


def test_reminder_already_past_is_not_made() -> None:
    made = kinds_for(NOW + timedelta(hours=3), now=NOW)

    assert [kind for kind, _, _ in made] == [CONFIRMATION, "reminder_120m"]


def test_day_sheet_is_wall_time_and_made_only_while_it_is_ahead() -> None:
    days = [date(2026, 3, 28), date(2026, 3, 29), date(2026, 3, 30), date(2026, 3, 30)]

    made = day_sheets(
        clinic_id=uuid4(), doctor_id=uuid4(), days=days, zone=LONDON, now=NOW, new_id=uuid4
    )

    assert [each.scheduled_for for each in made] == [
        datetime(2026, 3, 28, 18, tzinfo=UTC),
        datetime(2026, 3, 29, 17, tzinfo=UTC),
    ]
    assert day_sheet_due(date(2026, 3, 30), LONDON) == datetime(2026, 3, 29, 17, tzinfo=UTC)


def doctors_told(before, after, *, now=NOW):
    made = messages_for_doctors(
        clinic_id=uuid4(),
        appointment_id=uuid4(),
        version=1,
        zone=LONDON,
        before=before,
        after=after,
        now=now,
        new_id=uuid4,
    )
    return [(one.kind, one.user_id) for one in made]


def test_doctor_hears_only_of_changes_after_the_day_sheet() -> None:
    one, two = uuid4(), uuid4()
    soon, later = NOW + timedelta(hours=3), NOW + timedelta(days=3)

    assert doctors_told(None, (one, later)) == []
    assert doctors_told(None, (one, soon)) == [(DOCTOR_CHANGE, None)]
    assert doctors_told((one, soon), (one, later)) == [(DOCTOR_CHANGE, None)]
    assert doctors_told((one, soon), (two, later)) == [(DOCTOR_LEFT, one)]
    assert doctors_told((one, later), (two, soon)) == [(DOCTOR_CHANGE, None)]
    assert doctors_told((one, later), (two, later)) == []


@pytest.mark.parametrize(
    ("kind", "sent_in"),
    [
        (CONFIRMATION, {Status.BOOKED, Status.CONFIRMED}),
        (RESCHEDULE, {Status.BOOKED, Status.CONFIRMED}),
        (reminder_kind(120), {Status.BOOKED, Status.CONFIRMED}),
        (CANCELLATION, {Status.CANCELLED}),
        (DOCTOR_CHANGE, {Status.BOOKED, Status.CONFIRMED, Status.ARRIVED, Status.CANCELLED}),
    ],
)
def test_kind_fits_only_its_statuses_and_its_version(kind, sent_in) -> None:
    def verdict(status: Status, version: int = 2) -> DeliveryVerdict:
        return verdict_on(
            kind,
            status=status,
            message_version=2,
            schedule_version=version,
            expires_at=NOW,
            now=NOW - timedelta(seconds=1),
        )

    assert {status for status in Status if verdict(status) is DeliveryVerdict.SEND} == sent_in
    assert all(verdict(status, 3) is DeliveryVerdict.STALE for status in Status)


def test_late_message_that_still_fits_is_expired() -> None:
    verdict = verdict_on(
        CONFIRMATION,
        status=Status.BOOKED,
        message_version=0,
        schedule_version=0,
        expires_at=NOW,
        now=NOW,
    )

    assert verdict is DeliveryVerdict.EXPIRED


def test_backoff_grows_to_its_bound() -> None:
    longest = [backoff(n, chance=lambda: 1.0).total_seconds() for n in range(1, 20)]

    assert longest[:4] == [2, 4, 8, 16]
    assert longest == sorted(longest)
    assert longest[-1] == BACKOFF_MAX_S
    assert backoff(3, chance=lambda: 0.0).total_seconds() == 4


def test_only_optional_messages_can_be_turned_off() -> None:
    none = Preferences(opted_out=frozenset({REMINDER, DAY_SHEET, CONFIRMATION}))

    wanted = {kind for kind in RECIPIENTS if none.wants(kind)}

    assert wanted == RECIPIENTS.keys() - {REMINDER, DAY_SHEET}
    assert not none.wants(reminder_kind(120))


# --- emails


def written(outgoing, *, sender: str = "Clinic <no-reply@clinic.example>") -> bytes:
    return Composer(sender).compose(outgoing)


def parts_of(outgoing):
    parsed = message_from_bytes(written(outgoing), policy=default)
    return parsed, {part.get_content_type(): part for part in parsed.walk()}


EVERY_KIND = [
    CONFIRMATION,
    RESCHEDULE,
    CANCELLATION,
    reminder_kind(1440),
    DOCTOR_CHANGE,
    DOCTOR_LEFT,
    DAY_SHEET,
    INVITATION,
    EMAIL_VERIFICATION,
    PASSWORD_RESET,
    ADDRESS_CHANGED,
]


def an_outgoing_message_of(kind: str, language: str = "en"):
    outgoing = an_outgoing_message(kind, language=language)
    if kind == DAY_SHEET:
        assert outgoing.appointment is not None
        day = ((outgoing.appointment.starts_at, outgoing.appointment.ends_at),)
        return replace(outgoing, appointment=None, day=day)
    if kind == ADDRESS_CHANGED:
        return replace(outgoing, appointment=None)
    if kind in (INVITATION, EMAIL_VERIFICATION, PASSWORD_RESET):
        links = replace(outgoing.links, account="https://clinic.example/invitations/token")
        return replace(outgoing, appointment=None, links=links)
    return outgoing


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_kind_is_written_in_every_language(kind, language) -> None:
    email, parts = parts_of(an_outgoing_message_of(kind, language))

    text = parts["text/plain"].get_content()
    html = parts["text/html"].get_content()
    assert f'<html lang="{language}">' in html
    assert email["Subject"]
    assert text.splitlines()[0] in html
    for hidden in ("Ada", "Grace", "Hill", "Cardiology", "Consultation"):
        assert hidden not in str(email["Subject"]) + str(email["To"]) + text + html
    assert email["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_colour_has_its_dark_one(kind) -> None:
    """Given a mail program in dark mode
    When it shows a message of any kind
    Then nothing keeps the colours of a light page, some of which could not be read there."""
    _, parts = parts_of(an_outgoing_message_of(kind))

    html = parts["text/html"].get_content()
    style, _, body = html.partition("</style>")
    dark = set(re.findall(r"\.([a-z]+)[ ,{]", style.partition("(prefers-color-scheme: dark)")[2]))
    coloured = [
        tag for tag in re.findall(r"<\w+ [^>]*>", body) if re.search(r"(color|ground):", tag)
    ]
    assert len(coloured) > 5
    for tag in coloured:
        classes = set(" ".join(re.findall(r'class="([^"]*)"', tag)).split())
        assert classes & dark or tag.startswith("<a "), tag


def test_message_to_a_patient_says_when_by_the_clinics_clock() -> None:
    outgoing = an_outgoing_message(clinic=a_clinic(time_zone="Asia/Kathmandu"))

    _, parts = parts_of(outgoing)

    text = parts["text/plain"].get_content()
    assert "Tuesday, 24 November 2026" in text
    assert "14:45 to 15:15" in text
    assert "(Asia/Kathmandu, UTC+05:45)" in text


@pytest.mark.parametrize(
    ("kind", "method", "status"),
    [
        (CONFIRMATION, "REQUEST", "CONFIRMED"),
        (RESCHEDULE, "REQUEST", "CONFIRMED"),
        (reminder_kind(120), "REQUEST", "CONFIRMED"),
        (CANCELLATION, "CANCEL", "CANCELLED"),
    ],
)
def test_calendar_part_says_what_rfc_5546_asks_for(kind, method, status) -> None:
    outgoing = an_outgoing_message(kind)
    assert outgoing.appointment is not None
    moved = replace(outgoing, appointment=replace(outgoing.appointment, schedule_version=4))

    _, parts = parts_of(moved)

    part = parts["text/calendar"]
    calendar = Calendar.from_ical(part.get_content())
    (event,) = calendar.walk("VEVENT")
    assert part.get_param("method") == method == calendar["METHOD"]
    assert event["UID"] == f"{outgoing.appointment.id}@clinic"
    assert (event["SEQUENCE"], event["STATUS"]) == (4, status)
    assert event.decoded("DTSTART") == outgoing.appointment.starts_at
    assert event["ATTENDEE"] == "mailto:ada@example.org"
    assert event["ORGANIZER"] == "mailto:no-reply@clinic.example"
    assert (event["SUMMARY"], "LOCATION" in event, "DESCRIPTION" in event) == (
        "Appointment",
        False,
        False,
    )


INSTRUCTIONS = (
    'Please bring <b>all</b> X-ray images of the last two years & "the" form at'
    " https://clinic.example/forms/a-form-with-a-very-long-name-that-nobody-should-ever-break-apart"
    " and come fifteen minutes early."
)


@pytest.mark.parametrize(
    ("kind", "language", "label"),
    [
        (CONFIRMATION, "en", "Please note for this appointment:"),
        (reminder_kind(120), "de", "Bitte beachten Sie für diesen Termin:"),
    ],
)
def test_instructions_are_shown_wrapped_and_escaped(kind, language, label) -> None:
    outgoing = replace(an_outgoing_message_of(kind, language), instructions=INSTRUCTIONS)

    _, parts = parts_of(outgoing)

    text = parts["text/plain"].get_content().replace("\r\n", "\n")
    shown = text.partition(f"\n{label}\n")[2].partition("\n\n")[0]
    assert " ".join(shown.split()) == INSTRUCTIONS
    lines = shown.splitlines()
    assert len(lines) > 2
    assert all(len(line) <= 72 or " " not in line for line in lines)
    html = parts["text/html"].get_content()
    assert f"<strong>{label}</strong>" in html
    assert "Please bring &lt;b&gt;all&lt;/b&gt; X-ray" in html
    assert "years &amp; &#34;the&#34; form" in html
    assert "X-ray" not in parts["text/calendar"].get_content()
    without = written(replace(outgoing, instructions=None))
    assert label not in message_from_bytes(without, policy=default).as_string()


def test_only_optional_mail_can_be_unsubscribed_from() -> None:
    reminder, _ = parts_of(an_outgoing_message(reminder_kind(120)))
    confirmation, _ = parts_of(an_outgoing_message(CONFIRMATION))

    assert reminder["List-Unsubscribe"] == "<https://clinic.example/unsubscribe/token>"
    assert reminder["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert confirmation["List-Unsubscribe"] is None


def test_letter_written_twice_has_one_message_id() -> None:
    outgoing = an_outgoing_message()

    assert parts_of(outgoing)[0]["Message-ID"] == parts_of(outgoing)[0]["Message-ID"]


def test_names_cannot_break_out_of_headers_or_html() -> None:
    evil = "Clinic <b>bold</b>"
    outgoing = an_outgoing_message(clinic=a_clinic(name=evil))
    broken = replace(outgoing.clinic)
    object.__setattr__(broken, "name", "Riverside\r\nBcc: all@example.org")

    _, parts = parts_of(outgoing)
    email, _ = parts_of(replace(outgoing, clinic=broken))

    assert "<b>bold</b>" not in parts["text/html"].get_content()
    assert email["Bcc"] is None


def test_template_in_a_folder_stands_in_for_the_built_in_one(tmp_path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "confirmation.jinja").write_text(
        '{% set subject = "See you soon" %}{% set title = "See you soon" %}'
        '{% set lines = ["At " ~ clinic] %}{% set actions = [] %}'
    )
    composer = Composer("no-reply@clinic.example", overrides=tmp_path)

    assert b"\r\nSubject: See you soon\r\n" in composer.compose(an_outgoing_message())
    assert b"\r\nSubject: Your appointment is cancelled\r\n" in composer.compose(
        an_outgoing_message(CANCELLATION)
    )


def test_template_in_a_folder_is_for_one_language_or_for_all(tmp_path) -> None:
    """Given a folder with a template, and one of the same name for German
    When messages are written
    Then German has its own, which may use the built-in ones, and every other language the first."""
    (tmp_path / "de").mkdir()
    body = '{% set title = "t" %}{% set lines = ["x"] %}{% set actions = [] %}'
    (tmp_path / "confirmation.jinja").write_text('{% set subject = "For all" %}' + body)
    (tmp_path / "de" / "confirmation.jinja").write_text(
        "{% import 'de/words.jinja' as words with context %}{% set subject = words.summary %}"
        + body
    )
    composer = Composer("no-reply@clinic.example", overrides=tmp_path)

    assert b"\r\nSubject: For all\r\n" in composer.compose(an_outgoing_message())
    assert b"\r\nSubject: Termin\r\n" in composer.compose(an_outgoing_message(language="de"))


@pytest.mark.parametrize("kind", [CONFIRMATION, RESCHEDULE, CANCELLATION, reminder_kind(120)])
def test_message_and_calendar_entry_say_at_which_location_the_appointment_is(kind) -> None:
    contact = Contact("1 Main Road\nBath", "+441225000000")
    clinic = replace(a_clinic(), contact=contact)
    outgoing = an_outgoing_message(kind, clinic=clinic)
    assert outgoing.appointment is not None
    if kind == CANCELLATION:
        assert outgoing.appointment is not None
        cancelled = replace(outgoing.appointment, status=Status.CANCELLED)
        outgoing = replace(outgoing, appointment=cancelled)
    branch = Location(
        clinic.id,
        clinic.id,
        "Harbour <branch>",
        "1 Quay Street\nBristol",
        "Ring twice.",
        "+441174960000",
    )

    _, parts = parts_of(replace(outgoing, location=branch))
    _, bare = parts_of(replace(outgoing, location=replace(branch, address=None, phone=None)))
    _, at_clinic = parts_of(outgoing)

    text = parts["text/plain"].get_content().replace("\r\n", "\n")
    assert "    Harbour <branch>\n    1 Quay Street\n    Bristol\n" in text
    html = parts["text/html"].get_content()
    assert "Harbour &lt;branch&gt;" in html
    assert "<br>1 Quay Street" in html
    for content in (text, html):
        assert ("Ring twice." in content) is (kind != CANCELLATION)
        # The clinic's own address and number are at the end.
        assert "1 Main Road" in content
        assert "+441225000000" in content
    assert _located(parts) == "Harbour <branch>, 1 Quay Street, Bristol"
    assert _located(bare) == "Harbour <branch>, 1 Main Road, Bath"
    assert _located(at_clinic) == "1 Main Road, Bath"
    assert "Harbour" not in at_clinic["text/plain"].get_content()


def _located(parts) -> str:
    (event,) = Calendar.from_ical(parts["text/calendar"].get_content()).walk("VEVENT")
    return str(event["LOCATION"])
