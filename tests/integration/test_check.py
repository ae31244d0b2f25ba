"""`clinic check` on a real database: quiet when all is well, and clear about each problem."""

import re
from importlib import resources
from urllib.parse import urlsplit

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


@pytest.fixture
def check(commands, tmp_path):
    """Return a function that runs a check with settings, and returns its status and output."""

    def check(environ, **changes):
        ran = commands.run(["check"], {**environ, **changes}, tmp_path)
        assert ran.stderr == ""
        return ran.returncode, ran.stdout

    return check


def execute(url, statement):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def test_check_when_all_is_well(check, environ):
    assert check(environ) == (0, "All is well.\n")


def test_check_of_a_setting_that_does_not_exist(check, environ):
    status, told = check(environ, CLINIC_COLOUR="red")

    assert status == 1
    assert told.startswith("WRONG: CLINIC_COLOUR: there is no such setting")
    assert told.endswith("One thing is wrong.\n")


def test_check_of_an_unreachable_database(check, environ):
    status, told = check(environ, CLINIC_DATABASE_URL=UNREACHABLE)

    assert status == 1
    assert told.startswith("WRONG: CLINIC_DATABASE_URL: the database cannot be reached")


def test_check_names_what_postgresql_refuses(check, environ):
    url = urlsplit(environ["CLINIC_DATABASE_URL"])
    address = url.netloc.rpartition("@")[2]
    wrong = url._replace(netloc=f"{url.username}:not-the-password@{address}").geturl()

    status, told = check(environ, CLINIC_DATABASE_URL=wrong)

    assert status == 1
    assert f'password authentication failed for user "{url.username}"' in told
    assert "not-the-password" not in told


def test_command_without_a_database_or_schema_says_so_in_one_line(
    commands, environ, empty_postgres_urls, tmp_path
):
    cases = [
        (said, (command, {**environ, "CLINIC_DATABASE_URL": url}))
        for command in (["doctor", "list"], ["serve"])
        for url, said in (
            (UNREACHABLE, "clinic: The service cannot answer right now"),
            (empty_postgres_urls.owner_url, "clinic: The database's schema is missing"),
        )
    ]
    # All at once, since the unreachable ones take seconds.
    ended = commands.run_together([asked for _, asked in cases], tmp_path)

    for (said, _), ran in zip(cases, ended, strict=True):
        assert (ran.returncode, ran.stdout) == (1, "")
        assert ran.stderr.startswith(said)
        assert ran.stderr.count("\n") == 1


def test_check_of_an_unreachable_redis(check, environ):
    status, told = check(environ, CLINIC_BROKER_URL="redis://127.0.0.1:1/0")

    assert status == 1
    assert told.startswith("WRONG: CLINIC_BROKER_URL: Redis does not answer")


def test_check_of_a_database_without_migrations(check, environ, empty_postgres_urls):
    status, told = check(environ, CLINIC_DATABASE_URL=empty_postgres_urls.owner_url)

    assert status == 1
    assert "WRONG: CLINIC_DATABASE_URL: The database's schema is missing" in told
    assert "run clinic migrate" in told


def test_check_in_production_with_defaults(check):
    status, told = check({"CLINIC_ENVIRONMENT": "production"})

    assert status == 1
    assert told.startswith("WRONG: CLINIC_SECRET: the default secret is public")


def test_check_of_a_database_with_the_default_secret(check, environ):
    del environ["CLINIC_SECRET"]

    status, told = check(environ)

    assert status == 1
    assert told.startswith("WRONG: CLINIC_SECRET: the default secret is public; set CLINIC_SECRET")
    # Nothing else is wrong, and the database was checked all the same.
    assert told.endswith("One thing is wrong.\n")


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["worker"], ["doctor", "list"]])
@pytest.mark.parametrize("environment", ["development", "production"])
def test_the_default_secret_starts_nothing_on_a_database(
    commands, environ, tmp_path, command, environment
):
    environ |= {"CLINIC_ENVIRONMENT": environment}
    del environ["CLINIC_SECRET"]

    ran = commands.run(command, environ, tmp_path)

    assert ran.returncode != 0
    [line] = ran.stderr.splitlines()
    assert "CLINIC_SECRET: the default secret is public" in line
    assert "secrets.token_urlsafe(48)" in line


def test_check_in_production_as_the_owner(check, environ, postgres_urls):
    production = {"CLINIC_ENVIRONMENT": "production"}

    as_owner = check(environ, **production, CLINIC_DATABASE_URL=postgres_urls.owner_url)
    as_app = check(environ, **production)

    assert as_owner[0] == 1
    assert "the service signs in as clinic_owner, who owns the tables" in as_owner[1]
    assert "who owns the tables" not in as_app[1]


def test_check_of_a_guard_that_is_gone(check, environ, postgres_urls):
    execute(postgres_urls.owner_url, "DROP INDEX appointments_occupied_slot_key")

    status, told = check(environ)

    assert status == 1
    assert "WRONG: appointments_occupied_slot_key on appointments is missing" in told


def test_check_in_development_hints_at_defaults(check, tmp_path):
    status, told = check({})

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
    """Return a folder of zone data in which each zone has another zone's data."""
    data = resources.files("tzdata") / "zoneinfo"
    for name, other in files.items():
        file = tmp_path / "zones" / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((data / other).read_bytes())
    (tmp_path / "zones" / "+VERSION").write_text("1999z\n")
    return str(tmp_path / "zones")


def test_check_of_a_zone_that_both_know_alike(check, environ, settle):
    settle("America/New_York")

    assert check(environ) == (0, "All is well.\n")


def test_check_of_a_zone_whose_clocks_change_at_another_hour_in_the_database(
    check, environ, settle, tmp_path
):
    """Beirut's clocks change on the days that Bucharest's do, three hours earlier."""
    settle("Europe/Bucharest")
    zones = other_zones(tmp_path, Europe__Bucharest="Asia/Beirut")

    status, told = check(environ, PYTHONTZPATH=zones)

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


def test_check_of_a_zone_that_only_one_knows(check, environ, settle, tmp_path):
    settle("Moon/Tranquility")
    zones = other_zones(tmp_path, Moon__Tranquility="UTC")

    known_here = check(environ, PYTHONTZPATH=zones)
    known_nowhere = check(environ)

    assert "Moon/Tranquility of clinic" in known_here[1]
    assert "is not known to PostgreSQL" in known_here[1]
    assert "is not known on this machine" in known_nowhere[1]
