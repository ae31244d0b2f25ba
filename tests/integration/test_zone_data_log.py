"""What `clinic serve` and `clinic worker` log at startup about their time zone data."""

import json
import re
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from tests.integration.workers import PATIENCE_S, start_worker, until

from clinic.bootstrap import zone_data


def zone_line(log: Path) -> dict[str, str]:
    (line,) = [each for each in log.read_text().splitlines() if '"event":"zone_data"' in each]
    found: dict[str, str] = json.loads(line)
    assert datetime.fromisoformat(found.pop("at")).tzinfo is not None
    return found


@pytest.fixture
def expected(postgres_urls) -> dict[str, str]:
    with psycopg.connect(postgres_urls.app_url) as connection:
        version = connection.info.parameter_status("server_version")
    assert re.search(r"release \d{4}[a-z]|tzdata \d{4}\.\d", zone_data())
    return {
        "level": "info",
        "event": "zone_data",
        "system": zone_data(),
        "database": f"PostgreSQL {version}",
    }


def test_serve_logs_its_zone_data_once(server, expected) -> None:
    assert zone_line(server.log) == expected


@pytest.mark.slow
def test_worker_logs_its_zone_data(commands, postgres_urls, valkey_url, tmp_path, expected) -> None:
    log = tmp_path / "worker.log"
    process = start_worker(commands, postgres_urls, valkey_url, f"maildir://{tmp_path}/mail", log)
    try:
        until(lambda: "worker ready" in log.read_text())
    finally:
        process.terminate()
        process.wait(PATIENCE_S)

    assert zone_line(log) == expected
