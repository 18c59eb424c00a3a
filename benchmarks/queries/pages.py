"""Requests of pages and JSON API over HTTP to a node's web server."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import quote

import httpx

from cxr_node import config
from cxr_node.domain.clock import utc_now
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.web import server
from cxr_node.wiring.process import Process

_NAME, _PASSWORD = "benchmark", "correct horse battery staple"


@contextmanager
def pages(url: str, folder: Path, *, films: int) -> Iterator[dict[str, Callable[[], object]]]:
    """Serve a database's pages while the block lasts; the value has a logged-in request for each, by name."""
    password_hash = PasswordHash.from_password(_PASSWORD, salt=bytes(16))
    settings = config.parse(
        {
            "node": {"data_folder": str(folder)},
            "database": {"url": url},
            "web": {
                "port": 0,
                "users": [
                    {"name": _NAME, "password_hash": str(password_hash), "sees_films": True, "sees_identifiers": True}
                ],
            },
        }
    )
    with (
        Process.open(settings) as process,
        server.serve(process) as address,
        httpx.Client(base_url=f"http://{address}", timeout=60) as client,
    ):
        client.post("/login", data={"name": _NAME, "password": _PASSWORD})
        requests: dict[str, Callable[[], object]] = {
            f"GET {path}": partial(_get, client, path) for path in _paths(films)
        }
        for name, text in (("one accession number", f"A{films // 2}"), ("a frequent Patient ID", "UNKNOWN")):
            requests[f"POST /search, {name}"] = partial(_post_search, client, text)
        yield requests


def _get(client: httpx.Client, path: str) -> int:
    response = client.get(path)
    response.raise_for_status()
    return len(response.content)


def _post_search(client: httpx.Client, text: str) -> int:
    return len(client.post("/search", data={"text": text}, follow_redirects=True).raise_for_status().content)


def _paths(films: int) -> list[str]:
    middle = films // 2
    return [
        "/",
        "/studies",
        "/studies?where=result_state=abnormal",
        "/films",
        "/films?where=calling_ae_title=DX3&where=view=PA",
        f"/films?since=all&after={_far_back(films)}",
        "/findings",
        "/findings?where=score>80&since=7d",
        "/deliveries",
        "/jobs",
        "/jobs?where=state=failed&since=all",
        "/refusals",
        "/devices?since=24h",
        f"/studies/{middle}",
        f"/films/{middle}",
        "/trends",
        "/api/v1/overview",
        "/api/v1/tables/films",
        "/api/v1/tables/studies?where=delivery_state=failed",
        "/api/v1/tables/jobs?where=state=failed&since=all",
        f"/api/v1/studies/{middle}",
        f"/api/v1/films/{middle}",
        "/api/v1/trends",
        "/metrics",
    ]


def _far_back(films: int) -> str:
    """Return the place of a film in the middle of all films, one of which came each minute."""
    return quote(json.dumps([(utc_now() - timedelta(minutes=films / 2)).isoformat(), films // 2]))
