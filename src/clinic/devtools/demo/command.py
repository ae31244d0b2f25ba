"""`clinic demo`: starts everything, shows it at work, and serves until stopped."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated
from urllib.parse import quote

from cyclopts import Parameter

from clinic import bootstrap
from clinic.bootstrap import CannotStart
from clinic.devtools.demo.scenario import Scenario, prepare_scenario
from clinic.devtools.demo.sealer import audit_sealer
from clinic.devtools.demo.seed import seed
from clinic.devtools.demo.servers import default_data_dir, embedded_servers
from clinic.devtools.demo.show import play
from clinic.devtools.demo.web import check_port, web_server
from clinic.devtools.demo.worker import notification_worker
from clinic.devtools.embedded import EmbeddedServices
from clinic.settings import Settings, load_settings

HOST, PORT = "127.0.0.1", 8000
POLL_S = 0.2
FAILED = 1


def demo(
    *,
    port: int = PORT,
    data: Path | None = None,
    exit_: Annotated[bool, Parameter(name="--exit", negative="")] = False,
) -> int:
    """Run PostgreSQL, Valkey, web server and worker here with a sample clinic, and show a race.

    Serves until Ctrl-C. Nothing outside the data folder is kept.

    Parameters
    ----------
    port
        Port to serve on; 0 takes any that is free.
    data
        Folder to keep everything in; created if missing. By default ~/.local/share/clinic (on
        macOS ~/Library/Application Support/clinic), or /var/lib/clinic for root.
    exit_
        Exit after the show: status 0 if every count was right, 1 otherwise.
    """
    began_at = time.monotonic()
    with _stopping_in_order():
        try:
            return _demo(port, data or default_data_dir(), exit_, began_at)
        except _Stopped as stopped:
            return stopped.status


def _demo(port: int, data: Path, exit_after: bool, began_at: float) -> int:
    port = check_port(HOST, port)
    folder = _made(data)
    print(f"Starting PostgreSQL and Valkey, data in {folder}", flush=True)
    with embedded_servers(folder) as servers:
        config = _write_settings(folder, servers, port)
        settings = load_settings({}, config)
        bootstrap.migrate(settings)
        scenario, is_new = asyncio.run(_prepare(settings, folder))
        _print_clinic(scenario, is_new)
        with (
            audit_sealer(settings),
            notification_worker(config, folder / "worker.log"),
            web_server(settings, config, folder / "web.log") as web,
        ):
            url = f"http://{HOST}:{port}"
            _write_private(folder / "demo.json", json.dumps(_facts(url, scenario), indent=2))
            faults = play(HOST, port, scenario)
            _print_tokens(scenario, folder)
            for fault in faults:
                print(f"WRONG: {fault}")
            if exit_after:
                print(f"Shown in {time.monotonic() - began_at:.1f} s.", flush=True)
                return FAILED if faults else 0
            print(f"Up after {time.monotonic() - began_at:.1f} s; Ctrl-C stops it.")
            print(f"Every message that was sent is shown at {url}/mailbox")
            print(f"ready {url}", flush=True)
            _serve_until_it_ends(web, folder / "web.log")
    raise AssertionError("unreachable")


async def _prepare(settings: Settings, folder: Path) -> tuple[Scenario, bool]:
    services = bootstrap.build(settings)
    await services.open()
    try:
        sample, is_new = await seed(services, folder)
        return await prepare_scenario(services, sample), is_new
    finally:
        await services.close()


def _serve_until_it_ends(web: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for a signal, which raises _Stopped. Raises CannotStart if the web server ends."""
    while web.poll() is None:
        time.sleep(POLL_S)
    raise CannotStart(f"The web server ended by itself; see {log}.")


# --- files of the demo ------------------------------------------------------------------------


def _made(data: Path) -> Path:
    folder = data.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"--data: cannot make {folder}: {error.strerror}.") from error
    return folder


def _write_settings(folder: Path, servers: EmbeddedServices, port: int) -> Path:
    """Write this demo's clinic.toml, with which every other command works on it too."""
    secret = folder / "secret"
    if not secret.exists():
        _write_private(secret, secrets.token_urlsafe(48))
    values = {
        "database_url": servers.app_url,
        "owner_url": servers.owner_url,
        "sealer_url": servers.sealer_url,
        "broker_url": servers.redis_url,
        "secret": secret.read_text(),
        "host": HOST,
        "public_url": f"http://{HOST}:{port}",
        "mail_url": f"maildir://{quote(str(folder / 'mail'))}",
        # The demo is for races, all of which may use one receptionist's token.
        "write_limit": "60000/60",
        "read_limit": "60000/60",
        # All clients connect from this machine.
        "connections_per_address": 0,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    config = folder / "clinic.toml"
    lines += [f"port = {port}", "worker_port = 0", "mailbox = true", ""]
    _write_private(config, "\n".join(lines))
    return config


def _facts(url: str, scenario: Scenario) -> dict[str, object]:
    return {
        "url": url,
        "tokens": dict(scenario.tokens),
        "signIns": {role: dict(sign_in) for role, sign_in in scenario.sign_ins.items()},
        "patientIds": [str(patient.id) for patient in scenario.sample.patients],
        "doctorIds": [str(doctor.id) for doctor in scenario.sample.doctors],
    }


def _write_private(path: Path, text: str) -> None:
    """Replace a file atomically; only its owner may read it."""
    descriptor, half_written = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    Path(half_written).replace(path)


# --- words ------------------------------------------------------------------------------------


def _print_clinic(scenario: Scenario, is_new: bool) -> None:
    sample = scenario.sample
    made = "Made" if is_new else "Found"
    print(
        f"{made} the sample clinic: {sample.clinic.name}, {len(sample.doctors)} doctors,"
        f" {len(sample.patients)} patients",
        flush=True,
    )


def _print_tokens(scenario: Scenario, folder: Path) -> None:
    sample = scenario.sample
    names = {
        "patient": sample.patients[0].name,
        "doctor": sample.doctors[0].name,
        "receptionist": sample.receptionist.name,
        "admin": sample.admin.name,
    }
    print("\nSign in with Authorization: Bearer and one of these tokens:")
    for role, token in scenario.tokens.items():
        print(f"  {role} ({names[role]})\n    {token}")
    print(f"They are in {folder / 'demo.json'} too.\n")


# --- signals ----------------------------------------------------------------------------------


class _Stopped(SystemExit):
    """Ctrl-C or SIGTERM: shut everything down. A SystemExit, since asyncio lets that through."""

    def __init__(self, signal_number: int) -> None:
        self.status = 0 if signal_number == signal.SIGTERM else 128 + signal_number
        super().__init__(signal_number)


@contextlib.contextmanager
def _stopping_in_order() -> Iterator[None]:
    """Raise _Stopped in the main thread at the first signal; ignore later ones during shutdown."""
    heard = False

    def stop(signal_number: int, _frame: FrameType | None) -> None:
        nonlocal heard
        if not heard:
            heard = True
            raise _Stopped(signal_number)

    # Set even where they were ignored, as they are in the background of a shell.
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
