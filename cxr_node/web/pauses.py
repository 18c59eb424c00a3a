"""Pause and resume of reading and of destinations: a page that shows what would happen, and the JSON API."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Query, Request, Response, status
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from cxr_node.db.database import Connection
from cxr_node.db.states import Stage
from cxr_node.ops import pauses
from cxr_node.ops.pauses import CannotPause, Target
from cxr_node.queries import overview
from cxr_node.records.pauses import Pause, present
from cxr_node.web import models
from cxr_node.web.access import HasOperatorRole, LoggedIn, Operator
from cxr_node.web.api import NO_JSON, REFUSALS
from cxr_node.web.context import InContext, WebContext
from cxr_node.web.pages import render_page

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", responses=REFUSALS)
_NAME = r"^(reading|destination/[^\x00-\x1f]{1,64})$"
Name = Annotated[str, Query(pattern=_NAME, max_length=80)]
FormName = Annotated[str, Form(pattern=_NAME, max_length=80)]
Note = Annotated[str, Form(max_length=200)]
_CONFLICT: dict[int | str, dict[str, Any]] = {
    400: {"model": models.Problem, "description": "The body is no JSON."},
    409: {"model": models.Problem, "description": "There is no such destination, or it is so already."},
}


class PauseRequest(BaseModel):
    """What to pause or to resume: `reading`, or `destination/NAME`; and why."""

    name: str = Field(pattern=_NAME, max_length=80)
    note: str = Field("", max_length=200)


class Resumed(BaseModel):
    """Number of waiting jobs of what was resumed; they are due now."""

    waiting: int


@api.get("/pauses", response_model=list[Pause])
def get_pauses(context: InContext, _: LoggedIn) -> Any:
    """Return what is paused, since when and by whom."""
    with context.connection() as connection:
        return present(connection)


@api.post("/pauses", response_model=list[Pause], responses={**NO_JSON, **_CONFLICT})
def post_pause(context: InContext, person: Operator, wanted: PauseRequest) -> Any:
    """Pause reading or a destination, on every host; films are still received. Returns all pauses."""
    _pause(context, wanted.name, wanted.note, person.actor)
    return get_pauses(context, person)


@api.post("/pauses/end", response_model=Resumed, responses={**NO_JSON, **_CONFLICT})
def post_resume(context: InContext, person: Operator, wanted: PauseRequest) -> Any:
    """Resume reading or a destination; jobs that wait are due now."""
    return Resumed(waiting=_resume(context, wanted.name, person.actor))


@pages.get("/actions/pause")
def pause_page(request: Request, context: InContext, person: HasOperatorRole, name: Name) -> Response:
    """Show what pausing or resuming would do."""
    target = pauses.target(name)
    with context.connection() as connection:
        pause = next((one for one in present(connection) if _is_of(one, target)), None)
        waiting = _waiting(connection, target, now=context.process.clock())
    values = {"name": name, "target": target, "pause": pause, "waiting": waiting}
    return render_page(request, person, "pause.html", active="operations", **values)


@pages.post("/actions/pause")
def pause(context: InContext, person: Operator, name: FormName, note: Note = "") -> Response:
    """Pause a target that the page has shown."""
    _pause(context, name, note, person.actor)
    return RedirectResponse("/", status.HTTP_303_SEE_OTHER)


@pages.post("/actions/resume")
def resume(context: InContext, person: Operator, name: FormName) -> Response:
    """Resume a target that the page has shown."""
    _resume(context, name, person.actor)
    return RedirectResponse("/", status.HTTP_303_SEE_OTHER)


def _pause(context: WebContext, name: str, note: str, actor: str) -> None:
    try:
        pauses.pause(context.process, pauses.target(name), note=note, by=actor)
    except CannotPause as error:
        raise HTTPException(status.HTTP_409_CONFLICT, str(error)) from None
    context.health.forget()


def _resume(context: WebContext, name: str, actor: str) -> int:
    try:
        waiting = pauses.resume(context.process, pauses.target(name), by=actor)
    except CannotPause as error:
        raise HTTPException(status.HTTP_409_CONFLICT, str(error)) from None
    context.health.forget()
    return waiting


def _is_of(pause: Pause, target: Target) -> bool:
    return (pause.stage, pause.destination) == (target.stage, target.destination)


def _waiting(connection: Connection, target: Target, *, now: datetime) -> int:
    """Return the number of waiting jobs of a target."""
    if target.stage is Stage.READ:
        queues = overview.queues(connection, now=now)
        return sum(queue.ready + queue.scheduled + queue.paused for queue in queues if queue.stage is Stage.READ)
    rows = overview.destinations(connection)
    return sum(row.waiting for row in rows if row.destination == target.destination)
