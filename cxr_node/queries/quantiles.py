"""Quantiles of times and scores, the same wherever any are shown."""

from collections.abc import Sequence

SHARES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
"""Shown quantiles by name."""


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the least of sorted `values` that at least a `share` of them do not exceed; None without values."""
    if not values:
        return None
    return values[max(0, -(-len(values) * round(share * 1000) // 1000) - 1)]


def seconds(values: Sequence[float]) -> dict[str, float | None]:
    """Return the quantiles of sorted seconds, as p50_s to p99_s."""
    return {f"{name}_s": quantile(values, share) for name, share in SHARES.items()}
