"""The application as uvicorn's workers make it: each reads the settings for itself."""

import gc

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
    return create_app(build(settings), on_started=tune_gc)


def tune_gc() -> None:
    # What has been made by now stays: it need not be looked through ever again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
