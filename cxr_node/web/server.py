"""Web server of the admin role: application, alarms, traces and cleanup of pictures."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING

import uvicorn
from fastapi import APIRouter

from cxr_node.config import ConfigurationError
from cxr_node.db.database import Database
from cxr_node.ops.alarm_messages import Alarms, notifier
from cxr_node.ops.alarms import active_alarms
from cxr_node.ops.notifications import Notifications, sender
from cxr_node.settings.root import Settings
from cxr_node.web.access import Authenticator, session_key
from cxr_node.web.access_audit import AccessAudit
from cxr_node.web.accounts import StoredAccounts
from cxr_node.web.app import application
from cxr_node.web.context import STATEMENT_TIMEOUT_S, LatestHealth, OfferedValues, Trends, WebContext
from cxr_node.web.http_protocol import MAXIMUM_CONNECTIONS, TimedProtocol
from cxr_node.web.learn import lesson_executor
from cxr_node.web.pictures import Pictures
from cxr_node.wiring.periodic import run_jobs
from cxr_node.wiring.pictures import picture_executor
from cxr_node.wiring.process import Process

if TYPE_CHECKING:
    from cxr_node.ops.tracing import TraceExporter

_BUSY_TIMEOUT_S = 5.0
_START_S = 30.0
_BACKLOG = 128
"""Connections accepted at a time: fewer than the descriptors of a process, so that none is missing."""


@contextmanager
def web_context(process: Process) -> Iterator[WebContext]:
    """Open the dependencies of requests; they are closed after the block."""
    settings = process.settings
    with ExitStack() as stack:
        read_database = Database(
            settings.database_url,
            busy_timeout_s=_BUSY_TIMEOUT_S,
            read_only=True,
            statement_timeout_s=STATEMENT_TIMEOUT_S,
        )
        stack.callback(read_database.close)
        executor = stack.enter_context(picture_executor(settings))
        pictures = Pictures(executor, settings.node.data_folder / "pictures")
        lessons = stack.enter_context(lesson_executor())
        yield WebContext(
            process=process,
            read_database=read_database,
            trends=Trends(read_database, now=process.clock),
            health=LatestHealth(lambda: process.settings, read_database, now=process.clock),
            offered=OfferedValues(now=process.clock),
            lessons=lessons,
            pictures=pictures,
            access_audit=AccessAudit(process.audit, process.archive),
        )


@contextmanager
def _background_jobs(context: WebContext) -> Iterator[None]:
    """Send alarms, notifications and traces, and remove old pictures, while the block lasts."""
    settings = context.settings

    def find_alarms() -> dict[str, str]:
        return active_alarms(context.settings, context.read_database, now=context.process.clock())

    alarms = Alarms(find_alarms, notifier(settings.alert), name=settings.node.name)
    process = context.process
    notifications = Notifications(
        settings, process.database, audit=process.audit, clock=process.clock, send=sender(settings)
    )
    functions: dict[str, Callable[[], object]] = {
        "pictures": context.pictures.remove_old,
        "alarms": alarms.update,
        "notifications": notifications.update,
    }
    with ExitStack() as stack:
        if settings.trace.endpoint:
            functions["traces"] = stack.enter_context(_trace_exporter(context)).export_ended
        stack.enter_context(run_jobs(context.process, "admin", functions))
        yield


def _trace_exporter(context: WebContext) -> "AbstractContextManager[TraceExporter]":
    try:
        from cxr_node.ops import tracing
    except ImportError:
        raise ConfigurationError(["trace.endpoint: needs the extra otel: pip install 'cxr-node[otel]'"]) from None
    return tracing.trace_exporter(context.settings, context.read_database, clock=context.process.clock)


def _oidc_router(settings: Settings, key: bytes) -> APIRouter:
    try:
        from cxr_node.web import oidc_routes
    except ImportError:
        raise ConfigurationError(["oidc.issuer: needs the extra oidc: pip install 'cxr-node[oidc]'"]) from None
    return oidc_routes.router(settings, key)


@contextmanager
def serve(process: Process) -> Iterator[str]:
    """Run the web server while the block lasts; the value is its address, HOST:PORT."""
    settings = process.settings
    section = settings.web
    with web_context(process) as context, _background_jobs(context):
        key = session_key(settings.node.data_folder)
        accounts = StoredAccounts(database=process.database, read_database=context.read_database, clock=process.clock)
        app = application(context, Authenticator(section, key, accounts=accounts, oidc=settings.oidc))
        if settings.oidc.issuer:
            app.include_router(_oidc_router(settings, key))
        uvicorn_config = uvicorn.Config(
            app,
            host=section.host,
            port=section.port,
            http=TimedProtocol,
            ws="none",
            limit_concurrency=MAXIMUM_CONNECTIONS,
            backlog=_BACKLOG,
            log_level="error",  # anyone can cause warnings, about requests that are no HTTP
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(uvicorn_config)
        listener = uvicorn_config.bind_socket()
        # Connections inherit TCP_NODELAY. Without it the end of a response waits 40 ms for the client's ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.listen()  # connections are accepted from now on, and served once the thread runs
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="web", daemon=True)
        thread.start()
        try:
            host, port = listener.getsockname()[:2]
            yield f"{host}:{port}"
        finally:
            server.should_exit = True
            app.state.event_streams.close()  # the server waits for responses in work
            thread.join(_START_S)
            listener.close()
