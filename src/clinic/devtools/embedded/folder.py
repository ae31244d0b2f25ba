"""The folder of one embedded server: its lock, passwords, port, log and data."""

import fcntl
import os
import secrets
import socket
import tempfile
from pathlib import Path

from clinic.devtools.embedded.account import ServerAccount, server_account
from clinic.devtools.embedded.errors import AlreadyInUse, NotRunning

#: of a Unix socket's path, on macOS; Linux takes four more
SOCKET_PATH_MAX_BYTES = 103


class ServerFolder:
    """A folder that one process at a time uses, closed to every other user."""

    def __init__(self, path: Path) -> None:
        #: Absolute, so that a later change of the working folder does not matter.
        self.path = Path(path).expanduser().absolute()
        #: The server's own files; where Clinic runs as root, they belong to the system user.
        self.data = self.path / "data"
        self.log = self.path / "server.log"
        self._lock: int | None = None

    def claim(self) -> None:
        """Create and lock the folder; the lock ends with this process. Raises AlreadyInUse."""
        if self._lock is not None:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 20).decode() or "unknown"
            os.close(lock)
            raise AlreadyInUse(f"Process {holder} uses {self.path}.") from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock

    def release(self) -> None:
        """Release the lock; do nothing if it is not held."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def account(self) -> ServerAccount | None:
        """Return the user to run this folder's server; None: this process's own user."""
        return server_account(self.data)

    def give_to(self, account: ServerAccount | None, path: Path) -> None:
        """Make `account` the owner of `path`, which itself must not be a symbolic link."""
        if account is not None:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)

    def write(self, name: str, text: str) -> Path:
        """Replace a file of the folder atomically, readable only by its owner; return its path.

        `name` may be inside the server's own `data`: a link planted there is not followed.
        """
        target = self.path / name
        descriptor, half_written = tempfile.mkstemp(dir=self.path)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        Path(half_written).replace(target)
        return target

    def secret(self, name: str) -> str:
        """Return the password of that name, created at the first call and stored with mode 600."""
        path = self.path / f"{name}.password"
        if not path.exists():
            self.write(path.name, secrets.token_urlsafe(24))
        return path.read_text()

    def known_secret(self, name: str) -> str:
        """Return the password of that name. Raises NotRunning where the server never ran."""
        return self._known(f"{name}.password")

    def port(self) -> int:
        """Return the server's TCP port. Raises NotRunning where the server never ran."""
        return int(self._known("port"))

    def socket(self, name: str) -> Path | None:
        """Return the path of the Unix socket of that name in `data`, or None if the path is too
        long for one."""
        path = self.data / name
        return path if len(os.fsencode(path)) <= SOCKET_PATH_MAX_BYTES else None

    def choose_port(self, *, avoid_kept: bool) -> int:
        """Return the port of the last run, so that URLs stay valid, or a free one, and store it."""
        kept = self.path / "port"
        if kept.exists() and not avoid_kept:
            return int(kept.read_text())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self.write(kept.name, str(port))
        return port

    def server_pid(self) -> int | None:
        """Return the pid of the last server that was started here; it may have ended since."""
        path = self.path / "server.pid"
        return int(path.read_text()) if path.exists() else None

    def _known(self, name: str) -> str:
        path = self.path / name
        if not path.exists():
            raise NotRunning(f"No server was ever started in {self.path}.")
        return path.read_text()
