"""`clinic cleanup` and the worker finish erasures once Valkey confirms them."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import psycopg
import pytest
import redis
from tests.integration.workers import PATIENCE_S, SECRET, start_worker, until

from clinic.entrypoints.cli.app import run_command

NAME = sha256(b"of a copy").digest()
KEY = f"clinic:answer:1:{NAME.hex()}"


@pytest.fixture
def copies(valkey_url):
    """Valkey, with a copy of an answer in it."""
    with redis.Redis.from_url(valkey_url) as client:
        client.set(KEY, "Ada Lovett")
        yield client


@pytest.fixture
def erasures(postgres_urls, copies):
    """A function that counts unfinished erasures; there is one, an hour old."""
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO erasures VALUES (gen_random_uuid(), gen_random_uuid(), %s, %s)",
            [datetime.now(UTC) - timedelta(hours=1), NAME],
        )
        yield lambda: len(owner.execute("SELECT 1 FROM erasures").fetchall())


@pytest.mark.usefixtures("patient_cache")
@pytest.mark.parametrize("broker", ["memory://", "redis://127.0.0.1:1/0", None])
def test_cleanup_finishes_an_erasure_once_the_cache_has_confirmed(
    postgres_urls, valkey_url, copies, erasures, monkeypatch, tmp_path, capsys, broker
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLINIC_DATABASE_URL", postgres_urls.app_url)
    monkeypatch.setenv("CLINIC_SECRET", SECRET)
    monkeypatch.setenv("CLINIC_BROKER_URL", broker or valkey_url)

    status = run_command(["cleanup"])

    is_away = broker is not None
    assert status == 0
    assert f"finished {0 if is_away else 1} erasures" in capsys.readouterr().out
    assert (erasures(), copies.get(KEY)) == ((1, b"Ada Lovett") if is_away else (0, b""))


@pytest.mark.slow
def test_worker_finishes_an_erasure(
    commands, postgres_urls, valkey_url, copies, erasures, tmp_path
):
    settings = {"CLINIC_BROKER_URL": valkey_url}
    log = tmp_path / "log"
    worker = start_worker(commands, postgres_urls, valkey_url, "memory://", log, **settings)
    try:
        until(lambda: erasures() == 0)
    finally:
        worker.terminate()
        worker.wait(PATIENCE_S)

    assert copies.get(KEY) == b""
