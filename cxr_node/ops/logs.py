"""What the node says while it runs, and what it holds back."""

import logging
import sys
import threading
import traceback
import warnings

_log = logging.getLogger(__name__)

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
# These libraries quote element values, patients' among them, in messages and warnings.
_QUOTING = ("pydicom", "pynetdicom", "highdicom", "PIL")


def configure(level: str) -> None:
    """Send the node's own messages to standard error, and nothing that could quote a film."""
    logging.basicConfig(level=logging.WARNING, format=_FORMAT, stream=sys.stderr, force=True)
    logging.getLogger("cxr_node").setLevel(level.upper())
    for name in _QUOTING:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.raiseExceptions = False
    warnings.simplefilter("ignore")
    threading.excepthook = _say_where_it_ended


def _say_where_it_ended(ended: threading.ExceptHookArgs, /) -> None:
    """Name the kind of error that a thread ended with, and its place; its message may quote what a peer sent."""
    places = traceback.extract_tb(ended.exc_traceback)
    place = f"{places[-1].filename}:{places[-1].lineno}" if places else "nowhere"
    _log.error("a thread ended: %s in %s", ended.exc_type.__name__, place)
