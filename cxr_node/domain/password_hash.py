"""Password hash: scrypt's parameters, salt and key (RFC 7914), as settings hold it."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Self

_FORM = re.compile(r"scrypt:(\d{1,7}):(\d{1,2}):(\d{1,2}):([0-9a-f]{32}):([0-9a-f]{64})")
_COST, _BLOCK_SIZE, _PARALLELISM = 1 << 14, 8, 5
"""16 MiB and some 0.2 s for each guess."""

_MEMORY_BYTES = 64 << 20
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordHash:
    """The hash of one password."""

    cost: int
    block_size: int
    parallelism: int
    salt: bytes
    key: bytes

    @classmethod
    def from_password(cls, password: str, *, salt: bytes, cost: int = _COST) -> Self:
        """Return the hash of `password`; `salt` is 16 random bytes, `cost` a power of two."""
        key = _scrypt(password.encode(), salt, cost, _BLOCK_SIZE, _PARALLELISM)
        return cls(cost=cost, block_size=_BLOCK_SIZE, parallelism=_PARALLELISM, salt=salt, key=key)

    @classmethod
    def unmatched(cls) -> Self:
        """Return random bytes in the form of a hash, which no password has: a check takes as long as for a user."""
        salt, key = secrets.token_bytes(16), secrets.token_bytes(_KEY_BYTES)
        return cls(cost=_COST, block_size=_BLOCK_SIZE, parallelism=_PARALLELISM, salt=salt, key=key)

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

    def matches(self, password: bytes) -> bool:
        """Whether this is the hash of `password`; takes the same time either way."""
        return hmac.compare_digest(self.key, _scrypt(password, self.salt, self.cost, self.block_size, self.parallelism))


def _scrypt(password: bytes, salt: bytes, cost: int, block_size: int, parallelism: int) -> bytes:
    return hashlib.scrypt(
        password, salt=salt, n=cost, r=block_size, p=parallelism, maxmem=_MEMORY_BYTES, dklen=_KEY_BYTES
    )
