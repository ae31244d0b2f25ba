"""`clinic check` of mail, queue and waiting messages: it names the variable and the fix."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import redis
import time_machine
from tests.mail import AS_USER, Certificates, Mailbox, smtp_server

from clinic.adapters.dramatiq import DramatiqQueue
from clinic.adapters.dramatiq.probe import probe_queue_server, queue_server_faults
from clinic.adapters.postgres.checks.consistency import check_consistency
from clinic.adapters.postgres.store import PostgresStore
from clinic.devtools.embedded import EmbeddedValkey
from clinic.entrypoints.cli.worker import check_worker
from clinic.settings import Settings, SettingsError
from clinic.testing.contracts.outbox import claimed, seed_message

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SECRET = "of-these-tests-alone-0123456789abcdef"
PRODUCTION = {
    "CLINIC_ENVIRONMENT": "production",
    "CLINIC_PUBLIC_URL": "https://clinic.test",
    "CLINIC_MAIL_FROM": "no-reply@clinic.test",
}


#: how far apart a busy machine may read two clocks
SLACK_S = 60


def seconds_in(pattern: str, text: str) -> int:
    """Return the number in `text` that the pattern captures."""
    found = re.search(pattern, text)
    assert found is not None, text
    return int(found[1])


@pytest.fixture
def environ(postgres_urls, valkey_url, tmp_path) -> dict[str, str]:
    return {
        "CLINIC_DATABASE_URL": postgres_urls.app_url,
        "CLINIC_OWNER_URL": postgres_urls.owner_url,
        "CLINIC_BROKER_URL": valkey_url,
        "CLINIC_SECRET": SECRET,
        "CLINIC_MAIL_URL": f"maildir://{tmp_path / 'mail'}",
    }


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def checks(commands, environ, tmp_path):
    """Return a function that checks each change at once, and returns statuses and output."""

    def checks(*changes: Mapping[str, str]) -> list[tuple[int, str]]:
        asked = [(["check"], {**environ, **change}) for change in changes]
        ended = commands.run_together(asked, tmp_path)
        assert [ran.stderr for ran in ended] == [""] * len(changes)
        return [(ran.returncode, ran.stdout) for ran in ended]

    return checks


def mail_at(url: str) -> dict[str, str]:
    return {"CLINIC_MAIL_URL": url}


def test_check_of_a_right_mail_server_says_nothing_and_sends_nothing(checks, certificates) -> None:
    mailbox = Mailbox()
    with smtp_server(mailbox, auth=True, starttls=certificates.good()) as port:
        ca = certificates.ca_file
        [told] = checks(mail_at(f"smtp://{AS_USER}@localhost:{port}?tls=on&ca={ca}"))

    assert told == (0, "All is well.\n")
    assert (mailbox.refused_passwords, mailbox.ids) == (0, [])


def test_check_of_mail_servers_that_cannot_be_used(checks, certificates) -> None:
    mailbox, ca = Mailbox(), certificates.ca_file
    with (
        smtp_server(mailbox, auth=True, at_once=certificates.good()) as port,
        smtp_server(mailbox, at_once=certificates.expired()) as expired,
        smtp_server(mailbox) as clear,
    ):
        cases = {
            f"smtps://clinic:wrong-word@localhost:{port}?ca={ca}": (
                "535",
                "correct the user or password",
            ),
            f"smtps://localhost:{expired}?ca={ca}": ("has expired", "fix its certificate"),
            f"smtps://localhost:{port}": ("CERTIFICATE_VERIFY_FAILED", "?ca=FILE"),
            f"smtp://localhost:{clear}?tls=on": ("STARTTLS", "it offers no STARTTLS"),
            f"smtp://clinic:wrong-word@localhost:{clear}": ("AUTH", "it takes no passwords here"),
            f"smtps://localhost:{clear}": ("SSL", "smtps:// is TLS from the start"),
            "smtp://localhost:1": ("refused", "start it, or correct the host or port"),
            "smtp://clinic:half#other-half@mail.clinic.test": ("not a URL", "smtps://…"),
            "smtps://mail.clinic.test?ca=/nowhere": ("cannot read certificates", ""),
            "carrier-pigeon://roof": ("no adapter for carrier-pigeon://", "maildir"),
            "maildir:///dev/null/mail": (
                "nothing can be written into /dev/null",
                "correct the path",
            ),
        }
        ended = checks(*map(mail_at, cases))

    for (problem, remedy), (status, told) in zip(cases.values(), ended, strict=True):
        assert status == 1
        assert "WRONG: CLINIC_MAIL_URL: " in told
        assert problem in told
        assert remedy in told
        assert "wrong-word" not in told
        assert "half" not in told


def test_check_of_mail_that_reaches_nobody(checks) -> None:
    in_clear = mail_at("smtp://clinic:word@mail.invalid?tls=off")

    memory, memory_here, folder, wire = checks(
        PRODUCTION | mail_at("memory://"),
        mail_at("memory://"),
        PRODUCTION,
        PRODUCTION | in_clear,
    )

    assert "WRONG: CLINIC_MAIL_URL is memory://" in memory[1]
    assert memory_here[0] == 0
    assert "hint: CLINIC_MAIL_URL is memory://" in memory_here[1]
    assert "WRONG: CLINIC_MAIL_URL is maildir://" in folder[1]
    assert "WRONG: CLINIC_MAIL_URL: ?tls=off sends the password" in wire[1]


def test_check_in_production_of_links_and_senders(checks) -> None:
    plain = {"CLINIC_PUBLIC_URL": "http://clinic.test", "CLINIC_MAIL_FROM": "no-reply@localhost"}
    templates = {"CLINIC_MAIL_TEMPLATES": "/nowhere"}

    right, wrong, missing = checks(PRODUCTION, PRODUCTION | plain, templates)

    assert "CLINIC_PUBLIC_URL" not in right[1]
    assert "CLINIC_MAIL_FROM" not in right[1]
    assert "WRONG: CLINIC_PUBLIC_URL is http://clinic.test" in wrong[1]
    assert "WRONG: CLINIC_MAIL_FROM is no-reply@localhost" in wrong[1]
    assert "WRONG: CLINIC_MAIL_TEMPLATES: there is no folder /nowhere" in missing[1]


# --- the queue


@pytest.fixture
def careless_redis(tmp_path_factory) -> Iterator[str]:
    """Run a Redis that evicts and persists nothing; a separate one, since tests share theirs."""
    valkey = EmbeddedValkey(tmp_path_factory.mktemp("careless") / "valkey")
    valkey.start()
    try:
        with redis.Redis.from_url(valkey.url) as client:
            client.config_set("maxmemory", "500mb")
            client.config_set("maxmemory-policy", "allkeys-lru")
            client.config_set("appendonly", "no")
        yield valkey.url
    finally:
        valkey.stop()


def test_check_of_a_redis_that_evicts_and_forgets(checks, careless_redis) -> None:
    careless = {"CLINIC_BROKER_URL": careless_redis}
    shared, own = checks(careless, {"CLINIC_QUEUE_URL": careless_redis})

    assert shared[0] == 1
    assert "WRONG: CLINIC_BROKER_URL: its maxmemory-policy is allkeys-lru" in shared[1]
    assert "hint: CLINIC_BROKER_URL: it keeps nothing on disk" in shared[1]
    assert "WRONG: CLINIC_QUEUE_URL: its maxmemory-policy" in own[1]


def test_check_of_a_queue_that_is_away(checks) -> None:
    nowhere = "redis://127.0.0.1:1/0"

    own, shared, none = checks(
        {"CLINIC_QUEUE_URL": nowhere},
        {"CLINIC_BROKER_URL": nowhere},
        PRODUCTION | {"CLINIC_BROKER_URL": "memory://"},
    )

    assert own[1].startswith("WRONG: CLINIC_QUEUE_URL: Redis does not answer")
    assert shared[1].count("Redis does not answer") == 1
    assert "WRONG: CLINIC_BROKER_URL is memory://, which no worker can see" in none[1]


async def test_check_of_messages_that_nobody_sends(checks, postgres_urls, valkey_url) -> None:
    store = PostgresStore(postgres_urls.app_url)
    await store.open()
    late = await seed_message(store)
    dead = await seed_message(store, place=1, world=late.world)
    claim = await claimed(store, dead)
    await store.outbox.set_aside(claim, error="enough", ambiguous=False)
    await store.close()
    with psycopg.connect(postgres_urls.owner_url) as connection:
        connection.execute(
            "UPDATE notification_outbox SET next_at = now() - interval '5 min'"
            " WHERE state = 'pending'"
        )

    here, production = checks({}, PRODUCTION)

    assert here[0] == 1
    assert 300 <= seconds_in(r"WRONG: 1 messages are due, one for (\d+) s", here[1]) < 300 + SLACK_S
    assert "hint: 1 messages could not be sent" in here[1]
    assert "no worker has asked for messages" not in here[1]
    assert "WRONG: CLINIC_BROKER_URL: no worker has asked for messages for 60 s" in production[1]


async def test_worker_at_work_is_heard_of(valkey_url) -> None:
    queue = DramatiqQueue(valkey_url)
    assert not probe_queue_server(valkey_url).has_worker

    async def handle(clinic_id, message_id) -> None:
        """Do nothing."""

    await queue.start(handle, threads=1)
    try:
        for _ in range(200):
            if probe_queue_server(valkey_url).has_worker:
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail("it was not heard of")
    finally:
        await queue.stop(timeout_s=5)


def test_redis_whose_clock_is_apart_is_told(valkey_url) -> None:
    with time_machine.travel(datetime.now(UTC) - timedelta(hours=1), tick=True):
        [(problem, remedy, hint)] = queue_server_faults(valkey_url, has_workers=False)

    ahead_s = seconds_in(r"^its clock is (\+\d+) s from this machine's", problem)
    assert abs(ahead_s - 3600) < SLACK_S
    assert (remedy, hint) == ("let NTP set both clocks", False)


def test_database_whose_clock_is_apart_is_told(postgres_urls) -> None:
    now = datetime.now(UTC)
    assert check_consistency(postgres_urls.app_url, now) == []
    with time_machine.travel(now + timedelta(hours=1), tick=True):
        [finding] = check_consistency(postgres_urls.app_url, now)

    ahead_s = seconds_in(r"^the database's clock is (-\d+) s from this machine's", finding.problem)
    assert abs(ahead_s + 3600) < SLACK_S


def test_worker_in_production_refuses_to_send_into_memory() -> None:
    settings = Settings(
        environment="production",
        database_url="postgresql://a@b/c",
        broker_url="redis://b",
        secret=SECRET,
    )

    with pytest.raises(SettingsError, match="CLINIC_MAIL_URL: with memory://"):
        check_worker(settings)
