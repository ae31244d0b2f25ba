"""The system user that servers run as when Clinic runs as root, and the programs it can run.

PostgreSQL refuses to run as root. No existing folder is opened to other users because of that:
servers reach their data through their working folder, and programs under a private folder (a
checkout in root's home, say) are copied to where every user may read them.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from clinic.devtools.embedded.errors import EmbeddedServiceError, NotInstalled

ACCOUNT_NAME = "clinic-services"
ACCOUNT_ATTEMPTS = 20
ACCOUNT_PAUSE_S = 0.1
READABLE_PROGRAMS = Path("/var/cache/clinic")


@dataclass(frozen=True)
class ServerAccount:
    """A system user and its group, as numbers."""

    uid: int
    gid: int


def server_account(data: Path) -> ServerAccount | None:
    """Return the user to run the server with this `data` folder; None: this process's own user.

    As root, existing data keep their owner. Creates the system user if there is none yet. Raises
    EmbeddedServiceError if that is impossible.
    """
    if os.geteuid() != 0:
        return None
    if sys.platform != "linux":
        raise EmbeddedServiceError("Embedded servers do not run as root here: use another user.")
    if data.exists():
        owner = data.stat()
        if owner.st_uid != 0:
            return ServerAccount(owner.st_uid, owner.st_gid)
    return _made_account()


def _made_account() -> ServerAccount:
    import pwd

    reason = ""
    for _ in range(ACCOUNT_ATTEMPTS):
        try:
            entry = pwd.getpwnam(ACCOUNT_NAME)
        except KeyError:
            reason = _make_account()
        else:
            return ServerAccount(entry.pw_uid, entry.pw_gid)
        # useradd fails at once while another process is adding a user.
        time.sleep(ACCOUNT_PAUSE_S)
    raise EmbeddedServiceError(
        f"PostgreSQL does not run as root, and the user {ACCOUNT_NAME} could not be made: {reason}"
    )


def _make_account() -> str:
    """Add the system user; return the error, which may be that the user already exists."""
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        return "there is no useradd"
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    made = subprocess.run(
        [useradd, *options, "--shell", "/usr/sbin/nologin", ACCOUNT_NAME],
        capture_output=True,
        text=True,
        check=False,
    )
    return made.stderr.strip()


def package_folder(package: str) -> Path:
    """Return the folder of an installed package, without importing it. Raises NotInstalled."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled
    return Path(spec.submodule_search_locations[0])


def runnable_program(package: str, program: str, account: ServerAccount | None) -> Path:
    """Return where `account` can run `program`, a path relative to its package's folder.

    Copies the package's programs, once per version, if their folder is closed to the account.
    Raises NotInstalled.
    """
    folder = package_folder(package)
    if account is None or _can_run(folder / program, account):
        return folder / program
    version = importlib.metadata.version(package.replace("_", "-"))
    copy = READABLE_PROGRAMS / f"{package}-{version}"
    if not copy.exists():
        _copy_readably(folder, copy)
    return copy / package / program


def _can_run(program: Path, account: ServerAccount) -> bool:
    try:
        shown = subprocess.run(
            [program, "--version"],
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return shown.returncode == 0


def _copy_readably(folder: Path, copy: Path) -> None:
    """Copy a package, and the libraries its wheel has beside it, to `copy`, readable by all."""
    READABLE_PROGRAMS.mkdir(parents=True, exist_ok=True)
    READABLE_PROGRAMS.chmod(0o755)
    half_made = Path(tempfile.mkdtemp(dir=READABLE_PROGRAMS))
    for source in (folder, folder.with_name(f"{folder.name}.libs")):
        if source.exists():
            shutil.copytree(
                source,
                half_made / source.name,
                ignore=shutil.ignore_patterns("include", "__pycache__"),
            )
    for path in [half_made, *half_made.rglob("*")]:
        runs = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if runs else 0o644)
    try:
        half_made.rename(copy)
    except OSError:
        # Another process was first.
        shutil.rmtree(half_made)
