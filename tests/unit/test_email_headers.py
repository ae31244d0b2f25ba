"""The bytes of an email's headers, with realistic names and links."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.utils import getaddresses
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar
from tests.unit.test_messages import an_outgoing_message_of, parts_of

from clinic.adapters.email.compose import Composer
from clinic.adapters.email.headers import UnsafeEmail, check_email
from clinic.domain.links import Link, LinkSigner, Purpose
from clinic.domain.notifications import CONFIRMATION, DAY_SHEET, reminder_kind
from clinic.ports.notifier import TransportError
from clinic.testing import a_clinic
from clinic.testing.contracts.notifier import an_outgoing_message

SENDER = "no-reply@clinic.example"
PRACTICE = (
    "Gemeinschaftspraxis Dr. Anna Beispiel, Dr. Bernd Muster, Dr. Carla Probe und Kollegen,"
    " Berlin-Mitte"
)
NAMES = [
    "Riverside",
    PRACTICE,
    PRACTICE.replace("Beispiel", "Weiß-Müller"),
    'Practice "Am Park", Dr. Hill \\ Dr. Reed',
    "a@b.example, Bank <c@d.example>",
    "Клиника «Здоровье», " * 9,
    "診療所" * 60,
    "Dr. 👩🏽‍⚕️ & Co.",
    "x" * 200,
    "=?utf-8?q?Bank=0d=0aSubject:_x?=",
    "Über =?utf-8?q?Bank=0d=0aSubject:_x?= Land",
    "=?x",
]


def unnamed(name: str):
    """Return a clinic with a name that is refused today, but may be stored."""
    clinic = a_clinic()
    object.__setattr__(clinic, "name", name)
    return clinic


def written(outgoing) -> bytes:
    return Composer(SENDER).compose(outgoing)


def header_of(data: bytes, name: str) -> str:
    """Return the only header of this name, unfolded as in RFC 5322."""
    head = data.partition(b"\r\n\r\n")[0].decode("ascii")
    lines = re.sub(r"\r\n(?=[ \t])", "", head).split("\r\n")
    (value,) = [line.partition(":")[2] for line in lines if line.startswith(f"{name}:")]
    return value.strip()


def real_letter(kind: str):
    """Return a message with a link as it is signed in life."""
    outgoing = an_outgoing_message_of(kind)
    link = Link(Purpose.UNSUBSCRIBE, uuid4(), uuid4(), 1, datetime(2027, 11, 24, 9, tzinfo=UTC))
    token = LinkSigner("s" * 32).sign(link)
    site = "https://termine.gemeinschaftspraxis-berlin-mitte.example"
    links = replace(outgoing.links, unsubscribe=f"{site}/unsubscribe/{token}")
    return replace(outgoing, links=links)


@pytest.mark.parametrize("kind", [reminder_kind(1440), DAY_SHEET])
def test_unsubscribe_link_is_in_clear(kind) -> None:
    outgoing = real_letter(kind)
    assert len(outgoing.links.unsubscribe) > 150

    data = written(outgoing)

    assert f" <{outgoing.links.unsubscribe}>\r\n".encode() in data
    assert header_of(data, "List-Unsubscribe") == f"<{outgoing.links.unsubscribe}>"
    assert header_of(data, "List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"


@pytest.mark.parametrize("name", NAMES)
def test_sender_is_one_address_with_the_clinic_s_name(name) -> None:
    shown = " ".join(name.split())

    data = written(an_outgoing_message(clinic=unnamed(name)))

    value = header_of(data, "From")
    ((phrase, address),) = getaddresses([value])
    assert (str(make_header(decode_header(phrase))), address) == (shown, SENDER)
    strictly = re.fullmatch(
        r'("(?:[^"\\]|\\.)*"|(?:=\?utf-8\?b\?[\w+/=]+\?= ?)+) ?<([^<>@]+@[^<>@]+)>', value
    )
    assert strictly is not None
    assert strictly[2] == SENDER


@pytest.mark.parametrize("name", NAMES)
def test_organizer_of_the_calendar_part_is_one_with_the_clinic_s_name(name) -> None:
    _, parts = parts_of(an_outgoing_message(clinic=unnamed(name)))

    (event,) = Calendar.from_ical(parts["text/calendar"].get_content()).walk("VEVENT")
    assert event["ORGANIZER"] == f"mailto:{SENDER}"
    assert event["ORGANIZER"].params["CN"] == " ".join(name.split())


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=200))
def test_no_name_breaks_the_headers(name) -> None:
    data = written(an_outgoing_message(CONFIRMATION, clinic=unnamed(name)))

    check_email(data)
    assert len(getaddresses([header_of(data, "From")])) == 1
    assert re.findall(rb"(?m)^([A-Za-z-]+):", data.partition(b"\r\n\r\n")[0]) == [
        *(b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted"),
        *(b"MIME-Version", b"Content-Type"),
    ]


@pytest.mark.parametrize("subject", ["Ihr Termin – morgen, 9:30 Uhr in Köln " * 5, "=?utf-8?q?a?="])
def test_subject_of_a_template_is_read_back(subject, tmp_path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "confirmation.jinja").write_text(
        f'{{% set subject = "{subject}" %}}{{% set title = "t" %}}'
        '{% set lines = ["x"] %}{% set actions = [] %}'
    )

    data = Composer(SENDER, overrides=tmp_path).compose(an_outgoing_message())

    found = header_of(data, "Subject")
    assert str(make_header(decode_header(found))) == " ".join(subject.split())


def test_lines_are_of_seven_bits_and_of_bounded_length() -> None:
    data = written(an_outgoing_message_of(reminder_kind(120), "de"))

    assert data.isascii()
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert max(map(len, data.partition(b"\r\n\r\n")[0].split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    "address",
    [
        "ada:x@example.org",
        "ada..b@example.org",
        ".ada@example.org",
        "ada@example..org",
        "ada\x01@example.org",
        "ada@example.org\r\nBcc: all@example.org",
        "ada@münchen.example",
        "",
    ],
)
def test_address_that_mail_cannot_be_sent_to_is_refused_for_good(address) -> None:
    outgoing = an_outgoing_message()
    addressee = replace(outgoing.addressee, email=address)

    with pytest.raises(TransportError) as raised:
        written(replace(outgoing, addressee=addressee))

    assert raised.value.permanent
    assert raised.value.message == ("not written: the address is not one that mail can be sent to")


HEAD = (
    b"From: <a@example.org>\r\nTo: b@example.org\r\nSubject: x\r\n"
    b"Date: Mon, 23 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"
)


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"Bcc: c@example.org\r\n\r\nx\r\n",
        HEAD + b"Subject: again\r\n\r\nx\r\n",
        HEAD.replace(b"Subject: x", b"Subject: x\ny") + b"\r\nx\r\n",
        HEAD.replace(b"Subject: x", b"Subject: x\ry") + b"\r\nx\r\n",
        HEAD.replace(b"Subject: x", "Subject: ü".encode()) + b"\r\nx\r\n",
        HEAD.replace(b"Subject: x", b"Subject: =?utf-8?q?a?=") + b"\r\nx\r\n",
        HEAD.replace(b"Subject: x", b"Subject: " + b"x" * 1000) + b"\r\nx\r\n",
        HEAD.replace(b"To: b", b"To: c@example.org, b") + b"\r\nx\r\n",
        HEAD.replace(b"From: <", b"From: Dr. A, Dr. B <") + b"\r\nx\r\n",
        HEAD.replace(b"Date", b"X-Date") + b"\r\nx\r\n",
        HEAD.partition(b"Message-ID")[0] + b"\r\nx\r\n",
        HEAD + b"List-Unsubscribe: =?utf-8?q?=3Chttps?=\r\n\r\nx\r\n",
        HEAD + b"List-Unsubscribe: <https://clinic.example/a b>\r\n\r\nx\r\n",
        HEAD + b"\r\nx\n.\r\nMAIL FROM:<c@example.org>\r\n",
        HEAD + b"\r\n" + b"x" * 1000 + b"\r\n",
        HEAD + b" \r\n\r\nx\r\n",
        b" " + HEAD + b"\r\nx\r\n",
    ],
)
def test_email_that_is_not_as_it_must_be_is_not_handed_over(data) -> None:
    check_email(HEAD + b"\r\nx\r\n")

    with pytest.raises(UnsafeEmail):
        check_email(data)
