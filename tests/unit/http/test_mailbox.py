"""The demo's mailbox: what was sent, and each message."""

import httpx
import pytest

from clinic.adapters.email.compose import Composer
from clinic.adapters.email.maildir import MaildirNotifier
from clinic.bootstrap import in_memory
from clinic.entrypoints.http.app import create_app
from clinic.settings import Settings
from clinic.testing.contracts.notifier import an_outgoing_message


@pytest.fixture
async def client(tmp_path):
    settings = Settings(mailbox=True, mail_url=f"maildir://{tmp_path}")
    app = create_app(in_memory(settings=settings))
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client,
    ):
        yield client


async def may_send() -> bool:
    return True


async def test_message_is_listed_and_shown_as_its_reader_sees_it(client, tmp_path) -> None:
    notifier = MaildirNotifier(tmp_path, Composer("no-reply@clinic.example"))
    await notifier.deliver(an_outgoing_message(language="de"), may_send)
    [name] = [path.stem for path in (tmp_path / "new").iterdir()]

    listed = await client.get("/mailbox")
    shown = await client.get(f"/mailbox/{name}")
    framed = await client.get(f"/mailbox/{name}/html")

    assert f'<a href="/mailbox/{name}">Ihr Termin ist gebucht</a>' in listed.text
    assert f'src="/mailbox/{name}/html"' in shown.text
    assert "BEGIN:VCALENDAR" in shown.text
    assert '<base target="_blank">' in framed.text
    assert "sandbox" in framed.headers["content-security-policy"]


async def test_empty_mailbox_and_unknown_message(client) -> None:
    empty = await client.get("/mailbox")
    unknown = await client.get("/mailbox/unknown")

    assert "No message has been sent yet." in empty.text
    assert unknown.status_code == 404
