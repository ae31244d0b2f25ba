"""The application as uvicorn's workers make it: each reads the settings for itself."""

import asyncio
import gc
import signal
from types import FrameType

from litestar import Litestar

from clinic.bootstrap import build
from clinic.entrypoints.http.app import create_app
from clinic.settings import check_production, settings_from_environment

#: allocations before the youngest generation is collected; halves the slowest answers
GC_THRESHOLD = 20_000


def make_app() -> Litestar:
    """Return the application that the settings of this process name. Raises SettingsError."""
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
    """Let readiness turn at SIGTERM, and the server stop `drain_s` later; at once if told twice.

    The server itself stops listening as soon as it is told to stop: who balances requests would
    learn of it by failing ones. In the event loop's thread, after the server set its own handler.
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
    # What has been made by now stays: it need not be looked through ever again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
