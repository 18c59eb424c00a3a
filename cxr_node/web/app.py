"""Web application: pages, JSON API, metrics and health, with security headers."""

from contextlib import suppress
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response, status
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from cxr_node.domain.errors import RetryLater
from cxr_node.web import (
    actions,
    api,
    events,
    film_pages,
    learn,
    metrics,
    models,
    monitoring,
    operations,
    own_password,
    pages,
    pauses,
    rereads,
    resends,
    results,
    search,
    settings_edit,
    settings_page,
    steps,
    table_api,
    tables,
    tokens,
    trends,
    users,
    withdrawals,
)
from cxr_node.web.access import COOKIE, Authenticator
from cxr_node.web.bounded_work import BoundedPool, SharedCall, TooBusy
from cxr_node.web.changes import ChangeDetector
from cxr_node.web.context import WebContext
from cxr_node.web.event_streams import EVENTS_PATH, EventStreams
from cxr_node.web.request_guard import LIVE_PATH, RequestGuard
from cxr_node.web.response_headers import ResponseHeaders

_HERE = Path(__file__).parent
_DESCRIPTION = (
    "State of a cxr-node, read-only but for a few requests. A program sends an API token of `cxr-node token add`: "
    "Authorization: Bearer TOKEN. A browser sends the cookie of a login at /login, and with requests that change "
    "anything the token of the session's pages. Research use only."
)


def application(context: WebContext, authenticator: Authenticator) -> FastAPI:
    """Return the application."""
    app = FastAPI(
        title="cxr-node",
        version=version("cxr-node"),
        description=_DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        # The framework's documentation pages load scripts from other hosts.
        docs_url=None,
        redoc_url=None,
    )
    app.state.context, app.state.authenticator, app.state.templates = context, authenticator, _templates()
    app.state.login_pool = BoundedPool("login", threads=1, places=8, places_per_address=4)
    detector = ChangeDetector(context.read_database, context.health.latest)
    app.state.event_streams = EventStreams(detector.find, clock=context.process.clock)
    app.state.frame_pool = film_pages.frame_pool()
    app.state.lesson_pool = learn.lesson_pool()
    app.add_middleware(RequestGuard)
    app.add_middleware(ResponseHeaders)  # added last, so around the guard
    app.exception_handler(HTTPException)(_handle_error)
    app.exception_handler(RetryLater)(_handle_unavailable)
    app.exception_handler(TooBusy)(_handle_busy)
    app.include_router(api.router)
    app.include_router(monitoring.api)
    app.include_router(trends.api)
    app.include_router(table_api.router)
    app.include_router(search.api)
    app.include_router(pages.router)
    app.include_router(results.api)
    app.include_router(results.router)
    app.include_router(tables.router)
    app.include_router(actions.router)
    app.include_router(resends.router)
    app.include_router(withdrawals.router)
    app.include_router(rereads.router)
    app.include_router(operations.router)
    app.include_router(pauses.api)
    app.include_router(pauses.pages)
    app.include_router(film_pages.router)
    app.include_router(monitoring.pages)
    app.include_router(trends.pages)
    app.include_router(settings_page.pages)
    app.include_router(settings_edit.pages)
    app.include_router(users.api)
    app.include_router(users.pages)
    app.include_router(own_password.pages)
    app.include_router(events.router)
    app.include_router(tokens.api)
    app.include_router(tokens.pages)
    app.include_router(steps.api)
    app.include_router(steps.pages)
    app.include_router(search.pages)
    if context.settings.web.learn:
        app.include_router(learn.pages)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    _add_machine_readable(app, context)
    return app


@cache
def _templates() -> Environment:
    """Return the templates; each is compiled once in a process."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(pages.FILTERS)
    return environment


def _add_machine_readable(app: FastAPI, context: WebContext) -> None:
    """Add metrics and health, without login: they name senders and destinations, but lead to no patient."""
    registry = metrics.registry(context)
    # Each in a thread of its own and one at a time: as many requests as anyone sends take no thread from the pages.
    text = SharedCall("metrics", partial(generate_latest, registry))
    problems = SharedCall("health", partial(metrics.health, context, context.settings.node.data_folder))
    not_ready: dict[int | str, dict[str, Any]] = {
        503: {"model": models.Health, "description": "The node is not ready."}
    }

    @app.get("/favicon.ico", include_in_schema=False)
    async def get_icon() -> Response:
        """Return the icon, which browsers request at this place for documents that name none, such as a PDF."""
        return FileResponse(_HERE / "static" / "icon.svg")

    @app.get("/metrics", response_class=PlainTextResponse)
    async def get_metrics() -> Response:
        """Return metrics for Prometheus."""
        return Response(await text.result(), media_type=CONTENT_TYPE_LATEST)

    @app.get(LIVE_PATH)
    async def get_live() -> models.Health:
        """Respond while this process runs."""
        return models.Health(ok=True, problems=[])

    @app.get("/health/ready", response_model=models.Health, responses=not_ready)
    async def get_ready() -> Response:
        """Report whether films can be received: database, receiver and every role respond, and there is free space."""
        current = await problems.result()
        code = status.HTTP_503_SERVICE_UNAVAILABLE if current else status.HTTP_200_OK
        return JSONResponse({"ok": not current, "problems": current}, code)


async def _handle_error(request: Request, error: Exception) -> Response:
    """Respond with an error page, or with JSON under /api/ and to a stream of events."""
    if not isinstance(error, HTTPException):
        raise error
    if _wants_json(request):
        return JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)
    if error.status_code == status.HTTP_401_UNAUTHORIZED:
        response: Response = RedirectResponse("/login", status.HTTP_303_SEE_OTHER)
        if request.headers.get("HX-Request"):  # part of a page: redirect the whole page
            response = Response(status_code=status.HTTP_204_NO_CONTENT, headers={"HX-Redirect": "/login"})
        response.delete_cookie(COOKIE)
        return response
    return _error_page(request, error.detail, error.status_code)


async def _handle_unavailable(request: Request, error: Exception) -> Response:
    message = f"{error}: try again in a moment"
    if _wants_json(request):
        return JSONResponse({"detail": message}, status.HTTP_503_SERVICE_UNAVAILABLE)
    return _error_page(request, message, status.HTTP_503_SERVICE_UNAVAILABLE)


async def _handle_busy(request: Request, _error: Exception) -> Response:
    return _error_page(request, "Too many logins at once: try again in a moment.", status.HTTP_429_TOO_MANY_REQUESTS)


def _error_page(request: Request, message: str, code: int) -> Response:
    authenticator: Authenticator = request.app.state.authenticator
    template = request.app.state.templates.get_template("error.html")
    context: WebContext = request.app.state.context
    person = None
    with suppress(RetryLater):  # the database is unavailable, as the page says
        person = authenticator.person(request.cookies.get(COOKIE))
    page = template.render(
        person=person,
        node=context.settings.node.name,
        has_learn_page=context.settings.web.learn,
        has_worklists=bool(context.settings.ups.worklists),
        active="",
        message=message,
        code=code,
    )
    return Response(page, code, media_type="text/html")


def _wants_json(request: Request) -> bool:
    return request.url.path.startswith(("/api/", EVENTS_PATH))
