"""Argon2id with the library's defaults (64 MiB, three passes), a few hashes at a time."""

from base64 import b64encode

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError

from clinic.adapters.argon2.fair_threads import FairThreads
from clinic.ports.password_hasher import PasswordCheck

#: how many callers wait for a thread before further ones are refused: about two seconds of work
WAITING_MAX = 32


class Argon2PasswordHasher:
    """Hashes in a pool of `threads` threads; each takes 64 MiB while it works.

    `fast` makes hashes that protect nothing, for test suites.
    """

    def __init__(self, *, threads: int = 2, fast: bool = False) -> None:
        self._hasher = (
            PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, type=Type.ID)
            if fast
            else PasswordHasher(type=Type.ID)
        )
        self._threads = FairThreads(threads, WAITING_MAX, name="argon2")
        self._nobodys = _hash_of_nobody(self._hasher)

    async def hash(self, password: str, *, source: str = "") -> str:
        """Return a hash. Raises TemporaryFailure when too many callers are waiting."""
        return await self._threads.run(lambda: self._hasher.hash(password), source)

    async def verify(
        self, password_hash: str | None, password: str, *, source: str = ""
    ) -> PasswordCheck:
        """Return whether the password is right. Raises TemporaryFailure when too many wait."""
        return await self._threads.run(lambda: self._verify(password_hash, password), source)

    def _verify(self, password_hash: str | None, password: str) -> PasswordCheck:
        try:
            self._hasher.verify(password_hash or self._nobodys, password)
        except (Argon2Error, InvalidHashError):
            return PasswordCheck(is_right=False)
        if password_hash is None:
            return PasswordCheck(is_right=False)
        return PasswordCheck(True, self._hasher.check_needs_rehash(password_hash))


def _hash_of_nobody(hasher: PasswordHasher) -> str:
    """Return a hash that no password matches and that takes as long to verify as any other."""
    salt, digest = bytes(hasher.salt_len), bytes(hasher.hash_len)
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${cost}${_base64(salt)}${_base64(digest)}"


def _base64(raw: bytes) -> str:
    return b64encode(raw).decode().rstrip("=")
