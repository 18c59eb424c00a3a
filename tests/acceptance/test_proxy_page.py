"""`docs/how-to/proxy.md`: its settings of nginx and of Caddy, before the page of a node."""

import ssl
from pathlib import Path

import httpx
import pytest

from tests.support import certificates
from tests.support.films import ROOT
from tests.support.pages import blocks
from tests.support.peers import free_port, program, running, until
from tests.support.web import PASSWORD, PEOPLE, served_page

PAGE = ROOT / "docs" / "how-to" / "proxy.md"


def test_the_page_works_behind_nginx_as_the_document_sets_it_up(tmp_path: Path) -> None:
    """Login with a secure cookie, a live stream, and no metrics for others."""
    nginx, port = program("nginx"), free_port()
    ca = certificates.authority(tmp_path)
    certificates.issued(tmp_path, ca, "node")
    (tmp_path / "node-key.pem").rename(tmp_path / "node.key")
    server, denied = (content for language, content in blocks(PAGE.read_text(encoding="utf-8")) if language == "nginx")

    with served_page(tmp_path / "node", more=f"secure_cookie = true\n{PEOPLE}") as page:
        text = server.replace("8443", str(port)).replace("127.0.0.1:8011", page.address)
        (tmp_path / "nginx.conf").write_text(
            f"pid nginx.pid;\ndaemon off;\nevents {{}}\nhttp {{\naccess_log off;\nclient_body_temp_path body;\n"
            f"proxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\nuwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\n"
            f"{text.rstrip().removesuffix('}')}\n{denied}}}\n}}\n"
        )
        command: list[str | Path] = [nginx, "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-e", tmp_path / "error.log"]
        trusted = ssl.create_default_context(cafile=str(ca.certificate))
        with running(command), httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusted, timeout=30) as client:
            until(lambda: _answers(client), what="an answer of nginx")
            login = client.post("/login", data={"name": "op", "password": PASSWORD})
            first = client.get("/")
            with client.stream("GET", "/events") as stream:
                beginning = next(stream.iter_bytes())
            metrics = client.get("/metrics")

    assert (login.status_code, first.status_code, metrics.status_code) == (303, 200, 403)
    assert "secure" in login.headers["set-cookie"].lower()
    assert beginning


@pytest.mark.ci(short="test_the_page_works_behind_nginx_as_the_document_sets_it_up")
def test_the_page_works_behind_caddy_as_the_document_sets_it_up(tmp_path: Path) -> None:
    """As behind nginx; its own port for HTTP and its administration stay closed."""
    caddy, port = program("caddy"), free_port()
    ca = certificates.authority(tmp_path)
    certificates.issued(tmp_path, ca, "node")
    (tmp_path / "node-key.pem").rename(tmp_path / "node.key")
    (site,) = (content for language, content in blocks(PAGE.read_text(encoding="utf-8")) if language == "text")

    with served_page(tmp_path / "node", more=f"secure_cookie = true\n{PEOPLE}") as page:
        text = site.replace("cxr.hospital.example", f"https://127.0.0.1:{port}").replace("127.0.0.1:8011", page.address)
        for name in ("node.pem", "node.key"):
            text = text.replace(name, str(tmp_path / name))
        options = f"admin off\nauto_https disable_redirects\nstorage file_system {tmp_path / 'caddy'}"
        (tmp_path / "Caddyfile").write_text(f"{{\n{options}\n}}\n{text}")
        command: list[str | Path] = [caddy, "run", "--config", tmp_path / "Caddyfile", "--adapter", "caddyfile"]
        trusted = ssl.create_default_context(cafile=str(ca.certificate))
        with running(command), httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusted, timeout=30) as client:
            until(lambda: _answers(client), what="an answer of Caddy")
            login = client.post("/login", data={"name": "op", "password": PASSWORD})
            first = client.get("/")
            with client.stream("GET", "/events") as stream:
                beginning = next(stream.iter_bytes())
            refused = [client.get(path).status_code for path in ("/metrics", "/health/ready")]

    assert (login.status_code, first.status_code, refused) == (303, 200, [403, 403])
    assert "secure" in login.headers["set-cookie"].lower()
    assert beginning


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/login").status_code == 200
    except httpx.TransportError:
        return False
