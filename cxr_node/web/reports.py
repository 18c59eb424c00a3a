"""A kept report, as the lines of its content."""

from io import BytesIO

from pydicom import dcmread
from sqlalchemy import select

from cxr_node.db.tables import result
from cxr_node.report.sr import tree
from cxr_node.web.access_audit import Viewer
from cxr_node.web.context import WebContext
from cxr_node.wiring import process


def lines(desk: WebContext, result_id: int, *, viewer: Viewer) -> list[tuple[int, str]] | None:
    """Return (depth, text) of each content item; None where there is no such report, or it is no Structured Report."""
    with desk.asked() as connection:
        kept = select(result.c.archive_key).where(result.c.id == result_id, result.c.removed_at.is_(None))
        key = connection.execute(kept).scalar()
    if key is None:
        return None
    try:
        dataset = dcmread(BytesIO(process.archive(desk.settings).get(key)), stop_before_pixels=True)
    except KeyError:
        return None
    if "ContentSequence" not in dataset:
        return None
    desk.access_audit.showed(viewer, key)
    return tree.lines(dataset)
