"""Alarms, told to a real web server and a real mail server: once when something begins, once when it is over."""

import json
import re
import shlex
import socketserver
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.domain.clock import utc_now
from cxr_node.ops.alarm_messages import Alarms, notifier
from cxr_node.ops.alarms import active_alarms
from cxr_node.settings.operations import AlertSection
from tests.support import certificates, films
from tests.support.films import ROOT
from tests.support.node import InProcessNode
from tests.support.pages import blocks
from tests.support.running_node import opened, settings_file
from tests.support.web import reject

LOOPBACK = "127.0.0.1"
HOW_TO = ROOT / "docs" / "how-to" / "alarms.md"


@contextmanager
def web_server(
    statuses: list[int], *, headers: Mapping[str, str] | None = None, body: bytes = b"", login: str = ""
) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Take what is posted; answer with the next status, with the last one from then on.

    With `login`, user and password, the URL has them, and only what comes with them is taken (RFC 7617).
    """
    messages: list[dict[str, object]] = []
    authorization = f"Basic {b64encode(login.encode()).decode()}" if login else None

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
            if self.headers["Authorization"] != authorization:
                status = 401
            if status == 200:
                messages.append(message)
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
            pass

    with HTTPServer((LOOPBACK, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{login}{'@' if login else ''}{LOOPBACK}:{server.server_port}/hook", messages
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def mail_server() -> Iterator[tuple[int, list[str], list[bytes]]]:
    """Speak as much SMTP (RFC 5321) as taking a message needs; yield port, messages and logins (RFC 4616)."""
    messages: list[str] = []
    logins: list[bytes] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 ready\r\n")
            while line := self.rfile.readline():
                command = line.upper().strip()
                if command == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    messages.append(b"".join(lines).decode())
                if command.startswith(b"AUTH PLAIN "):
                    logins.append(b64decode(line.split()[2]))
                    self.wfile.write(b"235 ok\r\n")
                    continue
                if command.startswith(b"EHLO"):
                    self.wfile.write(b"250-mail\r\n250 AUTH PLAIN\r\n")
                    continue
                self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")
                if command == b"QUIT":
                    return

    with socketserver.TCPServer((LOOPBACK, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_address[1]), messages, logins
        finally:
            server.shutdown()
            thread.join()


def test_alarm_is_sent_once_when_it_begins_and_once_when_resolved() -> None:
    current: dict[str, str] = {}
    with web_server([200]) as (url, messages):
        alarms = Alarms(lambda: dict(current), notifier(AlertSection(webhook=url)), name="node")
        alarms.update()
        current["disk"] = "0.1 GB are free"
        for _ in range(5):
            alarms.update()
        current["database"] = "away"
        alarms.update()
        del current["disk"]
        alarms.update()

    assert messages == [
        {"text": "node: disk", "alarms": {"disk": "0.1 GB are free"}},
        {"text": "node: database", "alarms": {"database": "away"}},
        {"text": "node: disk", "alarms": {"disk": "resolved"}},
    ]


def test_user_and_password_of_a_webhook_are_sent_as_its_login() -> None:
    with web_server([200], login="node:sesame") as (url, messages):
        Alarms(lambda: {"disk": "full"}, notifier(AlertSection(webhook=url)), name="node").update()

    assert len(messages) == 1


def test_failed_alarm_message_is_sent_again() -> None:
    with web_server([503, 200]) as (url, messages):
        alarms = Alarms(lambda: {"disk": "full"}, notifier(AlertSection(webhook=url)), name="node")
        for _ in range(4):
            alarms.update()

    assert messages == [{"text": "node: disk", "alarms": {"disk": "full"}}]


def test_alarm_is_sent_by_mail() -> None:
    with mail_server() as (port, messages, logins):
        section = AlertSection(mail_to=("pacs@hospital.example",), mail_host=LOOPBACK, mail_port=port)
        Alarms(lambda: {"failed deliveries": "3 results"}, notifier(section), name="node").update()

    (message,) = messages
    assert "Subject: node: failed deliveries" in message
    assert "To: pacs@hospital.example" in message
    assert "failed deliveries: 3 results" in message
    assert logins == []


def test_an_alarm_is_sent_after_a_login_at_the_mail_server() -> None:
    with mail_server() as (port, messages, logins):
        section = AlertSection(
            mail_to=("a@b.example",),
            mail_host=LOOPBACK,
            mail_port=port,
            mail_user="cxr",
            mail_password="sesame",  # noqa: S106  # of nobody
        )
        Alarms(lambda: {"disk": "full"}, notifier(section), name="node").update()

    assert (len(messages), logins) == (1, [b"\0cxr\0sesame"])


@pytest.mark.parametrize("reserve", [0, 2**62])
def test_dead_letter_overdue_job_and_full_disk_are_alarms(tmp_path: Path, reserve: int) -> None:
    config = settings_file(tmp_path)
    text = config.read_text(encoding="utf-8").replace("reserve_bytes = 0", f"reserve_bytes = {reserve}")
    config.write_text(text, encoding="utf-8")
    settings = load(config)
    settings.node.data_folder.mkdir()
    with opened(settings) as database:
        migrate.upgrade(database)
        node = InProcessNode(database, settings.node.data_folder)
        node.clock.now = utc_now()
        assert set(active_alarms(settings, database, now=node.clock.now)) == ({"disk"} if reserve else set())
        node.pacs.before_send = reject
        node.accept(films.dx())
        node.work()
        node.accept(films.dx(seed=1))

        current = active_alarms(settings, database, now=node.clock.now + timedelta(minutes=16))

    assert set(current) == {"failed deliveries", "overdue readings"} | ({"disk"} if reserve else set())
    assert "2.25." not in str(current)
    assert current["failed deliveries"].startswith("1 result could not be delivered; `cxr-node deliveries ")
    assert current["overdue readings"].startswith("a film has waited for more than 15 minutes")


def test_certificates_of_every_section_raise_an_alarm_before_expiry(tmp_path: Path) -> None:
    authority = certificates.authority(tmp_path)  # expires in two days
    more = "".join(f'[{section}]\ntls_ca = "{authority.certificate}"\n' for section in ("audit", "constancy", "oidc"))
    settings = load(settings_file(tmp_path / "node", more=more))
    settings.node.data_folder.mkdir()
    with opened(settings) as database:
        migrate.upgrade(database)
        alarms = active_alarms(settings, database, now=utc_now())

    assert {name for name in alarms if name.startswith("certificate")} == {
        "certificate audit.tls_ca",
        "certificate constancy.tls_ca",
        "certificate oidc.tls_ca",
    }


def test_the_how_to_page_leads_to_messages_as_it_shows_them(tmp_path: Path) -> None:
    """Its settings, and its commands but those that start a process of the node."""
    page = HOW_TO.read_text(encoding="utf-8")
    block, example = (content for language, content in blocks(page) if language in ("toml", "json"))
    commands = re.findall(r"^    cxr-node (.+?)(?: +#.*)?$", page, re.MULTILINE)
    with web_server([200]) as (url, posted), mail_server() as (port, mails, _):
        more = block.replace("mail.hospital.example", LOOPBACK).replace("mail_port = 25", f"mail_port = {port}")
        config = settings_file(tmp_path, more=more)
        (tmp_path / "alarm-webhook").write_text(url, encoding="utf-8")
        settings = load(config)
        settings.node.data_folder.mkdir()
        with opened(settings) as database:
            migrate.upgrade(database)
            alarms = Alarms(
                lambda: active_alarms(settings, database, now=utc_now()),
                notifier(settings.alert),
                name=settings.node.name,
            )
            outputs = []
            for command in commands:
                ended = CliRunner().invoke(app, [*shlex.split(command), "--config", str(config)])
                outputs.append(ended.output)
                alarms.update()

    shown = json.loads(example)
    begun, resolved = posted
    assert [command.split()[0] for command in commands] == ["reading", "status", "reading"]
    assert "paused reading" in outputs[1]
    assert begun["text"] == resolved["text"] == shown["text"]
    assert list(begun["alarms"]) == list(shown["alarms"])  # type: ignore[call-overload]
    assert "(trial of alarms): 0 films wait" in str(begun)
    assert "(trial of alarms): 0 films wait" in str(shown)
    assert resolved["alarms"] == {"paused reading": "resolved"}
    assert ["radiology-it@hospital.example" in mail for mail in mails] == [True, True]
