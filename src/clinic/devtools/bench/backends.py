"""The PostgreSQL and Valkey that everything is measured on."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from clinic.adapters.postgres.migrations import migrate
from clinic.bootstrap import CannotStart
from clinic.devtools.embedded import EmbeddedPostgres, EmbeddedServiceError, EmbeddedValkey


@dataclass(frozen=True, slots=True)
class Backends:
    """Servers with databases that may be created and dropped; the URLs contain passwords."""

    redis_url: str
    superuser_url: str
    #: the folder of psql, pgbench and the others
    programs: Path
    #: creates a migrated database of this name; returns its URLs as owner and as application
    make_database: Callable[[str], tuple[str, str]]


@contextmanager
def running_backends(data_dir: Path, settings: Mapping[str, str]) -> Iterator[Backends]:
    """Run servers for measurements, PostgreSQL with `settings`, reached by their Unix sockets; stop
    them at the end.

    Raises CannotStart.
    """
    postgres = EmbeddedPostgres(data_dir / "postgres", settings)
    valkey = EmbeddedValkey(data_dir / "valkey")

    def make_database(name: str) -> tuple[str, str]:
        postgres.drop_database(name)
        postgres.create_database(name)
        owner_url = postgres.local_url(name, "owner")
        migrate(owner_url)
        return owner_url, postgres.local_url(name, "app")

    with ExitStack() as running:
        try:
            running.callback(postgres.stop)
            postgres.start()
            running.callback(valkey.stop)
            valkey.start()
        except (EmbeddedServiceError, OSError) as error:
            raise CannotStart(str(error)) from error
        yield Backends(
            valkey.local_url,
            postgres.local_url("postgres", "superuser"),
            postgres.bin_dir,
            make_database,
        )
