"""What a person changes in a running node passes here, from the command line and from the page alike."""

import getpass
import logging
from dataclasses import dataclass

from cxr_node.audit.events import USE_OF_RESTRICTED_FUNCTION
from cxr_node.domain.codes import Code
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAction:
    """Who changed what: `subject` names it as a path, such as jobs/17; `what` is a sentence without patient data."""

    by: str
    what: str
    subject: str


def record(settings: Settings, change: OperatorAction, *, kind: Code = USE_OF_RESTRICTED_FUNCTION) -> None:
    """Record a change in the log and in the audit trail, once it is committed."""
    _log.warning("%s: %s (%s)", change.by, change.what, change.subject)
    audit.administration(settings, kind, change.what, by=change.by, subject=change.subject)


def person() -> str:
    """Return how the person at the command line is named as an actor."""
    return f"person/{getpass.getuser()}"
