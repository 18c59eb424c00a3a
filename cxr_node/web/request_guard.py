"""Bounds on requests before anything else is known of them: size of the body, and number in work."""

from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

from cxr_node.web.event_streams import EVENTS_PATH

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAXIMUM_BODY_BYTES = 1 << 16
"""Forms and JSON of this server have less than a kibibyte."""
MAXIMUM_REQUESTS = 128
LIVE_PATH = "/health/live"
"""Answered whatever else is in work."""
_NOT_COUNTED = (LIVE_PATH, EVENTS_PATH)
"""Streams of events have a bound of their own, and last as long as a page is open."""


class RequestGuard:
    """ASGI middleware: responds 413 to larger bodies, and 503 to more requests than `MAXIMUM_REQUESTS` at a time.

    A body is read here, so that no other code sees a request that is not whole.
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app
        self._in_work = 0

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] in _NOT_COUNTED:
            await self._serve(scope, receive, send)
            return
        if self._in_work >= MAXIMUM_REQUESTS:
            await _refuse(503, "too many requests at once: try again in a moment")(scope, receive, send)
            return
        self._in_work += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self._in_work -= 1

    async def _serve(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if _stated_bytes(scope) > MAXIMUM_BODY_BYTES:
            await _too_large(scope, receive, send)
            return
        if scope["method"] in ("GET", "HEAD"):  # their body is not read
            await self._app(scope, receive, send)
            return
        body = bytearray()
        more_body = True
        while more_body:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more_body = message.get("more_body", False)
            if len(body) > MAXIMUM_BODY_BYTES:
                await _too_large(scope, receive, send)
                return
        await self._app(scope, _replay(bytes(body), receive), send)


def _stated_bytes(scope: "Scope") -> int:
    stated = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(stated) if stated.isdigit() else 0


def _replay(body: bytes, receive: "Receive") -> "Receive":
    """Return a callable that yields the body that was read, and then what `receive` yields."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> "Message":
        return messages.pop() if messages else await receive()

    return replayed


def _refuse(status: int, text: str) -> PlainTextResponse:
    # The connection is closed, so that what is left of the request is not read.
    return PlainTextResponse(f"{text}\n", status, headers={"Connection": "close"})


_too_large = _refuse(413, f"a request to this server has at most {MAXIMUM_BODY_BYTES} bytes")
