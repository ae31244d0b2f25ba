"""Canonical addresses, and what counts as one client."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic.domain.networks import UNKNOWN_NETWORK, address_in, network_of


@pytest.mark.parametrize(
    ("text", "address", "network"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7\t", "192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:8080", "192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("::FFFF:C000:207", "192.0.2.7", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:80", "192.0.2.7", "192.0.2.7"),
        ("2001:DB8:A:B:1::F", "2001:db8:a:b:1::f", "2001:db8:a:b::/64"),
        ("2001:0db8:000a:000b:0001:0000:0000:000f", "2001:db8:a:b:1::f", "2001:db8:a:b::/64"),
        ('"[2001:db8:a:b::1]:4711"', "2001:db8:a:b::1", "2001:db8:a:b::/64"),
        ("[2001:db8:a:b::1]", "2001:db8:a:b::1", "2001:db8:a:b::/64"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ("[fe80::1%25eth0]:1", "fe80::1", "fe80::/64"),
        ("::1", "::1", "::/64"),
    ],
)
def test_an_address_has_one_spelling_and_one_network(text, address, network):
    assert (address_in(text), network_of(text)) == (address, network)
    assert address_in(address) == address


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "unknown",
            "_hidden",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "01.2.3.4",
            "1.2.3.4/8",
        ),
        *(
            "1.2.3.4:",
            "1.2.3.4:x",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "::1::",
            "é",
            "\u0661.2.3.4",
            "%",
            "[]",
        ),
        "1" * 101,
        "2001:db8::1" + " " * 100_000,
    ],
)
def test_what_is_no_address_is_unknown(text):
    assert (address_in(text), network_of(text)) == (None, UNKNOWN_NETWORK)


def test_nobody_is_unknown():
    assert network_of(None) == UNKNOWN_NETWORK


@given(st.text(max_size=60))
def test_any_text_has_a_network(text):
    assert isinstance(network_of(text), str)


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_all_of_a_64_are_one_network(address, host):
    neighbour = ipaddress.IPv6Address((int(address) >> 64 << 64) | host)
    if address.ipv4_mapped or neighbour.ipv4_mapped:
        return

    assert network_of(neighbour.exploded) == network_of(str(address).upper())
