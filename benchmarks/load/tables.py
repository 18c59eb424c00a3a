"""Markdown tables."""

from collections.abc import Iterable, Iterator, Sequence


def markdown(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table as the rows arrive."""
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    for line in lines:
        yield f"| {' | '.join(line)} |"
