"""OpenTelemetry collector over HTTP, with a configurable response."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.peers import LOOPBACK


@dataclass(slots=True, kw_only=True)
class Collector:
    """Received spans, and the status of the next response; no response until `may_respond` is set."""

    endpoint: str = ""
    status: int = 200
    may_respond: threading.Event = field(default_factory=threading.Event)
    spans: list[Span] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    services: set[str] = field(default_factory=set)

    def by_name(self) -> dict[str, Span]:
        """Return the spans, one of each name."""
        assert len({span.name for span in self.spans}) == len(self.spans)
        return {span.name: span for span in self.spans}


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a collector while the block lasts."""
    state = Collector()
    state.may_respond.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            state.headers.append(self.headers.get("Authorization", ""))
            state.may_respond.wait(30)
            if state.status == 200:
                for group in ExportTraceServiceRequest.FromString(content).resource_spans:
                    state.services |= {item.value.string_value for item in group.resource.attributes}
                    state.spans += [span for scope in group.scope_spans for span in scope.spans]
            self.send_response(state.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    state.endpoint = f"http://{LOOPBACK}:{server.server_port}/v1/traces"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.may_respond.set()
        server.shutdown()
        thread.join(10)
        server.server_close()
