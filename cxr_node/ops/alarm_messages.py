"""Alarms by webhook and e-mail: one message when a problem begins, and one when it is resolved."""

import json
import logging
import smtplib
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from http.client import HTTPException
from urllib.parse import unquote, urlsplit, urlunsplit

from cxr_node.settings.operations import AlertSection

_log = logging.getLogger(__name__)

_TIMEOUT_S = 10.0

Notify = Callable[[str, Mapping[str, str]], None]
"""Sends a message: its subject, and a sentence for each alarm by name."""


class Alarms:
    """Sends one message per change of the active alarms; a failed message is sent again at the next update."""

    def __init__(self, find: Callable[[], dict[str, str]], notify: Notify, *, name: str) -> None:
        self._find = find
        self._notify = notify
        self._name = name
        self._active: dict[str, str] = {}

    def update(self) -> None:
        """Find the active alarms, and send what changed since the last message."""
        current = self._find()
        begun = {name: sentence for name, sentence in current.items() if name not in self._active}
        resolved = [name for name in self._active if name not in current]
        if not begun and not resolved:
            return
        changes = {**begun, **dict.fromkeys(resolved, "resolved")}
        try:
            self._notify(f"{self._name}: {', '.join(changes)}", changes)
        except (OSError, HTTPException, smtplib.SMTPException) as error:
            _log.warning("an alarm could not be sent: %s", type(error).__name__)
            return
        self._active = {name: self._active.get(name, sentence) for name, sentence in current.items()}


def notifier(section: AlertSection) -> Notify:
    """Return the sender of messages for the webhook and mail recipients of the settings."""

    def send(subject: str, alarms: Mapping[str, str]) -> None:
        if section.webhook:
            _post(section.webhook.get_secret_value(), subject, alarms)
        if section.mail_to:
            text = "\n".join(f"{name}: {sentence}" for name, sentence in alarms.items())
            send_mail(section, subject, text, to=section.mail_to)

    return send


def _post(url: str, subject: str, alarms: Mapping[str, str]) -> None:
    body = json.dumps({"text": subject, "alarms": dict(alarms)}).encode()
    headers = {"Content-Type": "application/json"}
    address = urlsplit(url)
    login, _, host = address.netloc.rpartition("@")
    if login:  # http.client takes them for a part of the port
        headers["Authorization"] = f"Basic {b64encode(unquote(login).encode()).decode('ascii')}"
    request = urllib.request.Request(  # noqa: S310  # the settings allow only http and https
        urlunsplit(address._replace(netloc=host)), data=body, headers=headers
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310  # as above
        pass


def send_mail(section: AlertSection, subject: str, text: str, *, to: Sequence[str]) -> None:
    """Send a mail by the SMTP server of the settings; raises OSError or SMTPException."""
    message = EmailMessage()
    message["Subject"], message["From"] = subject, section.mail_from
    message["To"] = ", ".join(to)
    message.set_content(text)
    with smtplib.SMTP(section.mail_host, section.mail_port, timeout=_TIMEOUT_S) as server:
        if section.mail_tls:
            server.starttls()
        if section.mail_user:
            server.login(section.mail_user, section.mail_password.get_secret_value())
        server.send_message(message)
