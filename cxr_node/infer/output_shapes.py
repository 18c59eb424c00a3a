"""Shapes of a network's outputs as its card states them. Without torch."""

from collections.abc import Sequence

from cxr_node.infer.card import VIEWS, Card
from cxr_node.infer.points import POINT_NUMBERS

ExpectedShape = tuple[int | str, ...]
"""Sizes; a word stands for any size of at least one."""


def expected_shapes(card: Card, films: int) -> dict[str, ExpectedShape]:
    """Return the shape of each output that a card can name, for a batch of `films`."""
    labels, structures = len(card.labels), len(card.structures)
    return {
        "finding_logits": (films, labels),
        "finding_maps": (films, labels, "rows", "columns"),
        "structure_logits": (films, structures, "rows", "columns"),
        "view_logits": (films, VIEWS),
        "distance": (films, 1),
        "points": (films, len(card.points), POINT_NUMBERS),
        "embedding": (films, 0 if card.embedding is None else card.embedding.numbers),
    }


def fits(shape: Sequence[int], expected: ExpectedShape) -> bool:
    """Whether a shape is the expected one."""
    return len(shape) == len(expected) and all(
        size == limit or (isinstance(limit, str) and size > 0) for size, limit in zip(shape, expected, strict=True)
    )


def described(expected: ExpectedShape) -> str:
    """Return an expected shape for a message."""
    return ", ".join(map(str, expected))
