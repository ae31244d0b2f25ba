"""Applications for tests: for the same settings, the routes are built once."""

from functools import cache

from litestar import Litestar

from clinic.bootstrap import Services
from clinic.entrypoints.http.app import attach, build_routes
from clinic.settings import Settings


@cache
def _routes(settings: Settings) -> Litestar:
    return build_routes(settings)


def an_app(services: Services) -> Litestar:
    """Return an application that serves these services, and no earlier ones of its settings."""
    app = _routes(services.settings)
    attach(app, services)
    return app
