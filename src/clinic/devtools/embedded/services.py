"""Runs both embedded servers together."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from clinic.devtools.embedded.errors import NotInstalled
from clinic.devtools.embedded.postgres import EmbeddedPostgres
from clinic.devtools.embedded.valkey import EmbeddedValkey


@dataclass(frozen=True)
class EmbeddedServices:
    """The URLs of the running servers, passwords included."""

    owner_url: str
    app_url: str
    sealer_url: str
    redis_url: str


@contextmanager
def embedded_services(data_dir: Path) -> Iterator[EmbeddedServices]:
    """Run both servers with their data under `data_dir`, which is created; stop them at the end.

    However this process ends, they end too. Raises AlreadyInUse, NotInstalled, StartFailed.
    """
    postgres = EmbeddedPostgres(data_dir / "postgres")
    valkey = EmbeddedValkey(data_dir / "valkey")
    with ExitStack() as running:
        running.callback(postgres.stop)
        postgres.start()
        running.callback(valkey.stop)
        valkey.start()
        yield EmbeddedServices(
            owner_url=postgres.url(role="owner"),
            app_url=postgres.url(role="app"),
            sealer_url=postgres.url(role="sealer"),
            redis_url=valkey.url,
        )


def default_data_dir() -> Path:
    """Return where a user's data belong: under /var/lib for root, else in the user's own folder.

    Raises NotInstalled.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/clinic")
    try:
        import platformdirs
    except ModuleNotFoundError as error:
        raise NotInstalled from error
    return platformdirs.user_data_path("clinic")
