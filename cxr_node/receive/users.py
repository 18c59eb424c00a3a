"""Users and their passwords (PS3.7 section D.3.3.7): what is kept of a password, and who has shown the right one."""

import hashlib
import hmac
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

USER_NAME_AND_PASSCODE = 2
"""User-Identity-Type (PS3.7 table D.3-14)."""

_FORM = re.compile(r"scrypt:(\d{1,7}):(\d{1,2}):(\d{1,2}):([0-9a-f]{32}):([0-9a-f]{64})")
_COST, _BLOCK_SIZE, _PARALLELISM = 1 << 14, 8, 5
"""16 MiB and some 0.2 s for each guess."""

_MEMORY_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordHash:
    """What is kept of a password: scrypt's parameters (RFC 7914), the salt and the key."""

    cost: int
    block_size: int
    parallelism: int
    salt: bytes
    key: bytes

    @classmethod
    def of(cls, password: str, *, salt: bytes, cost: int = _COST) -> Self:
        """Return the hash of `password`; `salt` is 16 random bytes, `cost` a power of two."""
        key = _scrypt(password.encode(), salt, cost, _BLOCK_SIZE, _PARALLELISM)
        return cls(cost=cost, block_size=_BLOCK_SIZE, parallelism=_PARALLELISM, salt=salt, key=key)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the hash that `str` has written; raise ValueError if it is none."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError("not a password hash")
        cost, block_size, parallelism = (int(number) for number in match.groups()[:3])
        salt, key = (bytes.fromhex(digits) for digits in match.groups()[3:])
        return cls(cost=cost, block_size=block_size, parallelism=parallelism, salt=salt, key=key)

    def __str__(self) -> str:
        """Return the text that stands in the settings."""
        numbers = f"{self.cost}:{self.block_size}:{self.parallelism}"
        return f"scrypt:{numbers}:{self.salt.hex()}:{self.key.hex()}"

    def fits(self, password: bytes) -> bool:
        """Whether this is the hash of `password`; takes as long if it is not."""
        return hmac.compare_digest(self.key, _scrypt(password, self.salt, self.cost, self.block_size, self.parallelism))


class Users:
    """Who may send, by name. One guess is checked at a time, so that guessing takes neither cores nor memory."""

    def __init__(self, hashes: Mapping[str, PasswordHash]) -> None:
        self._hashes = {name.encode(): kept for name, kept in hashes.items()}
        self._nobody = next(iter(hashes.values()))
        self._lock = threading.Lock()

    def admit(self, *, user_identity_type: int | None, primary_field: bytes, secondary_field: bytes) -> bool:
        """Whether the identity of an association request is a user's; an unknown name takes as long as a known one."""
        if user_identity_type != USER_NAME_AND_PASSCODE:
            return False
        kept = self._hashes.get(primary_field)
        with self._lock:
            fits = (kept or self._nobody).fits(secondary_field)
        return fits and kept is not None


def _scrypt(password: bytes, salt: bytes, cost: int, block_size: int, parallelism: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=cost, r=block_size, p=parallelism, maxmem=_MEMORY_BYTES, dklen=32)
