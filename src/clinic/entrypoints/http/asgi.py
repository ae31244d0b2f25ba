"""Makes the application in each of uvicorn's workers, which read the settings themselves."""

import asyncio
import gc
import signal
from types import FrameType

from litestar import Litestar

from clinic.bootstrap import build
from clinic.entrypoints.http.app import create_app
from clinic.settings import check_production, settings_from_environment

#: allocations before the youngest generation is collected; this value halves the slowest answers
GC_THRESHOLD = 20_000


def make_app() -> Litestar:
    """Return the application for the settings of this process. Raises SettingsError."""
    settings = settings_from_environment()
    check_production(settings)

    def started() -> None:
        drain_on_sigterm(app, settings.drain_s)
        tune_gc()

    services = build(settings)
    metrics = None
    if settings.metrics_port:
        from clinic.entrypoints.http.kernel.metrics import WebMetrics

        metrics = WebMetrics(services)
    app = create_app(services, on_started=started, metrics=metrics)
    return app


def drain_on_sigterm(app: Litestar, drain_s: float) -> None:
    """Fail readiness at SIGTERM, and stop the server `drain_s` later, or at a second SIGTERM.

    The server itself stops listening at once: a load balancer would notice only by failed requests.
    Call it in the event loop's thread, after the server has set its own handler.
    """
    stop = signal.getsignal(signal.SIGTERM)
    loop = asyncio.get_running_loop()
    assert callable(stop)

    def drain(number: int, frame: FrameType | None) -> None:
        was_draining, app.state.draining = app.state.draining, True
        if was_draining or not drain_s:
            stop(number, frame)
        else:
            loop.call_soon_threadsafe(loop.call_later, drain_s, stop, number, None)

    signal.signal(signal.SIGTERM, drain)


def tune_gc() -> None:
    # Objects made by now live as long as the process: the collector need not scan them again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
