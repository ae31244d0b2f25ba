"""`clinic demo`: what it shows, what it writes, and that it leaves nothing behind."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.integration.workers import until

DEMO = [sys.executable, "-m", "clinic.entrypoints.cli", "demo"]
pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(300)]

TIMEOUT_S = 90
# A worker whose database and queue were killed with the demo takes its shutdown timeout, 25 s.
END_TIMEOUT_S = 40
RACE = "  1 booked, 199 refused because the slot was just taken, 0 errors"
ROOM_RACE = "40 patients race for the last ultrasound room: "


@pytest.fixture(scope="module")
def shown(memory_folder) -> Iterator[tuple[Path, list[subprocess.CompletedProcess[str]]]]:
    """A folder with a space in its name in which the demo ran twice, and its output."""
    with memory_folder() as folder:
        data = folder / "the data"
        yield data, [show(data, "--port", "0") for _ in range(2)]


@pytest.fixture
def data(shown) -> Path:
    """The folder, which has the sample clinic already."""
    folder: Path = shown[0]
    return folder


def environment() -> dict[str, str]:
    # The caller's own settings must not reach the demo's web server.
    return {**os.environ, "CLINIC_DATABASE_URL": "memory://", "PYTHONUNBUFFERED": "1"}


def show(data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, "--exit", "--data", str(data), *options],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env=environment(),
    )


class Running:
    """A demo that serves until it is stopped."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.process = subprocess.Popen(
            [*DEMO, "--port", "0", "--data", str(data)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert self.process.stdout is not None
        self.lines: list[str] = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("ready "):
                break
        else:
            pytest.fail("\n".join(self.lines))
        self.url = self.lines[-1].removeprefix("ready ")
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def wait(self) -> int:
        assert self.process.stdout is not None
        with self.process.stdout:
            return self.process.wait(END_TIMEOUT_S)

    def survivors(self) -> list[str]:
        """Return the command lines of its processes that still run after END_TIMEOUT_S."""
        _, alive = psutil.wait_procs(self.family, END_TIMEOUT_S)
        return [" ".join(each.cmdline()) for each in alive if each.status() != "zombie"]


@pytest.fixture
def running(data: Path) -> Iterator[Running]:
    """A demo for one test, which ends it."""
    demo = Running(data)
    yield demo
    if demo.process.poll() is None:
        demo.process.kill()
        demo.wait()


@pytest.fixture(scope="class")
def serving(shown) -> Iterator[Running]:
    """A demo that the tests of one class share; SIGTERM shuts it down cleanly."""
    folder = shown[0]
    demo = Running(folder)
    yield demo
    demo.process.terminate()
    assert demo.wait() == 0
    assert demo.survivors() == []
    assert processes_in(folder) == []
    assert not answers(demo.url)


def answers(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def processes_in(folder: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process.name())
        except (psutil.Error, OSError):
            continue
    return found


def get(url: str, token: str):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_demo_shows_the_race_twice_on_one_folder(shown):
    data, (first, second) = shown

    for ran in (first, second):
        assert (ran.returncode, ran.stderr) == (0, "")
        lines = ran.stdout.splitlines()
        assert RACE in lines
        [closed] = [at for at, line in enumerate(lines) if line.endswith(": Staff training")]
        blocked = re.fullmatch(
            r"  (\d+) slots of its doctors are blocked, 0 can be booked", lines[closed + 1]
        )
        assert blocked is not None
        assert int(blocked[1]) == 3 * 20
        assert "  the same answer, and no second appointment" in lines
        trail = [line.split() for line in lines if re.match(r"[123]  ", line)]
        assert [[entry[0], *entry[2:6]] for entry in trail] == [
            ["1", "PATIENT", "BOOK", "-", "BOOKED"],
            ["2", "PATIENT", "RESCHEDULE", "BOOKED", "BOOKED"],
            ["3", "RECEPTIONIST", "CHANGE_STATUS", "BOOKED", "CANCELLED"],
        ]
        [room] = [at for at, line in enumerate(lines) if line.startswith(ROOM_RACE)]
        assert lines[room + 1] == "  1 got it, 39 were refused, 0 errors"
        assert not any(line.startswith(("ready", "WRONG")) for line in lines)
    assert "Made the sample clinic" in first.stdout
    assert "Found the sample clinic" in second.stdout
    assert processes_in(data) == []


class TestServing:
    """All on one demo that keeps running."""

    def test_demo_writes_what_scripts_need(self, serving):
        path = serving.data / "demo.json"
        facts = json.loads(path.read_text())

        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert {"url", "tokens", "patientIds", "doctorIds"} <= set(facts)
        assert facts["url"] == serving.url
        assert len(facts["patientIds"]) == len(set(facts["patientIds"])) == 250
        assert len(facts["doctorIds"]) == 5
        who = {
            role: get(f"{serving.url}/users/me", token) for role, token in facts["tokens"].items()
        }
        assert {role: me["role"] for role, me in who.items()} == {
            "patient": "PATIENT",
            "doctor": "DOCTOR",
            "receptionist": "RECEPTIONIST",
            "admin": "ADMIN",
        }
        assert who["patient"]["id"] == facts["patientIds"][0]
        assert who["doctor"]["id"] == facts["doctorIds"][0]
        assert stat.S_IMODE((serving.data / "clinic.toml").stat().st_mode) == 0o600

    def test_other_commands_work_on_the_demo(self, commands, serving):
        config = {"CLINIC_CONFIG": str(serving.data / "clinic.toml")}
        listed, checked = commands.run_together(
            [
                (["appointments", "list", "--limit", "200", "--json"], config),
                (["check"], config),
            ],
            serving.data,
        )

        statuses = {each["status"] for each in json.loads(listed.stdout)}
        assert {"BOOKED", "COMPLETED", "NO_SHOW", "CANCELLED"} <= statuses
        assert (checked.returncode, checked.stdout) == (0, "All is well.\n")

    def test_demo_on_a_folder_in_use_is_refused(self, serving):
        refused = show(serving.data, "--port", "0")

        assert refused.returncode == 1
        assert re.fullmatch(r"clinic: Process \d+ uses .*\. \(cannot_start\)\n", refused.stderr)


def test_demo_killed_leaves_no_process_and_starts_again(running, data):
    running.process.kill()
    running.wait()

    assert running.survivors() == []
    assert not answers(running.url)
    again = Running(data)
    again.process.send_signal(signal.SIGINT)
    assert again.wait() == 130
    assert again.survivors() == []
    assert processes_in(data) == []


def test_demo_on_a_port_in_use_is_refused(data):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        refused = show(data, "--port", str(port))

    assert (refused.returncode, refused.stderr) == (
        1,
        f"clinic: Port {port} is in use; choose another with --port. (cannot_start)\n",
    )


def test_demo_whose_server_dies_says_so(running):
    [web] = [each for each in running.family if "clinic.devtools.demo.web" in each.cmdline()]
    web.kill()

    assert running.wait() == 1
    assert running.survivors() == []


def test_demo_that_is_stopped_while_it_starts_leaves_no_process(memory_path):
    began = subprocess.Popen(
        [*DEMO, "--port", "0", "--data", str(memory_path / "new")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert began.stdout is not None
    began.stdout.readline()
    until(lambda: processes_in(memory_path) != [])
    began.send_signal(signal.SIGTERM)

    began.communicate(timeout=END_TIMEOUT_S)

    assert began.returncode == 0
    assert processes_in(memory_path) == []
