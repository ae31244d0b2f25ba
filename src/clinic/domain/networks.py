"""Client addresses: their canonical spelling, and the network that counts as one client."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

#: the IPv6 prefix that anyone who rents one machine can send from, at least
IPV6_PREFIX_BITS = 64
#: the longest text read as an address: IPv6 in full, brackets, a zone and a port
ADDRESS_MAX_CHARS = 100
UNKNOWN_NETWORK = "unknown"

_KEPT_MAX = 4096
_LOW_BITS = 128 - IPV6_PREFIX_BITS


def address_in(text: str) -> str | None:
    """Return the canonical spelling of the address in `text`, None when it is not an address.

    Brackets, a port, quotes and a zone id are dropped; IPv4-mapped IPv6 becomes IPv4.
    """
    return _address_in(text) if len(text) <= ADDRESS_MAX_CHARS else None


def network_of(address: str | None) -> str:
    """Return the network that requests from `address` are counted under: IPv6 by /64, IPv4 whole.

    Anything else counts as UNKNOWN_NETWORK. Every key derived from an address comes from here.
    """
    if address is None or len(address) > ADDRESS_MAX_CHARS:
        return UNKNOWN_NETWORK
    return _network_of(address)


@lru_cache(maxsize=_KEPT_MAX)
def _address_in(text: str) -> str | None:
    bare = text.strip(" \t").strip('"')
    if bare.startswith("["):
        bare, closed, port = bare[1:].partition("]")
        if not closed or (port and not _is_port(port)):
            return None
    elif bare.count(":") == 1:
        bare, _, port = bare.partition(":")
        if not _is_port(f":{port}"):
            return None
    try:
        found = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return str(_plain(found) if isinstance(found, IPv6Address) else found)


@lru_cache(maxsize=_KEPT_MAX)
def _network_of(address: str) -> str:
    known = _address_in(address)
    if known is None:
        return UNKNOWN_NETWORK
    found = ip_address(known)
    if not isinstance(found, IPv6Address):
        return known
    return f"{IPv6Address(int(found) >> _LOW_BITS << _LOW_BITS)}/{IPV6_PREFIX_BITS}"


def _plain(address: IPv6Address) -> object:
    return address.ipv4_mapped or address


def _is_port(text: str) -> bool:
    return text[0] == ":" and text[1:].isascii() and text[1:].isdigit()
