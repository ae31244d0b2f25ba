"""The bytes that a mail server, and a maildir, receive."""

import email
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from tests.scripted_smtp import Script, scripted_servers

from clinic.adapters.email.compose import Composer
from clinic.adapters.email.maildir import MaildirNotifier
from clinic.adapters.email.smtp import MailServer, SmtpNotifier
from clinic.adapters.system.email_addresses import WorldEmailAddresses
from clinic.domain.links import Link, LinkSigner, Purpose
from clinic.domain.notifications import reminder_kind
from clinic.testing import a_clinic
from clinic.testing.contracts.notifier import an_outgoing_message

pytestmark = pytest.mark.anyio

COMPOSER = Composer("no-reply@clinic.test")


async def may_send() -> bool:
    return True


async def as_sent(outgoing) -> tuple[bytes, list[bytes]]:
    """Return the email that a server got, and what was said to it before."""
    async with scripted_servers([Script()]) as (server,):
        notifier = SmtpNotifier(MailServer.from_url(f"smtp://127.0.0.1:{server.port}"), COMPOSER)
        assert await notifier.deliver(outgoing, may_send)
        await notifier.close()
    (data,) = server.ended
    return data.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n."), server.commands


async def as_filed(outgoing, folder) -> bytes:
    assert await MaildirNotifier(folder, COMPOSER).deliver(outgoing, may_send)
    (file,) = (folder / "new").iterdir()
    data: bytes = file.read_bytes()
    return data


async def test_reminder_arrives_with_its_link_in_clear_and_one_sender(tmp_path) -> None:
    name = "Gemeinschaftspraxis Dr. Anna Beispiel, Dr. Bernd Muster, Dr. Carla Probe, Berlin-Mitte"
    expires_at = datetime(2027, 11, 24, 9, tzinfo=UTC)
    token = LinkSigner("s" * 32).sign(Link(Purpose.UNSUBSCRIBE, uuid4(), uuid4(), 1, expires_at))
    outgoing = an_outgoing_message(reminder_kind(1440), clinic=a_clinic(name=name))
    url = f"https://appointments.clinic.example/unsubscribe/{token}"
    outgoing = replace(outgoing, links=replace(outgoing.links, unsubscribe=url))

    sent, _ = await as_sent(outgoing)

    for data in (sent, await as_filed(outgoing, tmp_path)):
        head = data.partition(b"\r\n\r\n")[0]
        assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in head
        assert b"=?" not in head
        assert head.replace(b"\r\n ", b" ").startswith(
            f'From: "{name}" <no-reply@clinic.test>\r\nTo: ada@example.org\r\n'.encode()
        )
        assert email.message_from_bytes(data).get_all("From") == [
            head.partition(b"\r\nTo:")[0].removeprefix(b"From: ").decode()
        ]


async def test_domain_in_any_script_is_sent_as_punycode(tmp_path) -> None:
    outgoing = an_outgoing_message()
    address = WorldEmailAddresses().checked("Ada.B@m\u00fcnchen.example").ascii
    outgoing = replace(outgoing, addressee=replace(outgoing.addressee, email=address))

    sent, commands = await as_sent(outgoing)

    assert b"RCPT TO:<Ada.B@xn--mnchen-3ya.example>" in commands
    for data in (sent, await as_filed(outgoing, tmp_path)):
        assert b"\r\nTo: Ada.B@xn--mnchen-3ya.example\r\n" in data
        assert b"mailto:Ada.B@xn--mnchen-3ya.example" in data.replace(b"=\r\n", b"").replace(
            b"=0D=0A=20", b""
        ).replace(b"\r\n ", b"")
