"""Picture of a film for a sheet: as the network sees it, and the outlines of its findings."""

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.film import Film
from cxr_node.domain.hanging import hang, hang_reading
from cxr_node.domain.reading import Point, Presence, Reading
from cxr_node.pixels import display, film
from cxr_node.pixels.parsing import parse
from cxr_node.reading.context import ReadContext

_LONGEST_SIDE = 512


def picture(context: ReadContext, received: Film) -> bytes | None:
    """Return a JPEG of a film as it hangs; None if it cannot be decoded."""
    limits = context.rules.limits
    try:
        dataset = parse(context.archive.get(received.archive_key), limits=limits)
        hung = hang(film.radiograph(dataset, limits=limits, sandbox=context.sandbox))
    except GiveUp:
        return None
    return display.jpeg(hung, longest_side=_LONGEST_SIDE)


def outlines(reading: Reading) -> tuple[str, ...]:
    """Return an SVG path for each outline of a finding that is not absent, on the film as it hangs."""
    prediction = hang_reading(reading).prediction
    return tuple(
        _path(region.outline)
        for finding in (prediction.findings if prediction else ())
        if finding.presence is not Presence.ABSENT
        for region in finding.regions
    )


def _path(outline: tuple[Point, ...]) -> str:
    return f"M{'L'.join(f'{column:.0f} {row:.0f}' for column, row in outline)}Z"
