"""The SMTP notifier against servers that drip, hold, cut and reset at every byte they send."""

import asyncio
import time
from dataclasses import replace
from functools import cache

import pytest
from tests.scripted_smtp import DATA, DOT, EHLO, GREETING, MAIL, RCPT, Script, scripted_servers

from clinic.adapters.email import smtp as smtp_module
from clinic.adapters.email.bounded import ANSWER_MAX_BYTES, Bounds
from clinic.adapters.email.compose import Composer
from clinic.adapters.email.smtp import MailServer, SmtpNotifier
from clinic.ports.notifier import TransportError
from clinic.testing.contracts.notifier import an_outgoing_message

pytestmark = pytest.mark.anyio

LETTER = an_outgoing_message()


class ComposedOnce(Composer):
    """Writes one message out a single time, for tests that send it hundreds of times."""

    def compose(self, outgoing):
        return _composed(outgoing)


@cache
def _composed(outgoing):
    return Composer("no-reply@clinic.test").compose(outgoing)


COMPOSER = ComposedOnce("no-reply@clinic.test")
PATIENT = Bounds(connect_s=10, answer_s=10, conversation_s=20)
#: how often a server is tried until it gets as far as its fault
TRIES_MAX = 4
QUICK = Bounds(connect_s=0.5, answer_s=0.3, conversation_s=1.0)


def notifier_for(port: int, bounds: Bounds, **options) -> SmtpNotifier:
    server = MailServer.from_url(f"smtp://127.0.0.1:{port}")
    return SmtpNotifier(server, COMPOSER, bounds=bounds, **{"threads": 1, **options})


async def allowed() -> bool:
    return True


async def outcome(port: int, bounds: Bounds, **options) -> str:
    """Return what became of a message: sent, again, in doubt, or failed."""
    notifier = notifier_for(port, bounds, **options)
    try:
        await notifier.deliver(LETTER, allowed)
    except TransportError as error:
        return what_is_meant(error)
    finally:
        await notifier.close()
    return "sent"


def what_is_meant(error: TransportError) -> str:
    if error.ambiguous:
        return "in doubt"
    return "failed" if error.permanent else "again"


async def outcomes(scripts: list[Script], bounds: Bounds) -> dict[tuple[int, int], str]:
    """Return what became of a message on each of these servers, side by side, and hold it against
    what the server got."""
    async with scripted_servers(scripts) as servers:
        found = await asyncio.gather(*(outcome(server.port, bounds) for server in servers))
        for server, result in zip(servers, found, strict=True):
            assert (result in ("sent", "in doubt")) == bool(server.ended), server
    return {(s.step, s.at): result for s, result in zip(scripts, found, strict=True)}


async def test_answer_that_is_held_anywhere_is_waited_for() -> None:
    found = await outcomes(Script().at_every_byte("hold"), PATIENT)

    assert set(found.values()) == {"sent"}


@pytest.mark.parametrize("fault", ["cut", "reset"])
async def test_connection_that_ends_anywhere_is_in_doubt_after_the_dot_alone(fault) -> None:
    found = await outcomes(Script().at_every_byte(fault), PATIENT)

    assert {found[key] for key in found if key[0] < DOT} == {"again"}
    assert {found[key] for key in found if key[0] == DOT} == {"in doubt"}


@pytest.mark.parametrize("fault", ["stay", "drip"])
async def test_server_that_stops_or_drips_anywhere_is_given_up(fault) -> None:
    slow = replace(Script(), drip_s=0.25)
    # The last byte of a dripped answer arrives in time.
    scripts = [s for s in slow.at_every_byte(fault) if len(s.answers[s.step]) - s.at > 4]
    began = time.monotonic()

    found = await outcomes(scripts, QUICK)
    tries = 1
    # On a busy machine an earlier answer may also be late, so that the fault is never reached.
    while early := [s for s in scripts if s.step == DOT and found[s.step, s.at] == "again"]:
        assert tries < TRIES_MAX
        found |= await outcomes(early, QUICK)
        tries += 1

    assert {found[key] for key in found if key[0] < DOT} == {"again"}
    assert {found[key] for key in found if key[0] == DOT} == {"in doubt"}
    assert time.monotonic() - began < 8 * tries


async def test_whole_conversation_is_bounded_though_each_answer_is_in_time() -> None:
    bounds = Bounds(connect_s=5, answer_s=5, conversation_s=0.4)
    slow = Script(fault="hold", step=RCPT)
    async with scripted_servers([slow]) as (server,):
        notifier = notifier_for(server.port, bounds)

        async def long_thought() -> bool:
            # As with a slow database: the conversation continues meanwhile.
            await asyncio.sleep(0.5)
            return True

        with pytest.raises(TransportError) as raised:
            await notifier.deliver(LETTER, long_thought)
        await notifier.close()

    assert what_is_meant(raised.value) == "again"
    assert server.ended == []


# --- answers of odd shapes


@pytest.mark.parametrize(
    ("step", "answer", "result"),
    [
        (GREETING, b"220-one\r\n220-two\r\n220 three\r\n", "sent"),
        (MAIL, b"250\r\n", "sent"),
        (MAIL, b"250 only a line feed\n", "sent"),
        (DOT, b"250-taken\r\n250 as 4711\r\n", "sent"),
        (RCPT, b"550-5.1.1 no\r\n550 5.1.1 such mailbox\r\n", "failed"),
        (RCPT, b"450 4.2.1 later\r\n", "again"),
        (DATA, b"554 5.7.1 no\r\n", "failed"),
        (DATA, b"250 go on\r\n", "again"),
        (DOT, b"554 5.6.0 no\r\n", "failed"),
        (DOT, b"451 4.3.0 later\r\n", "again"),
        # Neither yes nor no.
        (DOT, b"354 go on\r\n", "in doubt"),
        (DOT, b"what\r\n", "in doubt"),
        (DOT, b"\r\n", "in doubt"),
        (DOT, b"250-taken\r\n550 not\r\n", "in doubt"),
        (DOT, b"25" + b"0" * 9000 + b"\r\n", "in doubt"),
        (DOT, b"250 " + b"x" * 9000 + b"\r\n", "in doubt"),
        (DOT, b"250-more\r\n" * (ANSWER_MAX_BYTES // 9), "in doubt"),
        (RCPT, b"250-more\r\n" * (ANSWER_MAX_BYTES // 9), "again"),
        (EHLO, b"250-more\r\n" * (ANSWER_MAX_BYTES // 9), "again"),
        (MAIL, b"\xff\xfe\r\n", "again"),
        # An unsolicited answer would be taken for the next one.
        (MAIL, b"250 ok\r\n250 2.1.5 ok\r\n354 go on\r\n250 taken\r\n", "again"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else value,
)
async def test_answer_of_an_odd_shape(step, answer, result) -> None:
    async with scripted_servers([Script().with_answer(step, answer)]) as (server,):
        assert await outcome(server.port, PATIENT) == result


async def test_lines_without_an_end_are_given_up_by_their_size() -> None:
    endless = Script().with_answer(DOT, b"250-more\r\n" * 100_000)
    began = time.monotonic()
    async with scripted_servers([endless]) as (server,):
        assert await outcome(server.port, PATIENT) == "in doubt"

    assert time.monotonic() - began < 5


async def test_tls_that_is_never_begun_is_given_up() -> None:
    script = Script().with_answer(EHLO, b"250-mx\r\n250 STARTTLS\r\n")
    async with scripted_servers([script]) as (server,):
        mail_server = MailServer.from_url(f"smtp://127.0.0.1:{server.port}?tls=on")
        notifier = SmtpNotifier(mail_server, COMPOSER, threads=1, bounds=QUICK)
        with pytest.raises(TransportError) as raised:
            await notifier.deliver(LETTER, allowed)
        await notifier.close()

    assert (what_is_meant(raised.value), raised.value.of_channel) == ("again", True)


@pytest.mark.parametrize("step", [MAIL, RCPT, DATA, DOT])
async def test_words_of_the_server_are_not_kept(step) -> None:
    answer = b"550-5.1.1 <ada@example.org> is unknown here\r\n550 5.1.1 Ada Adams left\r\n"
    async with scripted_servers([Script().with_answer(step, answer)]) as (server,):
        notifier = notifier_for(server.port, PATIENT)
        with pytest.raises(TransportError) as raised:
            await notifier.deliver(LETTER, allowed)
        await notifier.close()

    names = {MAIL: "MAIL", RCPT: "RCPT", DATA: "DATA", DOT: "the message"}
    said = f"{names[step]}: refused with 550 5.1.1, which is about the address"
    assert raised.value.message == str(raised.value) == said


# --- the permission


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


async def test_permission_that_has_grown_old_is_asked_for_again() -> None:
    clock, asked = Clock(), []

    async def slowly() -> bool:
        asked.append(clock.s)
        if len(asked) < 3:
            clock.s += smtp_module.PERMISSION_MAX_S + 0.1
        return True

    async with scripted_servers([Script()]) as (server,):
        notifier = notifier_for(server.port, PATIENT, now_s=clock)
        assert await notifier.deliver(LETTER, slowly)
        await notifier.close()

    assert len(asked) == 3
    assert server.commands.count(b"DATA") == 1


async def test_permission_that_is_always_old_is_not_asked_for_for_ever() -> None:
    clock = Clock()

    async def too_slowly() -> bool:
        clock.s += smtp_module.PERMISSION_MAX_S + 0.1
        return True

    async with scripted_servers([Script()]) as (server,):
        notifier = notifier_for(server.port, Bounds(conversation_s=0.3), now_s=clock)
        with pytest.raises(TransportError) as raised:
            async with asyncio.timeout(10):
                await notifier.deliver(LETTER, too_slowly)
        await notifier.close()

    assert what_is_meant(raised.value) == "again"
    assert b"DATA" not in server.commands


async def test_permission_that_grows_old_while_data_is_asked_for_sends_nothing() -> None:
    clock = Clock()
    async with scripted_servers([Script(fault="hold", step=DATA)]) as (server,):
        notifier = notifier_for(server.port, PATIENT, now_s=clock)
        sending = asyncio.ensure_future(notifier.deliver(LETTER, allowed))
        await server.heard[DATA].wait()
        clock.s += smtp_module.PERMISSION_MAX_S + 0.1

        with pytest.raises(TransportError) as raised:
            await sending
        await notifier.close()

    assert what_is_meant(raised.value) == "again"
    assert server.ended == []


# --- others' mail, and the end


async def test_mail_domain_that_is_never_answered_for_leaves_threads_to_others() -> None:
    slow = [
        replace(LETTER, addressee=replace(LETTER.addressee, email=f"p{n}@slow.example"))
        for n in range(12)
    ]
    async with scripted_servers([Script(never_for="@slow.example")]) as (server,):
        notifier = notifier_for(server.port, PATIENT, threads=4)
        waiting = [asyncio.ensure_future(notifier.deliver(one, allowed)) for one in slow]
        await server.heard[RCPT].wait()
        began = time.monotonic()

        assert await notifier.deliver(LETTER, allowed)

        assert time.monotonic() - began < 3
        # Messages beyond the domain's share occupy a thread only briefly.
        for task in waiting[3:]:
            with pytest.raises(TransportError, match="postponed") as raised:
                await task
            assert (what_is_meant(raised.value), raised.value.of_channel) == ("again", True)
        await notifier.close()
        for task in waiting[:3]:
            with pytest.raises(TransportError) as raised:
                await task
            assert what_is_meant(raised.value) == "again"


@pytest.mark.parametrize("step", [GREETING, MAIL, DATA, DOT])
async def test_close_ends_every_conversation(step) -> None:
    async with scripted_servers([Script(fault="stay", step=step)]) as (server,):
        notifier = notifier_for(server.port, PATIENT)
        sending = asyncio.ensure_future(notifier.deliver(LETTER, allowed))
        await server.heard[step].wait()
        began = time.monotonic()

        await notifier.close()
        with pytest.raises(TransportError) as raised:
            await sending

    assert time.monotonic() - began < 2
    assert what_is_meant(raised.value) == ("in doubt" if step == DOT else "again")
