"""`clinic serve`: serve HTTP until stopped."""

import asyncio
import math
import resource
from typing import Any, cast

from clinic import bootstrap
from clinic.entrypoints.cli.session import connected
from clinic.entrypoints.logs import log_zone_data
from clinic.settings import Settings, check_production, settings_from_environment

#: open files besides clients' connections: the database's, Valkey's, connections being refused
FILES_BESIDES = 512
APPLICATION = "clinic.entrypoints.http.asgi:make_app"


def serve(
    *, host: str | None = None, port: int | None = None, workers: int | None = None
) -> int | None:
    """Serve HTTP until stopped; running requests are finished first.

    Metrics of all its processes are at CLINIC_METRICS_PORT, if that is set.

    Parameters
    ----------
    host
        Address to listen on (CLINIC_HOST).
    port
        Port to listen on (CLINIC_PORT).
    workers
        Processes (CLINIC_WORKERS).
    """
    settings = settings_from_environment()
    check_production(settings)
    asyncio.run(_check_ready(settings))
    return listen(settings, host=host, port=port, workers=workers)


def listen(
    settings: Settings,
    *,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
) -> int | None:
    """Run uvicorn until it is stopped. The workers read the settings themselves."""
    import uvicorn

    from clinic.entrypoints.http.kernel.bounded_requests import Protocols
    from clinic.entrypoints.http.kernel.connections import ServerLimits
    from clinic.entrypoints.http.kernel.metrics_server import serving_metrics
    from clinic.entrypoints.logs import web_log_config

    allow_files(settings.connections_max)
    with serving_metrics(settings.metrics_port):
        uvicorn.run(
            APPLICATION,
            factory=True,
            host=host or settings.host,
            port=settings.port if port is None else port,
            workers=workers or settings.workers,
            loop="uvloop",
            http=cast(Any, Protocols(ServerLimits.of(settings))),
            ws="none",
            lifespan="on",
            log_level=settings.log_level,
            log_config=web_log_config(settings.log_level),
            access_log=False,
            server_header=False,
            # The application reads X-Forwarded-For itself, and accepts only addresses in it.
            proxy_headers=False,
            timeout_keep_alive=settings.idle_timeout_s,
            # uvicorn accepts only whole seconds.
            timeout_graceful_shutdown=math.ceil(settings.shutdown_timeout_s),
        )
    return None


def allow_files(connections_max: int) -> None:
    """Raise the limit of open files for this process and its children to fit the connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections_max + FILES_BESIDES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _check_ready(settings: Settings) -> None:
    """Raise, before listening, an error that explains why the database cannot be used, if so."""
    services = bootstrap.build(settings)
    async with connected(services):
        await log_zone_data(services.store, settings.log_level)
