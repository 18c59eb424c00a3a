"""The process that serves the page."""

import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

import uvicorn
from fastapi import APIRouter

from cxr_node.config import ConfigurationError
from cxr_node.db.database import Database
from cxr_node.ops.alarms import Alarms, sender, wrong
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.settings.root import Settings
from cxr_node.web.access import Guard, key_of
from cxr_node.web.access_audit import AccessAudit
from cxr_node.web.app import application
from cxr_node.web.context import Trends, WebContext
from cxr_node.web.pictures import Pictures
from cxr_node.wiring import audit, preprocessing, process
from cxr_node.work.scheduler import Schedule

_AT_MOST_S = 10.0
_START_S = 30.0
_FORGET_S = 600.0


@contextmanager
def desk(settings: Settings) -> Iterator[WebContext]:
    """Return what pages need, while the block lasts."""
    with ExitStack() as stack:
        reads = Database(settings.database_url, busy_timeout_s=5.0, read_only=True, statement_timeout_s=_AT_MOST_S)
        stack.callback(reads.close)
        writes = process.database(settings)
        stack.callback(writes.close)
        limits = preprocessing.film_limits(settings)
        sandbox = stack.enter_context(Sandbox(limits))
        shown = Pictures(
            process.archive(settings), settings.node.data_folder / "pictures", limits=limits, sandbox=sandbox
        )
        witness = AccessAudit(stack.enter_context(audit.audit(settings)), process.archive(settings))
        yield WebContext(
            settings=settings, reads=reads, writes=writes, trends=Trends(reads), pictures=shown, access_audit=witness
        )


@contextmanager
def _watching(settings: Settings, at: WebContext) -> Iterator[None]:
    """Tell people what is wrong, and forget old pictures, while the block lasts."""
    section = settings.alert
    look = partial(_wrong, settings, at.reads)
    told = Alarms(look, sender(section), name=settings.node.name)
    with ExitStack() as stack:
        stack.enter_context(Schedule(at.pictures.forget_old, tick_s=_FORGET_S))
        if section.webhook or section.mail_to:
            stack.enter_context(Schedule(told.turn, tick_s=section.every_s))
        if settings.trace.endpoint:
            stack.enter_context(_traced(settings, at))
        yield


def _traced(settings: Settings, at: WebContext) -> AbstractContextManager[None]:
    try:
        from cxr_node.ops import tracing
    except ImportError:
        raise ConfigurationError(["trace.endpoint: needs the extra otel: pip install 'cxr-node[otel]'"]) from None
    return tracing.telling(settings, at.reads, clock=process.now)


def _wrong(settings: Settings, reads: Database) -> dict[str, str]:
    return wrong(settings, reads, now=process.now())


def _logins_elsewhere(settings: Settings, key: bytes) -> APIRouter:
    try:
        from cxr_node.web import oidc_routes
    except ImportError:
        raise ConfigurationError(["oidc.issuer: needs the extra oidc: pip install 'cxr-node[oidc]'"]) from None
    return oidc_routes.router(settings, key)


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """Serve the page while the block lasts; the value is its address."""
    section = settings.web
    with desk(settings) as at, _watching(settings, at):
        key = key_of(settings.node.data_folder)
        app = application(at, Guard(section, key, oidc=settings.oidc))
        if settings.oidc.issuer:
            app.include_router(_logins_elsewhere(settings, key))
        configured = uvicorn.Config(
            app,
            host=section.host,
            port=section.port,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(configured)
        listening = configured.bind_socket()
        # Connections have it from here. Without it the end of each answer waits 40 ms for the peer's acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.listen()  # from now on who connects is answered, if a moment later
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="web", daemon=True)
        thread.start()
        try:
            host, port = listening.getsockname()[:2]
            yield f"{host}:{port}"
        finally:
            server.should_exit = True
            thread.join(_START_S)
            listening.close()
