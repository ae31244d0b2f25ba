"""What our processes log about an exception, whichever library logs it."""

import io
import logging
import logging.config
import sys

import pytest

from clinic.entrypoints.logs import KindsOnly, web_log_config

ADDRESS = "ada@clinic.test"


@pytest.fixture
def raised():
    def break_down() -> None:
        dict[str, str]()[ADDRESS]

    try:
        break_down()
    except KeyError:
        return sys.exc_info()


def test_exception_is_logged_by_kind_and_place_alone(raised) -> None:
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "it broke", (), raised)

    text = KindsOnly("%(message)s").format(record)

    assert text.startswith("it broke\n")
    assert text.endswith("\nKeyError")
    assert "in break_down" in text
    assert "ada" not in text


def test_web_server_writes_every_logger_s_exceptions_so(raised) -> None:
    config = web_log_config("info")
    written = io.StringIO()
    config["handlers"]["stderr"]["stream"] = written
    before = logging.root.handlers[:], logging.root.level
    uvicorn = logging.getLogger("uvicorn")
    try:
        logging.config.dictConfig(config)
        for name in ("uvicorn.error", "asyncio", "clinic.http"):
            logging.getLogger(name).error("%s broke", name, exc_info=raised)
    finally:
        uvicorn.handlers, uvicorn.propagate = [], True
        uvicorn.setLevel(logging.NOTSET)
        logging.root.handlers, logging.root.level = before

    told = written.getvalue()
    assert [name in told for name in ("uvicorn.error", "asyncio", "clinic.http")] == [True] * 3
    assert "in break_down" in told
    assert "ada" not in told
