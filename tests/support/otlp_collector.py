"""A collector of OpenTelemetry traces over HTTP on this machine, which answers as it is told to."""

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
    """What has arrived, and the status that is answered next; while `silent` is set nothing is answered."""

    endpoint: str = ""
    status: int = 200
    speaks: threading.Event = field(default_factory=threading.Event)
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
    kept = Collector()
    kept.speaks.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            kept.headers.append(self.headers.get("Authorization", ""))
            kept.speaks.wait(30)
            if kept.status == 200:
                for group in ExportTraceServiceRequest.FromString(content).resource_spans:
                    kept.services |= {each.value.string_value for each in group.resource.attributes}
                    kept.spans += [span for scope in group.scope_spans for span in scope.spans]
            self.send_response(kept.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    kept.endpoint = f"http://{LOOPBACK}:{server.server_port}/v1/traces"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        kept.speaks.set()
        server.shutdown()
        thread.join(10)
        server.server_close()
