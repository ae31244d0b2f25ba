"""All settings, read once from `CLINIC_*` variables and clinic.toml into one frozen value."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Meta

PREFIX = "CLINIC_"
DEFAULT_SECRET = "clinic-development-secret-change-me"  # noqa: S105 - refused on real data


class SettingsError(Exception):
    """A setting is missing or wrong; the message names the variable and says how to fix it."""


#: longest URL that links in messages begin with, so that a link fits on its header's line
LINK_URL_MAX_CHARS = 500
#: the characters that RFC 3986 allows in a URL
_URL = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")

#: requests per seconds, such as 30/60
Rate = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,6}/[1-9][0-9]{0,4}\Z")]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be configured; each field is the variable CLINIC_<FIELD>."""

    #: where data is stored: postgresql://user:password@host/name, or memory:// (lost at exit)
    database_url: str = "memory://"
    #: the database as its owner, for migrations; database_url when empty
    owner_url: str = ""
    #: the database as the sealer of the audit trail; the owner's when empty
    sealer_url: str = ""
    #: Redis or Valkey for caches and queues: redis://, unix://, or memory://
    broker_url: str = "memory://"
    #: signs tokens, links and cursors; at least 32 characters; the default is for memory:// only
    secret: Annotated[str, Meta(min_length=32)] = DEFAULT_SECRET
    #: production refuses to start with defaults that are not safe
    environment: Annotated[str, Meta(pattern=r"^(development|production)\Z")] = "development"
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    #: processes that serve HTTP
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    #: connections to PostgreSQL in each process, for bookings and for everything else
    pool_size: Annotated[int, Meta(ge=1, le=64)] = 4
    #: the largest request body
    body_max_bytes: Annotated[int, Meta(ge=1024, le=16 * 1024 * 1024)] = 64 * 1024
    #: the largest request line and headers together
    head_max_bytes: Annotated[int, Meta(ge=4096, le=1024 * 1024)] = 32 * 1024
    #: how long request line and headers may take to arrive
    head_timeout_s: Annotated[float, Meta(gt=0, le=300)] = 10.0
    #: how long a connection without a request is kept
    idle_timeout_s: Annotated[int, Meta(ge=1, le=3600)] = 5
    #: connections that a process accepts at a time
    connections_max: Annotated[int, Meta(ge=1, le=100_000)] = 2000
    #: of them, from one address that is not a trusted proxy; 0 is any number
    connections_per_address: Annotated[int, Meta(ge=0, le=100_000)] = 500
    #: how long one request may take
    request_timeout_s: Annotated[float, Meta(gt=0, le=300)] = 15.0
    #: how long running requests may take after SIGTERM
    shutdown_timeout_s: Annotated[float, Meta(ge=0, le=300)] = 25.0
    #: how long after SIGTERM requests are still accepted, while /health/ready returns 503
    drain_s: Annotated[float, Meta(ge=0, le=300)] = 0.0
    #: proxies whose X-Forwarded-For is believed, separated by commas
    trusted_proxies: str = ""
    #: how long a sign-in lasts at most
    session_hours: Annotated[int, Meta(ge=1, le=24 * 31)] = 12
    #: threads that hash passwords; each takes 64 MiB while it works
    password_threads: Annotated[int, Meta(ge=1, le=16)] = 2
    #: password hashes without protection, for test suites; refused in production
    fast_passwords: bool = False
    #: the region of phone numbers without a country code, such as GB
    phone_region: Annotated[str, Meta(pattern=r"^([A-Z]{2})?\Z")] = ""
    #: requests/seconds: sign-ins from one address
    sign_in_limit: Rate = "30/60"
    #: sign-ins to one account
    account_limit: Rate = "10/60"
    account_anywhere_limit: Rate = "100/3600"
    #: registrations and accepted invitations from one address
    register_limit: Rate = "20/600"
    #: password resets and email verifications requested from one address
    mail_limit: Rate = "10/3600"
    #: password resets, and email verifications, requested for one mailbox
    mailbox_limit: Rate = "3/3600"
    #: changes by one signed-in user
    write_limit: Rate = "3000/60"
    #: reads by one signed-in user
    read_limit: Rate = "12000/60"
    #: anonymous requests from one address
    anonymous_limit: Rate = "1200/60"
    #: whether GraphQL shows its schema: on, off, or auto, which is off only in production
    graphql_introspection: Annotated[str, Meta(pattern=r"^(auto|on|off)\Z")] = "auto"
    #: Redis or Valkey for the queue only (noeviction, AOF); broker_url when empty
    queue_url: str = ""
    #: where mail goes: smtp://user:password@host:587 (STARTTLS), smtps://…, maildir:///folder, or
    #: memory:// (kept for tests)
    mail_url: str = "memory://"
    #: show every message in the folder of mail_url at /mailbox, to anyone; for demos
    mailbox: bool = False
    #: the sender of mail; the name is the clinic's
    mail_from: Annotated[str, Meta(pattern=r"^[^@\r\n]*[^@ <\r\n]@[^@> \r\n]+>?\Z")] = (
        "no-reply@localhost"
    )
    #: the URL at which browsers reach this service; links in messages start with it
    public_url: Annotated[str, Meta(pattern=r"^https?://[^ ]*[^ /]\Z")] = "http://127.0.0.1:8000"
    #: the front end, where people book and doctors read their calendar; without it, messages and
    #: pages have no button that leads there
    frontend_url: Annotated[str, Meta(pattern=r"^(https?://[^ ]+)?\Z")] = ""
    #: a folder with templates of messages that replace the built-in ones
    mail_templates: str = ""
    #: what to do when the mail server's answer was lost: send again, hold, or ask the provider
    ambiguous_mail: Annotated[str, Meta(pattern=r"^(resend|hold|ask)\Z")] = "resend"
    #: how long a worker may take over one message before another takes it over
    mail_lease_s: Annotated[float, Meta(ge=1, le=3600)] = 180.0
    #: messages that one worker hands over at a time
    worker_threads: Annotated[int, Meta(ge=1, le=64)] = 8
    #: where a worker serves metrics and health, on this machine only; 0 takes any free port
    worker_port: Annotated[int, Meta(ge=0, le=65535)] = 9464
    #: where `clinic serve` serves metrics, on this machine only; 0 serves none
    metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    log_level: Annotated[str, Meta(pattern=r"^(debug|info|warning|error)\Z")] = "info"

    def __post_init__(self) -> None:
        for name in ("public_url", "frontend_url"):
            _check_link_url(f"{PREFIX}{name.upper()}", getattr(self, name))
        if {"?", "#"} & set(self.public_url):
            raise SettingsError(f"{PREFIX}PUBLIC_URL: paths are added to it; leave out ? and #.")

    @property
    def migration_url(self) -> str:
        return self.owner_url or self.database_url

    @property
    def introspects(self) -> bool:
        """Whether GraphQL shows its schema."""
        if self.graphql_introspection == "auto":
            return self.environment != "production"
        return self.graphql_introspection == "on"

    @property
    def mail_domain(self) -> str:
        """The domain that mail is from, for Message-IDs."""
        return self.mail_from.rpartition("@")[2].rstrip(">")

    @property
    def mail_works(self) -> bool:
        """Whether messages reach people, so that links to accounts are sent only by mail."""
        return not self.mail_url.lower().startswith("memory:")

    @property
    def scheduling_url(self) -> str:
        return self.queue_url or self.broker_url

    @property
    def sealing_url(self) -> str:
        return self.sealer_url or self.migration_url


def load_settings(environ: Mapping[str, str], file: Path | None = None) -> Settings:
    """Return the settings in `file` (clinic.toml) overridden by `environ`.

    A variable CLINIC_X_FILE names a file that holds the value of CLINIC_X. Raises SettingsError
    for unknown names and wrong values.
    """
    values: dict[str, Any] = {}
    if file is not None and file.exists():
        try:
            values.update(tomllib.loads(file.read_text()))
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{file}: not valid TOML: {error}") from error
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable == f"{PREFIX}CONFIG":
            continue
        name = variable.removeprefix(PREFIX).lower()
        from_file = name.endswith("_file")
        name = name.removesuffix("_file")
        if name not in Settings.__struct_fields__:
            raise SettingsError(
                f"{variable}: there is no such setting; unset it or correct its name."
            )
        values[name] = _read_secret(variable, text) if from_file else text
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_named(str(error))) from error


def settings_from_environment() -> Settings:
    """Return the settings of this process: clinic.toml (or CLINIC_CONFIG) and the environment."""
    file = os.environ.get(f"{PREFIX}CONFIG")
    path = Path(file) if file else Path("clinic.toml")
    if file and not path.exists():
        raise SettingsError(f"CLINIC_CONFIG: there is no file {file}.")
    return load_settings(os.environ, path)


def check_production(settings: Settings) -> None:
    """Raise SettingsError when production would run with an unsafe default."""
    check_secret(settings)
    if settings.environment != "production":
        return
    if settings.mailbox:
        raise SettingsError("CLINIC_MAILBOX: only a demo may show everyone's messages.")
    if settings.fast_passwords:
        raise SettingsError("CLINIC_FAST_PASSWORDS: only tests may hash passwords this fast.")
    if settings.database_url.startswith("memory:"):
        raise SettingsError(
            "CLINIC_DATABASE_URL: memory:// loses everything at exit; set postgresql://…"
        )


def check_secret(settings: Settings) -> None:
    """Raise SettingsError when anyone could forge this service's signatures.

    Only a memory store in development, which holds no real data, may use the default secret.
    """
    on_memory = settings.database_url.startswith("memory:")
    if settings.secret == DEFAULT_SECRET and (
        settings.environment == "production" or not on_memory
    ):
        raise SettingsError(
            "CLINIC_SECRET: the default secret is public; set CLINIC_SECRET, or CLINIC_SECRET_FILE,"
            " to at least 32 random characters (python3 -c 'import secrets;"
            " print(secrets.token_urlsafe(48))')."
        )


def _check_link_url(variable: str, url: str) -> None:
    """Raise SettingsError unless every mail program can follow links that begin with `url`."""
    if not url:
        return
    if len(url) > LINK_URL_MAX_CHARS:
        raise SettingsError(f"{variable}: use at most {LINK_URL_MAX_CHARS} characters.")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise SettingsError(f"{variable}: this is not a URL: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{variable}: write it such as https://clinic.example.")
    if not _URL.fullmatch(url):
        instead = _in_ascii(url)
        remedy = f"; write {instead}" if instead else ""
        raise SettingsError(
            f"{variable}: links in messages may hold only the ASCII characters of a URL{remedy}."
        )


def _in_ascii(url: str) -> str | None:
    """Return `url` with its host as punycode and the rest percent-encoded, if that is a URL."""
    # Imported here because its tables are large, and only a mistaken URL needs them.
    import idna

    parts = urlsplit(url.strip())
    host = parts.hostname or ""
    try:
        ascii_host = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        return None
    port = "" if parts.port is None else f":{parts.port}"
    ascii_parts = parts._replace(
        netloc=f"{ascii_host}{port}",
        path=_quoted(parts.path),
        query=_quoted(parts.query),
        fragment=_quoted(parts.fragment),
    )
    found = ascii_parts.geturl()
    return found if _URL.fullmatch(found) else None


def _quoted(part: str) -> str:
    """Return `part` percent-encoded; existing escapes stay."""
    encoded = quote(part, safe="/?:@!$&'()*+,;=~%")
    return re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", encoded)


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise SettingsError(f"{variable}: cannot read {path}: {error.strerror}.") from error


def _named(message: str) -> str:
    """Return msgspec's message, prefixed with the variable's name."""
    what, _, where = message.partition(" - at `$.")
    if not where:
        return message
    return f"{PREFIX}{where.rstrip('`').upper()}: {what}."
