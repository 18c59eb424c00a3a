"""Page of a film: viewer, pictures, frame of all P-values, heat maps."""

import pathlib
import zlib
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response, status
from fastapi.responses import FileResponse

from cxr_node.db.database import Connection
from cxr_node.domain.stated_numbers import stated
from cxr_node.queries import archived, browse
from cxr_node.queries.corrections import rejected_films
from cxr_node.web import drawing, heat, identifiers
from cxr_node.web.access import SeesFilms
from cxr_node.web.access_audit import FilmViewer
from cxr_node.web.api import Number
from cxr_node.web.bounded_work import BoundedPool, TooBusy
from cxr_node.web.context import InContext, or_404
from cxr_node.web.pages import render_page
from cxr_node.web.result_words import report_of
from cxr_node.wiring.pictures import LONGEST_SIDE

router = APIRouter(include_in_schema=False)
_NO_PICTURE = pathlib.Path(__file__).parent / "static" / "no-picture.svg"
_PRIVATE = {"Cache-Control": "private, max-age=3600"}


def frame_pool() -> BoundedPool:
    """Return the threads that wait for frames: few, as frames are decoded one at a time."""
    return BoundedPool("frames", threads=2, places=16, places_per_address=6)


@router.get("/films/{film_id}")
def film_page(
    request: Request,
    context: InContext,
    person: SeesFilms,
    film_id: Number,
    beside: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """Show a film with overlays, findings and timeline, or two films side by side."""
    with context.connection() as connection:
        views = [or_404(_view(connection, number), "film") for number in (film_id, beside) if number is not None]
        films = browse.films_of(connection, views[0]["film"]["study_id"])
        states = browse.study_states(connection, views[0]["film"]["study_id"])
        rejected: dict[int, str] = {}
        for study_id in {view["film"]["study_id"] for view in views}:
            rejected |= rejected_films(connection, study_id)
    for view in views:
        film = view["film"]
        view["rejected"] = rejected.get(film["film_id"], "")
        view["identified"] = identifiers.of_film(request, person, study_id=film["study_id"], film_id=film["film_id"])
    values = {"views": views, "films": films, "states": states, "rejected": rejected}
    return render_page(request, person, "film.html", active="studies", **values)


def _view(connection: Connection, film_id: int) -> dict[str, Any] | None:
    """Return what the page shows of a film; None if there is none."""
    detail = browse.film_detail(connection, film_id)
    if detail is None:
        return None
    reading = browse.reading_of(connection, film_id)
    results = browse.results_of(connection, detail["film"]["study_id"])
    for row in (*detail["findings"], *detail["second_opinions"]):
        row["stated"] = _stated(row)
    for heat_map in detail["heat_maps"]:
        heat_map["area"] = drawing.hung_area(heat_map["area"], reading)
    return {
        **detail,
        "drawing": drawing.drawing(reading) if reading is not None else None,
        "colors": drawing.finding_colors(reading),
        "results": results,
        "report": report_of(results),
    }


def _stated(finding: browse.Row) -> dict[str, str]:
    """Return score and threshold of a finding as they are written."""
    rounded = stated(finding["key"], finding["score"], finding["operating_point"])
    return {
        "score": f"{rounded.score:.{rounded.score_digits}f}",
        "threshold": f"{rounded.threshold:.{rounded.threshold_digits}f}",
    }


@router.get("/films/{film_id}/frame")
async def get_frame(request: Request, context: InContext, viewer: FilmViewer, film_id: Number) -> Response:
    """Return the P-values of a film as it hangs: 16 bits, little-endian, row by row; X-Rows and X-Columns say how many.

    X-Pixel-Aspect-Ratio is the height of a pixel over its width. Status 204 of a film that cannot be decoded, or is too
    large for a browser.
    """
    pool: BoundedPool = request.app.state.frame_pool
    try:
        return await pool.run(partial(_frame, request, context, viewer, film_id), address=viewer.name)
    except TooBusy:
        raise HTTPException(
            status.HTTP_429_TOO_MANY_REQUESTS, "too many films are being decoded: try again in a moment"
        ) from None


def _frame(request: Request, context: InContext, viewer: FilmViewer, film_id: int) -> Response:
    with context.connection() as connection:
        film = or_404(archived.film_in_archive(connection, film_id), "film")
    frame = context.pictures.frame(*film)
    if frame is None:
        return Response(status_code=status.HTTP_204_NO_CONTENT)
    context.access_audit.record_access(viewer, film.archive_key)
    headers = {
        **_PRIVATE,
        "Vary": "Accept-Encoding",
        "X-Rows": str(frame.rows),
        "X-Columns": str(frame.columns),
        "X-Pixel-Aspect-Ratio": f"{frame.aspect_ratio:g}",
    }
    content = frame.gzip_content
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        content = zlib.decompress(content, wbits=16 + zlib.MAX_WBITS)
    return Response(content, media_type="application/octet-stream", headers=headers)


@router.get("/films/{film_id}/{kind}.png")
def picture(
    context: InContext, viewer: FilmViewer, film_id: Number, kind: Annotated[str, Path(pattern="^[a-z]+$")]
) -> Response:
    """Return a film as a PNG; a drawing that says so if it cannot be shown."""
    with context.connection() as connection:
        or_404((kind in LONGEST_SIDE and archived.has_film(connection, film_id)) or None, "picture")
        film = archived.film_in_archive(connection, film_id)
    png = context.pictures.get(*film, kind) if film is not None else None
    if film is None or png is None:
        return FileResponse(_NO_PICTURE, headers={"Cache-Control": "no-store"})
    context.access_audit.record_access(viewer, film.archive_key)
    return Response(png, media_type="image/png", headers=_PRIVATE)


@router.get("/films/{film_id}/heat/{finding_id}.png")
def heat_picture(context: InContext, viewer: FilmViewer, film_id: Number, finding_id: Number) -> Response:
    """Return the heat map of a finding as a transparent PNG."""
    with context.connection() as connection:
        heat_map = or_404(browse.heat_map_of(connection, film_id, finding_id), "heat map")
        reading = browse.reading_of(connection, film_id)
        key = archived.film_key(connection, film_id)
    context.access_audit.record_access(viewer, key)
    content = heat.png(drawing.hung_heat_map(heat_map, reading))
    return Response(content, media_type="image/png", headers=_PRIVATE)
