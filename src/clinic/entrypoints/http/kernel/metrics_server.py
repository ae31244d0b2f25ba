"""One port for the metrics of all processes of `clinic serve`, on this machine only.

Processes share their values through files in a folder, as in prometheus-client's multiprocess mode;
the process that was started as `clinic serve` adds them up on each request.
"""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clinic.bootstrap import CannotStart

HOST = "127.0.0.1"
#: tells this process and its children where to share their values
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_OF_PROCESS = re.compile(r"_(\d+)\.db$")


@contextmanager
def serving_metrics(port: int) -> Iterator[None]:
    """Serve GET /metrics at `port` while the block runs; 0 does nothing.

    Call it before the application is imported. Raises CannotStart when the port is taken.
    """
    if not port:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="clinic-metrics-") as folder:
        os.environ[VARIABLE] = folder
        from prometheus_client import CollectorRegistry, start_http_server

        registry = CollectorRegistry()
        registry.register(_collector(Path(folder)))
        try:
            server, thread = start_http_server(port, HOST, registry)
        except OSError as error:
            raise CannotStart(
                f"CLINIC_METRICS_PORT: {HOST}:{port} cannot be listened on: {error.strerror}."
            ) from error
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
            del os.environ[VARIABLE]


def forget_dead(folder: Path) -> None:
    """Remove the live gauges of processes that have ended; their counts stay."""
    from prometheus_client.multiprocess import mark_process_dead

    files = map(_OF_PROCESS.search, map(str, folder.iterdir()))
    numbers = {int(found[1]) for found in files if found}
    for number in numbers:
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            mark_process_dead(number, str(folder))  # type: ignore[no-untyped-call]
        except PermissionError:
            continue


def _collector(folder: Path) -> Any:
    from prometheus_client import Metric
    from prometheus_client.multiprocess import MultiProcessCollector

    class OfAllProcesses(MultiProcessCollector):
        def collect(self) -> Iterable[Metric]:
            forget_dead(folder)
            found: Iterable[Metric] = super().collect()  # type: ignore[no-untyped-call]
            return found

    return OfAllProcesses(None, str(folder))  # type: ignore[no-untyped-call]
