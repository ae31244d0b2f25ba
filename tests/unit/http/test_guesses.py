"""Password guesses: strangers' limits do not lock out networks that the account has used."""

import httpx
import pytest

from clinic.settings import Settings

PASSWORD = "seven quiet otters"
ADA = {"name": "Ada Lovett", "email": "ada@example.org", "password": PASSWORD}


@pytest.fixture
def settings() -> Settings:
    return Settings(
        log_level="error",
        fast_passwords=True,
        sign_in_limit="100/60",
        account_limit="3/60",
        account_anywhere_limit="7/3600",
    )


@pytest.fixture
async def ada(api):
    answer = await api.client.post("/users", json=ADA)
    assert answer.status_code == 201, answer.text


class Visitor:
    """A client with its own address and cookies."""

    def __init__(self, api, address):
        app = api.client._transport.app
        transport = httpx.ASGITransport(app, client=(address, 1))
        self.client = httpx.AsyncClient(transport=transport, base_url="https://clinic.test")

    async def sign_in(self, password=PASSWORD, **more):
        body = {"email": "ada@example.org", "password": password, **more}
        return (await self.client.post("/sessions", json=body)).status_code

    async def guess(self, times):
        return [await self.sign_in("a wrong password") for _ in range(times)]


async def test_guesses_from_one_network_do_not_lock_out_another(api, ada):
    stranger, person = Visitor(api, "203.0.113.7"), Visitor(api, "198.51.100.2")

    guessed = await stranger.guess(5)

    assert guessed == [401, 401, 401, 429, 429]
    assert await stranger.sign_in() == 429
    assert await person.sign_in() == 201


async def test_one_ipv6_network_is_one_guesser(api, ada):
    guessed = []
    for number in range(5):
        guessed += await Visitor(api, f"2001:db8:0:7::{number + 1:x}").guess(1)

    assert guessed == [401, 401, 401, 429, 429]


async def test_guesses_from_everywhere_meet_a_second_limit_but_not_whom_the_account_knows(api, ada):
    at_home = Visitor(api, "198.51.100.2")
    assert await at_home.sign_in() == 201
    # The sign-in is in the trail, which makes this address known.
    guessed = []
    for number in range(5):
        guessed += await Visitor(api, f"203.0.113.{number + 1}").guess(2)

    elsewhere = await Visitor(api, "192.0.2.9").sign_in()
    again_at_home = await at_home.sign_in()

    assert guessed == [401] * 6 + [429] * 4
    assert elsewhere == 429
    assert again_at_home == 201


async def test_a_known_address_guesses_no_more_than_any_other(api, ada):
    at_home = Visitor(api, "198.51.100.2")
    assert await at_home.sign_in() == 201
    for number in range(4):
        await Visitor(api, f"203.0.113.{number + 1}").guess(2)

    assert await at_home.guess(4) == [401, 401, 429, 429]


async def test_a_known_browser_gets_in_from_a_new_address(api, ada):
    phone = Visitor(api, "198.51.100.2")
    assert await phone.sign_in(cookie=True) == 201
    for number in range(5):
        await Visitor(api, f"203.0.113.{number + 1}").guess(2)
    roaming, stranger = Visitor(api, "192.0.2.9"), Visitor(api, "192.0.2.10")
    roaming.client.cookies = phone.client.cookies

    assert await roaming.sign_in(cookie=True) == 201
    assert await stranger.sign_in(cookie=True) == 429


@pytest.mark.parametrize("value", ["", "x", "x.y", "0" * 32 + "." + "0" * 32, "é.é"])
async def test_a_made_up_device_is_known_to_nobody(api, ada, value):
    for number in range(5):
        await Visitor(api, f"203.0.113.{number + 1}").guess(2)
    stranger = Visitor(api, "192.0.2.9")
    headers = {b"cookie": f"__Host-clinic-device={value}".encode()}
    body = {"email": "ada@example.org", "password": PASSWORD}

    answer = await stranger.client.post("/sessions", json=body, headers=headers)

    assert answer.status_code == 429


async def test_a_device_of_another_account_is_a_stranger_here(api, ada):
    other = {**ADA, "email": "bob@example.org"}
    await api.client.post("/users", json=other)
    phone = Visitor(api, "198.51.100.2")
    body = {"email": "bob@example.org", "password": PASSWORD, "cookie": True}
    assert (await phone.client.post("/sessions", json=body)).status_code == 201
    for number in range(5):
        await Visitor(api, f"203.0.113.{number + 1}").guess(2)

    assert await phone.sign_in(cookie=True) == 429
