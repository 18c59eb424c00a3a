"""The application: pages, JSON, metrics and health behind one set of headers."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response, status
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from cxr_node.domain.errors import RetryLater
from cxr_node.web import api, metrics, models, monitoring, pages
from cxr_node.web.access import COOKIE, Guard
from cxr_node.web.context import WebContext

_HERE = Path(__file__).parent
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_DESCRIPTION = (
    "What a cxr-node is doing, read-only but for one request. Log in at /login with a form; the session's cookie is "
    "asked for here, and the token that the session's pages carry for what changes anything. Research use only."
)

Next = Callable[[Request], Awaitable[Response]]


def application(desk: WebContext, guard: Guard) -> FastAPI:
    """Return the application at a desk."""
    app = FastAPI(
        title="cxr-node",
        version=version("cxr-node"),
        description=_DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        # The framework's pages for these would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    app.state.desk, app.state.guard, app.state.templates = desk, guard, _templates()
    app.middleware("http")(_secured)
    app.exception_handler(HTTPException)(_explained)
    app.exception_handler(RetryLater)(_away)
    app.include_router(api.router)
    app.include_router(monitoring.api)
    app.include_router(pages.router)
    app.include_router(monitoring.pages)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    _add_machine_readable(app, desk)
    return app


def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(pages.FILTERS)
    return made


def _add_machine_readable(app: FastAPI, desk: WebContext) -> None:
    """Add what other machines ask. It names senders and destinations, and leads to no patient, so nobody logs in."""
    shown = metrics.registry(desk)
    unwell: dict[int | str, dict[str, Any]] = {503: {"model": models.Health, "description": "The node is not ready."}}

    @app.get("/metrics", response_class=PlainTextResponse)
    def get_metrics() -> Response:
        """Return the node in numbers, for Prometheus."""
        return Response(generate_latest(shown), media_type=CONTENT_TYPE_LATEST)

    @app.get("/health/live")
    def get_live() -> models.Health:
        """Say that this process answers."""
        return models.Health(ok=True, problems=[])

    @app.get("/health/ready", response_model=models.Health, responses=unwell)
    def get_ready() -> Response:
        """Say whether films can be taken and kept: the database answers, and there is room."""
        problems = metrics.health(desk, desk.settings.node.data_folder)
        code = status.HTTP_503_SERVICE_UNAVAILABLE if problems else status.HTTP_200_OK
        return JSONResponse({"ok": not problems, "problems": problems}, code)


async def _secured(request: Request, call_next: Next) -> Response:
    answer = await call_next(request)
    for name, value in _HEADERS.items():
        answer.headers.setdefault(name, value)
    if not request.url.path.startswith("/static/"):
        answer.headers.setdefault("Cache-Control", "no-store")
    return answer


async def _explained(request: Request, error: Exception) -> Response:
    """Answer a person with a page and a program with JSON."""
    if not isinstance(error, HTTPException):
        raise error
    if _wants_json(request):
        return JSONResponse({"detail": error.detail}, error.status_code)
    if error.status_code == status.HTTP_401_UNAUTHORIZED:
        answer: Response = RedirectResponse("/login", status.HTTP_303_SEE_OTHER)
        if request.headers.get("HX-Request"):  # a part of a page: the whole page is to go
            answer = Response(status_code=status.HTTP_204_NO_CONTENT, headers={"HX-Redirect": "/login"})
        answer.delete_cookie(COOKIE)
        return answer
    return _sorry(request, error.detail, error.status_code)


async def _away(request: Request, error: Exception) -> Response:
    said = f"{error}: try again in a moment"
    if _wants_json(request):
        return JSONResponse({"detail": said}, status.HTTP_503_SERVICE_UNAVAILABLE)
    return _sorry(request, said, status.HTTP_503_SERVICE_UNAVAILABLE)


def _sorry(request: Request, said: str, code: int) -> Response:
    guard: Guard = request.app.state.guard
    template = request.app.state.templates.get_template("sorry.html")
    desk: WebContext = request.app.state.desk
    person = guard.person(request.cookies.get(COOKIE))
    page = template.render(person=person, node=desk.settings.node.name, here="", said=said, code=code)
    return Response(page, code, media_type="text/html")


def _wants_json(request: Request) -> bool:
    return request.url.path.startswith("/api/")
