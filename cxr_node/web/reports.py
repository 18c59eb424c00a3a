"""Content of an archived Structured Report, as lines with their depth."""

from io import BytesIO

from pydicom import dcmread

from cxr_node.queries import archived
from cxr_node.report.sr import tree
from cxr_node.web.access_audit import Viewer
from cxr_node.web.context import WebContext


def lines(context: WebContext, result_id: int, *, viewer: Viewer) -> list[tuple[int, str]] | None:
    """Return (depth, text) of each content item; None if there is no such Structured Report."""
    with context.connection() as connection:
        key = archived.result_key(connection, result_id)
    if key is None:
        return None
    try:
        dataset = dcmread(BytesIO(context.process.archive.get(key)), stop_before_pixels=True)
    except KeyError:
        return None
    if "ContentSequence" not in dataset:
        return None
    context.access_audit.record_access(viewer, key)
    return tree.lines(dataset)
