"""The demo's PostgreSQL and Valkey, and the folder of their data."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from clinic.bootstrap import CannotStart
from clinic.devtools import embedded
from clinic.devtools.embedded import EmbeddedServiceError, EmbeddedServices


@contextmanager
def embedded_servers(data_dir: Path) -> Iterator[EmbeddedServices]:
    """Run a PostgreSQL and a Valkey with their data under `data_dir`; stop them at the end.

    However this process ends, they end too. Raises CannotStart.
    """
    with ExitStack() as running:
        try:
            started = running.enter_context(embedded.embedded_services(data_dir))
        except (EmbeddedServiceError, OSError) as error:
            raise CannotStart(str(error)) from error
        yield started


def default_data_dir() -> Path:
    """Return where a user's data belong. Raises CannotStart."""
    try:
        return embedded.default_data_dir()
    except EmbeddedServiceError as error:
        raise CannotStart(str(error)) from error
