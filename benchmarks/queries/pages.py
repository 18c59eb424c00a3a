"""The pages as people see them, and their JSON: asked over HTTP of a node's own web application."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx

from cxr_node import config
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.web import server
from cxr_node.wiring.process import Process

_NAME, _PASSWORD = "benchmark", "correct horse battery staple"


@contextmanager
def pages(url: str, folder: Path, *, films: int) -> Iterator[dict[str, Callable[[], object]]]:
    """Serve the pages over a database while the block lasts; return what asks for each, as one who is logged in."""
    of = PasswordHash.of(_PASSWORD, salt=bytes(16))
    settings = config.parse(
        {
            "node": {"data_folder": str(folder)},
            "database": {"url": url},
            "web": {"port": 0, "users": [{"name": _NAME, "password_hash": str(of), "sees_films": True}]},
        }
    )
    with (
        Process.open(settings) as process,
        server.serve(process) as address,
        httpx.Client(base_url=f"http://{address}", timeout=60) as client,
    ):
        client.post("/login", data={"name": _NAME, "password": _PASSWORD})
        yield {f"GET {path}": partial(_got, client, path) for path in _paths(films)}


def _got(client: httpx.Client, path: str) -> int:
    answer = client.get(path)
    answer.raise_for_status()
    return len(answer.content)


def _paths(films: int) -> list[str]:
    middle = films // 2
    return [
        "/",
        "/studies",
        f"/studies/{middle}",
        f"/films/{middle}",
        "/deliveries",
        "/trends",
        "/api/v1/overview",
        "/api/v1/studies",
        f"/api/v1/studies?before={middle}",
        f"/api/v1/studies/{middle}",
        f"/api/v1/films/{middle}",
        "/api/v1/jobs",
        "/api/v1/jobs?state=failed",
        "/api/v1/deliveries",
        "/api/v1/trends",
        "/metrics",
    ]
