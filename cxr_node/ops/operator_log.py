"""Operator actions, from command line and web: written to the log and the audit trail."""

import getpass
import logging
from dataclasses import dataclass

from cxr_node.audit.events import USE_OF_RESTRICTED_FUNCTION
from cxr_node.domain.codes import Code
from cxr_node.wiring import audit
from cxr_node.wiring.process import Process

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAction:
    """An action: by whom, a sentence without patient data, and the subject as a path such as jobs/17."""

    by: str
    what: str
    subject: str


def record(process: Process, action: OperatorAction, *, kind: Code = USE_OF_RESTRICTED_FUNCTION) -> None:
    """Record an action in log and audit trail. Call after its transaction is committed."""
    _log.warning("%s: %s (%s)", action.by, action.what, action.subject)
    audit.administration(process.settings, process.clock, kind, action.what, by=action.by, subject=action.subject)


def operator_name() -> str:
    """Return the actor name of the command line's user."""
    return f"person/{getpass.getuser()}"
