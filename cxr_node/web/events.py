"""Stream of events that says which parts of an open page changed."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response, status
from fastapi.responses import StreamingResponse

from cxr_node.domain.errors import RetryLater
from cxr_node.web.access import COOKIE, Authenticator, LoggedIn
from cxr_node.web.event_streams import EVENTS_PATH, EventStreams

router = APIRouter(include_in_schema=False)
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second keeps nginx from holding back events."""


@router.get(EVENTS_PATH)
async def events(request: Request, person: LoggedIn, since: Annotated[int | None, Query(ge=0)] = None) -> Response:
    """Return a stream of events until the session ends; `since` is the id of the last event of the stream before."""
    streams: EventStreams = request.app.state.event_streams
    authenticator: Authenticator = request.app.state.authenticator
    if not streams.has_place(person.name):
        raise HTTPException(status.HTTP_429_TOO_MANY_REQUESTS, "too many open pages: close some, and reload this one")
    cookie = request.cookies.get(COOKIE)

    def is_valid() -> bool:
        try:
            return authenticator.person(cookie) is not None
        except RetryLater:  # without a database a page shows nothing but the health line
            return True

    stream = streams.stream(person.name, since=since, is_valid=is_valid)
    return StreamingResponse(stream, media_type="text/event-stream", headers=_HEADERS)
