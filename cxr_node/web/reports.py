"""Content of an archived Structured Report, as lines with their depth."""

from io import BytesIO

from pydicom import dcmread

from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.queries import archived
from cxr_node.report.sr import tree
from cxr_node.web.access_audit import Viewer
from cxr_node.web.context import WebContext


def lines(context: WebContext, result_id: int, *, viewer: Viewer) -> list[tuple[int, str]] | None:
    """Return (depth, text) of each content item; None if there is no such Structured Report."""
    with context.connection() as connection:
        stored = archived.result_in_archive(connection, result_id)
    if stored is None:
        return None
    try:
        dataset = dcmread(BytesIO(read_intact(context.process.archive, stored)), stop_before_pixels=True)
    except Damaged:  # the scrub logs it, and a delivery composes it anew
        return None
    if "ContentSequence" not in dataset:
        return None
    context.access_audit.record_access(viewer, stored.archive_key)
    return tree.lines(dataset)
