"""References of a report to the other results of its run, which it is the root of (IHE AI Results)."""

from collections.abc import Sequence

from cxr_node.report.source import ReferredResult
from cxr_node.report.sr.content import ContentItem, composite, image


def references(results: Sequence[ReferredResult]) -> list[ContentItem]:
    """Return an item for each result, images first, whatever the order of the settings."""
    in_order = sorted(results, key=lambda result: (not result.is_image, result.name.meaning, result.type_name))
    return [
        image(result.name, result.instance.identity)
        if result.is_image
        else composite(result.name, result.instance.identity)
        for result in in_order
    ]
