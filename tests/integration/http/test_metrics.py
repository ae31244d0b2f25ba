"""The metrics of all processes of `clinic serve` on one port, on this machine only."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import psutil
import pytest
from tests.integration.workers import PATIENCE_S, SECRET, until

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environ(urls, valkey_url, **more) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("CLINIC_")}
    return {
        **kept,
        "CLINIC_DATABASE_URL": urls.app_url,
        "CLINIC_BROKER_URL": valkey_url,
        "CLINIC_SECRET": SECRET,
        **more,
    }


class Server:
    """Two processes that serve HTTP, and their parent, which serves their metrics."""

    def __init__(self, urls, valkey_url, log) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self._log = log
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "clinic.entrypoints.cli", "serve"),
                *("--port", str(self.port), "--workers", "2"),
            ],
            env=environ(urls, valkey_url, CLINIC_METRICS_PORT=str(self.metrics_port)),
            stdout=log,
            stderr=log,
        )

    def ask(self, path: str) -> int:
        """Return the status of a request on a new connection."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def metrics(self) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
                text: str = answer.read().decode()
        except OSError:
            return ""
        return text

    def asked(self) -> int:
        """Return how many requests for missing paths have been counted."""
        found = re.search(
            r'duration_seconds_count\{method="GET",route="none",status="404"\} (\S+)',
            self.metrics(),
        )
        return int(float(found[1])) if found else 0

    def serving(self) -> list[psutil.Process]:
        """Return the processes that have counted anything."""
        return [
            child
            for child in psutil.Process(self.process.pid).children()
            if any("clinic-metrics-" in file.path for file in child.open_files())
        ]


@pytest.fixture
def server(postgres_urls, valkey_url, tmp_path) -> Iterator[Server]:
    with (tmp_path / "log").open("w") as log:
        server = Server(postgres_urls, valkey_url, log)
        yield server
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
        server.process.wait(PATIENCE_S)


def test_all_processes_are_counted_together_and_what_a_dead_one_counted_stays(server) -> None:
    until(lambda: server.ask("/health/ready") == 200)
    until(lambda: len(server.serving()) == 2)
    for _ in range(20):
        assert server.ask("/nowhere") == 404

    # A request is counted once its response has left.
    until(lambda: server.asked() == 20)
    text = server.metrics()
    assert "clinic_audit_events_waiting" in text
    assert 'route="/health/ready"' in text
    [address] = [
        each.laddr.ip
        for each in psutil.Process(server.process.pid).net_connections()
        if each.laddr.port == server.metrics_port and each.status == psutil.CONN_LISTEN
    ]
    assert address == "127.0.0.1"

    dead = server.serving()[0]
    dead.kill()
    until(lambda: dead not in server.serving() and len(server.serving()) == 2)
    until(lambda: server.ask("/nowhere") == 404)

    until(lambda: server.asked() >= 21)


def test_nothing_is_told_unless_a_port_is_set(
    commands, postgres_urls, valkey_url, tmp_path
) -> None:
    port = free_port()
    log = tmp_path / "log"
    running = commands.begin(
        ["serve", "--port", str(port)],
        {
            "CLINIC_DATABASE_URL": postgres_urls.app_url,
            "CLINIC_BROKER_URL": valkey_url,
            "CLINIC_SECRET": SECRET,
        },
        tmp_path,
        stdout=log,
    )

    def listening() -> set[int]:
        return {
            each.laddr.port
            for each in psutil.Process(running.pid).net_connections()
            if each.status == psutil.CONN_LISTEN
        }

    try:
        until(lambda: bool(listening()))
        assert listening() == {port}
    finally:
        running.terminate()
        running.wait(PATIENCE_S)


def test_port_that_is_taken_is_named(commands, postgres_urls, valkey_url, tmp_path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        ran = commands.run(
            ["serve", "--port", "0"],
            {
                "CLINIC_DATABASE_URL": postgres_urls.app_url,
                "CLINIC_BROKER_URL": valkey_url,
                "CLINIC_SECRET": SECRET,
                "CLINIC_METRICS_PORT": str(port),
            },
            tmp_path,
        )

    assert ran.returncode == 1
    assert ran.stderr.splitlines(keepends=True)[-1] == (
        f"clinic: CLINIC_METRICS_PORT: 127.0.0.1:{port} cannot be listened on: Address already in"
        " use. (cannot_start)\n"
    )
