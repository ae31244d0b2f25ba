"""The servers that `clinic demo` and `clinic bench` run for clients on this machine."""

from datetime import UTC, datetime

import pytest

from clinic.devtools.bench.backends import Backends
from clinic.devtools.bench.bench import TINY, Bench, Filled
from clinic.devtools.bench.figures import Record
from clinic.devtools.bench.world import world
from clinic.devtools.demo.command import _write_settings
from clinic.devtools.embedded import EmbeddedServices
from clinic.entrypoints.http.kernel.connections import Connection, Connections, ServerLimits
from clinic.settings import Settings, load_settings

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


class Client(Connection):
    """A connection that is only counted."""

    def overdue(self) -> None: ...


def settings_of_demo(folder) -> Settings:
    servers = EmbeddedServices(
        owner_url="postgresql://o",
        app_url="postgresql://a",
        sealer_url="postgresql://s",
        redis_url="redis://r",
    )
    return load_settings({}, _write_settings(folder, servers, 8000))


def settings_of_bench(folder) -> Settings:
    servers = Backends("redis://r", "postgresql://s", folder, lambda name: (name, name))
    bench = Bench(servers, folder, TINY, Record(), NOW, yardstick=None, workers=1)
    filled = Filled(world("10k", NOW), "postgresql://o", "postgresql://a")
    return load_settings(bench.environment(filled))


@pytest.mark.parametrize("settings_of", [settings_of_demo, settings_of_bench])
def test_one_address_may_have_every_connection(tmp_path, settings_of) -> None:
    limits = ServerLimits.of(settings_of(tmp_path))
    connections = Connections(limits)

    admitted = [connections.admit(Client(), "127.0.0.1") for _ in range(limits.connections_max)]

    assert all(admitted)
