"""Limits on the connections of one process: how many, from which network, and for how long."""

import asyncio
import logging
from collections import Counter
from typing import NamedTuple, Protocol

from clinic.domain.networks import address_in, network_of
from clinic.entrypoints.http.kernel.authenticator import Networks, is_within, trusted_networks
from clinic.settings import Settings

#: how often deadlines are checked
LOOK_S = 0.25
#: connections beyond the limit that get a response saying so; more are aborted without one
BUSY_MAX = 200
WARN_EVERY_S = 60.0

log = logging.getLogger("clinic.http")


class ServerLimits(NamedTuple):
    """Limits on one connection, and on all connections of a process."""

    connections_max: int = 2000
    #: connections from one network; 0 means no limit
    per_network_max: int = 500
    #: request line and headers together
    head_max_bytes: int = 32 * 1024
    headers_max: int = 100
    url_max_bytes: int = 8 * 1024
    #: how long request line and headers may take
    head_timeout_s: float = 10.0
    #: requests that wait for the one before them on the same connection
    pipelined_max: int = 16
    #: how much of a body is still read once its request is answered, and for how long
    drain_max_bytes: int = 1024 * 1024
    drain_s: float = 5.0
    #: how long a refused connection stays open so that its client can read why
    linger_s: float = 1.0
    linger_max_bytes: int = 256 * 1024
    #: how long a client may leave sent data unread
    write_timeout_s: float = 30.0
    #: proxies, whose clients all appear to have the proxy's network
    proxies: Networks = ()

    @classmethod
    def of(cls, settings: Settings) -> "ServerLimits":
        return cls(
            connections_max=settings.connections_max,
            per_network_max=settings.connections_per_address,
            head_max_bytes=settings.head_max_bytes,
            head_timeout_s=settings.head_timeout_s,
            proxies=trusted_networks(settings.trusted_proxies),
        )


class Connection(Protocol):
    """A connection that is limited here."""

    def overdue(self) -> None:
        """End what should have been done by now."""
        ...


class Connections:
    """Counts connections, and ends what takes too long.

    One timer for all of them checks a few times a second; there is none while nothing is due.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self.limits = limits
        self._networks: dict[Connection, str] = {}
        self._numbers: Counter[str] = Counter()
        self._busy = 0
        self._warned_s = -WARN_EVERY_S
        self._due: dict[Connection, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, connection: Connection, peer: str | None) -> bool:
        """Count a new connection, or return False if there are too many, without counting it."""
        limits = self.limits
        network = self._counted_network(peer)
        if len(self._networks) >= limits.connections_max:
            self._warn("of all", limits.connections_max)
            return False
        if network and limits.per_network_max:
            if self._numbers[network] >= limits.per_network_max:
                self._warn("of one address", limits.per_network_max)
                return False
            self._numbers[network] += 1
        self._networks[connection] = network
        return True

    def may_tell(self) -> bool:
        """Return whether one more refused connection may stay to get a response."""
        if self._busy >= BUSY_MAX:
            return False
        self._busy += 1
        return True

    def release(self, connection: Connection, *, was_told: bool) -> None:
        """Stop counting a connection that has ended."""
        self._due.pop(connection, None)
        self._busy -= was_told
        network = self._networks.pop(connection, "")
        if network and self._numbers[network] > 1:
            self._numbers[network] -= 1
        else:
            self._numbers.pop(network, None)

    def expect(self, connection: Connection, within_s: float) -> None:
        """Call the connection's `overdue` after `within_s`, unless it is forgotten before."""
        loop = asyncio.get_running_loop()
        self._due[connection] = loop.time() + within_s
        if self._timer is None:
            self._timer = loop.call_later(LOOK_S, self._look)

    def is_expected(self, connection: Connection) -> bool:
        return connection in self._due

    def forget(self, connection: Connection) -> None:
        """Expect nothing more from this connection."""
        self._due.pop(connection, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [each for each, due in self._due.items() if due <= now]:
            del self._due[connection]
            connection.overdue()
        self._timer = loop.call_later(LOOK_S, self._look) if self._due else None

    def _warn(self, whose: str, number: int) -> None:
        """Log that connections are refused, at most once in WARN_EVERY_S."""
        now = asyncio.get_running_loop().time()
        if now - self._warned_s >= WARN_EVERY_S:
            self._warned_s = now
            log.warning("connections %s beyond %d are refused", whose, number)

    def _counted_network(self, peer: str | None) -> str:
        """Return the network that the connection counts for; empty for proxies and Unix sockets."""
        address = address_in(peer) if peer else None
        if address is None or is_within(address, self.limits.proxies):
            return ""
        return network_of(address)
