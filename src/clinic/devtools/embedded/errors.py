"""What can go wrong with an embedded server; a docstring is its error's default message."""


class EmbeddedServiceError(Exception):
    """An embedded server cannot do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class NotInstalled(EmbeddedServiceError):
    """The embedded servers are not installed: install clinic[embedded]."""


class AlreadyInUse(EmbeddedServiceError):
    """Another running process uses this data folder."""


class NotRunning(EmbeddedServiceError):
    """The embedded server is not running."""


class StartFailed(EmbeddedServiceError):
    """The embedded server did not start."""
