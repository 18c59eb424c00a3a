"""Logging: the node's messages to standard error, without messages of libraries that quote films."""

import logging
import sys
import threading
import traceback
import warnings

_log = logging.getLogger(__name__)

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
# These libraries quote element values, such as patient names, in messages and warnings.
_QUOTING_LIBRARIES = ("pydicom", "pynetdicom", "highdicom", "PIL")


def configure(level: str) -> None:
    """Log the node's own messages to standard error; silence libraries that quote element values."""
    logging.basicConfig(level=logging.WARNING, format=_FORMAT, stream=sys.stderr, force=True)
    logging.getLogger("cxr_node").setLevel(level.upper())
    for name in _QUOTING_LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.raiseExceptions = False
    warnings.simplefilter("ignore")
    threading.excepthook = _log_thread_error


def _log_thread_error(ended: threading.ExceptHookArgs, /) -> None:
    """Log the type and place of an uncaught error of a thread, not its message, which may quote peer data."""
    frames = traceback.extract_tb(ended.exc_traceback)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"
    _log.error("a thread ended: %s in %s", ended.exc_type.__name__, place)
