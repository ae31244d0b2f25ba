"""One PostgreSQL and one Valkey for the test session, and a separate database for each test.

The main pytest process owns the servers. They start once it is known that a test outside
tests/unit will run, and xdist's workers only get their addresses. They end with that process,
however it ends. The folder that a killed session leaves behind is removed by the next session,
which knows that a session is over if it can lock its folder.
"""

import fcntl
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg import sql
from tests.leaks import watch
from tests.tiers import choose_tiers

from clinic.devtools.embedded import EmbeddedPostgres, EmbeddedValkey

TEMPLATE = "clinic_template"
#: how many months of each partitioned table a test's database has; the rest are in the default
PARTITIONS = 6
# Enough for three workers with full pools and the tests' own connections. No test here is about a
# power cut, and creating databases takes most of the time; servers that get killed keep fsync on.
POSTGRES_SETTINGS = {"max_connections": "300", "fsync": "off", "max_wal_size": "512MB"}
#: A database is six hundred files: creating one takes 20 ms there, up to half a second on a disk.
MEMORY = Path("/dev/shm")
MEMORY_FREE_MIN_BYTES = 3 * 2**30


@dataclass(frozen=True)
class DatabaseUrls:
    """URLs of one database, for its owner, the application and the sealer."""

    name: str
    owner_url: str
    app_url: str
    sealer_url: str


class ServiceSession:
    """The servers of one test session, in their own folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder / "postgres", POSTGRES_SETTINGS)
        self.valkey = EmbeddedValkey(folder / "valkey")
        self.is_running = False

    def start(self) -> None:
        """Start both servers, on the first call only."""
        if not self.is_running:
            self.is_running = True
            self.postgres.start()
            self.valkey.start()

    def stop(self) -> None:
        """Stop both servers, including those that a killed session left, and remove the folder."""
        for server in (self.valkey, self.postgres):
            server.stop()
            server.stop_leftover()
        shutil.rmtree(self.folder, ignore_errors=True)


session_key = pytest.StashKey[ServiceSession]()
lock_key = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    choose_tiers(config)
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[session_key] = ServiceSession(Path(worker["services_folder"]))
        watch(config, config.stash[session_key].folder)
        return
    all_sessions = _sessions_folder()
    _remove_dead_sessions(all_sessions)
    folder = Path(tempfile.mkdtemp(dir=all_sessions))
    config.stash[lock_key] = os.open(folder / "session.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(config.stash[lock_key], fcntl.LOCK_EX)
    config.stash[session_key] = ServiceSession(folder)
    watch(config, folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    if lock_key in config.stash:
        config.stash[session_key].stop()
        os.close(config.stash[lock_key])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    node.workerinput["services_folder"] = str(node.config.stash[session_key].folder)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node, ids: list[str]) -> None:
    # Tests are distributed only after this, so no worker sees servers that are not up yet.
    if any(not test_id.startswith("tests/unit/") for test_id in ids):
        node.config.stash[session_key].start()


def _sessions_folder() -> Path:
    """Return the folder of all sessions: in memory if there is room, else a temporary one."""
    folder = (_roomy_memory() or Path(tempfile.gettempdir())) / f"clinic-tests-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    assert folder.lstat().st_uid == os.geteuid(), f"{folder} belongs to another user"
    return folder


def _roomy_memory() -> Path | None:
    # Containers often have only 64 MB of it, and macOS has none.
    if not os.access(MEMORY, os.W_OK):
        return None
    return MEMORY if shutil.disk_usage(MEMORY).free >= MEMORY_FREE_MIN_BYTES else None


def _remove_dead_sessions(all_sessions: Path) -> None:
    for folder in all_sessions.iterdir():
        with suppress(OSError), (folder / "session.lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ServiceSession(folder).stop()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def services(request: pytest.FixtureRequest) -> ServiceSession:
    """The session's servers, running."""
    config = request.config
    session = config.stash[session_key]
    if not hasattr(config, "workerinput"):
        session.start()
    elif not (session.folder / "valkey" / "server.pid").exists():
        pytest.fail("Tests that need PostgreSQL or Valkey do not belong under tests/unit.")
    return session


@pytest.fixture(scope="session")
def postgres_server(services: ServiceSession) -> EmbeddedPostgres:
    """The session's PostgreSQL, for a test's own databases; not to be stopped or killed."""
    return services.postgres


@pytest.fixture(scope="session")
def memory_folder(request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager[Path]]:
    """Return a function that makes a folder for a test's own servers, beside the session's: in
    memory if there is room. Afterwards only logs remain in it, which are read at the end."""
    root = request.config.stash[session_key].folder

    @contextmanager
    def make() -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(dir=root))
        yield folder
        for left in [path for path in folder.rglob("*") if not path.is_dir()]:
            if left.suffix != ".log":
                left.unlink(missing_ok=True)

    return make


@pytest.fixture
def memory_path(memory_folder) -> Iterator[Path]:
    """A `memory_folder` for one test."""
    with memory_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def migrated_template(services: ServiceSession) -> str:
    """The name of a template database with all migrations and no rows."""
    with _locked(services.folder / "template.lock"):
        is_made = services.folder / "template.made"
        if not is_made.exists():
            from clinic.adapters.postgres.migrations import migrate

            services.postgres.drop_database(TEMPLATE)
            services.postgres.create_database(TEMPLATE)
            migrate(services.postgres.url(TEMPLATE, "owner"))
            _drop_far_partitions(services.postgres.url(TEMPLATE, "owner"))
            is_made.touch()
    return TEMPLATE


def _drop_far_partitions(url: str) -> None:
    """Keep the months next to this one: copying two years of them would take most of each test."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            """
            SELECT relname, row_number() OVER (PARTITION BY inhparent ORDER BY relname)
            FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
            WHERE c.relkind = 'r' AND relname !~ 'default$'
            """
        ).fetchall()
        far = [sql.Identifier(name) for name, month in found if month > PARTITIONS]
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.SQL(", ").join(far)))


_database_numbers = itertools.count(1)


@contextmanager
def _database(postgres: EmbeddedPostgres, template: str) -> Iterator[DatabaseUrls]:
    name = f"test_{os.getpid()}_{next(_database_numbers)}"
    postgres.create_database(name, template=template)
    try:
        yield DatabaseUrls(
            name,
            postgres.url(name, "owner"),
            postgres.url(name, "app"),
            postgres.url(name, "sealer"),
        )
    finally:
        postgres.drop_database(name)


@pytest.fixture(scope="session")
def database_of(
    postgres_server: EmbeddedPostgres,
) -> Callable[[str], AbstractContextManager[DatabaseUrls]]:
    """Return a function that creates a database from the template of that name, and drops it."""
    return lambda template: _database(postgres_server, template)


@pytest.fixture
def postgres_urls(
    postgres_server: EmbeddedPostgres, migrated_template: str
) -> Iterator[DatabaseUrls]:
    """A migrated database for one test."""
    with _database(postgres_server, migrated_template) as urls:
        yield urls


@pytest.fixture(scope="module")
def module_postgres_urls(
    postgres_server: EmbeddedPostgres, migrated_template: str
) -> Iterator[DatabaseUrls]:
    """A migrated database for all tests of a module, which clean up after themselves."""
    with _database(postgres_server, migrated_template) as urls:
        yield urls


@pytest.fixture
def empty_postgres_urls(postgres_server: EmbeddedPostgres) -> Iterator[DatabaseUrls]:
    """A database without tables for one test, such as one of the migrations."""
    with _database(postgres_server, "template1") as urls:
        yield urls


@pytest.fixture
def valkey_url(services: ServiceSession, worker_id: str) -> str:
    """An empty Valkey database for one test; all databases share their channels."""
    number = 0 if worker_id == "master" else 1 + int(worker_id.removeprefix("gw"))
    url = f"{services.valkey.url.removesuffix('/0')}/{number}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url
