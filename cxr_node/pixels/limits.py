"""How much a film may cost before the node gives it up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one film, checked against its header before anything is decoded.

    `maximum_samples` bounds Rows x Columns x Samples per Pixel; the largest flat panels made have about
    20 million. `decode_timeout_s` and `decode_memory_bytes` bound the process that decodes compressed
    films. `maximum_inflated_bytes` bounds a data set sent in the deflated transfer syntax.
    """

    maximum_samples: int = 100_000_000
    decode_timeout_s: float = 30.0
    decode_memory_bytes: int = 2 << 30
    maximum_inflated_bytes: int = 512 << 20
