"""Invalid settings that messages use are refused at startup, not with each message."""

from dataclasses import replace
from email import message_from_bytes
from email.policy import SMTP

import pytest
from msgspec import structs
from tests.unit.test_email_headers import unnamed
from tests.unit.test_messages import an_outgoing_message_of

from clinic.adapters.email.compose import Composer
from clinic.adapters.email.smtp import MailServer
from clinic.bootstrap.mail import mail_sender
from clinic.domain.notifications import reminder_kind
from clinic.entrypoints.cli.worker import check_worker
from clinic.settings import Settings, SettingsError, load_settings

ASCII_ONLY = "links in messages may hold only the ASCII characters of a URL"
LINK_URLS = ["CLINIC_PUBLIC_URL", "CLINIC_FRONTEND_URL"]
WORKER = Settings(database_url="postgresql://a@b/c", broker_url="redis://b", secret="s" * 32)


@pytest.mark.parametrize("variable", LINK_URLS)
@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        ("https://münchen.example", "https://xn--mnchen-3ya.example"),
        # Not strasse.example, which is a different domain.
        ("https://straße.example:8443/a", "https://xn--strae-oqa.example:8443/a"),
        ("https://MÜNCHEN.example/prä%20xis", "https://xn--mnchen-3ya.example/pr%C3%A4%20xis"),
        ("https://clinic.example/a<b", "https://clinic.example/a%3Cb"),
        ("https://clinic.example/100%", "https://clinic.example/100%25"),
        ("https://clinic.example\n", "https://clinic.example"),
        ('https://clinic.example/"', "https://clinic.example/%22"),
    ],
)
def test_url_that_mail_cannot_hold_is_refused_with_the_one_to_write(
    variable, typed, instead
) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({variable: typed})

    assert str(refused.value) == f"{variable}: {ASCII_ONLY}; write {instead}."
    assert load_settings({variable: instead}) is not None


@pytest.mark.parametrize("variable", LINK_URLS)
@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("https://-ü-.example", f"{ASCII_ONLY}."),
        ("https://clinic.example:99999", "this is not a URL: Port out of range 0-65535."),
        ("https://:8000", "write it such as https://clinic.example."),
        (f"https://clinic.example/{'a' * 500}", "use at most 500 characters."),
    ],
)
def test_url_that_leads_nowhere_is_refused(variable, typed, why) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({variable: typed})

    assert str(refused.value) == f"{variable}: {why}"


def test_paths_are_added_to_the_public_url_alone() -> None:
    with pytest.raises(SettingsError, match=r"^CLINIC_PUBLIC_URL: paths are added to it"):
        load_settings({"CLINIC_PUBLIC_URL": "https://clinic.example/?a=b"})

    front = "https://clinic.example/app/#/book?a=b"
    assert load_settings({"CLINIC_FRONTEND_URL": front}).frontend_url == front


def test_embedder_is_told_as_well() -> None:
    with pytest.raises(SettingsError, match=r"write https://xn--mnchen-3ya\.example"):
        Settings(public_url="https://münchen.example")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"mail_from": "ä@x.example"}, "^CLINIC_MAIL_FROM: mail cannot be sent from"),
        ({"mail_url": "smtp://u:p%C3%A4ss@h"}, "^CLINIC_MAIL_URL: user and password may contain"),
        ({"mail_url": "smtp://h:99999"}, "^CLINIC_MAIL_URL: this is not a URL"),
        ({"mail_url": "smtp://h?ca=/nowhere.pem"}, "^CLINIC_MAIL_URL: cannot read certificates"),
    ],
)
def test_worker_that_could_send_nothing_does_not_start(settings, why) -> None:
    with pytest.raises(SettingsError, match=why):
        check_worker(structs.replace(WORKER, **settings))


def test_password_that_smtp_can_say_is_taken() -> None:
    assert MailServer.from_url("smtp://u:p%40ss@h").password == "p@ss"


@pytest.mark.parametrize("name", ["Zürich", 'Dr. "Ada", Zürich', "Riverside, Park", "診療所"])
def test_name_of_the_sender_is_encoded_once(name) -> None:
    sender = mail_sender(Settings(mail_from=f"{name} <no-reply@clinic.example>"))
    nameless = replace(an_outgoing_message_of(reminder_kind(1440)), clinic=unnamed(""))

    data = Composer(sender).compose(nameless)

    email = message_from_bytes(data, policy=SMTP)
    (read,) = email["From"].addresses
    assert (read.display_name, read.addr_spec) == (name, "no-reply@clinic.example")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CLINIC_ENVIRONMENT", "production"),
        ("CLINIC_MAIL_FROM", "no-reply@clinic.example"),
        ("CLINIC_PUBLIC_URL", "https://clinic.example"),
        ("CLINIC_FRONTEND_URL", "https://clinic.example"),
        ("CLINIC_AMBIGUOUS_MAIL", "hold"),
        ("CLINIC_GRAPHQL_INTROSPECTION", "off"),
        ("CLINIC_LOG_LEVEL", "info"),
        ("CLINIC_PHONE_REGION", "GB"),
        ("CLINIC_READ_LIMIT", "3/4"),
    ],
)
def test_value_with_a_line_end_is_not_taken_for_the_one_without(variable, value) -> None:
    assert load_settings({variable: value}) is not None

    with pytest.raises(SettingsError, match=f"^{variable}: "):
        load_settings({variable: f"{value}\n"})
