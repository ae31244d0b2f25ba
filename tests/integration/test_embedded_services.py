"""The embedded servers: they start, keep their data, refuse strangers and leave nothing behind."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from clinic.devtools.embedded import (
    AlreadyInUse,
    EmbeddedPostgres,
    EmbeddedValkey,
    NotRunning,
    embedded_services,
)
from clinic.devtools.embedded import process as starting

# Starts both servers, prints their pids and URLs, and waits to be killed.
OWNER_PROGRAM = """
import signal, sys, time
from pathlib import Path
from clinic.devtools.embedded import EmbeddedPostgres, EmbeddedValkey

# Whoever runs the tests in the background of a shell has SIGINT ignored, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
postgres = EmbeddedPostgres(Path(sys.argv[1]) / "postgres")
valkey = EmbeddedValkey(Path(sys.argv[1]) / "valkey")
postgres.start()
valkey.start()
print(postgres.pid, valkey.pid, flush=True)
time.sleep(60)
"""
STOP_TIMEOUT_S = 20


@pytest.fixture
def tmp_path(memory_path: Path) -> Path:
    """A folder in memory, since a cluster is a thousand files."""
    return memory_path


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A missing folder, under a path with spaces that is too long for a socket."""
    return tmp_path / "a folder with spaces" / ("long" * 30) / "data"


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="clinic-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def postgres(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(data_dir)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(data_dir: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(data_dir)
    server.start()
    yield server
    server.stop()


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.02)


def processes_in(folder: Path) -> set[int]:
    """Return the pids of all processes that run in `folder` or below."""
    found = set()
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder):
                found.add(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def start_owner(data_dir: Path) -> tuple[subprocess.Popen[str], int, int]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER_PROGRAM, str(data_dir)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    with owner.stdout as answers:
        postgres_pid, valkey_pid = answers.readline().split()
    return owner, int(postgres_pid), int(valkey_pid)


def test_services_start_and_stop(data_dir):
    with embedded_services(data_dir) as services:
        version = execute(services.owner_url, "SHOW server_version")
        with redis.Redis.from_url(services.redis_url) as client:
            assert client.ping()
        running = processes_in(data_dir)

    assert version == [("18.6",)]
    assert running
    assert processes_in(data_dir) == set()


def test_services_restart_keeps_data_and_addresses(data_dir):
    with embedded_services(data_dir) as first:
        execute(first.owner_url, "CREATE TABLE kept AS SELECT 7 AS number")
        with redis.Redis.from_url(first.redis_url) as client:
            client.set("kept", 7)

    with embedded_services(data_dir) as second:
        numbers = execute(second.owner_url, "SELECT number FROM kept")
        with redis.Redis.from_url(second.redis_url) as client:
            value = client.get("kept")

    assert second == first
    assert numbers == [(7,)]
    assert value == b"7"


def test_services_relative_data_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with embedded_services(Path("data")) as services:
        monkeypatch.chdir("/")
        answer = execute(services.app_url, "SELECT 1")

    assert answer == [(1,)]
    assert (tmp_path / "data" / "postgres").is_dir()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_services_of_ended_parent_stop_by_themselves(data_dir, how):
    owner, _, _ = start_owner(data_dir)

    owner.send_signal(how)
    owner.wait(STOP_TIMEOUT_S)

    wait_until(lambda: not processes_in(data_dir))


def test_services_of_killed_parent_and_watchdogs_are_stopped_by_next_start(data_dir):
    owner, postgres_pid, valkey_pid = start_owner(data_dir)
    for pid in (postgres_pid, valkey_pid):
        watchdog = psutil.Process(pid).parent()
        assert watchdog is not None
        watchdog.kill()
    owner.kill()
    owner.wait(STOP_TIMEOUT_S)
    left = processes_in(data_dir)
    assert {postgres_pid, valkey_pid} <= left

    with embedded_services(data_dir) as services:
        answer = execute(services.app_url, "SELECT 1")
        assert not left & processes_in(data_dir)

    assert answer == [(1,)]
    assert processes_in(data_dir) == set()


def test_start_right_after_parent_was_killed(data_dir):
    owner, _, _ = start_owner(data_dir)
    owner.kill()
    owner.wait(STOP_TIMEOUT_S)

    with embedded_services(data_dir) as services:
        answer = execute(services.app_url, "SELECT 1")

    assert answer == [(1,)]
    assert processes_in(data_dir) == set()


@pytest.fixture
def making(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process starting the servers, stopped while initdb and its children are at work."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER_PROGRAM, str(data_dir)])
    half_made = data_dir / "postgres" / "data.new"
    wait_until(lambda: len(processes_in(half_made)) > 1)
    for pid in processes_in(half_made):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    yield owner
    owner.kill()
    owner.wait(STOP_TIMEOUT_S)
    for pid in processes_in(data_dir):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_start_that_is_given_up_leaves_nobody_who_makes_a_cluster(data_dir, making):
    making.send_signal(signal.SIGINT)
    making.wait(STOP_TIMEOUT_S)

    assert processes_in(data_dir) == set()


def test_start_ends_those_who_made_a_cluster_for_a_killed_parent(data_dir, making):
    making.kill()
    making.wait(STOP_TIMEOUT_S)
    left = processes_in(data_dir)
    assert left

    with embedded_services(data_dir) as services:
        answer = execute(services.app_url, "SELECT 1")
        assert not left & processes_in(data_dir)

    assert answer == [(1,)]


def test_start_that_is_given_up_before_there_is_a_server_ends_the_watchdog(tmp_path, monkeypatch):
    class GivenUp(BaseException):
        """What a demo raises when it has to stop."""

    def give_up(*_: object) -> None:
        raise GivenUp

    ended = tmp_path / "ended"
    watchdog = tmp_path / "watchdog.py"
    watchdog.write_text(f"import sys\nsys.stdin.read()\nopen({str(ended)!r}, 'w').close()\n")
    monkeypatch.setattr(starting, "WATCHDOG", watchdog)
    command = starting.ServerCommand(
        argv=("none",),
        directory=tmp_path,
        log=tmp_path / "log",
        account=None,
        stop_signal=signal.SIGINT,
    )
    before = signal.signal(signal.SIGUSR1, give_up)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        with pytest.raises(GivenUp):
            starting.start_server(command)
        assert ended.exists()
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


def test_start_twice_in_one_folder_is_refused(data_dir, postgres):
    second = EmbeddedPostgres(data_dir)

    with pytest.raises(AlreadyInUse, match=str(os.getpid())):
        second.start()

    assert execute(postgres.url(), "SELECT 1") == [(1,)]


def test_postgres_killed_recovers_at_same_address(postgres):
    url = postgres.url()
    execute(url, "CREATE TABLE kept AS SELECT 7 AS number")

    postgres.kill9()
    with pytest.raises(NotRunning):
        _ = postgres.pid
    postgres.start()

    assert postgres.url() == url
    assert execute(url, "SELECT number FROM kept") == [(7,)]


def test_services_are_reached_by_their_sockets(short_dir):
    postgres = EmbeddedPostgres(short_dir / "a folder" / "pg")
    valkey = EmbeddedValkey(short_dir / "a folder" / "kv")
    try:
        postgres.start()
        valkey.start()
        assert execute(postgres.local_url(), "SELECT inet_server_addr()") == [(None,)]
        with redis.Redis.from_url(valkey.local_url) as client:
            assert "valkey.sock" in client.client_info()["addr"]
        wrong = postgres.local_url().replace("clinic_owner:", "clinic_owner:x")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(wrong)
    finally:
        valkey.stop()
        postgres.stop()


def test_postgres_is_reached_by_tcp_where_a_socket_path_would_be_too_long(postgres):
    assert postgres.local_url(role="app") == postgres.url(role="app")


def test_valkey_is_reached_by_tcp_where_a_socket_path_would_be_too_long(valkey):
    assert valkey.local_url == valkey.url


def test_postgres_killed_starts_though_its_pid_is_somebody_elses(short_dir):
    postgres = EmbeddedPostgres(short_dir / "pg")
    # Of the same user, since PostgreSQL ignores another user's process.
    somebody = EmbeddedValkey(short_dir / "kv")
    try:
        somebody.start()
        postgres.start()
        postgres.kill9()
        locks = [*short_dir.glob("pg/data/.s.*.lock"), short_dir / "pg/data/postmaster.pid"]
        assert len(locks) == 2
        for lock in locks:
            lines = lock.read_text().splitlines()
            lock.write_text("\n".join([str(somebody.pid), *lines[1:], ""]))
        postgres.start()
        assert execute(postgres.local_url(), "SELECT 1") == [(1,)]
    finally:
        postgres.stop()
        somebody.stop()


def test_postgres_port_taken_moves(postgres):
    port = psycopg.conninfo.conninfo_to_dict(postgres.url())["port"]
    postgres.stop()

    with socket.socket() as squatter:
        # The server's last connections may still use it.
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", int(str(port))))
        squatter.listen()
        postgres.start()

    assert f":{port}/" not in postgres.url()
    assert execute(postgres.url(), "SELECT 1") == [(1,)]


def test_postgres_settings_are_passed_on(data_dir):
    server = EmbeddedPostgres(data_dir, {"max_connections": "33"})
    server.start()

    settings = execute(
        server.url(),
        "SELECT name, setting FROM pg_settings"
        " WHERE name IN ('max_connections', 'fsync') ORDER BY name",
    )
    server.stop()

    assert settings == [("fsync", "on"), ("max_connections", "33")]


def test_postgres_owner_may_create(empty_postgres_urls):
    owner_url = empty_postgres_urls.owner_url

    execute(owner_url, "CREATE EXTENSION IF NOT EXISTS btree_gist")
    execute(
        owner_url,
        "CREATE TABLE made (id int, at tstzrange, EXCLUDE USING gist (id WITH =, at WITH &&))",
    )

    assert execute(owner_url, "SELECT count(*) FROM made") == [(0,)]


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE made (id int)", "CREATE SCHEMA made", "CREATE TEMP TABLE made (id int)"],
)
def test_postgres_app_may_not_create(postgres_server, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(postgres_server.url(role="app"), statement)


def test_postgres_roles_have_no_power_beyond_the_database(postgres_server):
    roles = execute(
        postgres_server.url(),
        "SELECT rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolbypassrls"
        " FROM pg_roles WHERE rolname LIKE 'clinic%' ORDER BY rolname",
    )

    assert roles == [
        ("clinic_app", True, False, False, False, False),
        ("clinic_owner", True, False, False, False, False),
        ("clinic_sealer", True, False, False, False, False),
    ]


@pytest.mark.parametrize("login", ["postgres", "clinic_owner", "clinic_app"])
@pytest.mark.parametrize("password", ["", ":wrong"])
def test_postgres_without_password_is_refused(postgres_server, login, password):
    parts = psycopg.conninfo.conninfo_to_dict(postgres_server.url())

    with pytest.raises(psycopg.OperationalError, match="password"):
        execute(f"postgresql://{login}{password}@127.0.0.1:{parts['port']}/clinic", "SELECT 1")


def test_postgres_databases_come_and_go(postgres_server):
    postgres_server.create_database("first")
    execute(postgres_server.url("first"), "CREATE TABLE kept AS SELECT 7 AS number")

    postgres_server.create_database("second", template="first")
    copied = execute(postgres_server.url("second"), "SELECT number FROM kept")
    postgres_server.drop_database("first")

    assert copied == [(7,)]
    assert execute(postgres_server.url("second", "app"), "SELECT 1") == [(1,)]
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        execute(postgres_server.url("first"), "SELECT 1")


def test_postgres_programs_are_there(postgres_server):
    shown = subprocess.run(
        [
            postgres_server.bin_dir / "psql",
            postgres_server.url(role="app"),
            "--tuples-only",
            "-c",
            "SELECT 7",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert shown.stdout.strip() == "7"
    assert (postgres_server.bin_dir / "pgbench").exists()


def test_postgres_folder_is_closed_to_others(postgres):
    modes = {
        path.name: oct(path.stat().st_mode & 0o777)
        for path in [postgres.data_dir, *postgres.data_dir.glob("*.password")]
    }

    assert modes == {
        "data": "0o700",
        "app.password": "0o600",
        "owner.password": "0o600",
        "sealer.password": "0o600",
        "superuser.password": "0o600",
    }


def test_valkey_keeps_what_it_was_told_after_kill(valkey):
    url = valkey.url
    with redis.Redis.from_url(url) as client:
        client.set("kept", 7)
        # What `appendfsync everysec` wrote survives the process; only a power cut may lose 1 s.
        valkey.kill9()
        valkey.start()
        value = client.get("kept")

    assert valkey.url == url
    assert value == b"7"


def test_valkey_settings(valkey):
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        settings = client.config_get("appendonly", "maxmemory-policy", "bind", "port")

    assert settings.pop("port") in valkey.url
    assert settings == {
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        "bind": "127.0.0.1",
    }


def test_valkey_without_password_is_refused(valkey):
    host_and_port = valkey.url.split("@")[1]

    with (
        redis.Redis.from_url(f"redis://{host_and_port}") as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_arguments_tell_no_password(postgres, data_dir):
    arguments = " ".join(psutil.Process(postgres.pid).cmdline())
    secrets = [path.read_text() for path in data_dir.glob("*.password")]

    assert len(secrets) == 4
    assert not any(secret in arguments for secret in secrets)


def test_url_before_first_start_is_refused(data_dir):
    with pytest.raises(NotRunning):
        EmbeddedPostgres(data_dir).url()


def test_shared_database_is_fresh_and_empty(empty_postgres_urls):
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"

    assert execute(empty_postgres_urls.app_url, tables) == [(0,)]


def test_shared_valkey_is_empty(valkey_url):
    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0
