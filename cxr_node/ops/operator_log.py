"""Operator actions, from command line and web: written to the log and the audit trail."""

import getpass
import logging
from typing import TYPE_CHECKING

from cxr_node.audit.events import USE_OF_RESTRICTED_FUNCTION
from cxr_node.domain.codes import Code
from cxr_node.wiring import audit

if TYPE_CHECKING:
    from cxr_node.wiring.process import Process

_log = logging.getLogger(__name__)


def record(
    process: "Process", what: str, *, subject: str, by: str = "", kind: Code = USE_OF_RESTRICTED_FUNCTION
) -> None:
    """Record an action in log and audit trail. Call after its transaction is committed.

    `what` is a sentence without patient data, `subject` a path such as jobs/17, `by` by default the user of the
    command line.
    """
    actor = by or operator_name()
    _log.warning("%s: %s (%s)", actor, what, subject)
    audit.administration(process.settings, process.clock, kind, what, by=actor, subject=subject)


def operator_name() -> str:
    """Return the actor name of the command line's user."""
    return f"person/{getpass.getuser()}"


def dismissed_by(actor: str, note: str) -> str:
    """Return the detail of a job that a person dismissed, with a note that may be empty."""
    return f"dismissed by {actor}{f': {note}' if note else ''}"
