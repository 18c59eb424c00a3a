"""Page on which a person changes a phantom, and sees what its film and the reading of the film make of it.

Phantoms alone: no film of a patient is shown, so that nothing is audited. Films are computed in a process of their
own, which ends when nobody has asked for one for a while: this process imports no PyTorch.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Request, Response, status
from fastapi.responses import JSONResponse

from cxr_node.api.lesson import Lesson, LessonRequest, open_reader, take_film
from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.errors import GiveUp, ProcessDied
from cxr_node.domain.film_geometry import View
from cxr_node.domain.reading import Laterality, Observation, Reading, Topic
from cxr_node.domain.stated_numbers import ratio_digits, ratio_of, stated_score
from cxr_node.phantom.pathology import Ball
from cxr_node.process_pool.executor import Executor
from cxr_node.process_pool.idle import IdleExecutor
from cxr_node.web import drawing
from cxr_node.web.access import LoggedIn
from cxr_node.web.bounded_work import BoundedPool, TooBusy
from cxr_node.web.context import InContext
from cxr_node.web.pages import render_page

pages = APIRouter(include_in_schema=False)

_IDLE_S = 300.0
_TIMEOUT_S = 60.0
_MEMORY_BYTES = 16 << 30
"""Address space, most of it of libraries that PyTorch maps; half a gigabyte of it is in use."""
_LAYERS = ("anatomy", "borders", "calipers", "outlines")
_LUNGS = {Anatomy.RIGHT_LUNG.value: "right", Anatomy.LEFT_LUNG.value: "left"}
_ZONES = ("upper", "middle", "lower")
_ON_BOTH_SIDES = (concepts.DIAPHRAGM, concepts.COSTOPHRENIC_ANGLE)
_STATES = {concepts.CLEAR: "clear", concepts.OBSCURED: "obscured", concepts.NOT_MEASURABLE: "not measurable"}

Share = Annotated[float, Query(ge=0.0, le=1.0)]


@contextmanager
def lesson_executor() -> Iterator[Executor[Any]]:
    """Open the executor of films of the phantom, whose process starts with the first of them."""
    with IdleExecutor(open_reader, timeout_s=_TIMEOUT_S, memory_bytes=_MEMORY_BYTES, idle_s=_IDLE_S) as executor:
        yield executor


def lesson_pool() -> BoundedPool:
    """Return the thread that waits for films of the phantom: one of a person at a time, and few that wait."""
    return BoundedPool("lessons", threads=1, places=8, places_per_address=1)


@pages.get("/learn")
def learn_page(request: Request, person: LoggedIn) -> Response:
    """Show the phantom with what can be changed; a script asks for its films."""
    return render_page(request, person, "learn.html", active="learn")


@pages.get("/learn/film")
async def get_film(
    request: Request,
    context: InContext,
    person: LoggedIn,
    view: Literal["PA", "AP"] = "PA",
    rotation: Annotated[float, Query(ge=-15.0, le=15.0)] = 0.0,
    breath: Share = 0.9,
    side: Literal["right", "left"] = "right",
    across: Share = 0.4,
    down: Share = 0.7,
    backward: Share = 0.2,
    radius: Annotated[float, Query(ge=0.0, le=70.0)] = 0.0,
    density: Share = 0.8,
) -> Response:
    """Return a film of the phantom and its reading; without a consolidation if its radius, in mm, is 0."""
    ball = Ball(across=across, down=down, backward=backward, radius_mm=radius, density=density)
    lesson_request = LessonRequest(
        view=View(view),
        rotation_deg=rotation,
        breath=breath,
        side=Laterality(side),
        consolidation=ball if radius and density else None,
    )
    pool: BoundedPool = request.app.state.lesson_pool
    try:
        content = await pool.run(partial(_film, context.lessons, lesson_request), address=person.name)
    except TooBusy:
        raise HTTPException(
            status.HTTP_429_TOO_MANY_REQUESTS, "another film of the phantom is being computed: try again in a moment"
        ) from None
    except (GiveUp, ProcessDied):
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, "the film cannot be computed now") from None
    return JSONResponse(content)


def _film(executor: Executor[Any], request: LessonRequest) -> dict[str, Any]:
    (lesson,) = executor.map(take_film, [request])
    return film_content(lesson)


def film_content(lesson: Lesson) -> dict[str, Any]:
    """Return a film and what the node states about it, as the script of the page draws it."""
    reading = lesson.reading
    drawn = drawing.drawing(reading)
    layers = () if drawn is None else drawn.layers
    return {
        "rows": lesson.rows,
        "columns": lesson.columns,
        "gray": base64.b64encode(lesson.gray).decode(),
        "layers": [asdict(layer) for layer in layers if layer.key in _LAYERS],
        "not_analysed": "" if reading.not_analysed is None else reading.not_analysed.meaning,
        "findings": _findings(reading),
        "ratio": _ratio(lesson),
        "borders": [_border(one) for one in reading.observations if one.topic is Topic.BORDERS],
        "zones": _zones(reading),
        "lungs": _lungs(reading),
        "lesion_percent": round(100 * lesson.lesion_share, 1),
    }


def _findings(reading: Reading) -> list[dict[str, Any]]:
    rows = []
    for finding in reading.prediction.findings if reading.prediction else ():
        stated = stated_score(finding)
        rows.append(
            {
                "name": finding.code.meaning,
                "presence": finding.presence,
                "score": f"{stated.score:.{stated.score_digits}f}",
                "threshold": f"{stated.threshold:.{stated.threshold_digits}f}",
                "percent": 100 * finding.score,
                "threshold_percent": 100 * finding.operating_point,
            }
        )
    return rows


def _ratio(lesson: Lesson) -> dict[str, str]:
    measured = ratio_of(lesson.reading)
    digits = ratio_digits(lesson.reading)
    return {
        "measured": "not measurable" if measured is None else f"{measured:.{digits}f}",
        "true": f"{lesson.true_ratio:.2f}",
    }


def _border(observation: Observation) -> dict[str, str]:
    """Return a border, whether it is clear, and by which number."""
    is_measured = observation.code != concepts.NOT_MEASURABLE
    structure = observation.value if is_measured or observation.site is None else observation.site
    side = f", {observation.laterality}" if structure in _ON_BOTH_SIDES else ""
    return {
        "name": f"{structure.meaning}{side}",
        "state": _STATES[observation.code],
        "detail": observation.detail,
        "lobe": observation.site.meaning if is_measured and observation.site is not None else "",
    }


def _zones(reading: Reading) -> list[dict[str, str]]:
    """Return the share of each zone that is as bright as soft tissue, in percent, right and left."""
    values = {one.key: one.value for one in reading.measurements}
    rows = []
    for zone in _ZONES:
        row = {"zone": zone}
        for side in ("right", "left"):
            share = values.get(f"share_soft/{side}_{zone}")
            row[side] = "not measurable" if share is None else f"{share:.0f} %"
        rows.append(row)
    return rows


def _lungs(reading: Reading) -> dict[str, tuple[float, float, float, float]] | None:
    """Return left, top, right and bottom of each lung, in pixels; None where one is not outlined."""
    boxes = {}
    for structure in reading.prediction.structures if reading.prediction else ():
        if structure.key in _LUNGS and structure.regions:
            columns, rows = zip(*(point for region in structure.regions for point in region.outline), strict=True)
            boxes[_LUNGS[structure.key]] = (min(columns), min(rows), max(columns), max(rows))
    return boxes if len(boxes) == len(_LUNGS) else None
