"""Argon2id hashes: strong by default, equal work for unknown users, bounded concurrency."""

import asyncio
import threading

import pytest

from clinic.adapters.argon2.password_hasher import WAITING_MAX, Argon2PasswordHasher
from clinic.domain.errors import TemporaryFailure
from clinic.ports.password_hasher import PasswordCheck

WRONG, RIGHT = PasswordCheck(False), PasswordCheck(True)


async def test_a_password_verifies_against_its_hash_alone():
    hasher = Argon2PasswordHasher(fast=True)
    one, two = await hasher.hash("seven quiet otters"), await hasher.hash("seven quiet otters")

    assert one != two
    assert await hasher.verify(one, "seven quiet otters") == RIGHT
    assert await hasher.verify(one, "Seven quiet otters") == WRONG
    assert await hasher.verify(one, "") == WRONG


@pytest.mark.parametrize("kept", [None, "", "x", "$2b$12$abc", "$argon2id$v=19$m=8,t=1,p=1$a$b"])
async def test_no_hash_or_a_strange_one_is_wrong_and_no_error(kept):
    assert await Argon2PasswordHasher(fast=True).verify(kept, "anything") == WRONG


async def test_nobodys_hash_costs_as_much_as_any_other_and_no_password_fits_it():
    hasher = Argon2PasswordHasher()
    mine = await hasher.hash("seven quiet otters")
    nobodys = hasher._nobodys

    assert (
        nobodys.rpartition("$")[0].rpartition("$")[0] == mine.rpartition("$")[0].rpartition("$")[0]
    )
    assert mine.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert [len(part) for part in nobodys.split("$")] == [len(part) for part in mine.split("$")]
    assert await hasher.verify(nobodys, "nobody's password") == WRONG


async def test_a_hash_of_another_cost_wants_to_be_made_anew():
    fast, slow = Argon2PasswordHasher(fast=True), Argon2PasswordHasher()
    old = await fast.hash("seven quiet otters")

    assert await slow.verify(old, "seven quiet otters") == PasswordCheck(True, wants_rehash=True)
    assert await slow.verify(old, "wrong") == WRONG


async def test_more_than_can_wait_are_refused_and_the_rest_are_not(monkeypatch):
    hasher = Argon2PasswordHasher(threads=1, fast=True)
    go_on = threading.Event()
    monkeypatch.setattr(hasher._hasher.__class__, "hash", lambda *_: (go_on.wait(10), "x")[1])
    waiting = [asyncio.create_task(hasher.hash("p")) for _ in range(1 + WAITING_MAX)]
    await asyncio.sleep(0)

    with pytest.raises(TemporaryFailure):
        await hasher.hash("p")
    go_on.set()

    assert await asyncio.gather(*waiting) == ["x"] * (1 + WAITING_MAX)
    assert await hasher.hash("p") == "x"
