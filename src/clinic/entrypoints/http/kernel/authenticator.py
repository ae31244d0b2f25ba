"""Reads a request's bearer token and its client's address."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from clinic.domain.errors import NotSignedIn
from clinic.domain.networks import address_in
from clinic.settings import Settings, SettingsError

if TYPE_CHECKING:
    from clinic.entrypoints.http.kernel.request_context import RequestContext

HOPS_MAX = 20
_IPV4_MAPPED_BITS = 96


class Authenticator:
    """Reads what a request shows about its sender."""

    def __init__(self, settings: Settings) -> None:
        self._proxies = trusted_networks(settings.trusted_proxies)

    def bearer_of(self, call: "RequestContext") -> bytes:
        """Return the request's bearer token. Raises NotSignedIn."""
        header = call.headers.get(b"authorization")
        if header is None or header[:7].lower() != b"bearer ":
            raise NotSignedIn()
        return header[7:].strip()

    def address_of(self, call: "RequestContext") -> str | None:
        """Return the client's address in canonical form; X-Forwarded-For counts only from trusted
        proxies."""
        client = call.scope.get("client")
        peer: str | None = address_in(client[0]) if client else None
        forwarded = call.headers.get(b"x-forwarded-for")
        if not self._proxies or forwarded is None or peer is None:
            return peer
        address = peer
        for hop in reversed(forwarded.decode("latin-1").rsplit(",", HOPS_MAX)[-HOPS_MAX:]):
            if not self._trusts(address):
                break
            said = address_in(hop)
            if said is None:
                break
            address = said
        return address

    def _trusts(self, address: str) -> bool:
        return is_within(address, self._proxies)


Networks = tuple[IPv4Network | IPv6Network, ...]


def trusted_networks(setting: str) -> Networks:
    """Return the networks and addresses in a comma-separated list. Raises SettingsError."""
    try:
        parts = (part.strip() for part in setting.split(","))
        return tuple(_plain(ip_network(part, strict=False)) for part in parts if part)
    except ValueError as error:
        raise SettingsError(f"CLINIC_TRUSTED_PROXIES: {error}.") from error


def _plain(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Return a network of IPv4-mapped IPv6 addresses as IPv4, since addresses are compared so."""
    inside = getattr(network.network_address, "ipv4_mapped", None)
    if inside is None or network.prefixlen < _IPV4_MAPPED_BITS:
        return network
    return IPv4Network((inside, network.prefixlen - _IPV4_MAPPED_BITS))


@lru_cache(maxsize=1024)
def is_within(address: str, networks: Networks) -> bool:
    """Return whether an address, in canonical form, is in one of the networks."""
    return any(ip_address(address) in network for network in networks)
