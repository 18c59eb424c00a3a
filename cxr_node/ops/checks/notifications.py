"""Check of notifications: whether the receivers of each rule accept connections."""

import smtplib
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from cxr_node.domain.errors import cause_of
from cxr_node.ops.checks.node import Check, ok, problem
from cxr_node.settings.notify import NotifyRuleSection
from cxr_node.settings.root import Settings

_TIMEOUT_S = 5.0
_PORTS = {"http": 80, "https": 443}


def receivers(settings: Settings) -> Iterator[Check]:
    """Check each rule without a message: a test message would alarm a person."""
    for rule in settings.notify.rules:
        name, failures = f"notification {rule.name}", list(_failures(rule, settings))
        if failures:
            next_step = "check webhook, and mail_host of [alert]; notifications wait until then"
            yield problem(name, "; ".join(failures), next_step)
        else:
            yield ok(name, "its receivers accept connections")


def _failures(rule: NotifyRuleSection, settings: Settings) -> Iterator[str]:
    if rule.webhook:
        address = urlsplit(rule.webhook.get_secret_value())
        try:
            port = address.port or _PORTS[address.scheme]
            socket.create_connection((address.hostname or "", port), _TIMEOUT_S).close()
        except (OSError, ValueError) as error:
            yield f"webhook at {address.hostname}: {cause_of(error)}"
    if rule.mail_to:
        section = settings.alert
        try:
            with smtplib.SMTP(section.mail_host, section.mail_port, timeout=_TIMEOUT_S) as server:
                server.noop()
        except (OSError, smtplib.SMTPException) as error:
            yield f"SMTP server {section.mail_host}: {cause_of(error)}"
