"""What every measurement is given: servers, databases, settings, and where to record figures."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from clinic.devtools.bench.backends import Backends
from clinic.devtools.bench.database import fill, settle
from clinic.devtools.bench.figures import Record
from clinic.devtools.bench.requests import Tokens
from clinic.devtools.bench.servers import Server, free_port, running
from clinic.devtools.bench.world import PATIENTS, World, world
from clinic.settings import Settings

BARE_APP = "clinic.devtools.bench.bare:make_app"
YARDSTICK_APP = "yardstick.app:app"


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often to measure, and at which sizes."""

    rounds: int
    #: how long one measurement under load takes
    round_s: float
    #: the sizes that are compared, small and large, and that of bookings
    small: str
    large: str
    booking: str
    is_quick: bool
    patients: int = PATIENTS
    #: the size of what is read; its doctors' slots of a day limit how busy a day can be
    reading: str = "100k"


THOROUGH = Effort(5, 4.0, "1m", "10m", "1m", is_quick=False)
QUICK = Effort(1, 2.0, "10k", "100k", "100k", is_quick=True)
TINY = Effort(1, 0.25, "10k", "10k", "30k", is_quick=True, patients=1_000, reading="10k")


@dataclass(slots=True)
class Filled:
    """A database with its world, and how many bookings have been used up in it."""

    world: World
    owner_url: str
    app_url: str
    used: int = 0

    def take(self, number: int) -> int:
        """Reserve `number` bookings for the caller alone, and return the first."""
        first = self.used
        if first + number > self.world.slots:
            raise RuntimeError(f"all {self.world.slots} slots of {self.world.name} are used up")
        self.used += number
        return first

    def give_back(self, first_unused: int) -> None:
        """Release the bookings from this one on, which the last caller did not make."""
        assert first_unused <= self.used
        self.used = first_unused


@dataclass
class Bench:
    """One run of `clinic bench`."""

    servers: Backends
    folder: Path
    effort: Effort
    record: Record
    now: datetime
    #: bench/yardstick, when it is there and its packages are installed
    yardstick: Path | None
    workers: int
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    _filled: dict[str, Filled] = field(default_factory=dict)

    def database(self, size: str, purpose: str = "") -> Filled:
        """Return the database of this size, filled at the first call for each purpose."""
        name = f"bench_{size}{purpose}"
        if name not in self._filled:
            found = world(size, self.now, patients=self.effort.patients)
            owner_url, app_url = self.servers.make_database(name)
            fill(owner_url, found)
            settle(self.servers.superuser_url, owner_url)
            self._filled[name] = Filled(found, owner_url, app_url)
        return self._filled[name]

    def knows(self, size: str, purpose: str = "") -> bool:
        """Return whether this database has been filled already."""
        return f"bench_{size}{purpose}" in self._filled

    def tokens(self) -> Tokens:
        return Tokens(Settings(secret=self.secret), self.now)

    @contextmanager
    def full(self, filled: Filled, *, workers: int = 1) -> Iterator[Server]:
        """Run `clinic serve` as in production."""
        port = free_port()
        arguments = ["-m", "clinic.entrypoints.cli", "serve", "--port", str(port)]
        with self._running([*arguments, "--workers", str(workers)], filled, port) as server:
            yield server

    @contextmanager
    def bare(self, filled: Filled, *, workers: int = 1) -> Iterator[Server]:
        """Run the bare application on the same server program."""
        with self._uvicorn(BARE_APP, filled, workers, "--factory") as server:
            yield server

    @contextmanager
    def ordinary(self, filled: Filled, *, workers: int = 1) -> Iterator[Server]:
        """Run the yardstick on the same server program."""
        assert self.yardstick is not None
        folder = f"--app-dir={self.yardstick.parent}"
        with self._uvicorn(YARDSTICK_APP, filled, workers, folder) as server:
            yield server

    @contextmanager
    def _uvicorn(self, app: str, filled: Filled, workers: int, *options: str) -> Iterator[Server]:
        port = free_port()
        arguments = [
            *("-m", "uvicorn", app, *options, "--port", str(port), "--workers", str(workers)),
            *("--loop", "uvloop", "--http", "httptools", "--ws", "none"),
            *("--log-level", "warning", "--no-access-log"),
        ]
        with self._running(arguments, filled, port) as server:
            yield server

    @contextmanager
    def _running(self, arguments: list[str], filled: Filled, port: int) -> Iterator[Server]:
        with running(
            arguments, self.environment(filled), self.folder / "servers.log", port
        ) as server:
            yield server

    def environment(self, filled: Filled) -> dict[str, str]:
        """Return the settings of production on this database."""
        return {
            "CLINIC_CONFIG": str(self._no_config()),
            "CLINIC_ENVIRONMENT": "production",
            "CLINIC_DATABASE_URL": filled.app_url,
            "CLINIC_BROKER_URL": self.servers.redis_url,
            "CLINIC_SECRET": self.secret,
            # All clients connect from this machine.
            "CLINIC_CONNECTIONS_PER_ADDRESS": "0",
        }

    def _no_config(self) -> Path:
        """Return an empty clinic.toml, so that the caller's own is not used."""
        path = self.folder / "clinic.toml"
        path.touch()
        return path
