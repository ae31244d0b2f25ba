"""Email addresses: which are accepted, how they are compared, and where mail is sent."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinic.adapters.email.headers import UnsafeEmail, mailbox
from clinic.adapters.system.email_addresses import WorldEmailAddresses
from clinic.bootstrap import build_worker
from clinic.domain.errors import InvalidInput
from clinic.domain.people.people import EmailAddress
from clinic.settings import Settings, SettingsError

EMAILS = WorldEmailAddresses()
PUNYCODE = "ada@xn--mnchen-3ya.example"


@pytest.mark.parametrize(
    "typed",
    [
        "ada@example.org",
        " Ada.B+c@Example.ORG ",
        "o'neil@x.yz",
        "ada@clinic.test",
        "ada@clinic.local",
        "ada@erased.invalid",
        PUNYCODE,
    ],
)
def test_ascii_address_stays_as_it_is_typed(typed) -> None:
    assert EMAILS.checked(typed) == EmailAddress(typed.strip())
    assert EMAILS.canonical(typed) == typed.strip()


@pytest.mark.parametrize(
    ("typed", "in_ascii"),
    [
        ("ada@münchen.example", PUNYCODE),
        ("Ada.B@MÜNCHEN.example", "Ada.B@xn--mnchen-3ya.example"),
        ("ada@straße.example", "ada@xn--strae-oqa.example"),
        ("ada@診療所.test", "ada@xn--8ou585bfso.test"),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_domain_in_any_script_is_kept_and_sent_as_punycode(typed, in_ascii, form) -> None:
    given_form = unicodedata.normalize(form, typed)

    assert EMAILS.checked(given_form) == EmailAddress(in_ascii, typed)
    assert EMAILS.canonical(given_form) == in_ascii
    assert mailbox(in_ascii) == in_ascii


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@localhost",
        "ada..b@example.org",
        ".ada@example.org",
        "ada.@example.org",
        "ada@example..org",
        "ada@.example.org",
        "ada:x@example.org",
        "ada\x01@example.org",
        "ada\x7f@example.org",
        "ada@exam\x00ple.org",
        "ada@example.org\r\nBcc: all@example.org",
        "a b@example.org",
        '"a b"@example.org',
        "ada@[192.0.2.1]",
        "ada@192.0.2.1",
        "ada@example.org,b@x.yz",
        "Ada <ada@example.org>",
        "a@b@c.org",
        "ada@-x.org",
        "ada@exa_mple.org",
        "ada@xn--a.example",
        "ada@\ud800.example",
        "ada@☃.example",
        "ada@exa mple.org",
        "x" * 65 + "@example.org",
        "ada@" + "x" * 64 + ".org",
        "ada@" + "x." * 130 + "org",
        "ada@" + "ü" * 60 + ".example",
    ],
)
def test_address_that_mail_cannot_be_sent_to_is_refused(address) -> None:
    with pytest.raises(InvalidInput) as raised:
        EMAILS.checked(address)

    assert raised.value.pointer == "/email"
    assert len(address) < 14 or address not in raised.value.message
    assert EMAILS.canonical(address) in (address.strip(), unicodedata.normalize("NFC", address))


def test_letters_before_the_at_are_refused_with_the_reason() -> None:
    with pytest.raises(InvalidInput, match="before it without"):
        EMAILS.checked("ädä@example.org")


@settings(deadline=None)
@given(st.text(max_size=40) | st.emails())
def test_what_is_accepted_can_be_written_into_a_header(typed) -> None:
    try:
        accepted = EMAILS.checked(typed)
    except InvalidInput:
        return

    assert mailbox(accepted.ascii) == accepted.ascii
    assert EMAILS.checked(accepted.ascii).ascii == accepted.ascii
    assert EMAILS.canonical(typed) == accepted.ascii


@pytest.mark.parametrize(
    "mail_from", ["a..b@example.org", "Clinic <.a@example.org>", "a:x@example.org", "ä@x.org"]
)
def test_sender_that_mail_cannot_be_from_is_refused_at_the_start(mail_from) -> None:
    with pytest.raises(SettingsError, match=r"^CLINIC_MAIL_FROM: mail cannot be sent from"):
        build_worker(Settings(mail_url="maildir:///nowhere", mail_from=mail_from))


def test_sender_may_be_of_this_machine_or_of_a_domain_in_any_script() -> None:
    here = build_worker(Settings(mail_url="maildir:///nowhere"))
    abroad = build_worker(
        Settings(mail_url="maildir:///nowhere", mail_from="Praxis <post@münchen.example>")
    )

    assert here.delivery.mail_domain == "localhost"
    assert abroad.delivery.mail_domain == "xn--mnchen-3ya.example"


def test_mailbox_takes_no_half_address() -> None:
    with pytest.raises(UnsafeEmail):
        mailbox("ada@example.org>")
