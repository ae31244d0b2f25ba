"""`clinic check` on a real database: quiet when all is well, and plain about each thing wrong."""

import os
import re
import subprocess
import sys
from importlib import resources

import psycopg
import pytest

UNREACHABLE = "postgresql://a:b@127.0.0.1:1/c"
SECRET = "of-these-tests-alone-0123456789abcdef"


@pytest.fixture
def environ(postgres_urls, valkey_url, tmp_path):
    return {
        "CLINIC_DATABASE_URL": postgres_urls.app_url,
        "CLINIC_OWNER_URL": postgres_urls.owner_url,
        "CLINIC_BROKER_URL": valkey_url,
        "CLINIC_SECRET": SECRET,
        "CLINIC_MAIL_URL": f"maildir://{tmp_path}",
    }


def check(environ, tmp_path, **changes):
    """Return the status, and what was printed, of a check with these settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLINIC_")}
    ran = subprocess.run(
        [sys.executable, "-m", "clinic.entrypoints.cli", "check"],
        env={**kept, **environ, **changes},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    return ran.returncode, ran.stdout


def execute(url, statement):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def test_check_when_all_is_well(environ, tmp_path):
    assert check(environ, tmp_path) == (0, "All is well.\n")


def test_check_of_a_setting_that_does_not_exist(environ, tmp_path):
    status, told = check(environ, tmp_path, CLINIC_COLOUR="red")

    assert status == 1
    assert told.startswith("WRONG: CLINIC_COLOUR: there is no such setting")
    assert told.endswith("One thing is wrong.\n")


def test_check_of_an_unreachable_database(environ, tmp_path):
    status, told = check(environ, tmp_path, CLINIC_DATABASE_URL=UNREACHABLE)

    assert status == 1
    assert told.startswith("WRONG: CLINIC_DATABASE_URL: the database cannot be reached")


def test_command_without_a_database_or_schema_says_so_in_one_line(
    environ, empty_postgres_urls, tmp_path
):
    def begin(url, command):
        return subprocess.Popen(
            [sys.executable, "-m", "clinic.entrypoints.cli", *command],
            env={**os.environ, **environ, "CLINIC_DATABASE_URL": url},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    begun = [
        (said, begin(url, command))
        for command in (["doctor", "list"], ["serve"])
        for url, said in (
            (UNREACHABLE, "clinic: The service cannot answer right now"),
            (empty_postgres_urls.owner_url, "clinic: The database's schema is missing"),
        )
    ]
    # All at once: the unreachable ones wait for seconds.
    ended = [(said, *process.communicate(), process.returncode) for said, process in begun]

    for said, printed, complaint, status in ended:
        assert (status, printed) == (1, "")
        assert complaint.startswith(said)
        assert complaint.count("\n") == 1


def test_check_of_an_unreachable_redis(environ, tmp_path):
    status, told = check(environ, tmp_path, CLINIC_BROKER_URL="redis://127.0.0.1:1/0")

    assert status == 1
    assert told.startswith("WRONG: CLINIC_BROKER_URL: Redis does not answer")


def test_check_of_a_database_without_migrations(environ, empty_postgres_urls, tmp_path):
    status, told = check(environ, tmp_path, CLINIC_DATABASE_URL=empty_postgres_urls.owner_url)

    assert status == 1
    assert "WRONG: CLINIC_DATABASE_URL: The database's schema is missing" in told
    assert "run clinic migrate" in told


def test_check_in_production_with_defaults(tmp_path):
    status, told = check({"CLINIC_ENVIRONMENT": "production"}, tmp_path)

    assert status == 1
    assert told.startswith("WRONG: CLINIC_SECRET: the default secret is public")


def test_check_of_a_database_with_the_default_secret(environ, tmp_path):
    del environ["CLINIC_SECRET"]

    status, told = check(environ, tmp_path)

    assert status == 1
    assert told.startswith("WRONG: CLINIC_SECRET: the default secret is public; set CLINIC_SECRET")
    # Nothing else is wrong, and the database was looked at all the same.
    assert told.endswith("One thing is wrong.\n")


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["worker"], ["doctor", "list"]])
@pytest.mark.parametrize("environment", ["development", "production"])
def test_the_default_secret_starts_nothing_on_a_database(environ, tmp_path, command, environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLINIC_")}
    environ |= {"CLINIC_ENVIRONMENT": environment}
    del environ["CLINIC_SECRET"]

    ran = subprocess.run(
        [sys.executable, "-m", "clinic.entrypoints.cli", *command],
        env={**kept, **environ},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )

    assert ran.returncode != 0
    [line] = ran.stderr.splitlines()
    assert "CLINIC_SECRET: the default secret is public" in line
    assert "secrets.token_urlsafe(48)" in line


def test_check_in_production_as_the_owner(environ, postgres_urls, tmp_path):
    production = {"CLINIC_ENVIRONMENT": "production"}

    as_owner = check(environ, tmp_path, **production, CLINIC_DATABASE_URL=postgres_urls.owner_url)
    as_app = check(environ, tmp_path, **production)

    assert as_owner[0] == 1
    assert "the service signs in as clinic_owner, who owns the tables" in as_owner[1]
    assert "who owns the tables" not in as_app[1]


def test_check_of_a_guard_that_is_gone(environ, postgres_urls, tmp_path):
    execute(postgres_urls.owner_url, "DROP INDEX appointments_occupied_slot_key")

    status, told = check(environ, tmp_path)

    assert status == 1
    assert "WRONG: appointments_occupied_slot_key on appointments is missing" in told


def test_check_in_development_hints_at_defaults(tmp_path):
    status, told = check({}, tmp_path)

    assert status == 0
    assert "hint: CLINIC_SECRET is the default" in told
    assert "hint: CLINIC_DATABASE_URL is memory://" in told
    assert told.endswith("All is well.\n")


@pytest.fixture
def settle(postgres_urls):
    """Return a function that makes a clinic in a time zone."""

    def settle(zone):
        execute(
            postgres_urls.owner_url,
            "INSERT INTO clinics (id, name, time_zone, notice_min, horizon_days,"
            " cancel_notice_min, hold_min, reminder_leads_min) VALUES"
            f" ('01890000-0000-7000-8000-000000000001', 'Here', '{zone}', 0, 60, 0, 10, '{{}}')",
        )

    return settle


def other_zones(tmp_path, **files):
    """Return a folder of zone data in which each zone is another one."""
    data = resources.files("tzdata") / "zoneinfo"
    for name, other in files.items():
        file = tmp_path / "zones" / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((data / other).read_bytes())
    (tmp_path / "zones" / "+VERSION").write_text("1999z\n")
    return str(tmp_path / "zones")


def test_check_of_a_zone_that_both_know_alike(environ, settle, tmp_path):
    settle("America/New_York")

    assert check(environ, tmp_path) == (0, "All is well.\n")


def test_check_of_a_zone_whose_clocks_change_at_another_hour_in_the_database(
    environ, settle, tmp_path
):
    """Beirut's clocks change on the days that Bucharest's do, three hours earlier."""
    settle("Europe/Bucharest")
    zones = other_zones(tmp_path, Europe__Bucharest="Asia/Beirut")

    status, told = check(environ, tmp_path, PYTHONTZPATH=zones)

    assert status == 1
    found = re.search(
        r"WRONG: time zone Europe/Bucharest of clinic 01890000-0000-7000-8000-000000000001:"
        r" at 20\d\d-\d\d-\d\dT2[12]:00:00Z it is (\+0[23]):00 on this machine \(.*/zones, release"
        r" 1999z\) and (\+0[23]):00 in PostgreSQL \d\d\n +update the one that is behind",
        told,
    )
    assert found is not None, told
    assert found[1] != found[2]
    assert told.endswith("One thing is wrong.\n")


def test_check_of_a_zone_that_only_one_knows(environ, settle, tmp_path):
    settle("Moon/Tranquility")
    zones = other_zones(tmp_path, Moon__Tranquility="UTC")

    known_here = check(environ, tmp_path, PYTHONTZPATH=zones)
    known_nowhere = check(environ, tmp_path)

    assert "Moon/Tranquility of clinic" in known_here[1]
    assert "is not known to PostgreSQL" in known_here[1]
    assert "is not known on this machine" in known_nowhere[1]
