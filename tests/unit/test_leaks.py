"""The plugin that watches the suite for leaks finds them, in this process."""

import itertools
import logging
import sys
import threading

import pytest
from tests.leaks import LeakPlugin, Leaks

from clinic.domain.errors import InvalidInput
from clinic.entrypoints.http.kernel.problems import problem_reply
from clinic.testing import a_clinic, a_patient, a_user

pytest_plugins = ["pytester"]

NAME = "Ottoline Quackenbush"


@pytest.fixture
def leaks(request) -> Leaks:
    """The plugin's findings for this test; any that the test leaves would fail it."""
    plugin = request.config.pluginmanager.get_plugin("clinic-leaks")
    assert isinstance(plugin, LeakPlugin)
    return plugin.leaks


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("an email address", "could not write to ottoline@secret.example.org"),
        ("a phone number", "+442079460958 is busy"),
        ("a bearer token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl"),
        ("a password in a URL", "no answer from redis://:hunter2hunter2@cache/0"),
    ],
)
def test_what_gives_anybody_away_is_found_in_any_log(leaks, kind, told):
    logging.getLogger("somebody.elses").warning("first line\n%s\nlast line", told)

    [found] = leaks.found()

    assert found.startswith(f"{kind} in the log: ")
    assert told not in found


def test_a_patients_name_is_found_in_a_record_and_not_shown(leaks):
    a_user(name=NAME)

    logging.getLogger("clinic.anything").debug("booked for %s", NAME)

    assert leaks.found() == ["a patient's name in the log: clinic.anything DEBUG booked for Ot…"]


def test_servers_in_threads_may_tell_while_the_watch_looks():
    watch, switch_s = Leaks(), sys.getswitchinterval()
    ended = threading.Event()

    def tell() -> None:
        for number in itertools.count():
            watch.keep_secret("a password", f"horse{number % 500} battery")
            watch.tell("the log", f"request {number % 500} answered")
            if ended.is_set():
                return

    server = threading.Thread(target=tell)
    sys.setswitchinterval(1e-6)
    try:
        server.start()
        for _ in range(50):
            watch.tell("the log", f"here is {NAME}@example.org")
            assert any("an email address" in found for found in watch.found())
    finally:
        ended.set()
        server.join()
        sys.setswitchinterval(switch_s)


def test_a_patients_name_is_found_in_a_traceback(leaks):
    a_user(name=NAME)
    try:
        int(NAME)
    except ValueError:
        logging.getLogger("clinic.anything").exception("it broke")

    assert len(leaks.found()) == 1


def test_a_patients_name_is_found_in_a_problem_but_not_in_the_address_it_answers(leaks):
    a_user(name=NAME)

    problem_reply(InvalidInput(), instance=f"/users/{NAME}", request_id="1")
    assert leaks.found() == []

    problem_reply(InvalidInput(f"{NAME} is busy."), instance="/", request_id="1")
    assert len(leaks.found()) == 1


def test_the_logs_of_other_processes_are_read(request, leaks, tmp_path):
    a_user(name=NAME)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "web.log").write_text(f"started\nbooked {NAME}\n")

    request.config.pluginmanager.get_plugin("clinic-leaks").read_logs(tmp_path)

    [found] = leaks.found()
    assert "demo/web.log: booked Ot…" in found


def test_each_leak_is_told_once_and_what_is_not_secret_never(leaks):
    patient = a_patient(a_clinic(), name="Ottoline Quackenbushel")
    staff = a_user(name="Ottoline")
    for _ in range(2):
        logging.getLogger("clinic").info("%s %s %s", patient.id, staff.name, NAME[:-1])

    assert leaks.found() == []


def test_a_failing_line_names_the_test_that_told_it(pytester, request):
    root = request.config.rootpath
    pytester.makeconftest(
        f"""
        import sys
        sys.path.insert(0, {str(root)!r})
        from tests.leaks import watch
        def pytest_configure(config):
            watch(config, config.rootpath)
        """
    )
    pytester.makepyfile(
        test_inner="""
        from clinic.testing import a_user
        def test_told():
            print("welcome", a_user(name="Ottoline Quackenbush").name)
        def test_silent():
            a_user(name="Ottoline Quackenbush")
        """
    )

    result = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider")

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_told*", "*printed: welcome Ot…*"])
    assert "Quackenbush" not in result.stdout.str()
