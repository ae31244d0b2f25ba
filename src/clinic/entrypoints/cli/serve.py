"""`clinic serve`: serve HTTP until stopped."""

import asyncio
import math

from clinic import bootstrap
from clinic.entrypoints.cli.session import connected
from clinic.settings import Settings, check_production, settings_from_environment

APPLICATION = "clinic.entrypoints.http.asgi:make_app"


def serve(
    *, host: str | None = None, port: int | None = None, workers: int | None = None
) -> int | None:
    """Serve HTTP until stopped; running requests are finished first.

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
    """Run uvicorn until it is stopped. The workers read the settings for themselves."""
    import uvicorn

    from clinic.entrypoints.http.whole_responses import WholeResponses

    uvicorn.run(
        APPLICATION,
        factory=True,
        host=host or settings.host,
        port=settings.port if port is None else port,
        workers=workers or settings.workers,
        loop="uvloop",
        http=WholeResponses,
        ws="none",
        lifespan="on",
        log_level=settings.log_level,
        access_log=False,
        server_header=False,
        # The application reads X-Forwarded-For by itself, and believes nothing that is no address.
        proxy_headers=False,
        # Whole seconds are all that uvicorn takes.
        timeout_graceful_shutdown=math.ceil(settings.shutdown_timeout_s),
    )
    return None


async def _check_ready(settings: Settings) -> None:
    """Raise before anything listens, in words, where the database cannot be used."""
    async with connected(bootstrap.build(settings)):
        pass
