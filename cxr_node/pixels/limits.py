"""Limits of memory and time for one film."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one film, checked against its header before anything is decoded.

    `maximum_samples` limits Rows x Columns x Samples per Pixel; the largest flat panels have about 20 million.
    `decode_timeout_s` and `decode_memory_bytes` limit the process that decodes compressed films.
    `maximum_inflated_bytes` limits a data set in the deflated transfer syntax.
    """

    maximum_samples: int = 100_000_000
    decode_timeout_s: float = 30.0
    decode_memory_bytes: int = 2 << 30
    maximum_inflated_bytes: int = 512 << 20
