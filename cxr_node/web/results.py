"""Pages of results of every kind: trees, pictures, presentation states, segmentations, key images, documents."""

from io import BytesIO
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response, status
from pydicom import dcmread
from pydicom.dataset import Dataset

from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.db.database import Connection
from cxr_node.domain.geometry import Orientation
from cxr_node.domain.hanging import Turn, turn_of
from cxr_node.queries import archived, browse
from cxr_node.report.sr import tree
from cxr_node.web import models, result_content
from cxr_node.web.access import MayIdentify, SeesFilms
from cxr_node.web.access_audit import FilmViewer, Viewer
from cxr_node.web.api import ABSENT, REFUSALS, Number
from cxr_node.web.context import InContext, WebContext, or_404
from cxr_node.web.pages import render_page
from cxr_node.web.result_content import ContentKind
from cxr_node.web.result_words import kind_words

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", responses=REFUSALS)
_CACHED = {"Cache-Control": "private, max-age=3600"}


@api.get("/results/{result_id}", response_model=models.ResultContent, responses=ABSENT)
def get_result(context: InContext, viewer: FilmViewer, result_id: Number) -> Any:
    """Return a result: its films, and the content items of a document."""
    row, shown = _shown(context, viewer, result_id)
    lines = [{"depth": depth, "text": text} for depth, text in shown["lines"]]
    return {**row, "shown_as": shown["kind"], "films": shown["films"], "lines": lines, "problem": shown["problem"]}


@router.get("/results/{result_id}")
def result_page(
    request: Request, context: InContext, person: SeesFilms, viewer: FilmViewer, result_id: Number
) -> Response:
    """Show a result."""
    row, shown = _shown(context, viewer, result_id)
    values = {"result": row, "words": kind_words(row["kind"]), **shown}
    return render_page(request, person, "result.html", active="studies", **values)


@router.get("/results/{result_id}/picture")
def result_picture(context: InContext, viewer: FilmViewer, result_id: Number) -> Response:
    """Return the picture of a Secondary Capture."""
    _, dataset = _dataset(context, viewer, result_id, ContentKind.PICTURE)
    content, media_type = result_content.picture(dataset)
    return Response(content, media_type=media_type, headers=_CACHED)


@router.get("/results/{result_id}/segments.png")
def result_segments(context: InContext, viewer: FilmViewer, result_id: Number) -> Response:
    """Return the segments of a segmentation as a transparent PNG."""
    row, dataset = _dataset(context, viewer, result_id, ContentKind.SEGMENTS)
    with context.connection() as connection:
        films = archived.films_of(connection, row["study_id"], result_content.film_uids(dataset))
        turn = _turn(connection, films, dataset)
    with context.result_lock:  # one at a time: a byte for each pixel of the film
        content = result_content.segments_png(dataset, turn)
    return Response(content, media_type="image/png", headers=_CACHED)


@router.get("/results/{result_id}/document.pdf", dependencies=[MayIdentify])
def result_document(context: InContext, viewer: FilmViewer, result_id: Number) -> Response:
    """Return the document of an Encapsulated PDF, which names the patient."""
    _, dataset = _dataset(context, viewer, result_id, ContentKind.DOCUMENT)
    headers = {"Content-Disposition": f'inline; filename="result-{result_id}.pdf"'}
    return Response(result_content.document(dataset), media_type="application/pdf", headers=headers)


def _read(context: WebContext, row: browse.Row) -> tuple[Dataset | None, str]:
    """Return a result; or None, and why it cannot be shown."""
    if row["removed_at"] is not None:
        return None, f"Retention removed this result on {row['removed_at'].astimezone():%Y-%m-%d}."
    stored = archived.ArchivedResult(row["archive_key"], row["digest"], None)
    try:
        return dcmread(BytesIO(read_intact(context.process.archive, stored))), ""
    except Damaged:  # the scrub logs it, and a delivery composes it anew
        return None, "The stored file of this result is damaged or missing: see the alarms."


def _dataset(context: WebContext, viewer: Viewer, result_id: int, kind: ContentKind) -> tuple[browse.Row, Dataset]:
    """Return a result that is shown as `kind`; respond 404 if there is none."""
    with context.connection() as connection:
        row = or_404(browse.result_row(connection, result_id), "result")
    dataset, problem = _read(context, row)
    if dataset is None or result_content.kind_of(dataset) is not kind:
        raise HTTPException(status.HTTP_404_NOT_FOUND, problem or f"this result is no {kind}")
    context.access_audit.record_access(viewer, row["archive_key"])
    return row, dataset


def _shown(context: WebContext, viewer: Viewer, result_id: int) -> tuple[browse.Row, dict[str, Any]]:
    """Return a result, and what is shown of it; respond 404 if there is none."""
    with context.connection() as connection:
        row = or_404(browse.result_row(connection, result_id), "result")
    dataset, problem = _read(context, row)
    shown: dict[str, Any] = {"kind": ContentKind.OTHER, "films": [], "lines": [], "problem": problem}
    if dataset is None:
        return row, shown
    context.access_audit.record_access(viewer, row["archive_key"])
    kind = result_content.kind_of(dataset)
    with context.connection() as connection:
        films = archived.films_of(connection, row["study_id"], result_content.film_uids(dataset))
        turn = _turn(connection, films, dataset)
    shown |= {"kind": kind, "films": films, "shape": turn.shape}
    if kind is ContentKind.TREE:
        shown["lines"] = tree.lines(dataset)
    elif kind is ContentKind.GRAPHICS:
        shown["layers"] = result_content.graphic_layers(dataset, turn)
    elif kind is ContentKind.SEGMENTS:
        shown["segments"] = result_content.segments(dataset)
    return row, shown


def _turn(connection: Connection, films: list[int], dataset: Dataset) -> Turn:
    """Return how the film of a result becomes the film as it hangs; the identity if it was not opened."""
    reading = browse.reading_of(connection, films[0]) if films else None
    if reading is not None and reading.geometry is not None:
        return turn_of(reading.geometry)
    return Turn(orientation=Orientation(), rows=int(dataset.get("Rows", 1)), columns=int(dataset.get("Columns", 1)))
