"""A pytest plugin that fails tests which leak personal data in logs, errors, links or metrics.

Taps record secrets as they are created, and everything that leaves the program: every log
record, printed output, an access-log line for every request, problems, links, metrics, and the
logs of the processes that tests start. When a test ends, its output is searched for secrets; the
failure shows the line that leaks, but not the secret itself.
"""

import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

#: shorter secrets, and those of letters alone, might be ordinary words
SECRET_MIN_CHARS = 8
LOG_MAX_BYTES = 64 * 2**20
LEAKS_SHOWN_MAX = 20

#: what identifies a person, whether or not the suite made it
PATTERNS = {
    "an email address": re.compile(r"[\w.%+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b", re.IGNORECASE),
    "a phone number": re.compile(r"(?<![\w+:.])\+[1-9]\d{8,14}\b"),
    "a bearer token": re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}"),
    "a password in a URL": re.compile(r"://[^\s/:@]*:[^\s/@]+@"),
}
_WORD = re.compile(r"\w+")
#: not a person's: documentation, and the sender of our own messages
HARMLESS = re.compile(r"@(?:clinic\.test|clinic\.invalid|erased\.invalid|localhost)\b")


class Leaks:
    """Secrets and output; `found` searches the output for the secrets."""

    def __init__(self) -> None:
        #: kinds of secrets by secret, by its first word
        self._secrets: dict[str, dict[str, str]] = {}
        self._told: dict[tuple[str, str], None] = {}

    def keep_secret(self, kind: str, secret: str) -> None:
        """Remember a secret, unless it could be an ordinary word."""
        words = _WORD.findall(secret)
        if len(secret) >= SECRET_MIN_CHARS and words and not secret.isalpha():
            self._secrets.setdefault(words[0], {})[secret] = kind

    def tell(self, where: str, text: str) -> None:
        """Record output."""
        self._told[where, text] = None

    def found(self) -> list[str]:
        """Return a line for each leak in the output since the last call, and forget that output."""
        # Servers in threads of this process continue to add output.
        told = list(self._told)
        for what in told:
            del self._told[what]
        return [
            f"{kind} in {where}: {line}"
            for where, text in told
            for kind, line in self._leaks_in(where, text)
        ]

    def _leaks_in(self, where: str, text: str) -> Iterator[tuple[str, str]]:
        for kind, pattern in PATTERNS.items():
            for match in pattern.finditer(text):
                if not HARMLESS.search(match.group()):
                    yield kind, _masked_line(text, match.start(), match.end())
        for word in set(_WORD.findall(text)):
            for secret, kind in list(self._secrets.get(word, {}).items()):
                # Whole words only: "Patient A" is not in "Patient Ada".
                found = re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", text)
                if found is not None:
                    yield kind, _masked_line(text, found.start(), found.end())


def _masked_line(text: str, start: int, end: int) -> str:
    """Return the line around a secret, with all but two of its characters masked."""
    before = text.rfind("\n", 0, start) + 1
    after = text.find("\n", end)
    rest = text[end : after if after >= 0 else len(text)]
    return f"{text[before:start][-200:]}{text[start : start + 2]}…{rest[:200]}"


class _LogTap(logging.Handler):
    """Records every log record as it would be written, including its traceback."""

    def __init__(self, leaks: Leaks) -> None:
        super().__init__(logging.DEBUG)
        self._leaks = leaks
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        # The tests' own clients log the URLs they request, and their mail servers the recipients.
        if record.name.partition(".")[0] not in ("httpx", "httpcore", "asyncio", "mail"):
            self._leaks.tell("the log", self.format(record))


def _tap(owner: Any, name: str, note: Callable[..., None]) -> None:
    """Pass the result and the arguments of every call of a function to `note`."""
    original = getattr(owner, name)

    @wraps(original)
    def tapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        note(result, *args, **kwargs)
        return result

    setattr(owner, name, tapped)


def _tap_secrets(leaks: Leaks) -> None:
    from clinic.adapters.argon2.password_hasher import Argon2PasswordHasher
    from clinic.devtools.demo.names import patient_names
    from clinic.domain.links import LinkSigner
    from clinic.domain.people.people import Role, User

    def note_user(_: None, user: User, *__: object, **___: object) -> None:
        # A name of one word may be an ordinary word.
        if user.role is Role.PATIENT and " " in user.name:
            leaks.keep_secret("a patient's name", user.name)

    def note_password(_: object, __: object, *arguments: str | None, source: str = "") -> None:
        leaks.keep_secret("a password", arguments[-1] or "")

    _tap(User, "__init__", note_user)
    _tap(Argon2PasswordHasher, "hash", note_password)
    _tap(Argon2PasswordHasher, "verify", note_password)
    _tap(LinkSigner, "sign", lambda token, *_, **__: leaks.keep_secret("a link's token", token))
    # The demo's patients are created in other processes.
    for name, _ in patient_names():
        leaks.keep_secret("a patient's name", name)


def _tap_sinks(leaks: Leaks) -> None:
    from prometheus_client import exposition

    from clinic.entrypoints.http.kernel import problems
    from clinic.entrypoints.http.kernel.access_log import AccessLog
    from clinic.entrypoints.http.kernel.reply import Reply

    every_line = AccessLog("debug", lambda lines: leaks.tell("the access log", lines.decode()))
    add = AccessLog.add

    def add_at_every_level(log: AccessLog, *request: Any) -> None:
        add(log, *request)
        if log is not every_line:
            add(every_line, *request)
            every_line.flush()

    problem_body = problems.problem_body

    def problem_body_told(error: Any, *, instance: str, request_id: str) -> bytes:
        # The address is text that the client sent.
        body = problem_body(error, instance="", request_id=request_id)
        leaks.tell("a problem", body.decode())
        return problem_body(error, instance=instance, request_id=request_id)

    def note_links(_: object, reply: Reply, *__: object) -> None:
        for name, value in reply.headers:
            if name in (b"location", b"link"):
                leaks.tell("a link", value.decode())

    def note_metrics(text: bytes, *_: object, **__: object) -> None:
        leaks.tell("metrics", text.decode())

    AccessLog.add = add_at_every_level  # type: ignore[assignment, method-assign]
    problems.problem_body = problem_body_told
    _tap(Reply, "__call__", note_links)
    _tap(exposition, "generate_latest", note_metrics)


class LeakPlugin:
    """Watches one process of the suite."""

    def __init__(self, leaks: Leaks, shared: Path) -> None:
        self.leaks = leaks
        #: the folder of the session's own servers
        self._shared = shared
        self._read: set[Path] = set()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        """Search a test's output for secrets, once its servers have ended."""
        yield
        for when, kind, text in item._report_sections:
            if kind in ("stdout", "stderr"):
                self.leaks.tell(f"what {when} printed", text)
        folder = getattr(item, "funcargs", {}).get("tmp_path")
        if folder is not None:
            self.read_logs(folder)
        found = self.leaks.found()
        if found:
            # pytest would show the secret among the captured output.
            item._report_sections.clear()
        _refuse(found)

    def read_logs(self, folder: Path) -> None:
        """Record other processes' logs under `folder`, as far as they were not read before."""
        for path in sorted(set(folder.rglob("*.log")) - self._read):
            self._read.add(path)
            with path.open("rb") as log:
                text = log.read(LOG_MAX_BYTES).decode(errors="replace")
            self.leaks.tell(str(path.relative_to(folder.parent)), text)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Search output that belongs to no single test: the logs of module fixtures."""
        self.read_logs(session.config._tmp_path_factory.getbasetemp())  # type: ignore[attr-defined]
        self.read_logs(self._shared)
        found = self.leaks.found()
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["leaks"] = found
        else:
            _end_badly(session, found)


class LeakCollector:
    """Collects in the main process the workers' findings that belong to no single test."""

    def __init__(self) -> None:
        self._found: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._found += getattr(node, "workeroutput", {}).get("leaks", [])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        _end_badly(session, self._found)


def _refuse(found: Iterable[str]) -> None:
    lines = list(found)
    if lines:
        more = f"\n… and {len(lines) - LEAKS_SHOWN_MAX} more" if lines[LEAKS_SHOWN_MAX:] else ""
        told = "\n".join(lines[:LEAKS_SHOWN_MAX])
        pytest.fail(f"This told what nobody may know:\n{told}{more}", pytrace=False)


def _end_badly(session: pytest.Session, found: list[str]) -> None:
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        for line in found[:LEAKS_SHOWN_MAX]:
            print(f"\nA log tells what nobody may know: {line}", file=sys.stderr)


def watch(config: pytest.Config, shared: Path) -> None:
    """Watch this process, or collect the findings of its workers."""
    if not hasattr(config, "workerinput") and config.getoption("numprocesses", None):
        config.pluginmanager.register(LeakCollector(), "clinic-leaks")
        return
    leaks = Leaks()
    _tap_secrets(leaks)
    _tap_sinks(leaks)
    logging.getLogger().addHandler(_LogTap(leaks))
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("clinic").setLevel(logging.DEBUG)
    config.pluginmanager.register(LeakPlugin(leaks, shared), "clinic-leaks")
