"""Who asks, and from where: the bearer token and the connection's address."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from clinic.domain.errors import NotSignedIn
from clinic.settings import Settings, SettingsError

if TYPE_CHECKING:
    from clinic.entrypoints.http.call import Call

HOPS_MAX = 20


class Authenticator:
    """Tells what a request shows of its sender."""

    def __init__(self, settings: Settings) -> None:
        self._proxies = trusted_networks(settings.trusted_proxies)

    def bearer_of(self, call: "Call") -> bytes:
        """Return the token that the request bears. Raises NotSignedIn."""
        header = call.headers.get(b"authorization")
        if header is None or header[:7].lower() != b"bearer ":
            raise NotSignedIn()
        return header[7:].strip()

    def address_of(self, call: "Call") -> str | None:
        """Return the client's address; a proxy's word for it counts when the proxy is trusted."""
        client = call.scope.get("client")
        peer: str | None = client[0] if client else None
        forwarded = call.headers.get(b"x-forwarded-for")
        if not self._proxies or forwarded is None or peer is None:
            return peer
        hops = forwarded.decode("latin-1").split(",")[-HOPS_MAX:]
        address = peer
        for hop in reversed(hops):
            if not self._trusts(address):
                break
            if not _is_address(hop.strip()):
                break
            address = hop.strip()
        return address

    def _trusts(self, address: str) -> bool:
        return _within(address, self._proxies)


Networks = tuple[IPv4Network | IPv6Network, ...]


def trusted_networks(setting: str) -> Networks:
    """Return the addresses and networks in a list separated by commas. Raises SettingsError."""
    try:
        return tuple(
            ip_network(part.strip(), strict=False) for part in setting.split(",") if part.strip()
        )
    except ValueError as error:
        raise SettingsError(f"CLINIC_TRUSTED_PROXIES: {error}.") from error


@lru_cache(maxsize=1024)
def _within(address: str, networks: Networks) -> bool:
    return _is_address(address) and any(ip_address(address) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
