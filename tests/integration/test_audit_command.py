"""`clinic audit …` and `clinic user …` on a real database."""

import json
import signal
import time

import psycopg
import pytest

from clinic.entrypoints.cli.app import run_command

SECRET = "of-these-tests-alone-0123456789abcdef"


@pytest.fixture
def environment(postgres_urls, monkeypatch, tmp_path):
    """The commands' settings as environment variables."""
    monkeypatch.chdir(tmp_path)
    values = {
        "CLINIC_DATABASE_URL": postgres_urls.app_url,
        "CLINIC_OWNER_URL": postgres_urls.owner_url,
        "CLINIC_SEALER_URL": postgres_urls.sealer_url,
        "CLINIC_SECRET": SECRET,
        "CLINIC_FAST_PASSWORDS": "true",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


@pytest.fixture
def clinic(environment, postgres_urls, capsys):
    """A clinic with events in its trail that can be sealed."""
    assert run_command(["clinic", "create", "Riverside", "Europe/London"]) == 0
    assert run_command(["user", "add", "Alex Adair", "alex@example.org", "admin"]) == 0
    _wait_until_settled(postgres_urls.owner_url)
    capsys.readouterr()


def _wait_until_settled(url: str) -> None:
    """Wait for other tests' transactions: a seal stops at the oldest one of the whole server."""
    with psycopg.connect(url, autocommit=True) as connection:
        now = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
        past = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::text::xid8"
        deadline = time.monotonic() + 60
        while connection.execute(past, now).fetchone() != (True,):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_sealed_trail_verifies_and_a_changed_row_is_named(
    clinic, postgres_server, postgres_urls, capsys, tmp_path
):
    sealed = run_command(["audit", "seal"])
    exported = run_command(["audit", "export", str(tmp_path / "elsewhere")])
    again = run_command(["audit", "export", str(tmp_path / "elsewhere")])
    good = run_command(["audit", "verify", "--exports", str(tmp_path / "elsewhere")])
    told = capsys.readouterr().out
    with psycopg.connect(postgres_server.url(postgres_urls.name, "superuser")) as connection:
        connection.execute("SET session_replication_role = replica")
        changed = connection.execute(
            "UPDATE audit_event SET reason = 'nothing happened' WHERE action = 'add_user'"
            " RETURNING id"
        ).fetchone()
    assert changed is not None
    victim = changed[0]
    bad = run_command(["audit", "verify"])

    assert (sealed, exported, again, good, bad) == (0, 0, 0, 0, 1)
    assert "Sealed 2 rows." in told
    assert "1 seals, 2 rows, 0 differences." in told
    lines = (tmp_path / "elsewhere" / "seals.jsonl").read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1]
    assert f"changed: audit_event {victim} in seal 1" in capsys.readouterr().out


def test_sealing_goes_on_until_it_is_stopped(
    commands, clinic, environment, postgres_urls, tmp_path
):
    sealer = commands.begin(["audit", "seal", "--every", "0.2"], environment, tmp_path)
    try:
        deadline = time.monotonic() + 60
        with psycopg.connect(postgres_urls.sealer_url, autocommit=True) as connection:
            while time.monotonic() < deadline:
                sealed = connection.execute("SELECT sum(row_count) FROM audit_seals").fetchone()
                if sealed == (2,):
                    break
                time.sleep(0.05)
            else:
                pytest.fail("nothing was sealed")
    finally:
        sealer.send_signal(signal.SIGTERM)
        sealer.wait(20)


def test_memory_has_no_trail_to_seal(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)

    assert run_command(["audit", "verify"]) == 1
    assert "CLINIC_DATABASE_URL" in capsys.readouterr().err
