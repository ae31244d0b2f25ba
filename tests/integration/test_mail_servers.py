"""The SMTP notifier against real servers: TLS, STARTTLS and AUTH, valid and invalid."""

import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.mail import AS_USER, PASSWORD, Certificates, Mailbox, smtp_server

from clinic.adapters.email.bounded import Bounds
from clinic.adapters.email.compose import Composer
from clinic.adapters.email.smtp import MailServer, SmtpNotifier
from clinic.bootstrap import build_worker
from clinic.ports.notifier import TransportError
from clinic.settings import Settings, SettingsError
from clinic.testing.contracts.notifier import an_outgoing_message

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


async def send(url: str, bounds: Bounds | None = None) -> None:
    """Hand a message over to the server that `url` names. Raises TransportError."""
    composer = Composer("no-reply@clinic.test")
    notifier = SmtpNotifier(MailServer.from_url(url), composer, threads=1, bounds=bounds)

    async def may_send() -> bool:
        return True

    try:
        assert await notifier.deliver(an_outgoing_message(), may_send)
    finally:
        await notifier.close()


async def refusal(url: str, bounds: Bounds | None = None) -> str:
    """Return why a message could not be handed over, which must not be for good, or the message's
    own fault."""
    with pytest.raises(TransportError) as raised:
        await send(url, bounds)
    error = raised.value
    assert (error.permanent, error.ambiguous, error.of_channel) == (False, False, True)
    return error.message


# --- TLS


async def test_tls_at_once_with_a_right_certificate(mailbox, certificates) -> None:
    with smtp_server(mailbox, at_once=certificates.good()) as port:
        await send(f"smtps://localhost:{port}?ca={certificates.ca_file}")

    assert mailbox.over_tls == [True]


async def test_starttls_with_a_right_certificate(mailbox, certificates) -> None:
    with smtp_server(mailbox, starttls=certificates.good()) as port:
        await send(f"smtp://localhost:{port}?tls=on&ca={certificates.ca_file}")

    assert mailbox.over_tls == [True]


async def test_authority_of_the_system_s_own_file(mailbox, certificates, monkeypatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    with smtp_server(mailbox, at_once=certificates.good()) as port:
        await send(f"smtps://localhost:{port}")

    assert mailbox.over_tls == [True]


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("of_another_host", "Hostname mismatch"),
        ("expired", "certificate has expired"),
        ("of_nobody", "unable to get local issuer|self.signed"),
    ],
)
async def test_wrong_certificate_is_refused(mailbox, certificates, scheme, kind, said) -> None:
    context = getattr(certificates, kind)()
    how = {"at_once" if scheme == "smtps" else "starttls": context}

    with smtp_server(mailbox, **how) as port:
        message = await refusal(
            f"{scheme}://{AS_USER}@localhost:{port}?tls=on&ca={certificates.ca_file}"
        )

    assert "CERTIFICATE_VERIFY_FAILED" in message
    assert re.search(said, message)
    assert mailbox.ids == []


async def test_certificate_of_our_own_authority_is_refused_without_it(
    mailbox, certificates
) -> None:
    with smtp_server(mailbox, at_once=certificates.good()) as port:
        assert "CERTIFICATE_VERIFY_FAILED" in await refusal(f"smtps://localhost:{port}")

    assert mailbox.ids == []


async def test_server_without_starttls_gets_nothing_in_clear(mailbox, certificates) -> None:
    with smtp_server(mailbox) as port:
        message = await refusal(f"smtp://{AS_USER}@localhost:{port}?tls=on")

    assert "STARTTLS" in message
    assert (mailbox.ids, mailbox.refused_passwords) == ([], 0)


async def test_server_in_clear_gets_nothing_over_smtps(mailbox) -> None:
    with smtp_server(mailbox) as port:
        assert "SSL" in await refusal(f"smtps://localhost:{port}")

    assert mailbox.ids == []


# --- AUTH


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_auth_with_the_right_password(mailbox, certificates, scheme) -> None:
    how = {"at_once" if scheme == "smtps" else "starttls": certificates.good()}

    with smtp_server(mailbox, auth=True, **how) as port:
        await send(f"{scheme}://{AS_USER}@localhost:{port}?tls=on&ca={certificates.ca_file}")

    assert (mailbox.over_tls, mailbox.users) == ([True], ["clinic"])


async def test_wrong_password_is_no_fault_of_the_message(mailbox, certificates, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    with smtp_server(mailbox, auth=True, at_once=certificates.good()) as port:
        message = await refusal(
            f"smtps://clinic:wrong-word@localhost:{port}?ca={certificates.ca_file}"
        )

    assert "535" in message
    assert mailbox.refused_passwords
    assert mailbox.ids == []
    assert "wrong-word" not in message + caplog.text


async def test_server_that_asks_for_a_password_where_there_is_none(mailbox, certificates) -> None:
    with smtp_server(mailbox, auth=True, at_once=certificates.good()) as port:
        message = await refusal(f"smtps://localhost:{port}?ca={certificates.ca_file}")

    assert "530" in message


def test_password_is_in_no_text_of_a_server() -> None:
    server = MailServer.from_url(f"smtps://{AS_USER}@mail.example")

    assert server.password == PASSWORD
    assert PASSWORD not in repr(server)


@pytest.mark.parametrize("password", ["half#other-half", "half\u2100"])
def test_password_with_a_special_character_is_not_told_by_the_complaint(password) -> None:
    with pytest.raises(ValueError, match="%-signs") as raised:
        MailServer.from_url(f"smtp://clinic:{password}@mail.example:587")

    assert "half" not in str(raised.value)


# --- settings


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("smtps://mail.example?ca=/nowhere/ca.pem", "cannot read certificates from /nowhere"),
        ("smtps://mail.example?tls=off", "TLS from the start"),
        ("smtp://mail.example?tls=maybe", "tls=on or off"),
        ("smtp://mail.example?timeout=3", "tls=on or off, and ca=FILE"),
        ("smtp://", "name the mail server"),
    ],
)
def test_mail_url_that_cannot_work_is_refused_at_the_start(url, said) -> None:
    with pytest.raises(SettingsError, match=said) as raised:
        build_worker(Settings(mail_url=url))

    assert str(raised.value).startswith("CLINIC_MAIL_URL: ")


# --- silence


@contextmanager
def silent_server(first_words: bytes = b"") -> Iterator[int]:
    """Run a server that accepts, sends its first words, and then nothing."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.sendall(first_words)
                ended.wait(30)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        ended.set()
        thread.join()


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_server_that_never_greets_is_given_up(scheme) -> None:
    began = time.monotonic()

    with silent_server() as port:
        assert "timed out" in await refusal(f"{scheme}://127.0.0.1:{port}", Bounds(connect_s=0.2))

    assert time.monotonic() - began < 5


async def test_server_that_greets_and_falls_silent_is_given_up() -> None:
    began = time.monotonic()

    with silent_server(b"220 hello\r\n") as port:
        await refusal(f"smtp://127.0.0.1:{port}", Bounds(answer_s=0.2))

    assert time.monotonic() - began < 5
